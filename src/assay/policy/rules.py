"""Each kind of rule as one pure function from evidence to a line of the trace; what is in doubt is indeterminate."""

from __future__ import annotations

import math

from msgspec.structs import replace

from assay.config.policy_file import ContractRule, FindingsRule, MeasureRule, OutcomeRule
from assay.core.canonical import short
from assay.core.decision import Facts, OutcomeFact, RuleTrace, Verdict
from assay.core.finding import Measure, Status, measure_key
from assay.core.subject import Feature
from assay.policy.evidence import AGAIN, EvidenceIndex, Gap, told_wrong

_SLACK = 1e-9
BOUND = "name the checks that can fail, and bound what the others measure: `measure: {name: …, min: …}`"


def _vouched(facts: tuple[OutcomeFact, ...]) -> tuple[str, ...]:
    return tuple(sorted({f.signer.person for f in facts}))


def _gap_text(gaps: tuple[Gap, ...]) -> str:
    more = f"; and {len(gaps) - 3} more" if len(gaps) > 3 else ""
    return "; ".join(gap.why for gap in gaps[:3]) + more


def _doubtful(trace: RuleTrace, gaps: tuple[Gap, ...], **changes: str) -> RuleTrace:
    checks = tuple(dict.fromkeys([gap.check for gap in gaps if gap.check]))
    fix = next((gap.fix for gap in gaps if gap.fix), trace.fix)
    return replace(
        trace, verdict=Verdict.INDETERMINATE, decided_by=checks or trace.decided_by, reason=_gap_text(gaps), fix=fix,
        **changes,
    )  # fmt: skip


def judge_findings(rule: FindingsRule, trace: RuleTrace, index: EvidenceIndex) -> RuleTrace:
    """Count unwaived findings; a check that could have given one and could not look leaves the rule undecided."""
    looked = index.look(rule.check, None, rule.max_age, rule.severity.rank)
    (open_, covered), holding = index.unwaived(looked, rule.severity)
    saw = f"{len(open_)} unwaived" + (f", {len(covered)} waived" if covered else "")
    if rule.check != "*" and (na := sum(f.outcome.status is Status.NOT_APPLICABLE for f in looked.facts)):
        saw += f"; {na} of {len(looked.facts)} outcomes not applicable"  # who is judged says what applies
    base = replace(
        trace, saw=saw, fingerprints=open_, waived=covered, value=float(len(open_)), bound=float(rule.unwaived_max),
        better="lower", vouched=_vouched(looked.facts), check=rule.check, covers=looked.checks,
        decided_by=looked.checks,
    )  # fmt: skip
    if len(open_) > rule.unwaived_max:
        reason = f"{len(open_)} finding{'s' if len(open_) != 1 else ''}, at most {rule.unwaived_max} allowed"
        return replace(base, verdict=Verdict.DENY, reason=reason, decided_by=holding)
    if looked.gaps:
        return _doubtful(base, looked.gaps)
    return replace(base, verdict=Verdict.ALLOW)


def judge_outcome(rule: OutcomeRule, trace: RuleTrace, index: EvidenceIndex) -> RuleTrace:
    """Every check the pattern names must have passed; not-applicable is an answer only beside one that passed. That a
    check passed which only measures says no more than that it looked, so that nothing is decided by it."""
    looked = index.look(rule.check, rule.subject, rule.max_age)
    wrong = [f for f in looked.facts if f.outcome.status is Status.FAIL or told_wrong(f)]
    failed = tuple(dict.fromkeys(f"{f.outcome.check} on {f.outcome.subject}" for f in wrong))
    passed = sum(f.outcome.status is Status.PASS and not told_wrong(f) for f in looked.facts)
    saw = f"{passed} passed, {len(wrong)} failed, {len(looked.facts) - passed - len(wrong)} open or not applicable"
    base = replace(
        trace, saw=saw, vouched=_vouched(looked.facts), check=rule.check, covers=looked.checks,
        decided_by=looked.checks,
    )  # fmt: skip
    if failed:
        checks = tuple(dict.fromkeys(f.outcome.check for f in wrong))
        return replace(base, verdict=Verdict.DENY, reason=f"failed: {', '.join(failed)}", decided_by=checks)
    if looked.gaps:
        return _doubtful(base, looked.gaps)
    told = {f.outcome.check for f in looked.facts if f.outcome.status is Status.PASS}
    if only := sorted(check for check in told if index.only_measures(check)):
        return _doubtful(
            base, tuple(Gap(check, f"{check} fails on nothing: it only measures", BOUND) for check in only)
        )
    if not passed:
        why = next((f.outcome.reason for f in looked.facts if f.outcome.reason), "")
        return _doubtful(base, (Gap("", why or f"nothing that matches {rule.check} passed"),))
    return replace(base, verdict=Verdict.ALLOW)


def judge_contract(rule: ContractRule, trace: RuleTrace, facts: Facts) -> RuleTrace:
    """The terms are those that the policy pins; what it says an attacker can change is not declared out of reach."""
    terms = facts.terms
    if terms is None:
        return replace(trace, saw="no terms", reason="the evidence does not say on what terms the model was judged")
    # By column: whoever is judged invents the name of a one-hot group, and could call any after one that is free.
    features = {column: f for name, f in terms.contract.features.items() for column in f.one_hot or (name,)}
    held = [n for n in rule.mutable if n not in features or not _moves(n, features[n], rule.max_cost)]
    if rule.immutable is not None:
        free = {*rule.immutable, *held}
        held += [n for n, f in features.items() if n not in free and not _moves(n, f, rule.max_cost)]
    elif rule.max_cost is not None:
        held += [n for n, f in features.items() if n not in held and f.mutable and not _moves(n, f, rule.max_cost)]
    mutable = sum(f.mutable for f in features.values())
    saw = f"terms {short(terms.digest)}, {mutable} of {len(features)} declared columns mutable"
    base = replace(trace, saw=saw)
    if rule.digest is not None and rule.digest != terms.digest:
        reason = f"the terms are {short(terms.digest)}, the policy pins {short(rule.digest)}"
        fix = "restore the contract in assay.yaml, or have the policy's owner agree to the new one"
        return replace(base, verdict=Verdict.DENY, reason=reason, fix=fix)
    had = {role: facts.materials.get(role, ()) for role in rule.materials}
    other = [r for r, said in rule.materials.items() if {*had[r]} != ({said} if isinstance(said, str) else {*said})]
    if other:
        found = ", ".join(f"{role} {' '.join(map(short, had[role])) or 'none'}" for role in other)
        fix = "judge it by what the policy pins, or have the policy's owner agree to another"
        return replace(base, verdict=Verdict.DENY, reason=f"not judged by what the policy pins: {found}", fix=fix)
    if held:
        priced = rule.max_cost is not None and any(n in features and _moves(n, features[n], None) for n in held)
        dear = f" for {rule.max_cost:g} or less" if priced else ""
        reason = f"the contract does not let an attacker change {', '.join(held[:5])}{dear}"
        more = f" and {len(held) - 5} more" if len(held) > 5 else ""
        fix = "declare them mutable under `features:` in assay.yaml (or take out what is no input), then measure again"
        return replace(base, verdict=Verdict.DENY, reason=reason + more, fix=fix)
    loose = [n for n, f in features.items() if f.mutable and not _said(f)]
    if loose and "holdout" in rule.materials and "training-data" not in rule.materials:
        what = ", ".join(loose[:5]) + (f" and {len(loose) - 5} more" if len(loose) > 5 else "")
        reason = f"the table under `data:` says the range or unit of {what}, and the policy does not pin it"
        fix = "say `min:`, `max:` and `scale:`, or `categories:`, of each, or pin `training-data` under `materials:`"
        return replace(base, verdict=Verdict.INDETERMINATE, reason=reason, fix=fix)
    return replace(base, verdict=Verdict.ALLOW)


def _said(feature: Feature) -> bool:
    """Whether a contract says itself what an input can become and what that costs; else a table of the data does."""
    if feature.order or feature.categories or feature.one_hot:
        return True
    return feature.min is not None and feature.max is not None and feature.scale is not None


def _moves(column: str, feature: Feature, max_cost: float | None) -> bool:
    """Whether an attacker can change an input at all: it has another value to take, at no dearer price. A column of a
    one-hot group must be such a value itself.

    What `scale:` makes a unit of a number is not judged: only the data tell whether it is a small one.
    """
    most = math.inf if max_cost is None else max_cost
    if not feature.mutable:
        return False
    if feature.order:
        there = not feature.one_hot or column in feature.order
        return there and len(feature.order) > 1 and feature.cost <= most
    levels = feature.categories or feature.levels
    if levels:
        prices = {str(level): feature.costs.get(str(level), feature.cost) for level in levels}
        within = [level for level, price in prices.items() if price is not None and price <= most]
        return len(within) > 1 and (not feature.one_hot or column in within)
    return _places(feature) > 1 and feature.cost <= most


def _places(feature: Feature) -> float:
    """How many values a number can take between its ends, infinity where one is not said."""
    low, high = feature.min, feature.max
    if low is None or high is None:
        return math.inf
    if feature.step:
        return math.floor((high - low) / feature.step + 1e-9) + 1
    return math.floor(high) - math.ceil(low) + 1 if feature.integer else 2 if high > low else 1


def judge_measure(rule: MeasureRule, trace: RuleTrace, index: EvidenceIndex) -> RuleTrace:
    """Every admitted value must satisfy the bound; the worst one is shown."""
    key = measure_key(rule.name, rule.versus or "")
    found, gaps = _values(rule, key, index)
    base = replace(
        trace, measure=rule.name, versus=rule.versus or "", reads=rule.bound, covers=tuple(index.giving(key))
    )
    if not found:
        said = gaps or (Gap("", f"{key} was never measured", AGAIN),)
        return _doubtful(base, said, saw="no value")
    judged = [_judge_value(rule, base, fact, measure) for fact, measure in found]
    order = {Verdict.DENY: 0, Verdict.INDETERMINATE: 1, Verdict.ALLOW: 2}
    worst = min(judged, key=lambda t: order[t.verdict])
    if gaps and worst.verdict is Verdict.ALLOW:
        return _doubtful(worst, gaps)
    return worst


def _values(
    rule: MeasureRule, key: str, index: EvidenceIndex
) -> tuple[list[tuple[OutcomeFact, Measure]], tuple[Gap, ...]]:
    """The values that count, and what is in doubt; a value is missing where its check was to be asked and gave none."""
    found: list[tuple[OutcomeFact, Measure]] = []
    open_: list[Gap] = []
    set_aside: list[Gap] = []
    for fact, measure in index.measures.get(key, ()):
        outcome = fact.outcome
        if rule.subject is not None and outcome.subject != rule.subject:
            continue
        old = index.age_gap(fact, rule.max_age)
        if old:
            set_aside.append(Gap(outcome.check, old, AGAIN))
        elif outcome.status not in (Status.PASS, Status.FAIL) or not outcome.complete:
            open_.append(Gap(outcome.check, f"{outcome.check} is open: {outcome.reason or 'not complete'}"))
        else:
            found.append((fact, measure))
    if found:
        missing = _unmeasured(rule, index, found)
        for check in sorted({f.outcome.check for f, _ in found}):
            missing += index.unadmitted(check, rule.subject)
        return found, tuple(dict.fromkeys(open_ + missing + (set_aside if missing else [])))
    return found, tuple(dict.fromkeys(open_ + set_aside + _unspoken(rule, key, index)))


def _unspoken(rule: MeasureRule, key: str, index: EvidenceIndex) -> list[Gap]:
    """Why nobody gave a value: the checks that could have, one by one; or that none could, and what may be meant."""
    giving = index.giving(key)
    if not giving:
        guess = index.nearest_measure(key)
        return [Gap("", f"no check measures {key}" + (f"; did you mean {guess}?" if guess else ""))]
    gaps = [gap for gap in index.refused.get(key, ()) if rule.subject in (None, gap.subject)]
    for check in giving:
        said = [f.outcome for f in index.outcomes.get(check, ()) if rule.subject in (None, f.outcome.subject)]
        gaps += index.unadmitted(check, rule.subject)
        gaps += (Gap(check, f"{check} is {o.status}: {o.reason}") for o in said if o.reason)
        unasked = index.never_asked(check, rule.subject, [o.subject for o in said])
        gaps += (Gap(check, f"{key}: {gap.why}", gap.fix) for gap in unasked)
        if said and not gaps:
            gaps.append(Gap(check, f"{check} ran and gave no {key}", f"`assay explain {check}` says when it gives one"))
    return gaps


def _unmeasured(rule: MeasureRule, index: EvidenceIndex, found: list[tuple[OutcomeFact, Measure]]) -> list[Gap]:
    """Where a check that gave this measure was to be asked too, and neither gave it nor said that it does not apply."""
    gaps: list[Gap] = []
    for check in sorted({fact.outcome.check for fact, _ in found}):
        seen = {fact.outcome.subject for fact, _ in found if fact.outcome.check == check}
        for fact in index.outcomes.get(check, ()):
            if fact.outcome.status is Status.NOT_APPLICABLE and not index.age_gap(fact, rule.max_age):
                seen.add(fact.outcome.subject)
        gaps += (Gap(check, f"{rule.name}: {gap.why}", AGAIN) for gap in index.never_asked(check, rule.subject, seen))
    return gaps


def _judge_value(rule: MeasureRule, trace: RuleTrace, fact: OutcomeFact, measure: Measure) -> RuleTrace:
    low_bound = rule.min_change if rule.versus else rule.min
    high_bound = rule.max_change if rule.versus else rule.max
    bound = low_bound if low_bound is not None else high_bound
    read = {"value": measure.value, "lower95": measure.low, "upper95": measure.high}[rule.bound]
    base = replace(
        trace, check=fact.outcome.check, decided_by=(fact.outcome.check,),
        value=measure.value, low=measure.low, high=measure.high, n=measure.n, bound=bound,
        better="higher" if low_bound is not None else "lower", saw=_saw(measure), vouched=(fact.signer.person,),
    )  # fmt: skip
    if _broken(measure.value) or _broken(read):
        reason = "no interval was given" if not _broken(measure.value) else "the value is not a number"
        return replace(base, verdict=Verdict.INDETERMINATE, reason=reason, value=None)
    assert measure.value is not None
    assert read is not None
    if not _possible(measure):
        reason = "no check gives such a figure: a share is no more than 1, and rests on rows"
        return replace(base, verdict=Verdict.INDETERMINATE, reason=reason)
    if rule.bound != "value" and not _ordered(measure):
        return replace(base, verdict=Verdict.INDETERMINATE, reason="the interval does not hold the value")
    if rule.min_n and (measure.n is None or measure.n < rule.min_n):
        reason = f"rests on {measure.n if measure.n is not None else 'an unknown number of'} rows, {rule.min_n} asked"
        return replace(base, verdict=Verdict.INDETERMINATE, reason=reason)
    if not _inside(measure.value, low_bound, high_bound):
        return replace(base, verdict=Verdict.DENY, reason=f"{measure.value:.3f} is outside the bound")
    if not _inside(read, low_bound, high_bound):
        reason = f"the value is inside but its {rule.bound} {read:.3f} is not: too few rows to be sure"
        return replace(base, verdict=Verdict.INDETERMINATE, reason=reason, unsure=True)
    return replace(base, verdict=Verdict.ALLOW)


def _broken(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def _possible(measure: Measure) -> bool:
    """Whether a check can have measured it: a share, or a difference of two, is no more than 1, and rests on rows."""
    if measure.unit != "share":
        return measure.n is None or measure.n >= 0
    ends = [v for v in (measure.value, measure.low, measure.high) if v is not None]
    return all(abs(v) <= 1.0 + _SLACK for v in ends) and (measure.n is None or measure.n > 0)


def _ordered(measure: Measure) -> bool:
    """Whether the interval's ends that are given lie on their sides of the value (to rounding)."""
    value, slack = measure.value or 0.0, _SLACK * max(1.0, abs(measure.value or 0.0))
    low = measure.low if measure.low is not None else value
    high = measure.high if measure.high is not None else value
    return low <= value + slack and high >= value - slack


def _inside(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _saw(measure: Measure) -> str:
    if _broken(measure.value):
        return "not a number"
    text = f"{measure.value:.3f}"
    if measure.low is not None and measure.high is not None:
        text += f" [{measure.low:.3f}, {measure.high:.3f}]"
    return text + (f" n={measure.n}" if measure.n is not None else "")

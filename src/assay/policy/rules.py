"""Each kind of rule as one pure function from evidence to a line of the trace; what is in doubt is indeterminate."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase

from msgspec.structs import replace

from assay.config.policy_file import FindingsRule, MeasureRule, OutcomeRule
from assay.core.decision import OutcomeFact, RuleTrace, Verdict
from assay.core.finding import Measure, Status
from assay.policy.evidence import EvidenceIndex, told_wrong


def _vouched(facts: tuple[OutcomeFact, ...]) -> tuple[str, ...]:
    return tuple(sorted({f.signer.person for f in facts}))


def _gap_text(gaps: tuple[str, ...]) -> str:
    more = f"; and {len(gaps) - 3} more" if len(gaps) > 3 else ""
    return "; ".join(gaps[:3]) + more


def judge_findings(rule: FindingsRule, trace: RuleTrace, index: EvidenceIndex) -> RuleTrace:
    """Count unwaived findings; a check that could have given one and could not look leaves the rule undecided."""
    looked = index.look(rule.check, None, rule.max_age, rule.severity.rank)
    open_, covered = index.unwaived(looked, rule.severity)
    saw = f"{len(open_)} unwaived" + (f", {len(covered)} waived" if covered else "")
    base = replace(
        trace, saw=saw, fingerprints=open_, waived=covered, value=float(len(open_)), bound=float(rule.unwaived_max),
        better="lower", vouched=_vouched(looked.facts),
    )  # fmt: skip
    if len(open_) > rule.unwaived_max:
        return replace(base, verdict=Verdict.DENY, reason=f"{len(open_)} findings, at most {rule.unwaived_max} allowed")
    if looked.gaps:
        return replace(base, verdict=Verdict.INDETERMINATE, reason=_gap_text(looked.gaps))
    return replace(base, verdict=Verdict.ALLOW)


def judge_outcome(rule: OutcomeRule, trace: RuleTrace, index: EvidenceIndex) -> RuleTrace:
    """Every check the pattern names must have passed; not-applicable is an answer only beside one that passed."""
    looked = index.look(rule.check, rule.subject, rule.max_age)
    base = replace(trace, vouched=_vouched(looked.facts), check=rule.check)
    wrong = [f for f in looked.facts if f.outcome.status is Status.FAIL or told_wrong(f)]
    failed = [f"{f.outcome.check} on {f.outcome.subject}" for f in wrong]
    passed = sum(f.outcome.status is Status.PASS and not told_wrong(f) for f in looked.facts)
    saw = f"{passed} passed, {len(failed)} failed, {len(looked.facts) - passed - len(failed)} open or not applicable"
    if failed:
        reason = f"failed: {', '.join(dict.fromkeys(failed))}"
        return replace(base, verdict=Verdict.DENY, saw=saw, reason=reason)
    if not looked.gaps and not passed:
        why = next(
            (f.outcome.reason for f in looked.facts if f.outcome.reason), f"nothing that matches {rule.check} passed"
        )
        return replace(base, verdict=Verdict.INDETERMINATE, saw=saw, reason=why)
    if looked.gaps:
        return replace(base, verdict=Verdict.INDETERMINATE, saw=saw, reason=_gap_text(looked.gaps))
    return replace(base, verdict=Verdict.ALLOW, saw=saw)


def judge_measure(rule: MeasureRule, trace: RuleTrace, index: EvidenceIndex) -> RuleTrace:
    """Every admitted value must satisfy the bound; the worst one is shown."""
    found, gaps = _values(rule, index)
    base = replace(trace, measure=rule.name, reads=rule.bound)
    if not found:
        reason = _gap_text(tuple(dict.fromkeys(gaps))) or f"{rule.name} was never measured"
        return replace(base, verdict=Verdict.INDETERMINATE, saw="no value", reason=reason, fix="assay run")
    judged = [_judge_value(rule, base, fact, measure) for fact, measure in found]
    order = {Verdict.DENY: 0, Verdict.INDETERMINATE: 1, Verdict.ALLOW: 2}
    worst = min(judged, key=lambda t: order[t.verdict])
    if gaps and worst.verdict is Verdict.ALLOW:
        return replace(worst, verdict=Verdict.INDETERMINATE, reason=_gap_text(tuple(dict.fromkeys(gaps))))
    return worst


def _values(rule: MeasureRule, index: EvidenceIndex) -> tuple[list[tuple[OutcomeFact, Measure]], list[str]]:
    """The values that count, and what is in doubt; a value is missing where its check was to be asked and gave none."""
    found: list[tuple[OutcomeFact, Measure]] = []
    open_: list[str] = []
    set_aside: list[str] = []
    for fact, measure in index.measures.get((rule.name, rule.versus or ""), ()):
        outcome = fact.outcome
        if rule.subject is not None and outcome.subject != rule.subject:
            continue
        old = index.age_gap(fact, rule.max_age)
        if old:
            set_aside.append(old)
        elif outcome.status not in (Status.PASS, Status.FAIL) or not outcome.complete:
            open_.append(f"{outcome.check} is open: {outcome.reason or 'not complete'}")
        else:
            found.append((fact, measure))
    if found:
        missing = _unmeasured(rule, index, found)
        missing += [why for check in {f.outcome.check for f, _ in found} for why in index.unadmitted.get(check, ())]
        return found, open_ + missing + (set_aside if missing else [])
    check = rule.name.rpartition(".")[0]
    candidates = {rule.name, check, f"performance.versus-{rule.versus}" if rule.versus else check}
    gaps = open_ + set_aside
    gaps += [w for name, why in index.unadmitted.items() if any(fnmatchcase(name, c) for c in candidates) for w in why]
    for name, outcomes in index.outcomes.items():
        if any(fnmatchcase(name, c) for c in candidates):
            gaps += [f"{name} is {f.outcome.status}: {f.outcome.reason}" for f in outcomes if f.outcome.reason]
    return found, gaps


def _unmeasured(rule: MeasureRule, index: EvidenceIndex, found: list[tuple[OutcomeFact, Measure]]) -> list[str]:
    """Where a check that gave this measure was to be asked too, and neither gave it nor said that it does not apply."""
    gaps: list[str] = []
    for check in sorted({fact.outcome.check for fact, _ in found}):
        seen = {fact.outcome.subject for fact, _ in found if fact.outcome.check == check}
        for fact in index.outcomes.get(check, ()):
            if fact.outcome.status is Status.NOT_APPLICABLE and not index.age_gap(fact, rule.max_age):
                seen.add(fact.outcome.subject)
        gaps += [f"{rule.name}: {gap}" for gap in index.never_asked(check, rule.subject, seen)]
    return gaps


def _judge_value(rule: MeasureRule, trace: RuleTrace, fact: OutcomeFact, measure: Measure) -> RuleTrace:
    low_bound = rule.min_change if rule.versus else rule.min
    high_bound = rule.max_change if rule.versus else rule.max
    bound = low_bound if low_bound is not None else high_bound
    read = {"value": measure.value, "lower95": measure.low, "upper95": measure.high}[rule.bound]
    base = replace(
        trace, check=fact.outcome.check, value=measure.value, low=measure.low, high=measure.high, bound=bound,
        better="higher" if low_bound is not None else "lower", saw=_saw(measure), vouched=(fact.signer.person,),
    )  # fmt: skip
    if _broken(measure.value) or _broken(read):
        reason = "no interval was given" if not _broken(measure.value) else "the value is not a number"
        return replace(base, verdict=Verdict.INDETERMINATE, reason=reason, value=None)
    assert measure.value is not None
    assert read is not None
    if rule.bound != "value" and not _ordered(measure):
        return replace(base, verdict=Verdict.INDETERMINATE, reason="the interval does not hold the value")
    if rule.min_n and (measure.n is None or measure.n < rule.min_n):
        reason = f"rests on {measure.n if measure.n is not None else 'an unknown number of'} rows, {rule.min_n} asked"
        return replace(base, verdict=Verdict.INDETERMINATE, reason=reason)
    if not _inside(measure.value, low_bound, high_bound):
        return replace(base, verdict=Verdict.DENY, reason=f"{measure.value:.3f} is outside the bound")
    if not _inside(read, low_bound, high_bound):
        reason = f"the value is inside but its {rule.bound} {read:.3f} is not: too few rows to be sure"
        return replace(base, verdict=Verdict.INDETERMINATE, reason=reason)
    return replace(base, verdict=Verdict.ALLOW)


def _broken(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def _ordered(measure: Measure) -> bool:
    """Whether the interval's ends that are given lie on their sides of the value (to rounding)."""
    value, slack = measure.value or 0.0, 1e-9 * max(1.0, abs(measure.value or 0.0))
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

"""The gate's trace in sentences for someone who is no engineer: composed, never written by hand for one case."""

from __future__ import annotations

from assay.core.decision import RuleTrace, Verdict
from assay.core.finding import Finding, Measure, Outcome, Severity, Status
from assay.render.page.view import View, finding_line, grave, is_open
from assay.render.page.words import Reader, capital, counted, day, listed, name_words, number, plural, sentence


def reader(rule: RuleTrace) -> Reader:
    """How this rule's numbers are written."""
    return Reader(rule.measure, bool(rule.versus), rule.value, rule.low, rule.high, rule.bound)


def subject_of(rule: RuleTrace) -> str:
    """What a measure rule speaks of: `recall under attack`, `recall versus the champion`."""
    return name_words(rule.measure) + (f" versus the {rule.versus}" if rule.versus else "")


def tally(findings: list[Finding]) -> str:
    """`1 critical and 2 high findings`."""
    counts = [(s, sum(grave(f) is s for f in findings)) for s in Severity]
    words = [f"{n:,} {s.value}" for s, n in counts if n]
    last = next((n for _, n in reversed(counts) if n), 0)
    return f"{listed(words, 9)} {'finding' if last == 1 else 'findings'}" if words else "no findings"


def findings_of(view: View, rule: RuleTrace) -> list[Finding]:
    """The findings that a rule counted against the release, the gravest first."""
    known = [f for p in rule.fingerprints if (f := view.by_fingerprint.get(p))]
    return sorted(known, key=lambda f: (-grave(f).rank, f.check, str(f.location), f.fingerprint))


def headline(view: View, rule: RuleTrace, told: frozenset[str] = frozenset()) -> str:
    """A blocking rule as a short title. Findings in `told` stand under an earlier rule."""
    denies = rule.verdict is Verdict.DENY
    if rule.asks == "measure":
        subject = capital(subject_of(rule))
        if rule.value is None:
            return f"{subject} could not be judged" if rule.saw != "no value" else f"{subject} was not measured"
        side = "too low" if rule.better == "higher" else "too high"
        return f"{subject} is {side}" if denies else f"{subject} is not sure enough"
    if rule.asks == "findings":
        return _findings_headline(view, rule, told) if denies else _blind_headline(view, rule)
    if rule.asks == "outcome":
        return f"{rule.check} did not pass" if denies else _blind_headline(view, rule)
    if rule.asks == "approvals":
        return "Approval was refused" if denies else "The approval is not complete"
    if rule.asks == "contract":
        return "The contract is not what the policy asks for" if denies else "The contract could not be judged"
    return "The evidence contradicts itself" if denies else "There is no evidence"


def _findings_headline(view: View, rule: RuleTrace, told: frozenset[str]) -> str:
    found = findings_of(view, rule)
    fresh = [f for f in found if f.fingerprint not in told] or found
    if not fresh:
        return plural(int(rule.value or 0), "unwaived finding")
    return capital(finding_line(fresh[0])) if len(fresh) == 1 else f"{capital(tally(fresh))} that nobody waived"


def _blind_headline(view: View, rule: RuleTrace) -> str:
    blind = blind_of(view, rule)
    subjects = list(dict.fromkeys(o.subject for o in blind))
    if not subjects:
        return f"{rule.check} could not be judged" if rule.check else "Something was not looked at"
    return f"{listed(subjects, 2)} could not be judged"


def blind_of(view: View, rule: RuleTrace) -> list[Outcome]:
    """The outcomes that could not be judged and leave this rule open."""
    return [o for o in view.body.outcomes if is_open(o) and o.check in rule.decided_by]


def clause(view: View, rule: RuleTrace, told: frozenset[str] = frozenset()) -> str:
    """A blocking rule as a clause of the sentence under the verdict. Findings in `told` were named before."""
    if rule.asks == "measure":
        return _measure_clause(rule)
    if rule.asks == "findings" and rule.verdict is Verdict.DENY:
        found = [f for f in findings_of(view, rule) if f.fingerprint not in told]
        if found:
            more = f", and {counted(len(found) - 1, 'more finding')} that the policy refuses" if len(found) > 1 else ""
            return finding_line(found[0]) + more
    if rule.asks in ("findings", "outcome") and rule.verdict is Verdict.INDETERMINATE:
        blind = blind_of(view, rule)
        if blind:
            first = blind[0]
            more = f", nor could {counted(len(blind) - 1, 'more outcome')}" if len(blind) > 1 else ""
            return f"{first.subject} could not be judged{more}: {first.reason or 'it was not read to the end'}"
    if rule.asks == "approvals" and rule.verdict is Verdict.DENY:
        return f"{rule.saw}: {rule.reason}" if rule.reason else rule.saw
    if rule.asks == "approvals" and rule.missing:
        return f"{listed(rule.missing)} {'has' if len(rule.missing) == 1 else 'have'} not approved it"
    return rule.reason or rule.saw


def _measure_clause(rule: RuleTrace) -> str:
    read, subject = reader(rule), subject_of(rule)
    if rule.value is None or rule.bound is None:
        return f"{subject} has no number that the policy can read ({rule.reason or rule.saw})"
    asks = f"at {'least' if rule.better == 'higher' else 'most'} {read(rule.bound)}"
    if rule.verdict is Verdict.DENY:
        return f"{subject} is {read(rule.value)} where the policy asks for {asks}"
    end = rule.low if rule.reads == "lower95" else rule.high
    if rule.unsure and end is not None:
        return (
            f"{subject} is {read(rule.value)} but may be as {_far(rule)} as {read(end)}, and the policy asks for {asks}"
        )
    return f"{subject} is {read(rule.value)}, but {rule.reason}"


def _far(rule: RuleTrace) -> str:
    return "low" if rule.reads == "lower95" else "high"


def why(view: View) -> str:
    """The sentence under the verdict: what denies first, then what could not be judged."""
    decision = view.decision
    if decision is None:
        return _without_decision(view)
    if decision.verdict is Verdict.ALLOW:
        return _allowed(view)
    denies = [t for t in view.blocking if t.verdict is Verdict.DENY]
    opens = _clauses(view, [t for t in view.blocking if t.verdict is Verdict.INDETERMINATE])
    if not denies:
        return "It may not ship yet: not everything could be judged. " + _told(opens, 3)
    said = "It may not ship. " + _told(_clauses(view, denies), 3)
    return said + (f" Besides, {_uncapital(_told(opens, 1))}" if opens else "")


def _clauses(view: View, rules: list[RuleTrace]) -> list[str]:
    """Each rule's clause, without those that only repeat what another one told."""
    told: set[str] = set()
    checks: set[str] = set()
    said: dict[str, None] = {}
    for rule in rules:
        repeats = rule.asks == "findings" and rule.fingerprints and set(rule.fingerprints) <= told
        decided = set(rule.decided_by)
        same = rule.asks == "outcome" and rule.verdict is Verdict.DENY and decided and decided <= checks
        if not repeats and not same:
            said.setdefault(clause(view, rule, frozenset(told)))
        told |= set(rule.fingerprints)
        checks |= {f.check for f in findings_of(view, rule)}
    return list(said)


def _told(clauses: list[str], most: int) -> str:
    told = [sentence(c) for c in clauses[:most]]
    rest = len(clauses) - most
    if rest > 0:
        told.append(sentence(f"{counted(rest, 'more reason')} {'follows' if rest == 1 else 'follow'} below"))
    return " ".join(told)


def _uncapital(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _allowed(view: View) -> str:
    decision = view.decision
    assert decision is not None
    rules = len(decision.trace)
    which = "The one rule" if rules == 1 else f"All {counted(rules, 'rule')}"
    parts = [f"It may ship. {which} of the policy {'is' if rules == 1 else 'are'} met."]
    for rule in decision.trace:
        if rule.asks == "approvals" and rule.vouched:
            parts.append(sentence(f"{listed(rule.vouched)} approved it"))
    proof = view.dossier.proof
    if proof is not None and proof.expires is not None:
        parts.append(f"The verdict holds until {day(proof.expires)}.")
    return " ".join(parts)


def _without_decision(view: View) -> str:
    outcomes = view.body.outcomes
    if not outcomes:
        return "No check was asked of anything, so nothing is known."
    serious = [f for f in view.findings if grave(f) is not Severity.INFO]
    parts = []
    if serious:
        parts.append(sentence(f"{tally(serious)}. {capital(finding_line(serious[0]))}"))
    blind = {o.subject for o in outcomes if is_open(o)}
    if blind:
        parts.append(f"{capital(counted(len(blind), *view.noun))} could not be judged to the end.")
    if not serious and not blind:
        looked = sum(o.status is Status.PASS for o in outcomes)
        parts.append(
            f"{capital(counted(looked, 'check'))} looked and found nothing that someone should act on."
            if looked
            else "No check applies to what was given, so nothing is known of it."
        )
    parts.append("No policy was asked, so nothing is decided.")
    return " ".join(parts)


def measure_value(measure: Measure) -> str:
    """A measure's value in words."""
    read = Reader(measure.name, bool(measure.versus), measure.value, measure.low, measure.high)
    unit = f" {measure.unit}" if measure.unit and not read.rate else ""
    return read(measure.value) + unit


def measure_interval(measure: Measure) -> str:
    """`28.9 to 39.5 (95%), n = 300`."""
    read = Reader(measure.name, bool(measure.versus), measure.value, measure.low, measure.high)
    text = read.interval(measure.low, measure.high)
    exact = measure.low == measure.high == measure.value
    parts = ["exact"] if exact and text else [f"{text} (95%)"] if text else ["no interval"]
    if measure.n is not None:
        parts.append(f"n\u00a0=\u00a0{number(float(measure.n), 0)}")
    return ", ".join(parts)

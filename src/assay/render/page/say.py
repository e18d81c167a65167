"""The gate's trace in sentences for someone who is no engineer: composed, never written by hand for one case."""

from __future__ import annotations

import re

from assay.core.decision import RuleTrace, Verdict
from assay.core.finding import Finding, Measure, Outcome, Severity, measure_key
from assay.core.subject import Kind
from assay.render.page.view import View, finding_line, grave, is_open
from assay.render.page.words import SHARES, Reader, capital, counted, listed, name_words, number, plural

_OPTIONS = {
    "data": "--train FILE", "holdout": "--data FILE", "label": "--label COLUMN", "positive": "--positive VALUE",
    "protected": "--protected COLUMN", "drop": "--drop COLUMN", "threshold": "--threshold SCORE",
    "features": "--threat FILE", "constraints": "--threat FILE", "attacker": "--threat FILE",
}  # fmt: skip
_KNOWN = frozenset({*_OPTIONS, "inputs"})
_ENTRY = re.compile(r"`([a-z_]+):")


def advised(view: View, reason: str) -> str:
    """An outcome's reason; where there is no manifest also the option that stands for the entry that it names.

    A run with a manifest names its system or its release; without one only `assay attack` looks at a model. `inputs:`
    has no option: the training data's columns say it.
    """
    manifest = view.body.system is not None or view.body.release is not None
    if manifest or all(s.kind is not Kind.MODEL for s in view.body.subjects):
        return reason
    named = dict.fromkeys(_ENTRY.findall(reason))
    options = dict.fromkeys(_OPTIONS["data" if name == "inputs" else name] for name in named if name in _KNOWN)
    missing = [o for o in options if o.split()[0] not in reason]
    return f"{reason} (without an assay.yaml: {', '.join(missing)})" if missing else reason


def reader(view: View, rule: RuleTrace) -> Reader:
    """How this rule's numbers are written: by the unit of the measure that it read."""
    unit = view.unit(rule.check, measure_key(rule.measure, rule.versus))
    return Reader(rule.measure, bool(rule.versus), rule.value, rule.low, rule.high, rule.bound, unit=unit)


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
        named = listed(rule.decided_by, 2) if rule.decided_by else rule.check.strip("*")
        return f"{named} could not be judged" if named else "Something was not looked at"
    return f"{listed(subjects, 2)} could not be judged"


def blind_of(view: View, rule: RuleTrace) -> list[Outcome]:
    """The outcomes that could not be judged and leave this rule open."""
    return [o for o in view.body.outcomes if is_open(o) and o.check in rule.decided_by]


def clause(view: View, rule: RuleTrace, told: frozenset[str] = frozenset()) -> str:
    """A blocking rule as a clause of the sentence under the verdict. Findings in `told` were named before."""
    if rule.asks == "measure":
        return _measure_clause(view, rule)
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


def _measure_clause(view: View, rule: RuleTrace) -> str:
    read, subject = reader(view, rule), subject_of(rule)
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


def measure_value(measure: Measure) -> str:
    """A measure's value in words."""
    read = Reader(measure.name, bool(measure.versus), measure.value, measure.low, measure.high, unit=measure.unit)
    # A share that is written as a plain number (an area) needs no unit, and what nobody measured has none.
    plain = read.rate or measure.unit in SHARES or measure.value is None
    unit = "" if plain or not measure.unit else f" {measure.unit}"
    return read(measure.value) + unit


def measure_interval(measure: Measure) -> str:
    """`28.9 to 39.5 (95%), n = 300`."""
    read = Reader(measure.name, bool(measure.versus), measure.value, measure.low, measure.high, unit=measure.unit)
    text = read.interval(measure.low, measure.high)
    exact = measure.low == measure.high == measure.value
    parts = ["exact"] if exact and text else [f"{text} (95%)"] if text else ["no interval"]
    if measure.n is not None:
        parts.append(f"n\u00a0=\u00a0{number(float(measure.n), 0)}")
    return ", ".join(parts)

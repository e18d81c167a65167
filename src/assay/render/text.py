"""The terminal's rendering: findings first, then what could not be judged, the numbers, the trace and one last line."""

from __future__ import annotations

import math
from collections import Counter

from assay.core.canonical import short
from assay.core.decision import Decision, RuleTrace, Verdict
from assay.core.dossier import Dossier
from assay.core.exhibit import Curve, Intervals
from assay.core.finding import Finding, Measure, Outcome, Severity, Status
from assay.core.text import visible
from assay.render.page.say import advised
from assay.render.page.view import View
from assay.render.page.words import COUNTS, NO_NUMBER, NOT_MEASURED

_COLOURS = {
    "critical": "1;31", "high": "31", "medium": "33", "low": "36", "info": "2", "open": "33", "allow": "1;32",
    "deny": "1;31", "indeterminate": "1;33", "dim": "2",
}  # fmt: skip
MOST_NAMED = 3
MOST_NOT_ASKED = 8
_MARKS = {Verdict.ALLOW: ("✓", "allow"), Verdict.DENY: ("✗", "deny"), Verdict.INDETERMINATE: ("○", "open")}


class Paint:
    """Colours a word on a terminal, leaves it alone elsewhere."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, colour: str, text: str) -> str:
        return f"\033[{_COLOURS[colour]}m{text}\033[0m" if self._on else text


def render_text(dossier: Dossier, *, colour: bool = False) -> str:
    """The whole text, ending in a newline."""
    paint = Paint(colour)
    body = dossier.report.body
    blocks = [_finding(f, paint) for f in _findings(body.outcomes)]
    view = View(dossier)
    blocks += _opens(view, paint)
    measures = [(o.subject, m) for o in body.outcomes for m in o.measures]
    if measures:
        blocks.append("\n".join(_measure(s, m) for s, m in measures))
    if dossier.decision is None:  # nobody judges the numbers: what they say together, as the pictures' titles do
        drawn = [e.title for o in body.outcomes for e in o.exhibits if isinstance(e, (Curve, Intervals))]
        blocks += ["\n".join(f"  shown {visible(title)}" for title in drawn)] if drawn else []
    blocks += ["\n".join(lines)] if (lines := _not_applicable(view)) else []
    notes = dict.fromkeys(n for o in body.outcomes for n in o.notes)
    if notes:
        blocks.append("\n".join(f"  note  {visible(n)}" for n in notes))
    if dossier.decision is not None:
        blocks.append(render_trace(dossier.decision, colour=colour).rstrip("\n"))
        blocks += ["\n".join(lines)] if (lines := _beside(dossier, dossier.decision)) else []
    blocks.append(summary(dossier, paint))
    return "\n\n".join(blocks) + "\n"


def _findings(outcomes: tuple[Outcome, ...]) -> list[Finding]:
    found = [f for o in outcomes for f in o.findings]
    return sorted(found, key=lambda f: (-(f.severity or Severity.CRITICAL).rank, f.check))


def _finding(finding: Finding, paint: Paint) -> str:
    severity = finding.severity or Severity.CRITICAL
    check = visible(finding.check)
    head = paint(severity.value, f"{severity.value}[{check}]")
    tags = visible("  ".join(finding.tags))
    where = visible(str(finding.location))
    lines = [f"{head}  {visible(finding.message)}"]
    lines.append(paint("dim", f"  --> {where}      confidence {finding.confidence.value}      {tags}".rstrip()))
    if finding.fix:
        lines.append(f"   = fix   {visible(finding.fix)}")
    lines.append(f"   = why   assay explain {check}")
    lines.append(paint("dim", f"   = id    {visible(finding.fingerprint)}"))
    return "\n".join(lines)


def _opens(view: View, paint: Paint) -> list[str]:
    """What could not be judged; checks that stayed open for one reason are named together."""
    together: dict[tuple[str, str], list[str]] = {}
    for outcome in view.body.outcomes:
        if outcome.status is Status.OPEN or not outcome.complete:
            together.setdefault((outcome.subject, outcome.reason), []).append(outcome.check)
    blocks = []
    for (subject, reason), checks in together.items():
        head = paint("open", f"open[{_named(checks)}]")
        blocks.append(f"{head}  could not be judged: {visible(advised(view, reason), 2000)}\n  --> {visible(subject)}")
    return blocks


def _not_applicable(view: View) -> list[str]:
    """Which checks did not apply, and why. Many of them are told in one line where others did judge: a kind of file
    that is not there is no news then; where nothing was judged the reasons are all that there is to say."""
    outcomes = view.body.outcomes
    out = [o for o in outcomes if o.status is Status.NOT_APPLICABLE and o.complete]
    reasons: dict[tuple[str, str], list[str]] = {}
    for outcome in out:
        reasons.setdefault((outcome.reason, outcome.subject), []).append(outcome.check)
    if len(reasons) > MOST_NOT_ASKED and len(out) < len(outcomes):
        return [f"  n/a   {_named(list(dict.fromkeys(o.check for o in out)))}: --format json says why"]
    lines = [
        f"  n/a   {_named(checks)} on {visible(subject)}: {visible(advised(view, reason) or 'does not apply', 300)}"
        for (reason, subject), checks in reasons.items()
    ]
    left = len(lines) - MOST_NOT_ASKED
    return [*lines[:MOST_NOT_ASKED], f"  and {left} more: --format json"] if left > 0 else lines


def _named(checks: list[str]) -> str:
    named = checks if len(checks) <= MOST_NAMED else [*checks[: MOST_NAMED - 1], f"and {len(checks) - 2} more"]
    return visible(", ".join(named))


def _measure(subject: str, measure: Measure) -> str:
    name = visible(measure.name + (f" versus {measure.versus}" if measure.versus else ""))
    digits = 0 if measure.unit in COUNTS else 3
    value = _value(measure.value, digits)
    low, high = measure.low, measure.high
    interval = "" if low is None or high is None else f"[{_figure(low, digits)}, {_figure(high, digits)}]"
    n = f"n={measure.n}" if measure.n is not None else ""
    return f"  {name:<48} {value:>8} {interval:<18} {n:<10} {visible(subject)}".rstrip()


def _value(value: float | None, digits: int) -> str:
    if value is None or not math.isfinite(value):
        return NOT_MEASURED if value is None else NO_NUMBER
    return _figure(value, digits)


def _figure(value: float, digits: int) -> str:
    """With so many digits, but never a 0 that is none: a distance of 0.00002 is a change."""
    return f"{value:.{digits}f}" if not 0 < abs(value) < 0.5 * 10.0**-digits else f"{value:.1g}"


def render_trace(decision: Decision, *, colour: bool = False) -> str:
    """Every rule in the policy's order: mark, what it asks, what was seen, and why."""
    paint = Paint(colour)
    lines = []
    for rule in decision.trace:
        lines += _rule(rule, paint)
    return "\n".join(lines) + "\n"


def _rule(rule: RuleTrace, paint: Paint) -> list[str]:
    mark, tone = _MARKS[rule.verdict]
    where = f"line {rule.line}" if rule.line else "always"
    lines = [f"{paint(tone, mark)} {where:<9} {visible(rule.rule)}", f"             saw {visible(rule.saw)}"]
    if rule.reason:
        lines.append(f"             {visible(rule.reason)}")
    if rule.fix:
        lines.append(f"             = fix   {visible(rule.fix)}")
    return lines


def _beside(dossier: Dossier, decision: Decision) -> list[str]:
    """What the decision does not rest on: outcomes that no rule reads, and outcomes that did not count."""
    lines = [f"  not asked  {visible(o.check)} on {visible(o.subject)} is {_state(o)}, and no rule reads it"
             for o in dossier.unread()]  # fmt: skip
    lines += [f"  set aside  {visible(why)}" for whys in decision.aside.values() for why in whys]
    return lines


def _state(outcome: Outcome) -> str:
    return "open" if outcome.status is Status.OPEN or not outcome.complete else outcome.status.value


def verdict_word(decision: Decision) -> str:
    """`DENY`, or `would DENY` where the policy only observes or nothing was signed."""
    word = decision.verdict.value.upper()
    if decision.verdict is Verdict.INDETERMINATE:
        word = f"be {word}"
    return f"would {word}" if decision.mode == "observe" or decision.preview else word.removeprefix("be ")


def summary(dossier: Dossier, paint: Paint) -> str:
    """The last line: how many of what, and the verdict."""
    report = dossier.report
    outcomes = report.body.outcomes
    counts = {status: report.count(status) for status in Status}
    partly = sum(not o.complete and o.status is not Status.OPEN for o in outcomes)
    noted = sum(o.noted for o in outcomes)
    parts = [
        _plural(len(outcomes), "check"),
        _plural(len({o.subject for o in outcomes}), "subject"),
        f"{counts[Status.FAIL]} failed{_by_severity(_findings(outcomes))}",
        f"{counts[Status.OPEN]} open" + (f" (and {partly} in part)" if partly else ""),
        f"{counts[Status.PASS] - noted} passed" + (f" · {noted} noted" if noted else ""),
        f"{counts[Status.NOT_APPLICABLE]} n/a",
    ]
    line = " · ".join(parts)
    decision = dossier.decision
    if decision is not None:
        line += "      " + paint(decision.verdict.value, verdict_word(decision))
        line += f"  release {short(decision.release)}  policy {short(decision.policy.digest)}"
        if decision.preview:
            line += f"  ({decision.preview_reason})"
    elif report.body.release is not None:
        line += f"      release {short(report.body.release.digest)}"
    return f"{line}  {report.run.seconds:.1f} s"


def _by_severity(findings: list[Finding]) -> str:
    """` (1 critical, 2 low)`: how many findings of each severity, the gravest first; nothing where there are none."""
    counts = Counter((f.severity or Severity.CRITICAL).value for f in findings)
    return f" ({', '.join(f'{count} {name}' for name, count in counts.items())})" if counts else ""


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")

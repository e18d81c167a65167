"""One section for each check that measured or drew something: who vouches at the left, pictures at the right."""

from __future__ import annotations

from itertools import groupby

from assay.core.decision import Verdict
from assay.core.exhibit import Intervals, Table
from assay.core.finding import Json, Measure, Outcome, Severity, Status
from assay.render.page.escape import code, esc
from assay.render.page.figures import figure
from assay.render.page.parts import Tone, age, digest, facts, section, status, vouched
from assay.render.page.say import advised, measure_interval, measure_value
from assay.render.page.view import View, grave, is_open
from assay.render.page.words import capital, name_words, plural

FAMILIES = {
    "data": "Data", "performance": "Performance", "robustness": "Under attack", "artifact": "Package",
    "supply": "Supply chain", "theft": "Theft", "privacy": "Privacy", "fairness": "Fairness",
    "llm": "Language model", "governance": "Governance",
}  # fmt: skip
MOST_KEYS = 6
MOST_SETTINGS = 8
EFFORT = frozenset({"seconds"})  # how long a check may search: nothing is passed by it
MOST_METHOD = 120
LONG_UNIT = 10  # a longer unit is not set as large as its number
_KEY, _LINE, _PICTURE = 80, 18, 180  # about how tall in pixels: a measure, a line of its method, a picture but its rows
MOST_IN_MARGIN = 90  # characters; what is longer stands under the figures


def family(check: str) -> str:
    """The family's name for people."""
    first = check.partition(".")[0]
    return FAMILIES.get(first, capital(first.replace("-", " ")))


def anchor(check: str) -> str:
    """The section's id: only letters, digits and hyphens."""
    return "c-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in check.lower())[:80]


def shown(view: View) -> list[tuple[str, list[Outcome]]]:
    """The checks that have something to show, with their outcomes, family by family, those that stop first."""
    having = [o for o in view.body.outcomes if o.exhibits or o.measures]
    having.sort(key=lambda o: (o.check, o.subject))
    checks = [(check, list(group)) for check, group in groupby(having, key=lambda o: o.check)]
    order = {Verdict.DENY: 0, Verdict.INDETERMINATE: 1}

    def worst(check: str) -> int:
        return min((order.get(r.verdict, 2) for r in view.rules_on(check)), default=2)

    first: dict[str, int] = {}
    for check, _ in checks:
        name = check.partition(".")[0]
        first[name] = min(first.get(name, 3), worst(check))
    return sorted(
        checks, key=lambda c: (first[c[0].partition(".")[0]], c[0].partition(".")[0], worst(c[0]), c[0])
    )  # fmt: skip


def check_state(view: View, check: str) -> tuple[Tone, str]:
    """How the check stands: by the rules that read it, else by its own outcomes."""
    outcomes = [o for o in view.body.outcomes if o.check == check]
    verdicts = {r.verdict for r in view.rules_on(check) if r.asks != "evidence"}
    judged = {r.verdict for r in view.reading(check) if r.asks != "findings"}
    serious = sum(grave(f) is not Severity.INFO for o in outcomes for f in o.findings)
    found = f", {plural(serious, 'finding')}" if serious else ""
    if Verdict.DENY in verdicts:
        return "fail", "denies"
    if any(is_open(o) for o in outcomes):
        return "open", f"could not be judged{found}"
    if Verdict.INDETERMINATE in verdicts:
        return "open", "not sure enough" if not serious else f"could not be judged{found}"
    if Verdict.ALLOW in judged:
        return "pass", f"met{found}"
    if view.decision is not None and serious:
        waived = sum(f.fingerprint in view.waived for o in outcomes for f in o.findings)
        return (
            ("pass", f"{plural(waived, 'finding')} waived")
            if waived >= serious
            else ("na", f"{plural(serious, 'finding')} not counted")
        )
    if view.decision is not None and any(o.measures for o in outcomes):
        return "na", "no rule reads its numbers"
    if serious:
        return "fail", plural(serious, "finding")
    notes = sum(len(o.findings) for o in outcomes)
    if notes:
        return "na", plural(notes, "note")
    return ("pass", "pass") if any(o.status is Status.PASS for o in outcomes) else ("na", "not applicable")


def evidence_sections(view: View) -> str:
    """All sections as HTML, each family's checks together."""
    return "".join(_section(view, check, outcomes) for check, outcomes in shown(view))


def _section(view: View, check: str, outcomes: list[Outcome]) -> str:
    info = view.checks.get(check)
    tone, words = check_state(view, check)
    lead = f'<p class="lead">{esc(info.summary)}</p>' if info is not None and info.summary else ""
    content = ""
    many = len(outcomes) > 1
    for outcome in outcomes:
        title = f'<h3 class="sub-h">{code(outcome.subject)}</h3>' if many else ""
        content += f'<div class="one">{title}{_outcome(view, outcome)}</div>'
    name = capital(name_words(check))
    about = _about(view, check, outcomes)
    under = _under(outcomes)
    told = f'<p class="note">Looked under: {esc(under, 900)}.</p>' if len(under) > MOST_IN_MARGIN else ""
    content = f'{lead}<div class="ones">{content}</div>{told}'
    return section(anchor(check), name, status(tone, words), about, content, over=family(check))


def _about(view: View, check: str, outcomes: list[Outcome]) -> str:
    version = max(o.version for o in outcomes)
    samples = sorted({m.n for o in outcomes for m in o.measures if m.n is not None})
    seeds = sorted({m.seed for o in outcomes for m in o.measures if m.seed is not None})
    subjects = dict.fromkeys(o.subject for o in outcomes)
    digests = dict.fromkeys(o.subject_digest for o in outcomes)
    sample = f"{samples[-1]:,} rows" if samples else ""
    return facts(
        [
            ("Check", f"{code(check)} v{version}"),
            ("Vouched", esc(vouched(view, [check]))),
            ("Age", esc(age(view, [check]))),
            ("Subject", ", ".join(code(s) for s in list(subjects)[:3]) + (" …" if len(subjects) > 3 else "")),
            ("Digest", " ".join(digest(d) for d in list(digests)[:3] if d)),
            ("Looked under", esc(_under(outcomes)) if len(_under(outcomes)) <= MOST_IN_MARGIN else ""),
            ("Set to", _settings(outcomes)),
            ("Sample", esc(sample + (f", seed {seeds[0]}" if seeds and sample else ""))),
        ]
    )


def _under(outcomes: list[Outcome]) -> str:
    """Under which conditions the check looked, each told once."""
    return "; ".join(dict.fromkeys(n for o in outcomes for n in o.notes))


def _settings(outcomes: list[Outcome]) -> str:
    """The parameters that the check ran with, its own limits among them; null is what others decide (the contract)."""
    given = ((name, v) for o in outcomes for name, v in sorted(o.parameters.items()) if v is not None)
    said = dict.fromkeys(f"{name} {_setting(v)}" for name, v in given)
    return esc(", ".join(list(said)[:MOST_SETTINGS]) + (" …" if len(said) > MOST_SETTINGS else ""), 300)


def _setting(value: Json) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)[:80]


def _own_limits(view: View, outcome: Outcome) -> str:
    """By which limits of its own a check passed, where no rule of the policy reads its numbers."""
    given = sorted(outcome.parameters.items())
    limits = [f"{name} {value:g}" for name, value in given if isinstance(value, float) and name not in EFFORT]
    judged = any(r.asks == "measure" for r in view.reading(outcome.check))
    if outcome.status is not Status.PASS or outcome.findings or not outcome.measures or not limits or judged:
        return ""
    return f'<p class="note">Passed by the check’s own limits: {esc(", ".join(limits), 200)}.</p>'


def _outcome(view: View, outcome: Outcome) -> str:
    drawn = [(e, figure(view, outcome.check, e)) for e in outcome.exhibits]
    keys = _keys(outcome.measures)
    parts: list[str] = []
    if is_open(outcome):
        parts.append(
            f'<p class="lead">{status("open", "could not be judged")}: {esc(advised(view, outcome.reason))}</p>'
        )
    first = next((i for i, (e, _) in enumerate(drawn) if not isinstance(e, Table)), None)
    if first is None and keys:
        parts.append(f'<dl class="keys across">{keys}</dl>')
    beside = _beside(outcome, first) if keys and first is not None else 0
    for i, (_, html) in enumerate(drawn):
        if first is not None and first < i < first + beside:
            continue
        if i == first and keys:
            pictures = "".join(h for _, h in drawn[i : i + beside])
            measures = f'<dl class="keys{"" if beside else " across"}">{keys}</dl>'
            html = f'<div class="split"><div>{pictures}</div>{measures}</div>' if beside else html + measures
        parts.append(html)
    return "".join(parts) + _own_limits(view, outcome)


def _beside(outcome: Outcome, first: int) -> int:
    """How many pictures stand beside the measures: as many as are about as tall, so that little stays blank."""
    methods = [m.method for m in outcome.measures if m.name][:MOST_KEYS]
    room = sum(_KEY + _LINE * -(-min(len(m), MOST_METHOD) // 26) for m in methods)
    count = tall = 0
    for exhibit in outcome.exhibits[first:]:
        if isinstance(exhibit, Table) or (count and tall >= room * 0.75):
            break
        tall += _PICTURE + 36 * len(exhibit.rows[:24]) if isinstance(exhibit, Intervals) else 520
        count += 1
    # Where the pictures are far too low, the measures stand under them in columns.
    return count if tall >= room * 0.6 else 0


def _keys(measures: tuple[Measure, ...]) -> str:
    named = [m for m in measures if m.name]
    items = []
    for measure in named[:MOST_KEYS]:
        against = f" against the {measure.versus}" if measure.versus else ""
        method = f'<span class="s">{esc(measure.method, MOST_METHOD)}</span>' if measure.method else ""
        value, unit = measure_value(measure), ""
        if len(measure.unit) > LONG_UNIT and value.endswith(f" {measure.unit}"):
            value, unit = value.removesuffix(f" {measure.unit}"), f"{measure.unit}, "
        items.append(
            f"<div><dt>{esc(capital(name_words(measure.name)) + against)}</dt>"
            f"<dd><b>{esc(value)}</b>{esc(unit)}{esc(measure_interval(measure))}{method}</dd></div>"
        )
    if rest := named[MOST_KEYS:]:
        lines = "".join(
            f"<p>{esc(capital(name_words(m.name)) + (f' against the {m.versus}' if m.versus else ''))}: "
            f"<b>{esc(measure_value(m))}</b>{esc(measure_interval(m))}</p>"
            for m in rest
        )
        more = f"<summary>{plural(len(rest), 'more measure')}</summary>{lines}"
        items.append(f'<div><dt>And</dt><dd><details class="fig-nums">{more}</details></dd></div>')
    return "".join(items)

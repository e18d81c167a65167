"""The long lists: every finding, the gravest first; and every subject with what each check said of it."""

from __future__ import annotations

from itertools import groupby

from assay.core.finding import Finding, Outcome, Severity, Status
from assay.render.page.escape import code, esc, split_command
from assay.render.page.figures import figure
from assay.render.page.owner import UNNAMED, system_owner
from assay.render.page.parts import Tone, age, cell, digest, facts, head, row, section, severity, status, table, vouched
from assay.render.page.say import advised, tally
from assay.render.page.view import View, grave, is_open
from assay.render.page.words import capital, listed, plural, sentence

MOST_FINDINGS = 200
MOST_SUBJECTS = 200
# Past this many findings their texts are cut shorter, so that the page stays small.
MANY = 80
_ORDER = {Status.FAIL: 0, Status.OPEN: 1, Status.PASS: 2, Status.NOT_APPLICABLE: 3}


def findings(view: View) -> str:
    """Every finding, or the gravest two hundred."""
    found = view.findings
    if not found:
        return ""
    shown = found[:MOST_FINDINGS]
    rows = []
    last: tuple[str, str] | None = None
    for finding in shown:
        rows.append(_finding(view, finding, (finding.check, finding.fix) == last, long=len(shown) <= MANY))
        last = (finding.check, finding.fix)
    note = ""
    if len(found) > len(shown):
        more = plural(len(found) - len(shown), "more finding")
        note = f"{more}, none graver than these; <code>--format json</code> writes all."
    waived = sum(f.fingerprint in view.waived for f in found)
    denying = sum(f.fingerprint in view.denied for f in found)
    state = status("na", f"{len(found)} in all")
    if view.decision is None:
        serious = any(grave(f) is not Severity.INFO for f in found)
        state = status("fail", plural(len(found), "finding")) if serious else status("na", plural(len(found), "note"))
    elif denying:
        state = status("fail", f"{denying} of {len(found)} counted against it")
    elif waived:
        state = status("pass", f"{waived} of {len(found)} waived")
    checks = sorted({f.check for f in found})
    about = facts(
        [
            ("Owner", esc(system_owner(view) or UNNAMED, 80)),
            ("Checks", esc(listed(checks, 3))),
            ("Vouched", esc(vouched(view, checks))),
            ("Age", age(view, checks)),
        ]
    )
    columns = ("Severity", "Finding", "Confidence", "Gate" if view.decision is not None else "", "Fingerprint")
    heads = [c for c in columns if c]
    caption = capital(tally(list(found)))
    return section("findings", "Findings", state, about, table(caption, heads, rows, note))


def _finding(view: View, finding: Finding, again: bool, *, long: bool) -> str:
    before, command = split_command(finding.fix)
    fix = ""
    if finding.fix and not again:
        words = esc(sentence(before), 240 if long else 80) if before else ""
        fix = f'<br><span class="s">Fix: {words} {code(command, 160 if long else 80) if command else ""}</span>'
    place = code(finding.location, 160 if long else 80)
    where = f'<br><span class="s">{place} · {code(finding.check, 80)}</span>'
    cells = [
        cell("Severity", severity(grave(finding)), "nw"),
        cell("Finding", f"{esc(capital(finding.message.strip()), 300 if long else 90)}{where}{fix}"),
        cell("Confidence", esc(finding.confidence.value), "m"),
    ]
    hit = finding.fingerprint in view.denied
    if view.decision is not None:
        state: tuple[Tone, str] = ("na", "not counted")
        if finding.fingerprint in view.waived:
            state = ("pass", "waived")
        elif hit:
            state = ("fail", "denies")
        cells.append(cell("Gate", status(*state), "nw"))
    cells.append(cell("Fingerprint", f'<code class="m">{esc(finding.fingerprint[:12])}</code>'))
    return row(*cells, hit=hit)


def suspicious_rows(view: View) -> str:
    """The rows of a table that checks flag."""
    found = view.dossier.suspects
    if found is None:
        return ""
    return section("rows", "Suspicious rows", status("fail", "flagged"), "", figure(view, "", found))


def subjects(view: View) -> str:
    """Every subject, the worst first, with what was said of it."""
    by_subject: dict[str, list[Outcome]] = {s.name: [] for s in view.body.subjects}
    for outcome in view.body.outcomes:
        by_subject.setdefault(outcome.subject, []).append(outcome)
    if not by_subject:
        return ""
    names = sorted(by_subject, key=lambda n: (min((_ORDER[o.status] for o in by_subject[n]), default=4), n))
    lent = _lent(view)
    rows = [_subject(view, name, by_subject[name], lent) for name in names[:MOST_SUBJECTS]]
    blind = [n for n in names if any(is_open(o) for o in by_subject[n])]
    asked = [n for n in names if by_subject[n]]
    read, used = len(asked) - len(blind), sum(n in lent for n in names if not by_subject[n])
    caption = f"{plural(read, *view.noun)} of {len(names)} {'was' if read == 1 else 'were'} read to the end"
    caption += f", {used} more by the checks of {'another' if used == 1 else 'others'}" if used else ""
    note = "Nothing untrusted was executed to be judged. What could not be read to the end is open, never clean."
    if len(names) > MOST_SUBJECTS:
        note = f"{plural(len(names) - MOST_SUBJECTS, 'more subject')} not shown. {note}"
    state = _all_read(len(names), read, used, len(blind))
    about = facts(
        [
            ("Owner", esc(system_owner(view), 80)),
            ("Checks", str(len(view.body.checks))),
            ("Outcomes", f"{len(view.body.outcomes):,}"),
            ("Seed", str(view.run.seed)),
            ("From cache", str(view.run.cached) if view.run.cached else ""),
        ]
    )
    columns = ("Subject", "Result", "What was said", "Kind", "SHA-256")
    return section("files", "What was examined", state, about, table(caption, columns, rows, note))


def _lent(view: View) -> dict[str, list[str]]:
    """Which subjects the checks of others read, and whose: training rows and holdout are a model's."""
    found: dict[str, list[str]] = {}
    for outcome in view.body.outcomes:
        for name in outcome.reads if _looked(outcome) else ():
            if name != outcome.subject and outcome.subject not in found.setdefault(name, []):
                found[name].append(outcome.subject)
    return found


def _looked(outcome: Outcome) -> bool:
    """Whether a check came to read anything: one that stayed open without a number may have read nothing."""
    return outcome.status in (Status.PASS, Status.FAIL) or bool(
        outcome.measures or outcome.exhibits or outcome.findings
    )


def _all_read(subjects: int, read: int, used: int, blind: int) -> str:
    """The section's state: "all were read" only where the caption's numbers say it too."""
    if blind:
        return status("open", f"open: {blind} of {subjects}")
    if read + used == subjects:
        return status("pass", "all were read")
    return status("na", f"{subjects - read - used} of {subjects} not asked")


def _subject(view: View, name: str, outcomes: list[Outcome], lent: dict[str, list[str]]) -> str:
    known = next((s for s in view.body.subjects if s.name == name), None)
    path = f'<br><span class="s">{code(known.uri)}</span>' if known is not None and known.uri not in ("", name) else ""
    value = (known.digest if known is not None else "") or next((o.subject_digest for o in outcomes), "")
    return row(
        head(f"{code(name)}{path}", "path"),
        cell("Result", status(*_result(view, outcomes, lent.get(name, []))), "nw"),
        cell("Said", _said(view, outcomes, lent.get(name, []))),
        cell("Kind", esc(known.kind.value) if known is not None else "", "m inl"),
        cell("SHA-256", digest(value), "m inl nw"),
    )


def _result(view: View, outcomes: list[Outcome], lent: list[str]) -> tuple[Tone, str]:
    if any(f.fingerprint in view.denied for o in outcomes for f in o.findings):
        return "fail", "denies"
    if any(o.status is Status.FAIL for o in outcomes):
        # Red is for what is part of a denial; without a decision the check's own word stands.
        return ("fail", "fail") if view.decision is None else ("na", "findings")
    if any(is_open(o) for o in outcomes):
        return "open", "open"
    if view.decision is None and any(o.noted for o in outcomes):
        return "na", "noted"
    if any(o.status is Status.PASS for o in outcomes):
        return "pass", "pass"
    return "na", "n/a" if outcomes else "read" if lent else "not asked"


def _said(view: View, outcomes: list[Outcome], lent: list[str]) -> str:
    """What the checks said, those with the same answer together."""
    parts = []
    for outcome in sorted((o for o in outcomes if o.status is Status.FAIL), key=lambda o: o.check):
        parts.append(f"{code(outcome.check)} {esc(plural(len(outcome.findings), 'finding'))}")
    blind = sorted((o for o in outcomes if is_open(o)), key=lambda o: (o.reason, o.check))
    for reason, group in groupby(blind, key=lambda o: o.reason):
        checks = ", ".join(code(o.check) for o in group)
        parts.append(f"{checks} could not be judged: {esc(advised(view, reason) or 'no reason given', 280)}")
    for outcome in sorted((o for o in outcomes if o.noted), key=lambda o: o.check):
        parts.append(f"{code(outcome.check)} {esc(plural(len(outcome.findings), 'note'))}")
    passed = [o for o in outcomes if o.status is Status.PASS and o.complete and not o.noted]
    if passed:
        parts.append(f"{'read to the end; ' if not blind else ''}{esc(plural(len(passed), 'check'))} passed")
    other = [o for o in outcomes if o.status is Status.NOT_APPLICABLE and o.complete]
    if other and not parts:
        parts.append(
            f"not applicable: {esc(advised(view, other[0].reason) or 'the question makes no sense here', 240)}"
        )
    elif other:
        parts.append(f"{len(other)} not applicable")
    if not parts and lent:
        return f"read by the checks of {', '.join(code(n) for n in lent[:3])}{' …' if len(lent) > 3 else ''}"
    return "; ".join(parts) or "no check was asked of it"

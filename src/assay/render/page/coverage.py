"""Framework coverage: one cell for each requirement that a check can speak of, and what is missing."""

from __future__ import annotations

from assay.core.dossier import Coverage, Entry
from assay.render.page.escape import code, esc
from assay.render.page.owner import entry_owner
from assay.render.page.parts import cell, facts, head, row, section, status, table
from assay.render.page.view import View
from assay.render.page.words import capital, listed, plural

MOST_MISSING = 40
MOST_CELLS = 400
_CELLS = {"evidenced": "e", "declared": "d", "missing": "x", "outside": "o"}
_WORDS = {"evidenced": "evidenced", "declared": "declared", "missing": "missing", "outside": "outside Assay"}


def coverage(view: View) -> str:
    """The section, "" where no framework was joined."""
    shown = [c for c in view.dossier.coverage if c.entries]
    if not shown:
        return ""
    entries = [e for c in shown for e in c.entries]
    evidenced = sum(e.state == "evidenced" for e in entries)
    missing = [(c, e) for c in shown for e in c.entries if e.state == "missing"]
    asked = sum(e.state != "outside" for e in entries)
    title = f"Evidence for {evidenced} of {plural(asked, 'requirement')}" + (
        f"; {len(missing)} missing" if missing else ""
    )
    states = {e.state for e in entries}
    legend = "".join(
        f'<span><i class="{_CELLS[s]}"></i>{words}</span>'
        for s, words in (
            ("evidenced", "evidenced by a check"), ("declared", "declared by a person"), ("missing", "missing"),
            ("outside", "outside Assay"),
        )
        if s in states
    )  # fmt: skip
    content = (
        f'<div class="fh">{esc(title)}</div><p class="sub">One cell is one requirement; hollow dots are those that '
        f'nothing in this version speaks of</p><div class="legend">{legend}</div>'
        + "".join(_framework(c) for c in shown)
    )
    content += _missing(view, missing)
    state = status("open", f"{len(missing)} missing") if missing else status("pass", "evidence for each")
    about = facts(
        [("Shown", plural(len(shown), "framework")), ("Evidenced", f"{evidenced} of {asked}")]
        + [("Unverified", esc(listed([c.framework for c in shown if not c.verified], 3)))]
        * any(not c.verified for c in shown)
    )
    return section("frameworks", "Framework coverage", state, about, content)


def _framework(one: Coverage) -> str:
    counts = {s: sum(e.state == s for e in one.entries) for s in _CELLS}
    words = [f"{counts['evidenced']} evidenced"]
    words += [f"{counts['declared']} declared"] if counts["declared"] else []
    gone = counts["missing"]
    words.append(f"<b class=open>{gone} missing</b>" if gone else "0 missing")
    words += [f"{counts['outside']} outside"] if counts["outside"] else []
    cells = "".join(
        "<i class=o></i>"
        if e.state == "outside"
        else f'<i class={_CELLS[e.state]} title="{esc(e.id, 40)} {_WORDS[e.state]}"></i>'
        for e in one.entries[:MOST_CELLS]
    )
    doubt = '<span class="open"> · list not verified</span>' if not one.verified else ""
    said = f"{one.framework}: {counts['evidenced']} evidenced, {gone} missing"
    return (
        f'<div class="cov"><div class="h"><div><b>{esc(one.framework, 80)}</b> <span>{esc(one.edition, 60)}</span>'
        f"{doubt}</div><span>{' · '.join(words)}</span></div>"
        f'<div class="cells" role="img" aria-label="{esc(said)}">{cells}</div></div>'
    )


def _missing(view: View, missing: list[tuple[Coverage, Entry]]) -> str:
    if not missing:
        return '<p class="note">This is evidence for these requirements. It does not say that any of them is met.</p>'
    rows = [
        row(
            head(code(entry.id, 60)),
            cell("Requirement", esc(capital(entry.name), 140)),
            cell("Framework", esc(one.framework, 60), "m"),
            cell("Owner", entry_owner(view, entry)),
            cell("Would speak", _checks(entry)),
        )
        for one, entry in missing[:MOST_MISSING]
    ]
    note = "This is evidence for these requirements. It does not say that any of them is met."
    left = len(missing) - MOST_MISSING
    if left > 0:
        note = f"{left} more are missing. {note}"
    columns = ("Missing", "Requirement", "Framework", "Owner", "What would speak of it")
    return f'<div class="gap">{table("", columns, rows, note)}</div>'


def _checks(entry: Entry) -> str:
    shown = ", ".join(
        f"{code(c.removeprefix('manifest.') + ':', 60)} in assay.yaml" if c.startswith("manifest.") else code(c, 60)
        for c in entry.checks[:3]
    )
    return shown + (f" and {len(entry.checks) - 3} more" if len(entry.checks) > 3 else "")

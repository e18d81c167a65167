"""The HTML report: one offline file, no script, no network, the same bytes for the same dossier."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from assay.core.canonical import short
from assay.core.dossier import Dossier
from assay.render.page.blocks import blocks
from assay.render.page.chain import chain
from assay.render.page.coverage import coverage
from assay.render.page.escape import code, esc
from assay.render.page.evidence import anchor, evidence_sections, family, shown
from assay.render.page.lists import findings, subjects, suspicious_rows
from assay.render.page.parts import symbols
from assay.render.page.people import people
from assay.render.page.proof import proof
from assay.render.page.terms import terms
from assay.render.page.top import bar, meta, page_title, verdict, verdict_words
from assay.render.page.trace import trace
from assay.render.page.view import View
from assay.render.page.words import moment

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@cache
def _style() -> str:
    text = files("assay.render").joinpath("assets/report.css").read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/|\n", "", text)


def render_html(dossier: Dossier) -> str:
    """The page about a dossier, complete in itself. Deterministic; nothing in it is computed for show."""
    view = View(dossier)
    found, looked = ("Findings", "findings", findings(view)), ("", "", evidence_sections(view))
    rows = ("Rows", "rows", suspicious_rows(view))
    sections = [
        ("What blocks it", "blocks", blocks(view)),
        *((found, rows, looked) if view.decision is None else (looked, found, rows)),
        ("Examined", "files", subjects(view)),
        ("Frameworks", "frameworks", coverage(view)),
        ("Terms", "terms", terms(view)),
        ("People", "people", people(view)),
        ("Gate", "gate", trace(view)),
        ("Proof", "proof", proof(view)),
    ]
    content = "".join(html for _, _, html in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><link rel="icon" href="data:,">'
        f"<title>{esc(page_title(view), 200)}</title><style>{_style()}{_foot(view)}</style></head><body>{symbols()}"
        f'<a class="skip" href="#main">Skip to what was found</a>{bar(view, _links(view, sections))}'
        f'<main><div class="wrap"><header>{meta(view)}{verdict(view)}{chain(view)}</header>'
        f'<div id="main">{content}</div></div></main><div class="wrap">{_footer(view)}</div></body></html>\n'
    )


def _foot(view: View) -> str:
    """What each printed page says at its foot, so that a loose sheet can be told: only letters, digits and spaces."""
    decision = view.decision
    words = f"{' '.join(verdict_words(decision))} Release {short(decision.release)}" if decision is not None else ""
    safe = re.sub("[^A-Za-z0-9 ]", "", words).strip()
    return f'@page{{@bottom-left{{content:"{safe}";font:7.5pt sans-serif;color:#5f6368}}}}'


def _links(view: View, sections: list[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """The bar's links: what blocks, each family of checks, and the lists."""
    families: dict[str, str] = {}
    for check, _ in shown(view):
        families.setdefault(family(check), anchor(check))
    links: list[tuple[str, str]] = []
    for words, target, html in sections:
        if target and html:
            links.append(("Blocks" if target == "blocks" else words, target))
        elif not target:
            links += list(families.items())[:5]
    return links


def _footer(view: View) -> str:
    run = view.run
    return (
        f"<footer><b>{esc(run.tool.replace('/', ' '), 60)}</b><span>Examined {esc(moment(run.started))}</span>"
        f"<span>Report body {code(view.body.digest.rpartition(':')[2][:16] + '…')}</span>"
        f"<span>Schema {esc(view.dossier.schema, 20)}</span>"
        "<span>No script, no network: this page asks for nothing.</span></footer>"
    )

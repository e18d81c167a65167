"""The page's small parts: status signs, severity bars, digest marks, section headers and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from assay.core.canonical import short
from assay.core.decision import Verdict
from assay.core.dossier import Vouch
from assay.core.finding import Severity
from assay.render.page.escape import code, esc
from assay.render.page.words import listed, span

from assay.render.page.view import View  # isort: skip

Tone = Literal["pass", "fail", "open", "na", "declared"]
TONES: dict[Verdict, Tone] = {Verdict.ALLOW: "pass", Verdict.DENY: "fail", Verdict.INDETERMINATE: "open"}
RESULTS = {Verdict.ALLOW: "met", Verdict.DENY: "denies", Verdict.INDETERMINATE: "open"}

SYMBOLS = (
    '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>'
    '<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line x1="0" y1="0" x2="0" y2="5" stroke="var(--line2)" stroke-width="1.4"/></pattern></defs>'
    '<symbol id="pass" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7.5" fill="currentColor"/>'
    '<path d="M4.6 8.3l2.4 2.4 4.4-5" fill="none" stroke="var(--paper)" stroke-width="1.8" stroke-linecap="round" '
    'stroke-linejoin="round"/></symbol>'
    '<symbol id="fail" viewBox="0 0 16 16"><rect x=".8" y=".8" width="14.4" height="14.4" rx="2.2" '
    'fill="currentColor"/><path d="M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6" stroke="var(--paper)" stroke-width="1.8" '
    'stroke-linecap="round"/></symbol>'
    '<symbol id="open" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.7" fill="none" stroke="currentColor" '
    'stroke-width="1.7"/></symbol>'
    '<symbol id="declared" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.7" fill="none" stroke="currentColor" '
    'stroke-width="1.7"/><circle cx="8" cy="8" r="2.4" fill="currentColor"/></symbol>'
    '<symbol id="na" viewBox="0 0 16 16"><path d="M4 8h8" stroke="currentColor" stroke-width="1.8" '
    'stroke-linecap="round"/></symbol>'
    "{severities}</svg>"
)


def symbols() -> str:
    """The signs that the page uses again and again, drawn once."""
    drawn = []
    for rank in range(5):
        bars = "".join(
            f'<rect x="{4.4 * i:.1f}" y="{8 - 2.6 * i:.1f}" width="3" height="{3 + 2.6 * i:.1f}" fill="currentColor"'
            + ("/>" if i < rank else ' opacity=".25"/>')
            for i in range(4)
        )
        drawn.append(f'<symbol id="s{rank}" viewBox="0 0 17 11">{bars}</symbol>')
    return SYMBOLS.replace("{severities}", "".join(drawn))


def sign(tone: Tone, css: str = "g") -> str:
    """A status as a shape."""
    colour = "na" if tone == "declared" else tone
    return f'<svg class="{css} {colour}" aria-hidden="true"><use href="#{tone}"/></svg>'


def status(tone: Tone, words: str) -> str:
    """A status as a shape and (escaped here) words."""
    colour = "na" if tone == "declared" else tone
    return f'<span class="st {colour}"><svg class="g" aria-hidden="true"><use href="#{tone}"/></svg>{esc(words)}</span>'


def severity(level: Severity) -> str:
    """Severity as rising bars in ink, and the word."""
    return (
        f'<span class="sev"><svg aria-hidden="true"><use href="#s{level.rank}"/></svg>{esc(level.value)}</span>'
    )  # fmt: skip


def mark(digest: str) -> str:
    """Bars that help the eye tell digests apart; they prove nothing."""
    digits = [int(c, 16) for c in short(digest, 12) if c in "0123456789abcdef"]
    path = "".join(f"M{3.4 * i:.1f} 13v-{1 + d * 0.8:.1f}h2V13z" for i, d in enumerate(digits))
    return f'<svg class="mark" viewBox="0 0 40 14" aria-hidden="true"><path d="{path}" fill="currentColor"/></svg>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A definition list of (term, HTML); pairs without a value are left out."""
    rows = "".join(f"<div><dt>{esc(term)}</dt><dd>{value}</dd></div>" for term, value in pairs if value)
    return f"<dl>{rows}</dl>" if rows else ""


def section(id_: str, title: str, state: str, about: str, content: str, over: str = "") -> str:
    """One section: what it is and its state at the left, the evidence at the right. Takes HTML, but a plain title."""
    above = f'<p class="over">{esc(over)}</p>' if over else ""
    return (
        f'<section id="{id_}" aria-labelledby="{id_}-h"><header>{above}<h2 id="{id_}-h">{esc(title)}</h2>{state}{about}'
        f"</header><div>{content}</div></section>"
    )


Cell = tuple[str, str] | str


def table(caption: str, columns: Sequence[Cell], rows: Iterable[str], note: str = "") -> str:
    """A table that stacks on a phone. Rows are HTML made with `row`; columns are plain, or (plain, class)."""
    heads = "".join(
        f'<th scope="col">{esc(c)}</th>' if isinstance(c, str) else f'<th scope="col" class="{c[1]}">{esc(c[0])}</th>'
        for c in columns
    )
    title = f'<caption class="fh">{esc(caption)}</caption>' if caption else ""
    foot = f'<p class="note">{note}</p>' if note else ""
    body = "".join(rows)
    return (
        f'<div class="tw"><table class="stack">{title}<thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{foot}"
    )


def cell(label: str, html_: str, css: str = "") -> str:
    """One cell; its label shows where the table stacks. `html_` is HTML."""
    hide = " hide" if not html_ else ""
    classes = f' class="{(css + hide).strip()}"' if css or hide else ""
    # Where it stacks a cell is a grid of its label and one child.
    one = html_.startswith('<span class="s') and html_.count("<span") == 1 and html_.endswith("</span>")
    return f'<td data-l="{esc(label)}"{classes}>{html_ if one else f"<span>{html_}</span>"}</td>'


def head(html_: str, css: str = "") -> str:
    """A row's own name."""
    classes = f' class="{css}"' if css else ""
    return f'<th scope="row"{classes}>{html_}</th>'


def row(*cells: str, hit: bool = False) -> str:
    """One row of HTML cells; `hit` where the gate denies for it."""
    return f"<tr{' class=hit' if hit else ''}>{''.join(cells)}</tr>"


def vouched(view: View, checks: Iterable[str]) -> str:
    """Who stands for these checks, in plain text."""
    people = dict.fromkeys(v.person or "unsigned run" for v in _vouches(view, checks))
    return listed(list(people), 3) if people else "unsigned run"


def age(view: View, checks: Iterable[str]) -> str:
    """How old the oldest of these checks' evidence is, in plain text."""
    times = [v.at for v in _vouches(view, checks)]
    return span(view.now - min(times)) if times else "this run"


def _vouches(view: View, checks: Iterable[str]) -> list[Vouch]:
    return [v for check in checks for v in view.vouches.get(check, ())]


def digest(value: str, length: int = 8) -> str:
    """The first digits of a digest, as HTML."""
    return code(f"{short(value, length)}…") if value else ""


def meter(fraction: float) -> str:
    """How much of a term is left."""
    share = round(100 * min(1.0, max(0.0, fraction)))
    return f'<span class="life" aria-hidden="true"><i style="width:{share}%"></i></span>'

"""What `theft.extraction` shows: the curves of its attackers, the table of their copies, and that of defences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from assay.core.exhibit import Curve, Series, Table

if TYPE_CHECKING:
    from assay.attacks.extraction.agreement import Value
    from assay.attacks.extraction.curves import Curves
    from assay.attacks.extraction.defences import Defence

NAME = "theft.extraction"
NAMES = {"random": "random: ranges only", "marginal": "marginal: each column", "active": "active: where unsure"}


def why(went: Any) -> str:
    """Why no share of evasions that transfer is told."""
    return went if isinstance(went, str) else "nothing evaded the copy"


def curves(found: Curves, good: float) -> Iterator[Curve]:
    """F1 and MCC of every attacker's copies by queries, beside the best constant answer."""
    best, base = found.best(), found.baseline
    n, asked = len(found.judged.flagged), max(p.queries for p in found.points)
    title = f"{best.queries:,} queries copy it with {{}} {{:.2f}} ({best.attacker}), a constant answer {{:.2f}}"
    if not found.stolen():
        title = f"Nothing was stolen with {asked:,} queries: {{}} {{:.2f}} at best, a constant answer {{:.2f}}"
    for name, label, floor in (("f1", "F1", base.f1), ("mcc", "MCC", 0.0)):
        series = []
        for attacker in dict.fromkeys(p.attacker for p in found.points):
            line = sorted((p for p in found.points if p.attacker == attacker), key=lambda p: p.queries)
            values = [getattr(p, name) for p in line]
            series.append(
                Series(
                    name=NAMES.get(attacker, "solved equations"),
                    x=tuple(float(p.queries) for p in line),
                    y=tuple(v.value for v in values),
                    low=tuple(v.low for v in values),
                    high=tuple(v.high for v in values),
                    kind="at-least",
                )
            )
        ends = (float(min(p.queries for p in found.points)), float(asked))
        series.append(Series(name="best constant answer", x=ends, y=(floor, floor), role="other"))
        yield Curve(
            name=f"{NAME}.{name}",
            title=title.format(label, getattr(best, name).value, floor),
            subtitle=f"{label} agreement of a copy's decisions with the model's on rows never asked; 95% band",
            x_label="queries",
            y_label=f"{label} agreement",
            x_scale="log",
            series=tuple(series),
            measure=f"{NAME}.{name}",
            note=_note(found, n) if name == "f1" else f"A copy counts as good from an MCC of {good:g} on.",
        )


def _note(found: Curves, n: int) -> str:
    flagged = int(found.judged.flagged.sum())
    text = f"{n} judged rows, {flagged} flagged by the model; it was asked {found.asked:,} rows in all."
    if found.left_out is None:
        return text + " Most judged rows were asked too: its inputs are so few that a list of answers is a copy."
    return text + (f" {found.left_out} rows that were asked by chance are left out." if found.left_out else "")


def points(found: Curves, moved: dict[tuple[str, int], Any], price: float | None) -> Table:
    """Every copy with its figures; `moved` is what transferred, by attacker and queries, or why not."""
    base = found.baseline
    rows = []
    for p in found.points:
        went = moved.get((p.attacker, p.queries))
        share = f"{went.evaded} of {went.found}" if went is not None and not isinstance(went, str) else ""
        rows.append(
            (
                p.attacker,
                p.queries,
                "" if price is None else f"{price * p.queries:,.2f}",
                p.learner,
                _told(p.f1),
                _told(p.mcc),
                _told(p.fidelity),
                _told(p.area),
                _told(p.rank),
                share,
            )
        )
    rows.append(("best constant", 0, "", base.name, f"{base.f1:.3f}", "0", f"{base.fidelity:.3f}", "", "", ""))
    reasons = sorted({went for went in moved.values() if isinstance(went, str)})
    notes = [f"Transfer was not asked: {'; '.join(reasons)}."] if reasons else []
    if price is None:
        notes.append("No price: `price` is not declared.")
    if found.solved is not None and not found.solved.linear:
        error = found.solved.residual
        notes.append(f"Equations: not linear (error {error:.0%} of the spread after {found.solved.queries} queries).")
    return Table(
        name=f"{NAME}.points",
        title="What each attacker's copy is worth, by queries",
        subtitle="Agreement with the model on judged rows; equal decisions only beside those of a constant answer",
        columns=(
            "attacker", "queries", "price", "copy", "F1", "MCC", "equal decisions", "AUC ratio", "rank correlation",
            "evasions that transfer",
        ),
        rows=tuple(rows),
        note=" ".join(notes),
    )  # fmt: skip


def _told(value: Value) -> str:
    if value.value is None:
        return ""
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def defences(made: Sequence[Defence]) -> Table:
    """The same attacker against rounded scores, decisions only and limits."""
    from assay.attacks.extraction.curves import SOLVER

    plain = next(d.point for d in made if d.point.attacker != SOLVER)
    return Table(
        name=f"{NAME}.defences",
        title=f"What rounding, decisions only and limits buy against the {plain.attacker} attacker",
        subtitle=f"Agreement at {plain.queries:,} queries, or fewer where they are limited; decisions are always told",
        columns=("defence", "queries", "F1", "MCC", "copy"),
        rows=tuple((d.name, d.point.queries, _told(d.point.f1), _told(d.point.mcc), d.point.learner) for d in made),
        note="Rounded scores and decisions only were attacked once, full scores in every run.",
    )

"""What tells a change by nature from one by somebody's hand: five signals in a sample of rows, and what they add to."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from msgspec.structs import replace

from assay.adapters.traffic import Drawn
from assay.core.drift import ColumnDrift
from assay.core.profile import ColumnProfile, Marks
from assay.core.text import visible
from assay.detectors.intent import (
    Marked,
    Signal,
    bins_of,
    collapsed,
    marks,
    near_duplicates,
    reference_counts,
    under_threshold,
)  # fmt: skip
from assay.stats.homogeneity import effect

Array = Any
Volume = tuple[ColumnProfile, ColumnProfile]
Verdict = Literal["natural", "adversarial", "unclear"]
COLUMNS = 8
SLICES = 20
LEAST_ASKED = 3
COMMON = 20
"""Rows that a source must have before it is named."""
LEAST_A_SOURCE, MOST_OF_ROWS, GONE, FEW = 30, 0.25, 0.8, 0.6
SHUFFLES = 20
MOST_OF_IT = 0.9
"""Of what a few sources bring, from which share on one is spoken of alone."""


class Nature(msgspec.Struct, frozen=True):
    """The verdict, and the five signals that it is made of."""

    verdict: Verdict
    signals: tuple[Signal, ...]


def nature(
    drawn: Drawn,
    columns: tuple[ColumnProfile, ...],
    drifted: tuple[ColumnDrift, ...],
    before: Drawn | Marks | None,
    *,
    threshold: float | None = None,
    volume: Volume | None = None,
    seed: int = 0,
) -> Nature:
    """What the signals say of rows that drifted.

    `drawn` is a sample of the current rows, `columns` the reference's profile of the columns of its matrix, `drifted`
    those that did, `before` a sample of the reference's rows or the marks that were saved of them, `volume` the
    reference's and the current profile of the column of sources. Adversarial needs one of the two signals of intent
    and one more; natural needs that at least three could be looked for and none is there; all else is unclear.
    """
    at = {c.name: i for i, c in enumerate(columns)}
    worst = sorted((c for c in drifted if c.name in at), key=lambda c: (-c.effect, c.name))[:COLUMNS]
    bins = {c.name: bins_of(columns[at[c.name]], drawn.matrix[:, at[c.name]]) for c in worst}
    held = [columns[at[c.name]] for c in worst]
    still = np.array(collapsed(drawn, columns), dtype=bool)
    moving = tuple(c for c, s in zip(columns, still, strict=True) if not s)
    narrowed = replace(drawn, matrix=drawn.matrix[:, ~still])
    if isinstance(before, Drawn):
        usual: Marks | None = marks(replace(before, matrix=before.matrix[:, ~still]), moving, threshold)
    else:
        usual = replace(before, copies={}) if before is not None and still.any() else before
    under, copies = under_threshold(drawn, usual), near_duplicates(narrowed, moving, usual)
    marked = [m for m in (under[1], copies[1]) if m is not None]
    signals = (
        under[0],
        copies[0],
        _one_source(drawn, held, bins, marked, volume, seed),
        _one_value(drawn, held, at),
        _onset(drawn, held, bins, marked),
    )
    there = [s for s in signals if s.there]
    if any(s.intent for s in there) and len(there) > 1:
        return Nature("adversarial", signals)
    quiet = not there and sum(s.asked for s in signals) >= LEAST_ASKED
    return Nature("natural" if quiet else "unclear", signals)


def _one_source(
    drawn: Drawn, held: list[ColumnProfile], bins: dict[str, Array], marked: list[Marked], volume: Volume | None,
    seed: int,
) -> Signal:  # fmt: skip
    """Whether a few sources bring the rows behind a signal of intent, or a column's drift, which is gone without them
    and would not be with shuffled sources, or far more rows than they used to."""
    name = "a few sources bring it"
    if drawn.sources is None:
        return Signal(name=name, asked=False, said="no source is declared")
    names, source, rows = np.unique(drawn.sources.astype(str), return_inverse=True, return_counts=True)
    if len(rows) < 4 or len(source) / len(rows) < LEAST_A_SOURCE or not held:
        why = f"{len(rows)} sources of {len(source)} rows cannot tell: four and more of {LEAST_A_SOURCE} rows can"
        return Signal(name=name, asked=False, said=why)
    generator = np.random.default_rng(seed)
    large: Array = rows[:0]  # sources that would have to be left out, and hold too much to be
    for marks_ in marked:
        share, few, chief = _few_of(marks_, source, rows)
        if share >= FEW:
            share, few = (chief, few[:1]) if chief >= MOST_OF_IT * share else (share, few)
            who = _who(names, rows, few)
            said = f"{who} bring{'s' if len(few) == 1 else ''} {share:.0%} of {marks_.what}, beyond the usual share"
            return Signal(name=name, there=True, said=said)
        if rows[few].sum() > MOST_OF_ROWS * len(source):
            large = few
    for column in held:
        counts = _by_source(bins[column.name], source, len(rows), column)
        usual = max(
            _without(_by_source(bins[column.name], generator.permutation(source), len(rows), column), column)[0]
            for _ in range(SHUFFLES)
        )
        gone, chosen, share = _without(counts, column)
        if gone >= GONE and gone >= usual + 0.2:
            who = _who(names, rows, chosen)
            said = f"without {who} ({share:.0%} of the rows) {gone:.0%} of the drift of {column.name} is gone"
            return Signal(name=name, there=True, said=said)
        first = _bringers(counts, column)[:1]
        large = first if rows[first].sum() > MOST_OF_ROWS * len(source) else large
    more = _louder(volume) if volume is not None else ""
    if not more and len(large):
        holding = f"hold{'s' if len(large) == 1 else ''} {rows[large].sum() / len(source):.0%} of the rows"
        why = f"{_who(names, rows, large)} {holding}: of more than {MOST_OF_ROWS:.0%} it cannot be told"
        return Signal(name=name, asked=False, said=why)
    return Signal(name=name, there=bool(more), said=more or "no few of the sources bring it")


def _who(names: Array, rows: Array, few: Array) -> str:
    """Which sources: one by its name where enough rows have it, more by their number."""
    if len(few) > 1:
        return f"{len(few)} of {len(rows)} sources"
    place = int(few[0])
    return f"one source ({visible(str(names[place]), 40)})" if rows[place] >= COMMON else "one source"


def _louder(volume: Volume) -> str:
    """What to say where at most a tenth of the sources brings far more of the rows than in the reference, else ""."""
    was, now = (reference_counts(side).astype(float) for side in volume)
    if was.sum() < 1 or now.sum() < 1 or len(was) != len(now):
        return ""
    rows, was, now = now.sum(), was / was.sum(), now / now.sum()
    few = np.argsort(was - now, kind="stable")[: max(1, int((was > 0).sum()) // 10)]
    share, usual = float(now[few].sum()), float(was[few].sum())
    noise = 6 * float(np.sqrt(max(usual, 1 / rows) / rows))
    if share < usual + max(0.02, noise) or share < 1.5 * usual:
        return ""
    if float((now - was)[few[0]]) >= MOST_OF_IT * (share - usual):
        few, share, usual = few[:1], float(now[few[0]]), float(was[few[0]])
    who = f"{len(few)} of {int((now > 0).sum())} sources bring"
    if len(few) == 1:
        labels, place = volume[1].labels, int(few[0])
        known = place < len(labels) and volume[1].counts[place] >= COMMON
        who = f"one source{f' ({visible(labels[place], 40)})' if known else ''} brings"
    return f"{who} {share:.0%} of the rows, {usual:.0%} in the reference"


def _few_of(marked: Marked, source: Array, rows: Array) -> tuple[float, Array, float]:
    """(share of what is too much, that a tenth of the sources brings, which these are, the first one's share); 0 where
    they hold more than a quarter of all rows, or where chance could bring as much."""
    extra = np.bincount(source[marked.rows], minlength=len(rows)) - rows * marked.usual
    few = np.argsort(-extra, kind="stable")[: max(1, len(rows) // 10)]
    noise = 4 * float(np.sqrt(max(1.0, rows[few].sum() * marked.usual)))
    total = float(marked.rows.sum() - len(source) * marked.usual)
    if rows[few].sum() > MOST_OF_ROWS * len(source) or total <= 0 or extra[few].sum() <= noise:
        return 0.0, few, 0.0
    return min(1.0, float(extra[few].sum()) / total), few, min(1.0, float(extra[few[0]]) / total)


def _by_source(bins: Array, source: Array, sources: int, column: ColumnProfile) -> Array:
    """Rows per source and bin, (sources, bins and missing)."""
    width = column.bins + 2
    return np.bincount(source * width + bins, minlength=sources * width).reshape(sources, width)


def _bringers(counts: Array, column: ColumnProfile) -> Array:
    """The sources, the one first that brings most of what grew."""
    usual = reference_counts(column) / reference_counts(column).sum()
    whole = counts.sum(axis=0)
    grown = whole / whole.sum() > usual
    extra = counts[:, grown].sum(axis=1) - counts.sum(axis=1) * usual[grown].sum()
    order: Array = np.argsort(-extra, kind="stable")
    return order


def _without(counts: Array, column: ColumnProfile) -> tuple[float, Array, float]:
    """(share of the effect that goes, sources left out, their share of the rows) where those are left out that bring
    most of what grew, as long as they hold a quarter of the rows at most and a tenth of the sources."""
    was, whole = reference_counts(column), counts.sum(axis=0)
    full = effect(was, whole)[0]
    order = _bringers(counts, column)[: max(1, len(counts) // 10)]
    rest, best = whole, (0.0, order[:0], 0.0)
    if full <= 0:
        return best
    for taken, place in enumerate(order, start=1):
        rest = rest - counts[place]
        share = 1 - rest.sum() / whole.sum()
        if share > MOST_OF_ROWS or not rest.sum():
            break
        gone = 1 - effect(was, rest)[0] / full
        if gone > best[0]:
            best = (float(gone), order[:taken], float(share))
        if gone >= GONE:
            break
    return best


def _one_value(drawn: Drawn, held: list[ColumnProfile], at: dict[str, int]) -> Signal:
    """One exact number that more rows have than its whole bin had in the reference, that makes half of the drift."""
    name = "one exact value is repeated"
    read = {c.name: np.isfinite(drawn.matrix[:, at[c.name]]).mean() >= 0.5 for c in held}
    many = [c for c in held if c.kind == "number" and len(c.edges) >= 15 and read[c.name]]
    if not many:
        return Signal(name=name, asked=False, said="no column of many different numbers drifted")
    for column in many:
        values = drawn.matrix[:, at[column.name]]
        known = values[np.isfinite(values)]
        levels, rows = np.unique(known, return_counts=True)
        top = int(rows.argmax())
        place = int(np.searchsorted(np.array(column.edges), levels[top]))
        was = reference_counts(column)
        share, usual = rows[top] / len(values), was[place] / was.sum()
        now = np.bincount(bins_of(column, values), minlength=len(was)) / len(values)
        moved = float(np.abs(now - was / was.sum()).sum() / 2)
        if share >= 2 * usual and share - usual >= 0.5 * moved and rows[top] >= LEAST_A_SOURCE:
            said = f"one value of {column.name} is in {share:.1%} of the rows; its whole range held {usual:.1%}"
            return Signal(name=name, there=True, said=said)
    return Signal(name=name, said="no single value makes the drift")


def _onset(drawn: Drawn, held: list[ColumnProfile], bins: dict[str, Array], marked: list[Marked]) -> Signal:
    """Whether the drift sets in at once: a step over time explains it far better than a slope, and before the step
    there is little of it."""
    name = "it sets in at once"
    if drawn.times is None or not held:
        return Signal(name=name, asked=False, said="no time is declared")
    known = np.isfinite(drawn.times)
    if known.mean() < 0.5 or known.sum() < 10 * SLICES or len(np.unique(drawn.times[known])) < SLICES:
        return Signal(name=name, asked=False, said="too few different times")
    rank = np.argsort(np.argsort(drawn.times[known], kind="stable"), kind="stable")
    slice_of = rank * SLICES // len(rank)
    size = np.bincount(slice_of, minlength=SLICES)
    for marks_ in marked:
        hits = np.bincount(slice_of, weights=marks_.rows[known], minlength=SLICES)
        step, before, after = _step(hits, size, marks_.usual)
        if step:
            said = f"{marks_.what} are {before:.1%} of all, then {after:.1%}, at {step / SLICES:.0%} of the time"
            return Signal(name=name, there=True, said=said)
    restless = False
    for marks_ in marked:
        restless |= _restless(np.bincount(slice_of, weights=marks_.rows[known], minlength=SLICES), size, marks_.usual)
    for column in held[:3]:
        usual = reference_counts(column) / reference_counts(column).sum()
        now = bins[column.name][known]
        grown = np.bincount(now, minlength=len(usual)) / len(now) > usual
        hits = np.bincount(slice_of, weights=grown[now], minlength=SLICES)
        step, before, after = _step(hits, size, float(usual[grown].sum()))
        if step:
            said = (
                f"{column.name}: {before:.0%} of the rows in ranges that grew, {after:.0%} after {step / SLICES:.0%} of"
            )
            return Signal(name=name, there=True, said=f"{said} the time")
        restless |= _restless(hits, size, float(usual[grown].sum()))
    if restless:
        why = "it comes and goes over time: neither a level that sets in and stays, nor a slope"
        return Signal(name=name, asked=False, said=why)
    return Signal(name=name, said="it was there from the first, or came little by little")


def _step(hits: Array, rows: Array, usual: float) -> tuple[int, float, float]:
    """(slice at which the level changes, level before, after); 0 where a straight line fits about as well."""
    at, before, after, line, best = _fits(hits, rows, usual)
    sudden = line - best > 20 and before - usual <= 0.25 * (after - usual)
    return (at, before, after) if sudden else (0, before, after)


def _restless(hits: Array, rows: Array, usual: float) -> bool:
    """Whether neither a step nor a line fits (chi-square with about as many degrees as slices, far beyond chance)."""
    *_, line, best = _fits(hits, rows, usual)
    return bool(min(line, best) > 4 * SLICES)


def _fits(hits: Array, rows: Array, usual: float) -> tuple[int, float, float, float, float]:
    """The best step over time (its slice, the level before and after), and what is left of chi-square beside a line and
    beside that step."""
    rate = hits / rows
    level = min(0.99, max(usual, 1 / rows.sum(), float(hits.sum() / rows.sum()) / 4))  # of which chance is told
    weight = rows / (level * (1 - level))
    x = np.arange(len(rate))
    centre = (weight * x).sum() / weight.sum()
    slope = (weight * (x - centre) * rate).sum() / (weight * (x - centre) ** 2).sum()
    mean = (weight * rate).sum() / weight.sum()
    line = (weight * (rate - mean - slope * (x - centre)) ** 2).sum()
    best, at = np.inf, 0
    for k in range(2, len(rate) - 1):
        first, second = rate[:k].mean(), rate[k:].mean()
        left = (weight[:k] * (rate[:k] - first) ** 2).sum() + (weight[k:] * (rate[k:] - second) ** 2).sum()
        if left < best:
            best, at = left, k
    before, after = float(rate[:at].mean()), float(rate[at:].mean())
    return at, before, after, float(line), float(best)

"""Who belongs to which group: the levels of protected columns, bands of numbers, and their combinations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from math import comb
from typing import TYPE_CHECKING, Any

import msgspec

from assay.core.errors import CouldNotLook
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset

Array = Any
MOST_LEVELS = 8  # a column of more different numbers is cut into bands
BANDS = 4
MOST_CROSSED = 66  # all pairs of 12 columns
TIMES = 2  # of columns together hundreds of groups are asked: rows that weigh a little unevenly leave none open
MOST = 0.8  # of the rows must be in a group that is large enough, for three columns together to be asked


class Grouping(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by what `columns` say: `code` int (n,) is the place in `names`, −1 for rows that are not judged.

    `left_out` groups were too small; `share` is how much of the rows (by weight) is judged. `shrunk` are those with as
    many different rows as a group needs (of columns together twice as many) that count as too few, as some weigh so
    much more than others.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    code: Array
    left_out: int
    share: float
    shrunk: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The columns as they are named in what the check says."""
        return " & ".join(visible(c, 40) for c in self.columns)


class People(msgspec.Struct, frozen=True):
    """How much each row counts and which draw it is, (n,) each, and how many draws make a group."""

    weight: Array
    draw: Array
    least: int

    def sizes(self, code: Array, size: int) -> Array:
        """The independent rows of each of `size` groups; rows of code −1 are nobody's."""
        from assay.stats.fairness import Cells

        return Cells(code, size, self.weight, self.draw).rates(self.weight * 0)[1]


class Crossed(msgspec.Struct, frozen=True, kw_only=True):
    """Columns two by two and by three, and how many `pairs` and `triples` were left out, for there are too many;
    `shrunk` are those with such groups, asked or not."""

    asked: tuple[Grouping, ...]
    shrunk: tuple[Grouping, ...] = ()
    pairs: int = 0
    triples: int = 0

    @property
    def unasked(self) -> int:
        """The combinations that nobody looked at."""
        return self.pairs + self.triples


def groupings(
    data: Dataset, columns: Sequence[str], people: People, cuts: Mapping[str, Sequence[float]]
) -> tuple[list[Grouping], Crossed]:
    """(one for each column, those of two and three columns together), groups of fewer than `least` draws left out.

    Small levels of one column are told together as other values, so that no group of few people is named. A column's
    number of bands comes from the table: `cuts` (ascending numbers) say others. Raises CouldNotLook for cuts of a
    column that is not protected, or that holds no numbers.
    """
    for name in cuts:
        if name not in columns:
            raise CouldNotLook(f"`cuts` names {visible(name, 60)}, which is no protected column of {data.name}")
    single = [_merged(name, *_levels(data, name, cuts.get(name, ())), people) for name in columns]
    usable = [g for g in single if len(g.names) > 1]
    return single, crossed(usable, people)


def crossed(usable: Sequence[Grouping], people: People, most: int = MOST_CROSSED) -> Crossed:
    """The groups that columns make together: all pairs first, then three at a time in the order of the columns.

    At most `most` are asked. A combination without two groups that are large enough is none, and neither are three
    columns whose groups leave out more than a fifth of the rows.
    """
    asked: list[Grouping] = []
    shrunk: list[Grouping] = []
    for place, chosen in enumerate(combinations(usable, 2)):
        if len(asked) == most:
            left = {"pairs": comb(len(usable), 2) - place, "triples": comb(len(usable), 3)}
            return Crossed(asked=tuple(asked), shrunk=tuple(shrunk), **left)
        pair = _together(chosen, people)
        shrunk += [pair] if pair.shrunk else []
        if len(pair.names) > 1:
            asked.append(pair)
    triples = 0
    for trio in combinations(usable, 3):
        three = _together(trio, people)
        shrunk += [three] if three.shrunk else []
        if len(three.names) < 2 or three.share < MOST:
            continue
        if len(asked) < most:
            asked.append(three)
        else:
            triples += 1
    return Crossed(asked=tuple(asked), shrunk=tuple(shrunk), triples=triples)


def _levels(data: Dataset, name: str, cuts: Sequence[float]) -> tuple[Array, list[str]]:
    """(a number per row, the names): levels in the contract's order if it has one, numbers in bands."""
    import numpy as np

    from assay.adapters.encode import numbers
    from assay.adapters.values import canonical_text
    from assay.detectors.groups import MISSING, codes

    column = data.table((name,)).column(0)
    declared = data.contract.columns.get(name)
    order = declared.order if declared is not None else ()
    numeric = data.column(name).kind in ("number", "integer")
    if cuts and not numeric:
        raise CouldNotLook(f"`cuts` gives numbers for {visible(name, 60)}, which holds none")
    if numeric and not order and (cuts or len(column.unique()) > MOST_LEVELS):
        values = numbers(column)
        known = values[np.isfinite(values)]
        at = np.asarray(sorted(cuts)) if cuts else np.quantile(known, np.linspace(0, 1, BANDS + 1)[1:-1])
        at = np.unique(at.astype(float))
        code = np.where(np.isnan(values), len(at) + 1, np.searchsorted(at, values, side="right"))
        ends = [f"{cut:g}" for cut in at]
        names = [f"below {ends[0]}", *(f"{a} to below {b}" for a, b in pairwise(ends)), f"{ends[-1]} and more"]
        return code.astype(np.int64), [*names, MISSING]
    code, names = codes(data, name, data)
    if order:
        known_as = [str(canonical_text(v))[:40] for v in order]
        rank = sorted(range(len(names)), key=lambda p: known_as.index(names[p]) if names[p] in known_as else 99 + p)
        return np.argsort(rank)[code], [names[p] for p in rank]
    return code, names


def _merged(column: str, code: Array, names: list[str], people: People) -> Grouping:
    """The groups of one column; those too small are one, or nobody's where they are too small together."""
    import numpy as np

    from assay.detectors.groups import OTHER

    small = (np.bincount(code, minlength=len(names)) > 0) & (people.sizes(code, len(names)) < people.least)
    shrunk = _shrunk(code, names, people)
    other = names.index(OTHER) if OTHER in names else len(names)
    names = names if OTHER in names else [*names, OTHER]
    code = np.where(small[code], other, code)
    kept = people.sizes(code, len(names)) >= people.least
    shrunk = tuple(dict.fromkeys((*shrunk, *_shrunk(code, names, people))))  # the small ones together too
    return msgspec.structs.replace(_kept((column,), code, names, kept, int(small.sum()), people), shrunk=shrunk)


def _shrunk(code: Array, names: list[str], people: People, times: int = 1) -> tuple[str, ...]:
    """The groups of `times` as many different rows as a group needs that count as fewer than it needs."""
    import numpy as np

    drawn = np.unique(np.column_stack([code, people.draw])[code >= 0], axis=0)[:, 0].astype(np.int64)
    many = np.bincount(drawn, minlength=len(names)) >= times * people.least
    return tuple(visible(names[g], 40) for g in np.flatnonzero(many & (people.sizes(code, len(names)) < people.least)))


def _together(parts: Sequence[Grouping], people: People) -> Grouping:
    import numpy as np

    code, names = np.zeros(len(people.weight), dtype=np.int64), [""]
    for part in parts:
        code = np.where((part.code < 0) | (code < 0), -1, code * len(part.names) + part.code)
        names = [f"{a} & {b}" if a else b for a in names for b in part.names]
    sizes = people.sizes(code, len(names))
    there = np.bincount(code[code >= 0], minlength=len(names)) > 0
    kept = sizes >= people.least
    columns = tuple(c for p in parts for c in p.columns)
    found = _kept(columns, code, names, kept, int((there & ~kept).sum()), people)
    return msgspec.structs.replace(found, shrunk=_shrunk(code, names, people, TIMES))


def _kept(
    columns: tuple[str, ...], code: Array, names: list[str], kept: Array, left_out: int, people: People
) -> Grouping:
    import numpy as np

    places = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
    code = places[code]
    share = float(people.weight[code >= 0].sum() / people.weight.sum())
    shown = tuple(visible(n, 80) for n, k in zip(names, kept, strict=True) if k)
    return Grouping(columns=columns, names=shown, code=code, left_out=left_out, share=share)

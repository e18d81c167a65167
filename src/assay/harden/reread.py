"""Two tables read from their files, a source and what a patch made of it: that they differ only as the patch says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core.errors import InputError, VerificationError
from assay.core.text import visible
from assay.harden.columns import content_digest, rows_of
from assay.harden.records import Records, unquoted

if TYPE_CHECKING:
    from assay.harden.patch import Patch
    from assay.harden.patched import Whole

Edits = dict[str, dict[int, tuple[str | None, str | float | None]]]


def held(before: Whole, after: Whole, patch: Patch, where: str) -> None:
    """Compare every cell of every row that was kept, as both files are read; `where` names what is judged.

    Raises VerificationError where a cell that no change names differs, or a changed one is not what the patch says.
    """
    names = (*patch.columns, patch.weight) if patch.added else patch.columns
    kept = np.setdiff1d(np.arange(before.rows), [c.row for c in patch.of("remove")])
    if before.names != patch.columns or after.names != names or len(kept) != after.rows:
        raise VerificationError("the result has other columns or rows than planned; nothing is written", where=where)
    edits = _edits(patch)
    weights = {c.row: repr(c.new_weight) for c in patch.of("down-weight")} if patch.added else None
    if before.records is not None and after.records is not None:
        place = _other_record(before.records, after.records, kept, edits, patch.columns, weights)
    else:
        place = _other_value(before.columns, after.columns, kept, edits, patch)
    if place:
        raise VerificationError(
            f"the result differs where no change is planned: {place}; nothing is written", where=where
        )


def reread(read: Any, where: str) -> Any:
    """What `read()` gives. Raises VerificationError where the file that was just made cannot be read."""
    try:
        return read()
    except InputError as why:
        what = f"the result is not read as it was meant ({why.what}); nothing is written"
        raise VerificationError(what, where=where) from None


def _edits(patch: Patch) -> Edits:
    """By column and row of the source: how a cell was written before and is written after; None: not told."""
    out: Edits = {}
    for change in patch.changes:
        if change.action == "relabel":
            out.setdefault(patch.label, {})[change.row] = (change.old_label, change.new_label)
        elif change.action == "down-weight" and not patch.added:
            out.setdefault(patch.weight, {})[change.row] = (change.old_weight, change.new_weight)
    return out


def _other_record(
    before: Records, after: Records, kept: Any, edits: Edits, names: tuple[str, ...],
    weights: Mapping[int, str] | None,
) -> str:  # fmt: skip
    """The first row of two CSVs, each cut as it is read, that is not what it should be; "" where there is none."""
    touched = {row for cells in edits.values() for row in cells}
    for place, row in enumerate(kept.tolist()):
        mine, theirs = before.record(row).rstrip(b"\r\n"), after.record(place).rstrip(b"\r\n")
        if row not in touched:
            extra = b"" if weights is None else before.separator + weights.get(row, "1").encode("ascii")
            if theirs != mine + extra:
                return f"row {row}"
            continue
        was, now = before.texts(row), after.texts(place)
        wanted = list(was)
        for name, cells in edits.items():
            column = names.index(name)
            old, new = cells.get(row, (None, None))
            if old is not None and was[column] != unquoted(old.encode("utf-8")):
                return f"row {row}"
            if new is not None:
                wanted[column] = repr(new).encode("ascii") if isinstance(new, float) else unquoted(new.encode("utf-8"))
        if weights is not None:
            wanted.append(weights.get(row, "1").encode("ascii"))
        if now != wanted:
            return f"row {row}"
    return ""


def _other_value(before: Any, after: Any, kept: Any, edits: Edits, patch: Patch) -> str:
    """The first column of two typed tables that is not what it should be; "" where there is none."""
    for name in patch.columns:
        cells = edits.get(name, {})
        same = np.flatnonzero(~np.isin(kept, list(cells)))
        mine, theirs = (rows_of(t.select([name]), r) for t, r in ((before, kept[same]), (after, same)))
        shown = f"column {visible(name, 60)!r}"
        if mine.schema.field(0).type != theirs.schema.field(0).type:
            if name != patch.weight or not _same_numbers(mine.column(0), theirs.column(0)):
                return shown
        elif content_digest(mine) != content_digest(theirs):
            return shown
        for row, (old, new) in cells.items():
            was = before.column(name)[row].as_py()
            now = after.column(name)[int(np.searchsorted(kept, row))].as_py()
            if (old is not None and str(was) != old) or (
                now != new if isinstance(new, float) else str(now) != str(new)
            ):
                return f"row {row}, {shown}"
    if patch.added:
        weights = {c.row: c.new_weight for c in patch.of("down-weight")}
        if after.column(patch.weight).to_pylist() != [weights.get(row, 1.0) for row in kept.tolist()]:
            return f"column {visible(patch.weight, 60)!r}"
    return ""


def _same_numbers(mine: Any, theirs: Any) -> bool:
    """Whether weights of any type are the same as numbers of double precision: whole ones exactly."""
    return all(
        a == b if a is None or b is None or isinstance(a, int) else float(a) == b
        for a, b in zip(mine.to_pylist(), theirs.to_pylist(), strict=True)
    )

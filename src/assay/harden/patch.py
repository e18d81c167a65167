"""A patch of a table: which row was removed, relabelled or down-weighted and why, and what it takes to undo that."""

from __future__ import annotations

import base64
import binascii
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec

from assay.core.canonical import Schema, canonical
from assay.core.errors import InputError, VerificationError, os_words
from assay.core.finding import Json
from assay.core.strict_json import decode
from assay.harden.records import one_cell

Action = Literal["remove", "relabel", "down-weight"]
ACTIONS: tuple[Action, ...] = ("down-weight", "relabel", "remove")  # from weak to strong
MAX_PATCH = 256 << 20
MAX_ROWS = 1 << 40


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What happens to one row (from 0, of the source): by which checks, for which reasons, at which scores.

    Labels and weights are as they are written: the cell's raw text in a CSV, the value's text otherwise. `doubt` is
    what a model that learned without any flagged row gives the other class. `record` is a removed row of a CSV.
    """

    row: int
    action: Action
    checks: tuple[str, ...]
    reasons: tuple[str, ...]
    scores: tuple[float | None, ...]
    doubt: float | None = None
    old_label: str | None = None
    new_label: str | None = None
    old_weight: str | None = None
    new_weight: float | None = None
    record: str | None = None


class Side(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table: its rows, the digest of its file and that of its content (of a CSV the same)."""

    rows: int
    digest: str
    content: str


class Aside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows that nothing looked at and nothing changed: how many, how they were chosen, the digest of their numbers."""

    rows: int
    rule: str
    digest: str


class Patch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A whole patch. `columns` are the source's; `weight` is the column of weights in the result, `added` if it is new.

    `rows_kept` says whether removed rows are in it; without them it can be applied and not reverted. `removed` and
    `cells` are Arrow streams in base64: of a typed table the removed rows, and the label and weight of changed ones.
    """

    kind: Literal["table-patch"]
    schema: Schema
    format: Literal["csv", "parquet", "arrow"]
    source: Side
    result: Side
    columns: tuple[str, ...]
    tool: str
    seed: int
    counts: dict[Action, int]
    checks: dict[str, int]
    changes: tuple[Change, ...]
    parameters: dict[str, Json] = {}
    rows_kept: bool = True
    separator: str = ""
    header: bool = False
    label: str = ""
    weight: str = ""
    added: bool = False
    aside: Aside | None = None
    removed: str = ""
    cells: str = ""

    def of(self, action: Action) -> tuple[Change, ...]:
        """The changes of one kind, by row."""
        return tuple(c for c in self.changes if c.action == action)


def encode_patch(patch: Patch) -> bytes:
    """The patch as canonical JSON with a line end: the same bytes for the same patch.

    Raises VerificationError where it would be too large to be read again.
    """
    data = canonical(patch) + b"\n"
    if len(data) > MAX_PATCH:
        what = f"the patch would be {len(data):,} bytes, more than the {MAX_PATCH:,} that are read again"
        raise VerificationError(what, fix="--no-rows keeps removed rows out of it; nothing is written")
    return data


def read_patch(path: Path) -> Patch:
    """The patch in a file. Raises InputError where it is absent, too large, torn, or contradicts itself."""
    where = str(path)
    try:
        if not path.is_file():
            raise InputError("does not exist, or is not a regular file", where=where, fix="name a patch of `harden`")
        with path.open("rb") as stream:
            data = stream.read(MAX_PATCH + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=where, fix="check its permissions") from None
    if len(data) > MAX_PATCH:
        raise InputError(f"is larger than {MAX_PATCH:,} bytes", where=where, fix="is it a patch of `assay harden`?")
    try:
        patch: Patch = decode(data, Patch)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        fix = "fetch it again, or make it anew with `assay harden DATA`"
        raise InputError("is no patch of a table, or is torn", where=where, fix=fix) from None
    if why := _contradiction(patch):
        raise InputError(f"contradicts itself: {why}", where=where, fix="make it anew with `assay harden DATA`")
    return patch


def _contradiction(patch: Patch) -> str:
    rows = [c.row for c in patch.changes]
    if not 0 < patch.source.rows < MAX_ROWS or patch.source.rows - len(patch.of("remove")) != patch.result.rows:
        return "its numbers of rows do not agree"
    if any(a >= b for a, b in pairwise(rows)):
        return "rows are not in order, or named twice"
    if rows and not 0 <= rows[0] <= rows[-1] < patch.source.rows:
        return f"it names rows outside the {patch.source.rows} of its table"
    if {a: n for a, n in patch.counts.items() if n} != dict(Counter(c.action for c in patch.changes)):
        return "its counts are not those of its rows"
    if len(set(patch.columns)) != len(patch.columns) or not patch.columns:
        return "its columns"
    unknown = patch.label not in ("", *patch.columns)
    if unknown or (patch.weight and patch.added == (patch.weight in patch.columns)):
        return "it names a column that its table does not have"
    for change in patch.changes:
        if not len(change.checks) == len(change.reasons) == len(change.scores) > 0:
            return f"row {change.row} has no reason"
        if change.action == "relabel" and (not patch.label or change.new_label is None or change.old_label is None):
            return f"row {change.row} has no new label"
        if change.action == "down-weight" and (not patch.weight or change.new_weight is None):
            return f"row {change.row} has no new weight"
        if change.new_weight is not None and not (math.isfinite(change.new_weight) and change.new_weight >= 0):
            return f"row {change.row} has a weight that is none"
    return _no_csv(patch) if patch.format == "csv" else ""


def _no_csv(patch: Patch) -> str:
    """Why what the patch writes into a CSV would not stay in the cell or the row that it is for."""
    if len(patch.separator) != 1 or patch.separator in '"\r\n\0':
        return "its separator"
    if patch.added and not one_cell(patch.weight, patch.separator):
        return "the name of its column of weights is more than one cell"
    for change in patch.changes:
        cells = (change.old_label, change.new_label, change.old_weight)
        if not all(one_cell(cell, patch.separator) for cell in cells if cell is not None):
            return f"what it writes into row {change.row} is more than one cell"
        if (
            change.action == "remove"
            and patch.rows_kept
            and not (change.record or "").strip("\r\n")
            and patch.columns[1:]
        ):
            return f"removed row {change.row} is not in it"
    return ""


def packed(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode("ascii")


def unpacked(text: str, where: str) -> bytes:
    """The bytes of base64. Raises InputError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("holds rows that are torn", where=where, fix="fetch the patch again") from None

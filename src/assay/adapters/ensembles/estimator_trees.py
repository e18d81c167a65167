"""The trees of an estimator in the sandbox: read out by the child as plain numbers, checked and assembled here."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import numpy as np

from assay.adapters.encode import codes, numbers
from assay.adapters.ensembles.lightgbm_trees import lightgbm_trees
from assay.adapters.ensembles.pulled import Derived, Reader, pulled
from assay.adapters.ensembles.sound import MOST_NODES, require_sound
from assay.adapters.ensembles.trees import Trees
from assay.adapters.ensembles.xgboost_trees import xgboost_trees
from assay.adapters.lightgbm_text import sound as sound_text
from assay.adapters.predictor_base import listing
from assay.adapters.sandbox import Sandbox
from assay.adapters.sandboxed_widths import Widths
from assay.adapters.xgboost_model import sound as sound_json
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray

_MOST_BYTES = 1 << 30
_FIELDS = ("feature", "threshold", "left", "right", "missing_left", "set_of", "value", "counts")


class Head(msgspec.Struct, kw_only=True):
    """What the child says of the arrays behind it."""

    kind: Literal["nodes", "lightgbm", "xgboost"]
    columns: list[tuple[int, list[str | int | float | bool] | None]] | None
    seen: list[tuple[int, list[str | int | float | bool]]] = []
    computed: list[int] = []
    bytes: int = 0
    nodes: int = 0
    roots: int = 0
    sets: tuple[int, int] = (0, 1)
    link: Literal["identity", "logistic"] = "identity"
    base: float = 0.0
    single: bool = False


def estimator_trees(
    sandbox: Sandbox,
    number: int,
    where: str,
    columns: tuple[str, ...],
    as_asked: Callable[[ArrowTable], ArrowTable],
    *,
    positive: int,
    widths: Callable[[], Widths] = Widths,
) -> Trees:
    """The trees of the estimator `number`, over the `columns` that it is given; `widths` are how its data are stored.

    Raises CouldNotLook where it is no ensemble that can be read out, steps before it bend or mix columns, or compute
    with numbers that are stored narrower than they are asked with here.
    """
    head, body = _asked(sandbox, number, where, positive)
    behind = [Derived(place, None if known is None else tuple(known)) for place, known in head.columns or ()]
    if any(not 0 <= d.place < len(columns) for d in behind) or not (behind or head.columns is None):
        raise CouldNotLook(f"{where}: its steps read columns that it does not have")
    names = columns if head.columns is None else tuple(str(j) for j in range(len(behind)))
    read = {"nodes": _own, "lightgbm": _lightgbm, "xgboost": _xgboost}[head.kind]
    inner = read(head, body, names, where, positive)
    if head.columns is None:
        return inner

    _require_wide(tuple(columns[p] for p in head.computed if 0 <= p < len(columns)), columns, widths(), where)

    def derive(rows: ArrowTable) -> FloatArray:
        return sandbox.derived(as_asked(rows), len(behind), number)

    seen = {place: tuple(known) for place, known in head.seen if known}
    return pulled(inner, behind, columns, derive, where, seen=seen)


def _require_wide(computed: tuple[str, ...], columns: tuple[str, ...], widths: Widths, where: str) -> None:
    """Refuse steps that compute in float32 on rows as they are stored, and in float64 on those that they are given."""
    short = [n for n in columns if n in widths.short]
    # Beside float32, small whole numbers are computed with in float32 too.
    narrow = [n for n in computed if n in widths.short or (short and n in widths.small)]
    if narrow:
        what = f"its steps compute with {listing(narrow)} in float32, as the data are stored, but in float64 here"
        raise CouldNotLook(
            f"{where}: {what}; store them as double, here and where the model runs, or attack it with `access: label`"
        )


def _asked(sandbox: Sandbox, number: int, where: str, positive: int) -> tuple[Head, bytes]:
    ask = json.dumps({"trained": number, "positive": positive}).encode()
    *blocks, _ = sandbox.stream(b"N", ask, _MOST_BYTES, "reading its trees")
    content = b"".join(blocks)
    try:
        (size,) = struct.unpack("<Q", content[:8])
        head = msgspec.json.decode(content[8 : 8 + size], type=Head)
    except (struct.error, msgspec.MsgspecError):
        raise CouldNotLook(f"{where}: the sandboxed model answered garbage for its trees") from None
    return head, content[8 + size :]


def _own(head: Head, body: bytes, columns: tuple[str, ...], where: str, positive: int) -> Trees:
    del positive  # the child has turned them already
    rows, wide = head.sets
    sizes = (head.nodes * 8 * 8, head.roots * 8, rows * wide)
    if min(head.nodes, head.roots, rows, wide) < 0 or head.nodes > MOST_NODES or sum(sizes) != len(body):
        raise CouldNotLook(f"{where}: the sandboxed model answered other trees than it told")
    table = np.frombuffer(body[: sizes[0]], dtype="<f8").reshape(-1, 8)
    roots = np.frombuffer(body[sizes[0] : sizes[0] + sizes[1]], dtype="<i8")
    sets = np.frombuffer(body[sizes[0] + sizes[1] :], dtype="u1").reshape(rows, wide).astype(bool)
    nodes = dict(zip(_FIELDS, table.T, strict=True)) | {"roots": roots}
    whole = [nodes[name] for name in ("feature", "left", "right", "set_of")]
    if not all(np.isfinite(v).all() and (np.abs(v) < 2**31).all() and (v == np.round(v)).all() for v in whole):
        raise CouldNotLook(f"{where}: its trees are torn or damaged: a node or column is no whole number")
    if not np.isfinite(head.base):
        raise CouldNotLook(f"{where}: its trees start from a value that is no number")
    for name in ("feature", "left", "right", "set_of"):
        nodes[name] = nodes[name].astype(np.int64)
    require_sound(nodes, len(columns), rows, where)
    # A forest's threads add its trees as they end (`n_jobs`); whole votes make the same sum in any order.
    votes = nodes["value"][nodes["feature"] < 0] * len(roots)
    unordered = head.link == "identity" and len(roots) > 2 and bool((np.abs(votes - np.round(votes)) > 1e-9).any())
    return Trees(
        columns, Reader(columns, {}, where), nodes, base=head.base, link=head.link, single=head.single, sets=sets,
        unordered=unordered,
    )  # fmt: skip


def _lightgbm(head: Head, body: bytes, columns: tuple[str, ...], where: str, positive: int) -> Trees:
    model = sound_text(body, where)
    _require_width(len(model.features), columns, where)
    levels = {columns[p]: level for p, level in zip(model.categorical, model.levels, strict=False)}
    return lightgbm_trees(model.text, where, columns, _by_codes(columns, levels, where), levels, positive=positive)


def _xgboost(head: Head, body: bytes, columns: tuple[str, ...], where: str, positive: int) -> Trees:
    learner, _ = sound_json(body, where)
    _require_width(learner.width, columns, where)
    if any(encoding.values for encoding in learner.forest.cats.enc):
        raise CouldNotLook(f"{where}: keeps categories of its own inside a pickle; save it as XGBoost's `.json`")
    return xgboost_trees(learner, where, columns, Reader(columns, {}, where), {}, positive=positive)


def _require_width(found: int, columns: tuple[str, ...], where: str) -> None:
    if found != len(columns):
        raise CouldNotLook(f"{where}: its trees read {found} columns, the model is given {len(columns)}")


def _by_codes(
    columns: tuple[str, ...], levels: dict[str, tuple[Any, ...]], where: str
) -> Callable[[ArrowTable], FloatArray]:
    """A reader for which an unknown level is a missing value, as LightGBM takes it."""
    plain = Reader(columns, {}, where)
    if not levels:
        return plain

    def read(rows: ArrowTable) -> FloatArray:
        parts = [codes(rows.column(n), levels[n])[0] if n in levels else numbers(rows.column(n)) for n in columns]
        return np.column_stack(parts)

    return read

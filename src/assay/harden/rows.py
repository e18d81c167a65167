"""The rows that an original and its conversion both answer: given ones, or generated over several scales."""

from __future__ import annotations

import msgspec

from assay.adapters.extras import library
from assay.adapters.predictor_base import require_numeric
from assay.adapters.sandbox import ModelFacts, Sandbox
from assay.adapters.sandboxed import as_numbers
from assay.adapters.tables import Dataset
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.text import visible

_A_SCALE = 100
_MOST_WIDTH = 10_000
_BATCH = 20_000


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """How two models' answers compare: `differ` rows of `rows`, and the greatest difference of a number."""

    rows: int
    methods: tuple[str, ...]
    max_difference: float
    differ: int


def given(where: str, facts: ModelFacts, data: Dataset, names: tuple[str, ...]) -> ArrowTable:
    """The columns `names` of a table; as numbers where the model was fitted on a matrix. Raises CouldNotLook."""
    rows = data.table(names)
    if facts.features is None and facts.width is None and len(names) == 1:
        return rows  # texts, as a vectorizer takes them; or one column of numbers
    if facts.features is None:
        require_numeric(where, rows, names)
        rows = as_numbers(rows)
    return rows


def generated(where: str, facts: ModelFacts) -> ArrowTable:
    """Seeded rows as wide as the model: normal at scales from 0.001 to 1000, whole numbers, and zeros.

    Raises CouldNotLook where the model does not say how wide it is.
    """
    np, pa = library("numpy"), library("pyarrow")
    width = facts.width
    if width is None or not 0 < width <= _MOST_WIDTH:
        raise CouldNotLook(f"{where}: does not say how many inputs it takes; give --rows to compare on")
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(_A_SCALE, width)) * 10.0**power for power in range(-3, 4)]
    parts += [rng.integers(0, 10, (_A_SCALE, width)).astype(np.float64), np.zeros((1, width))]
    matrix = np.concatenate(parts)
    names = facts.features or tuple(f"x{i}" for i in range(width))
    return pa.table([pa.array(matrix[:, i]) for i in range(width)], names=list(names))


def require_answer(original: Sandbox, facts: ModelFacts, rows: ArrowTable, where: str) -> tuple[str, ...]:
    """The methods by which a model answers the first row. Raises CouldNotLook where there is none."""
    methods, failure = [], ""
    for method in facts.answers:
        try:
            original.answers(rows.slice(0, 1), method)
        except CouldNotLook as error:  # a method that this estimator only has by name
            failure = failure or str(error)
            continue
        methods.append(method)
    if not methods:
        what = failure or f"{where}: holds a {visible(facts.type, 60)}, which answers nothing"
        raise CouldNotLook(f"{what}; nothing could be compared: give --rows that it can answer")
    return tuple(methods)


def compare(original: Sandbox, converted: Sandbox, rows: ArrowTable, methods: tuple[str, ...]) -> Answers:
    """Ask both the same, by every method. Raises CouldNotLook where either breaks."""
    worst, differ = 0.0, 0
    for method in methods:
        for start in range(0, rows.num_rows, _BATCH):
            part = rows.slice(start, _BATCH)
            far, many = _difference(original.answers(part, method), converted.answers(part, method), part.num_rows)
            worst, differ = max(worst, far), differ + many
    return Answers(rows=rows.num_rows, methods=methods, max_difference=worst, differ=differ)


def _difference(left: FloatArray | list[str], right: FloatArray | list[str], rows: int) -> tuple[float, int]:
    """(the greatest difference, rows that differ) of two answers; texts that differ are infinitely far apart."""
    np = library("numpy")
    if isinstance(left, list) or isinstance(right, list):
        if type(left) is not type(right) or len(left) != len(right):
            return float("inf"), rows
        many = sum(a != b for a, b in zip(left, right, strict=True))
        return (float("inf") if many else 0.0), many
    if left.shape != right.shape or left.size % rows:
        return float("inf"), rows
    if left.tobytes() == right.tobytes():
        return 0.0, 0
    left, right = left.reshape(rows, -1), right.reshape(rows, -1)
    other = ~((left == right) | (np.isnan(left) & np.isnan(right)))
    with np.errstate(invalid="ignore"):
        far = np.abs(left - right)[other]
    return float(np.nan_to_num(far, nan=np.inf).max(initial=0.0)), int(other.any(axis=1).sum())

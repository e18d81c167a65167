"""Programs of torch (`torch.export.save`, `.pt2`): their operators are run by torch, the archive is read by us."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from assay.adapters.again import LOCAL
from assay.adapters.encode import numbers
from assay.adapters.extras import library
from assay.adapters.predictor_base import (
    BasePredictor,
    declared_inputs,
    positive_index,
    require_columns,
    require_count,
    require_numeric,
    threshold_of,
)
from assay.adapters.tables import Dataset
from assay.adapters.torch.program import Named, Program, Step, read_program
from assay.adapters.torch.run import CASTS, VIEWS, Runner, base_of, words
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.subject import Subject

if TYPE_CHECKING:
    from assay.adapters.networks.network import Network

_TYPES = {7: "float32", 8: "float64"}
_UNIT = frozenset({"sigmoid", "softmax", "_softmax", "hardsigmoid"})
_KEPT = VIEWS | CASTS | words("select slice narrow mean amax amin cat stack dropout index_select max min")
_LOOKED_AT, _TELLING, _OWN = 500, 20, 1e-5
_LOGITS = (
    "its last step is no sigmoid or softmax: what it gives is read as logits "
    "(the score is their sigmoid, of several outputs their softmax)"
)


class Span(NamedTuple):
    """Between which numbers a tensor lies, whatever the input."""

    low: float = -math.inf
    high: float = math.inf


class TorchPredictor(BasePredictor):
    """A classifier of `torch.export`: one tensor (rows, columns) in; one score, or one score a class, out.

    An output that cannot leave 0 … 1 (a sigmoid or softmax at its end) is a probability. Any other is logits: the score
    is the sigmoid of one output, or the softmax of several, so that 0.5 flags from logit 0 on.
    """

    kind = "torch"
    rate = LOCAL

    def __init__(self, content: bytes, subject: Subject, data: Dataset | None = None) -> None:
        super().__init__(subject.uri)
        self._program = read_program(content, subject.uri)
        if self._program.kind not in _TYPES:
            raise CouldNotLook(f"{self.where}: its input is no float32 or float64, which rows are turned into here")
        self.features = self._feature_names(subject, data)
        require_columns(self.where, self.features, data)
        if self._program.width is None:
            self._program = self._program._replace(width=len(self.features))
        self._runner: Runner | None = Runner(self._program, self.where)
        shape = self._runner.shape(self._program.batch or max(2, self._program.least))
        if len(shape) not in (1, 2) or shape[0] != (self._program.batch or max(2, self._program.least)):
            raise CouldNotLook(f"{self.where}: gives a tensor {shape}; a score, or one a class, for each row is read")
        self._count = shape[1] if len(shape) == 2 else 1
        if self._count < 1:
            raise CouldNotLook(f"{self.where}: gives no number for a row")
        span = spans(self._program, self._runner)
        self._logits = not (span.low >= 0 and span.high <= 1)
        self.classes = tuple(range(max(self._count, 2)))
        self._positive = positive_index(subject, data, self.classes)
        self.threshold = threshold_of(subject, 0.5)
        if data is not None:
            some = data.table(self.features).slice(0, _LOOKED_AT)
            self._require_own(some.slice(0, _TELLING))
            if self._logits:
                self._require_logits(some)
        notes = [_LOGITS] if self._logits else []
        if self._program.batch is not None:
            notes.append(f"it was exported for {self._program.batch} rows at once, and is run in such batches")
        self.notes = tuple(notes)

    def close(self) -> None:
        """Let go of the program."""
        self._runner = None

    def network(self, rows: ArrowTable) -> Network:
        """The small network that the program is. Raises CouldNotLook."""
        from assay.adapters.torch.network import torch_network

        runner = self._open()
        return torch_network(
            self._program, runner.steps, runner.constants, self.where, self.features, self._positive,
            count=self._count, logits=self._logits,
        )  # fmt: skip

    def _open(self) -> Runner:
        if self._runner is None:
            raise CouldNotLook(f"{self.where}: is closed")
        return self._runner

    def _feature_names(self, subject: Subject, data: Dataset | None) -> tuple[str, ...]:
        """`inputs:`, else the dataset's features in file order."""
        if declared := declared_inputs(subject):
            found, source = declared, "`inputs:`"
        elif data is not None:
            found, source = data.features, data.subject.uri
        else:
            what = "does not say which columns it reads, and no data is named"
            raise CouldNotLook(f"{self.where}: {what}; set `inputs:` or `data:`")
        if self._program.width is not None:
            require_count(self.where, found, self._program.width, source)
        return found

    def _score(self, rows: ArrowTable) -> FloatArray:
        np = library("numpy")
        step = self._open().rows
        parts = [self._told(self._raw(rows.slice(start, step))) for start in range(0, rows.num_rows, step)]
        return np.concatenate(parts)

    def _raw(self, rows: ArrowTable) -> FloatArray:
        """What the program gives (n, k) for rows that are at most one batch."""
        np = library("numpy")
        runner = self._open()
        require_numeric(self.where, rows, self.features)
        matrix = np.column_stack([numbers(rows.column(n)) for n in self.features])
        # A value beyond float32's range becomes infinite there, as it does where the model is served.
        with np.errstate(over="ignore"):
            x = np.ascontiguousarray(matrix, dtype=_TYPES[self._program.kind])
        short = (self._program.batch or self._program.least) - len(x)
        if short > 0:
            x = np.concatenate([x, np.repeat(x[-1:], short, axis=0)])
        out = runner.run(x)
        if out.shape[:1] != (len(x),) or out.size != len(x) * self._count:
            raise CouldNotLook(f"{self.where}: gives {out.shape} for {len(x)} rows")
        return out.reshape(len(x), -1)[: rows.num_rows]

    def _require_own(self, rows: ArrowTable) -> None:
        """Refuse a program whose answer to a row hangs on the rows beside it. Raises CouldNotLook."""
        np = library("numpy")
        step = self._open().rows
        among = np.concatenate([self._raw(rows.slice(at, step)) for at in range(0, rows.num_rows, step)])
        alone = np.concatenate([self._raw(rows.slice(at, 1)) for at in range(rows.num_rows)])
        apart = np.abs(among - alone) > _OWN * np.maximum(1.0, np.abs(among))
        if apart.any():
            count = int(apart.any(axis=1).sum())
            what = f"answers {count} of {rows.num_rows} rows otherwise alone than among others: its operators mix rows"
            raise CouldNotLook(f"{self.where}: {what}; export a program that answers each by itself")

    def _require_logits(self, rows: ArrowTable) -> None:
        """Refuse what may be probabilities after all: read as logits, all would be flagged. Raises CouldNotLook."""
        np = library("numpy")
        out = np.concatenate([self._raw(rows.slice(at, self._open().rows))
                              for at in range(0, rows.num_rows, self._open().rows)])  # fmt: skip
        if len(out) >= _TELLING and out.min() >= 0 and out.max() <= 1:
            what = f"gives numbers from 0 to 1 for {len(out)} rows, but no sigmoid or softmax is seen at its end"
            raise CouldNotLook(
                f"{self.where}: {what}; end it in a sigmoid, or in clamp(0, 1) if they are probabilities"
            )

    def _told(self, out: FloatArray) -> FloatArray:
        """The score of the positive class for what the program gives (n, k)."""
        np = library("numpy")
        if self._count == 1:
            with np.errstate(over="ignore"):
                second = 1.0 / (1.0 + np.exp(-out[:, 0])) if self._logits else out[:, 0]
            return second if self._positive == 1 else 1.0 - second
        if not self._logits:
            return out[:, self._positive]
        with np.errstate(invalid="ignore"):  # infinite minus infinite is NaN, which the base refuses
            parts = np.exp(out - out.max(axis=1, keepdims=True))
        return parts[:, self._positive] / parts.sum(axis=1)


def spans(program: Program, runner: Runner) -> Span:
    """Between which numbers the output lies, as far as its last steps tell: sigmoid, softmax and clips, and what keeps
    their range or moves it by plain numbers."""
    found: dict[str, Span] = {}
    for step in runner.steps:
        span = _span(step, found)
        found |= dict.fromkeys(step.outputs, span)
    return found.get(program.output, Span())


def _span(step: Step, found: dict[str, Span]) -> Span:
    name, told = base_of(step), step.inputs
    if name in _UNIT:
        return Span(0.0, 1.0)
    parts = [found.get(n, Span()) for n in step.reads()]
    whole = Span(min((p.low for p in parts), default=-math.inf), max((p.high for p in parts), default=math.inf))
    if name in _KEPT:
        return whole
    if name in ("clamp", "hardtanh"):
        low, high = (told.get(n) for n in (("min", "max") if name == "clamp" else ("min_val", "max_val")))
        low, high = (
            (-1.0 if low is None and name == "hardtanh" else low),
            (1.0 if high is None and name == "hardtanh" else high),
        )
        return Span(
            *(d if not isinstance(v, int | float) else float(v) for v, d in ((low, whole.low), (high, whole.high)))
        )
    first, other = told.get("self"), told.get("other")
    if name == "add" and len(parts) == 2 and told.get("alpha", 1) == 1:
        return Span(parts[0].low + parts[1].low, parts[0].high + parts[1].high)
    if isinstance(first, Named) and isinstance(other, int | float) and told.get("alpha", 1) == 1:
        return _moved(name, found.get(first.name, Span()), float(other))
    if name == "exp":
        return Span(math.exp(min(whole.low, 700.0)), math.exp(whole.high) if whole.high <= 700 else math.inf)
    return Span(high=0.0) if name in ("log_softmax", "_log_softmax", "log_sigmoid") else Span()


def _moved(name: str, span: Span, by: float) -> Span:
    """A range after one plain number was added, taken away, multiplied or divided by."""
    ends: dict[str, Any] = {
        "add": lambda v: v + by, "sub": lambda v: v - by, "rsub": lambda v: by - v, "mul": lambda v: v * by,
        "div": lambda v: v / by,
    }  # fmt: skip
    if name not in ends or (name in ("mul", "div") and (by == 0 or not math.isfinite(by))):
        return Span()
    low, high = sorted((ends[name](span.low), ends[name](span.high)))
    return Span(low, high)

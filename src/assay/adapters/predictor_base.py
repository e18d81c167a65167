"""What all predictors share: which columns are asked for, which class is positive, counting, and refusing NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from assay.adapters.again import Again, Rate
from assay.adapters.encode import codes, numbers
from assay.adapters.extras import library
from assay.adapters.tables import Dataset
from assay.adapters.values import listed, same_value
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.subject import Access, Subject
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.adapters.ensembles.trees import Trees
    from assay.adapters.networks.network import Network


_BATCH = 65_536
_EXACT = 2**53  # up to here every whole number is a double of its own


class BasePredictor:
    """A `core.protocols.Predictor`; subclasses fill the attributes and answer `_score`. Use as a context manager.

    `where` names the model in messages; `notes` are facts about how it was opened that a report should carry.
    """

    features: tuple[str, ...] = ()
    classes: tuple[Any, ...] = (0, 1)
    threshold: float = 0.5
    access: Access = "score"
    kind: str = ""
    rate: Rate | None = None  # None for what answers each row by itself, whatever its file says

    def __init__(self, where: str) -> None:
        self.where = where
        self.queries = 0
        self.notes: tuple[str, ...] = ()
        self.tables: Callable[[], tuple[Dataset, ...]] = tuple  # whose rows it is asked of
        self._again: Again | None = None

    def scores(self, rows: ArrowTable) -> FloatArray:
        """Score of the positive class for each row, shape (n,), float64. Raises CouldNotLook."""
        np = library("numpy")
        missing = [name for name in self.features if name not in rows.column_names]
        if missing:
            raise CouldNotLook(f"{self.where}: the rows lack {listing(missing)}, which the model reads")
        if rows.num_rows == 0:
            return np.empty(0, dtype=np.float64)
        asked = rows.select(list(self.features))
        out = np.asarray(self._score(asked), dtype=np.float64)
        if out.shape != (rows.num_rows,):
            raise CouldNotLook(f"{self.where}: gave {out.shape} scores for {rows.num_rows} rows")
        if np.isnan(out).any():
            bad = int(np.isnan(out).sum())
            why = too_large(asked.filter(library("pyarrow").array(np.isnan(out))))
            raise CouldNotLook(f"{self.where}: scored {bad} of {rows.num_rows} rows as NaN{why}")
        self.queries += rows.num_rows
        self._heard(asked, out)
        return out

    def flagged(self, rows: ArrowTable) -> FloatArray:
        """Whether score >= threshold for each row, shape (n,), bool."""
        return self.scores(rows) >= self.threshold

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """While it is timed nothing is asked beside."""
        rate, self.rate = self.rate, None
        try:
            yield
        finally:
            self.rate = rate

    def settle(self) -> None:
        """At the end of what was asked: some of it is asked again. Raises CouldNotLook where an answer changed."""
        if self._again is not None:
            self._again.settle()

    def _heard(self, rows: ArrowTable, scores: FloatArray) -> None:
        """A sample of what was answered is asked again alone. Raises CouldNotLook where the answer is another."""
        if self.rate is None:
            return
        if self._again is None:
            self._again = Again(self._alone, self.where, self.rate, labels=self.access == "label")
        self._again.hear(rows, scores)

    def _alone(self, row: ArrowTable) -> FloatArray:
        """The score (1,) of one row that was asked before."""
        return self._score(row)

    def trees(self) -> Trees:
        """What it computes, as trees. Raises CouldNotLook where it is no ensemble of them that can be read."""
        what = "is no ensemble of trees that can be read out of it (XGBoost, LightGBM, CatBoost, scikit-learn, ONNX)"
        raise CouldNotLook(f"{self.where}: {what}; attack it with `access: score` or `access: label`")

    def network(self, rows: ArrowTable) -> Network:
        """What it computes, as layers; `rows` are any that it reads. Raises CouldNotLook where it is no network."""
        what = "is no small network or linear model that can be read out of it"
        raise CouldNotLook(f"{self.where}: {what}; attack it with `access: score` or `access: label`")

    def read(self, rows: ArrowTable | None) -> Trees | Network:
        """What it computes: trees, else layers (these need `rows`). Raises CouldNotLook where it is neither."""
        try:
            return self.trees()
        except CouldNotLook as no_trees:
            if rows is None:
                raise
            try:
                return self.network(rows)
            except CouldNotLook as no_network:
                raise CouldNotLook(f"{no_trees}; {no_network}") from None

    def readable(self, rows: ArrowTable | None) -> bool:
        """Whether `read` answers."""
        try:
            self.read(rows)
        except CouldNotLook:
            return False
        return True

    def close(self) -> None:
        """Let go of what it holds."""

    def __enter__(self) -> BasePredictor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _score(self, rows: ArrowTable) -> FloatArray:
        """Scores of a table that has exactly `features`, in order."""
        raise TypeError(f"{type(self).__name__} does not score")


def batches(rows: ArrowTable) -> Iterator[ArrowTable]:
    """The rows, at most 65,536 at a time: what a library makes of them in between stays bounded."""
    for start in range(0, rows.num_rows, _BATCH):
        yield rows.slice(start, _BATCH)


def of_class(answer: FloatArray, place: int, *, probability: bool) -> FloatArray:
    """The score (n,) of the class at `place`, of a column for each class (n, k) or, of two, one number for the second
    (n,): its probability, or its margin."""
    if answer.ndim == 2:
        return answer[:, place]
    if place == 1:
        return answer
    return 1.0 - answer if probability else -answer


def listing(names: list[str] | tuple[str, ...], most: int = 6) -> str:
    """Up to `most` names in one line."""
    shown = ", ".join(visible(str(name), 40) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def threshold_of(subject: Subject, default: float) -> float:
    """The deployed operating point that the manifest declares, else `default`. Raises CouldNotLook."""
    value = subject.options.get("threshold")
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CouldNotLook(f"{subject.uri}: `threshold: {visible(str(value), 40)}` is not a number")
    return float(value)


def declared_inputs(subject: Subject) -> tuple[str, ...]:
    """The column names that `inputs:` lists, in the model's order; () without it. Raises CouldNotLook."""
    value = subject.options.get("inputs")
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or not value or not all(isinstance(v, str) for v in value):
        raise CouldNotLook(f"{subject.uri}: `inputs` is not a list of column names")
    return tuple(str(v) for v in value)


def positive_index(subject: Subject, data: Dataset | None, classes: tuple[Any, ...]) -> int:
    """The place of the positive class in `classes`. Raises CouldNotLook when it is not declared or not among them.

    The model's own `positive:` must name one of its classes. The dataset's may also be a word that training turned into
    0/1, which then means the class 1.
    """
    positive = subject.options.get("positive")
    declared = positive is not None
    if positive is None and data is not None:
        positive = data.positive
    if positive is not None and not isinstance(positive, list | dict):
        for index, value in enumerate(classes):
            if same_value(value, positive):
                return index
    binary = len(classes) == 2 and same_value(classes[0], 0) and same_value(classes[1], 1)
    if not declared and (binary or (positive is None and len(classes) == 2)):
        return 1
    if positive is None:
        raise CouldNotLook(f"{subject.uri}: has {class_words(classes)}; say which one is `positive:`")
    whose = "`positive:`" if declared or data is None else f"`positive:` of {data.subject.uri}"
    raise CouldNotLook(f"{subject.uri}: {whose} is none of its {class_words(classes)}; it has to name one of them")


def class_words(classes: tuple[Any, ...]) -> str:
    """How many classes of which types; truth values by name. Others may be customers' words: they stay out."""
    count = f"{len(classes)} class{'es' if len(classes) != 1 else ''}"
    words = [str(value).lower() for value in classes]
    if set(words) <= {"0", "1", "0.0", "1.0", "true", "false"}:
        return f"{count} ({', '.join(words)})"
    kinds = {"str": "text", "int": "whole numbers", "float": "numbers", "bool": "truth values"}
    return f"{count} ({' and '.join(sorted({kinds.get(type(value).__name__, 'other') for value in classes}))})"


def require_columns(where: str, wanted: tuple[str, ...], data: Dataset | None) -> None:
    """Refuse a model whose named inputs the data lacks, saying which. Raises CouldNotLook."""
    if data is None:
        return
    have = tuple(c.name for c in data.columns)
    missing = [name for name in wanted if name not in have]
    if missing:
        extra = [name for name in data.features if name not in wanted]
        what = f"the model reads {listing(missing)}, which {data.subject.uri} lacks"
        what += f"; the data has {listing(extra)} instead" if extra else ""
        fix = "name the table that it was trained on, or set `inputs:` to the columns in the model's order"
        raise CouldNotLook(f"{where}: {what}; {fix}")


def require_count(where: str, names: tuple[str, ...], count: int, source: str) -> None:
    """Refuse a list of names that does not fit the model's number of inputs. Raises CouldNotLook."""
    if len(names) != count:
        what = f"the model takes {count} inputs, {source} has {len(names)} ({listing(names)})"
        raise CouldNotLook(f"{where}: {what}; set `inputs:` to the columns in the model's order")


def coded_matrix(
    where: str, rows: ArrowTable, features: tuple[str, ...], levels: Mapping[str, tuple[Any, ...]]
) -> FloatArray:
    """Columns as one float64 matrix (n, d): numbers as they are, those with `levels` as their codes, NaN for others."""
    np = library("numpy")
    require_numeric(where, rows, tuple(n for n in features if n not in levels))
    matrix = np.empty((rows.num_rows, len(features)), dtype=np.float64)
    for place, name in enumerate(features):
        column, known = rows.column(name), levels.get(name)
        matrix[:, place] = numbers(column) if known is None else codes(column, known)[0]
    return matrix


def unknown_levels(rows: ArrowTable, levels: Mapping[str, tuple[Any, ...]]) -> tuple[str, ...]:
    """Notes on columns with values that none of the model's `levels` is: they are missing to it."""
    notes = []
    for name, known in levels.items():
        values = [v for v in listed(rows.column(name).unique()) if v is not None and v == v]
        unknown = codes(library("pyarrow").chunked_array([values]), known)[2] if values else 0
        if unknown:
            what = f"{unknown} of {len(values)} categories of {listing([name])} are unknown to the model"
            notes.append(f"{what}, which takes them for missing")
    return tuple(notes)


def require_numeric(where: str, rows: ArrowTable, names: tuple[str, ...]) -> None:
    """Refuse text columns where the model wants numbers; a column without any value is none. Raises CouldNotLook naming
    them and what they hold."""
    types = library("pyarrow").types
    held: dict[str, list[str]] = {}
    for name in names:
        kind = rows.schema.field(name).type
        if (types.is_string(kind) or types.is_large_string(kind)) and rows.column(name).null_count < rows.num_rows:
            held.setdefault(_held(rows.column(name)), []).append(name)
    if held:
        told = [f"{listing(own)} {'holds' if len(own) == 1 else 'hold'} {what}" for what, own in held.items()]
        raise CouldNotLook(f"{where}: the model wants numbers, but {', '.join(told)}")


def _held(column: Any) -> str:
    """What a column that is stored as text holds: lists, and numbers that doubles would merge, are stored so too."""
    compute = library("pyarrow.compute")
    values = column.drop_null()

    def all_match(pattern: str) -> bool:
        return bool(compute.all(compute.match_substring_regex(values, pattern)).as_py())

    if all_match(r"^[\[{]"):
        return "no plain numbers"
    if all_match(r"^[+-]?\d{1,300}(\.\d*)?$"):
        far = compute.max(compute.abs(compute.cast(compute.utf8_ltrim(values, "+"), "float64"))).as_py()
        return "numbers of more digits than a double keeps" if far > _EXACT else "text"
    return "text"


def too_large(rows: ArrowTable) -> str:
    """ ": a holds infinite numbers in 1 row; …", to say where rows could not be scored; "" where none holds them."""
    pa, np = library("pyarrow"), library("numpy")
    columns = {n: numbers(rows.column(n)) for n in rows.column_names if pa.types.is_floating(rows.schema.field(n).type)}
    for kind, what in ((np.float64, "infinite numbers"), (np.float32, "numbers beyond float32's range")):
        with np.errstate(over="ignore"):
            hit = {name: np.isinf(values.astype(kind)) for name, values in columns.items()}
        named = [name for name, bad in hit.items() if bad.any()]
        if named:
            count = int(np.logical_or.reduce([hit[name] for name in named]).sum())
            told = f"{listing(named)} {'holds' if len(named) == 1 else 'hold'} {what}"
            which, them = ("1 row", "it") if count == 1 else (f"{count} rows", "them")
            return f": {told} in {which}; mend {them}, or take {them} out"
    return ""

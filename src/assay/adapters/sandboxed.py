"""scikit-learn models (pickle, joblib, skops) as predictors: scanned first, loaded and asked only in the sandbox."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from assay.adapters.again import LOCAL
from assay.adapters.extras import library
from assay.adapters.predictor_base import (
    BasePredictor,
    batches,
    class_words,
    declared_inputs,
    listing,
    positive_index,
    require_columns,
    require_count,
    require_numeric,
    threshold_of,
)
from assay.adapters.sandbox import Isolation, Limits, ModelFacts, Sandbox
from assay.adapters.sandboxed_widths import widths_of
from assay.adapters.tables import Dataset
from assay.core.errors import CouldNotLook, InputError
from assay.core.finding import Severity
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.subject import Subject
from assay.core.text import visible
from assay.formats.allowed import allowed
from assay.formats.artifact import examine, safe_to_load
from assay.formats.pickle.tiers import SAFE, classify

if TYPE_CHECKING:
    from assay.adapters.ensembles.trees import Trees
    from assay.adapters.networks.network import Network

SKOPS = ".skops"
_MOST_GRAPH = 1 << 28
# What joblib opens as one pickle: plain, or compressed as a whole.
_LOADABLE = frozenset({"pickle", "zlib", "gzip", "bz2", "xz", "lzma", "lz4"})


class SandboxedPredictor(BasePredictor):
    """An estimator in a walled-in child process. `isolation` says which walls stood when it was loaded."""

    kind = "sandboxed"
    rate = LOCAL

    def __init__(
        self, sandbox: Sandbox, subject: Subject, data: Dataset | None = None, trusted: tuple[str, ...] | None = None
    ) -> None:
        """With `trusted` types the file is read as skops, else as a pickle."""
        super().__init__(subject.uri)
        self._sandbox, self._number = sandbox, 0  # the estimator from the file; others were trained again from it
        self.isolation: Isolation = sandbox.isolation
        self.tables = lambda: () if data is None else (data,)
        facts = sandbox.load(trusted)
        if not facts.methods:
            raise CouldNotLook(f"{self.where}: holds a {visible(facts.type, 60)}, which cannot predict")
        self._method = facts.methods[0]
        self._named = facts.features is not None
        self.features = columns_of(facts, subject, data)
        require_columns(self.where, self.features, data)
        self._classify(facts, subject, data)
        self.threshold = threshold_of(subject, 0.0 if self._method == "decision_function" else 0.5)
        self.notes = tuple(visible(w, 200) for w in facts.warnings)

    def close(self) -> None:
        """Kill the child; of what was trained again in it, only let go."""
        if not self._number:
            self._sandbox.close()
        else:
            with contextlib.suppress(CouldNotLook):  # the child may be gone already
                self._sandbox.forget(self._number)

    def trees(self) -> Trees:
        """The trees of the estimator, told in the model's own columns where steps stand before them.

        Raises CouldNotLook where it is no ensemble that can be read out, or a step bends or mixes its columns or
        computes in the float32 of the data's own file.
        """
        from assay.adapters.ensembles.estimator_trees import estimator_trees

        return estimator_trees(
            self._sandbox,
            self._number,
            self.where,
            self.features,
            self._as_asked,
            positive=self._positive,
            widths=lambda: widths_of(*self.tables()),
        )

    def network(self, rows: ArrowTable) -> Network:
        """The estimator as layers. Raises CouldNotLook where it is no small network or linear model."""
        from assay.adapters.networks.network import SINGLE
        from assay.adapters.networks.sklearn_network import estimator_network

        words = self._words(rows)
        network = estimator_network(self._sandbox, self.where, self.features, words, self._positive, self._number)
        widths = widths_of(*self.tables())
        if half := sorted(widths.half.intersection(self.features)):
            what = f"{listing(half)} is stored as numbers of 16 bits, in which the pipeline would compute"
            raise CouldNotLook(f"{self.where}: {what}; store it as double, or attack it with `access: label`")
        if widths.short.intersection(self.features):
            network.unit = max(network.unit, SINGLE)  # rows as they are stored are computed with in float32
        return network

    def converted(self, rows: ArrowTable, precision: str) -> bytes:
        """The estimator as an ONNX graph that the child wrote; who takes it looks at it first. Raises CouldNotLook."""
        ask = {"as": "onnx", "names": list(self.features), "words": sorted(self._words(rows)), "precision": precision,
               "trained": self._number}  # fmt: skip
        *blocks, _ = self._sandbox.stream(b"K", json.dumps(ask).encode(), _MOST_GRAPH, "converting")
        return b"".join(blocks)

    def _words(self, rows: ArrowTable) -> frozenset[str]:
        types = library("pyarrow").types
        return frozenset(n for n in self.features if types.is_string(rows.schema.field(n).type))

    def trained_again(
        self, rows: ArrowTable, places: FloatArray, *, changes: Mapping[str, Any] | None = None, seed: int = 0
    ) -> SandboxedPredictor:
        """A clone of the estimator, trained in the same child on `rows` whose classes are at `places` (n,).

        With other values for the parameters in `changes`. Raises CouldNotLook where it cannot be cloned or trained.
        """
        rows = self._as_asked(rows.select(list(self.features)))
        label = next(
            name for name in ("label", *(f"label {i}" for i in range(10_000))) if name not in rows.column_names
        )
        ask = {"label": label, "seed": int(seed), "changes": dict(changes or {})}
        twin = copy.copy(self)
        twin._number = self._sandbox.train(rows.append_column(label, library("pyarrow").array(places)), ask)
        twin.queries, twin._again = 0, None
        return twin

    def _classify(self, facts: ModelFacts, subject: Subject, data: Dataset | None) -> None:
        classes = facts.classes or ()
        if len(classes) >= 2:
            self.classes = tuple(classes)
            self._positive = positive_index(subject, data, self.classes)
        elif self._method == "predict" and facts.classes is None:
            self._positive = 1  # a regressor: its answer is the score
        elif len(classes) == 1:
            raise CouldNotLook(f"{self.where}: knows {class_words(tuple(classes))} only")
        else:
            self._positive = 1
        if self._method == "decision_function" and len(self.classes) > 2:
            what = "has several classes and no predict_proba"
            raise CouldNotLook(f"{self.where}: {what}; its margins say nothing of one class")
        self.access = "label" if self._method == "predict" and facts.classes is not None else "score"

    def _score(self, rows: ArrowTable) -> FloatArray:
        np = library("numpy")
        rows = self._as_asked(rows)
        told = (self._sandbox.scores(p, self._method, self._positive, self._number) for p in batches(rows))
        return np.concatenate(list(told))

    def _as_asked(self, rows: ArrowTable) -> ArrowTable:
        """The rows as the estimator was fitted on them: by name, or as numbers."""
        if self._named:
            return rows
        require_numeric(self.where, rows, self.features)
        return as_numbers(rows)


def open_sandboxed(
    subject: Subject,
    root: Path,
    path: Path,
    *,
    data: Dataset | None = None,
    weak_sandbox: bool = False,
    limits: Limits | None = None,
) -> SandboxedPredictor:
    """Scan a copy of the file that nobody else can change, then load that copy in the sandbox.

    Raises CouldNotLook when any global is not known-safe or allowed, when isolation is not full, or when it fails.
    """
    allow, notes = allowed(subject, datetime.now(UTC).date())
    # A file without a name: what was scanned is what gets loaded, and nothing is left behind if this process is killed.
    with tempfile.TemporaryFile(prefix="assay-model-") as model:
        with path.open("rb") as original:
            shutil.copyfileobj(original, model, 1 << 20)
        model.seek(0)
        digest = "sha256:" + hashlib.file_digest(model, "sha256").hexdigest()
        if subject.digest and subject.digest != digest:
            raise InputError("changed since it was planned", where=subject.uri, fix="run again")
        is_skops = path.suffix.lower() == SKOPS
        (_refuse_skops if is_skops else _refuse_unsafe)(model, path.name, allow, subject.uri, notes)
        with open(f"/proc/self/fd/{model.fileno()}", "rb") as readable:
            return start(
                readable, subject, root, data=data, weak=weak_sandbox, limits=limits, notes=notes,
                skops=allow if is_skops else None,
            )  # fmt: skip


def start(
    model: BinaryIO,
    subject: Subject,
    root: Path,
    *,
    data: Dataset | None = None,
    weak: bool = False,
    limits: Limits | None = None,
    notes: tuple[str, ...] = (),
    without: frozenset[str] = frozenset(),
    skops: frozenset[str] | None = None,
) -> SandboxedPredictor:
    """Load an open, already scanned model file in the sandbox: a pickle, or with the types that are allowed beside
    those known as safe, `skops`. Raises CouldNotLook."""
    modules = subject.options.get("modules")
    folder = (root / modules).resolve() if isinstance(modules, str) and modules else None
    if folder is not None and not folder.is_dir():
        raise CouldNotLook(f"{subject.uri}: `modules: {visible(str(modules), 60)}` is not a folder")
    sandbox = Sandbox(model, subject.uri, limits=limits, modules=folder, weak=weak, without=without)
    try:
        predictor = SandboxedPredictor(sandbox, subject, data, _trusted(sandbox, subject.uri, skops, notes))
    except BaseException:
        sandbox.close()
        raise
    predictor.notes = (str(sandbox.isolation), *notes, *predictor.notes)
    return predictor


def _refuse_unsafe(model: IO[bytes], name: str, allow: frozenset[str], where: str, notes: tuple[str, ...]) -> None:
    facts = examine(model, name=name)
    reasons = safe_to_load(facts, allow)
    if not facts.streams:
        # Nothing was scanned, so nothing is known to be safe, whatever a loader would make of the bytes.
        reasons.append(f"no pickle was found in it; it reads as {facts.format.name}")
    if facts.format.name not in _LOADABLE:
        reasons.append(f"it is a {facts.format.name} file, not a pickle")
    if reasons:
        shown = "; ".join(visible(r, 160) for r in reasons[:3])
        more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        said = f" ({notes[0]})" if notes else ""
        raise CouldNotLook(f"{where}: refused to load: {shown}{more}{said}")


def _refuse_skops(model: IO[bytes], name: str, allow: frozenset[str], where: str, _: tuple[str, ...]) -> None:
    """Which types it names is judged inside the walls, where skops says them; here what our own reader sees."""
    facts = examine(model, name=name)
    reasons = [*safe_to_load(facts, allow), *(gap.reason for gap in facts.gaps)]
    reasons += [note.message for note in facts.notes if note.severity is not Severity.INFO]
    if "schema.json" not in facts.members:
        reasons.append("it is no skops file")
    if reasons:
        raise CouldNotLook(f"{where}: refused to load: {'; '.join(visible(r, 160) for r in dict.fromkeys(reasons))}")


def _trusted(
    sandbox: Sandbox, where: str, allow: frozenset[str] | None, notes: tuple[str, ...]
) -> tuple[str, ...] | None:
    """The types that skops asks about, all known as safe or allowed; None for a pickle. Raises CouldNotLook."""
    if allow is None:
        return None
    types = tuple(sandbox.ask(b"U", b"", b"U", list[str], "reading its types"))
    if unknown := unknown_types(types, allow):
        what = f"refused to load: it needs {listing(unknown)}, not known to be safe"
        said = f" ({notes[0]})" if notes else ""
        raise CouldNotLook(f"{where}: {what}; `allow:` in the manifest names what you know{said}")
    return types


def unknown_types(types: Iterable[str], allow: frozenset[str]) -> list[str]:
    """Those of some types ("module.Name") that are neither known to be safe nor allowed."""
    return [name for name in types if name not in allow and classify(*name.rpartition(".")[::2])[0] != SAFE]


def columns_of(facts: ModelFacts, subject: Subject, data: Dataset | None) -> tuple[str, ...]:
    """The estimator's own column names, else `inputs:`, else the dataset's features; as many as it was fitted on."""
    if facts.features is not None:
        declared = declared_inputs(subject)
        if declared:
            require_count(subject.uri, declared, len(facts.features), "`inputs:`")
        return declared or facts.features
    if declared := declared_inputs(subject):
        found, source = declared, "`inputs:`"
    elif data is not None:
        found, source = data.features, data.subject.uri
    else:
        raise CouldNotLook(f"{subject.uri}: does not say which columns it reads; set `inputs:` or `data:`")
    if facts.width is not None:
        require_count(subject.uri, found, facts.width, source)
    return found


def as_numbers(rows: ArrowTable) -> ArrowTable:
    """The same columns as float64."""
    from assay.adapters.encode import numbers

    pa = library("pyarrow")
    return pa.table({name: numbers(rows.column(name)) for name in rows.column_names})

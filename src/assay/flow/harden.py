"""Harden: a file that loads by pickle becomes one that cannot run code, proved the same, or nothing is written."""

from __future__ import annotations

import importlib.util
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from assay.adapters.sandbox import Limits, ModelFacts, Sandbox
from assay.core.canonical import digest_file
from assay.core.errors import CouldNotLook, InputError, MissingExtra, UsageError, os_words
from assay.core.files import replacing
from assay.core.finding import Json, Scalar
from assay.core.protocols import ArrowTable, Progress, silent
from assay.core.subject import Kind, Subject
from assay.core.text import visible
from assay.core.threats import ThreatPack
from assay.formats.known import Known, judged_by
from assay.harden.result import Hardened, Made, Part, Target
from assay.harden.source import Source
from assay.harden.tensors import write_tensors

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset

_PACKED = frozenset({".gz", ".bz2", ".xz", ".lzma", ".lz4", ".zst", ".z"})
_LOADABLE = frozenset({"pickle"})


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """A table of real rows: its columns but `label` and `drop` are the model's inputs."""

    path: Path
    label: str = ""
    drop: tuple[str, ...] = ()


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a user chooses. `to` None: safetensors for tensors, skops for an estimator. `output` None: beside the file.

    `allow` are names ("module.Name") that may be loaded; `modules` is the folder that they are imported from.
    `threats` is a pack, its signature checked, in force while the file and the result are judged.
    """

    to: Target | None = None
    output: Path | None = None
    rows: Rows | None = None
    threshold: float = 0.5
    positive: Scalar = None
    tensors_only: bool = False
    allow: tuple[str, ...] = ()
    modules: Path | None = None
    weak: bool = False
    force: bool = False
    limits: Limits | None = None
    threats: ThreatPack | None = None


def harden(path: Path, asked: Asked | None = None, *, progress: Progress = silent) -> Hardened:
    """Convert one file. Raises VerificationError where the scan or the proof refuses it, InputError or UsageError for
    what cannot be converted as asked, CouldNotLook without full isolation (unless `weak`) or where the sandbox fails.
    """
    asked = asked or Asked()
    if asked.modules is not None and not asked.modules.is_dir():
        raise UsageError("is not a folder", where=str(asked.modules), fix="name the folder of the model's own modules")
    pack = asked.threats
    known = judged_by(Known(pack.content, str(pack.ref))) if pack is not None else nullcontext()
    with known, Source(path, frozenset(asked.allow), progress) as source:
        to = _target(source, asked)
        output = _place(path, asked, to)
        with _sandbox(source, asked) as sandbox, _draft(output) as draft:
            made = _convert(source, sandbox, draft, to, asked, progress)
            size = draft.seek(0, os.SEEK_END)
        result = Part(path=str(output), format=to, digest=digest_file(output), size=size)
        shown = Part(path=str(path), format=source.format, digest=source.digest, size=source.size)
        isolation = sandbox.isolation
    return Hardened(
        source=shown,
        result=result,
        made=made,
        isolation=isolation,
        weak=not isolation.full,
        threats=pack.ref if pack is not None else None,
        next=f"assay sign {shlex.quote(visible(str(output)))} --key YOUR.key",
    )


def _target(source: Source, asked: Asked) -> Target:
    """The format to make; what it cannot be made from is refused before anything is loaded."""
    to = asked.to or ("skops" if source.kind == "pickle" and source.estimator else "safetensors")
    if to != "safetensors" and (source.kind not in _LOADABLE or source.stream):
        kind = "torch" if source.stream else source.kind
        raise UsageError(f"a {kind} file holds no estimator for {to}", where=source.where, fix="--to safetensors")
    if to == "onnx" and asked.rows is None:
        what = "--to onnx needs --rows: real rows, on which both are compared"
        raise UsageError(what, where=source.where, fix="add --rows TABLE --label COLUMN")
    if to == "safetensors" and asked.rows is not None:
        raise UsageError("--rows is for estimators; tensors are compared byte by byte", where=source.where)
    if to != "safetensors" and asked.tensors_only:
        raise UsageError("--tensors-only is for --to safetensors", where=source.where)
    needed = {"skops": ("skops", "numpy", "pyarrow"), "onnx": ("skl2onnx", "onnxruntime", "duckdb")}.get(to, ())
    for library in needed:
        if importlib.util.find_spec(library) is None:
            raise MissingExtra(library, "ml")
    return to


def _place(path: Path, asked: Asked, to: Target) -> Path:
    """Where the result goes: never over the source, and over another file only if forced."""
    if asked.output is not None:
        output = asked.output
    else:
        stem = path.with_suffix("") if path.suffix.lower() in _PACKED else path
        output = stem.with_suffix(f".{to}")
    if output.is_dir():
        raise UsageError("is a folder", where=str(output), fix="name a file with --output")
    if output.exists() and (output.samefile(path) or not output.is_file()):
        raise UsageError("is the source itself, or no regular file", where=str(output), fix="name another --output")
    if output.exists() and not asked.force:
        raise UsageError("is there already", where=str(output), fix="--force replaces it, --output names another")
    if not output.parent.is_dir():
        raise UsageError("its folder does not exist", where=str(output), fix="make the folder")
    return output


@contextmanager
def _sandbox(source: Source, asked: Asked) -> Iterator[Sandbox]:
    sandbox = Sandbox(source.file, source.where, limits=asked.limits, modules=asked.modules, weak=asked.weak)
    try:
        yield sandbox
    finally:
        sandbox.close()


@contextmanager
def _draft(output: Path) -> Iterator[BinaryIO]:
    """The file that becomes `output` if all goes well. Raises InputError where it cannot be written."""
    try:
        with replacing(output) as draft:
            yield draft
    except OSError as error:
        what = f"cannot be written: {os_words(error)}"
        raise InputError(what, where=str(output), fix="choose a writable place") from None


def _convert(source: Source, sandbox: Sandbox, draft: BinaryIO, to: Target, asked: Asked, progress: Progress) -> Made:
    if to == "safetensors":
        return write_tensors(source, sandbox, draft, tensors_only=asked.tensors_only, progress=progress)
    model = Subject(name="model", kind=Kind.MODEL, uri=source.where)
    if asked.rows is None:
        return _skops(source, sandbox, sandbox.load(), draft, None, asked)
    data = _opened(asked.rows)
    try:
        facts = sandbox.load()
        columns = _columns(model, facts, data)
        if to == "skops":
            from assay.harden.rows import given

            return _skops(source, sandbox, facts, draft, given(source.where, facts, data, columns), asked)
        from assay.harden.graphs import write_onnx

        choice = {"threshold": asked.threshold, "positive": asked.positive}
        return write_onnx(source, sandbox, facts, draft, data, columns, **choice)  # type: ignore[arg-type]
    finally:
        data.close()


def _opened(rows: Rows) -> Dataset:
    from assay.adapters.tables import open_dataset

    options: dict[str, Json] = {"drop": list(rows.drop)}
    if rows.label:
        options["label"] = rows.label
    data = open_dataset(Subject(name="rows", kind=Kind.DATASET, uri=str(rows.path), options=options), Path())
    try:
        if rows.label:
            data.column(rows.label)
    except InputError:
        data.close()
        raise
    return data


def _columns(model: Subject, facts: ModelFacts, data: Dataset) -> tuple[str, ...]:
    """The columns of the rows that the model reads, in its order. Raises InputError."""
    from assay.adapters.predictor_base import require_columns
    from assay.adapters.sandboxed import columns_of

    try:
        names = columns_of(facts, model, data)
        require_columns(model.uri, names, data)
    except CouldNotLook as error:  # its advice is for a manifest
        what = str(error).removeprefix(f"{model.uri}: ").partition("; set `inputs:`")[0]
        raise InputError(what, where=model.uri, fix="--label and --drop name the columns that are no inputs") from None
    return names


def _skops(
    source: Source, sandbox: Sandbox, facts: ModelFacts, draft: BinaryIO, rows: ArrowTable | None, asked: Asked
) -> Made:
    from assay.harden.estimators import write_skops

    return write_skops(source, sandbox, facts, draft, rows, modules=asked.modules, weak=asked.weak, limits=asked.limits)

"""Harden a model: options beside controls, one chosen and confirmed on untouched rows, written only if it helps."""

from __future__ import annotations

import math
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import msgspec

from assay.adapters.predictor_base import BasePredictor
from assay.adapters.predictors import open_predictor
from assay.adapters.tables import Dataset, open_dataset
from assay.config.manifest import load_threat
from assay.core.canonical import digest_file
from assay.core.errors import CouldNotLook, InputError, UsageError
from assay.core.files import write_whole
from assay.core.protocols import Access, Progress, silent
from assay.core.subject import Contract, Feature, Kind, Subject
from assay.harden.hardening.result import SUFFIX, ModelHardened
from assay.harden.result import Part

Norm = Literal["linf", "l2", "l1", "cost"]
COST = 3.0


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a user chooses. `output` None: beside the model, as `NAME.hardened.onnx` (or .txt of LightGBM). `access`
    None: white-box where the model can be read, whatever the threat model says that an attacker sees (an option that
    only hides is none), else scores; `only` names options (all that fit where it is empty)."""

    train: Path
    holdout: Path
    label: str
    positive: str = "1"
    drop: tuple[str, ...] = ()
    entity: str = ""
    threat: Path | None = None
    norm: Norm | None = None
    budget: float | None = None
    access: Access | None = None
    alarms: float = 0.01
    margin: float = 0.01
    rows: int = 300
    queries: int | None = None
    only: tuple[str, ...] = ()
    seed: int = 0
    output: Path | None = None
    force: bool = False
    weak: bool = False


def harden_model(path: Path, asked: Asked, *, root: Path | None = None, progress: Progress = silent) -> ModelHardened:
    """Measure every option and control, choose, confirm, and write what helps.

    Raises UsageError and InputError for what cannot be asked, CouldNotLook where nothing can be told.
    """
    root = root or Path.cwd()
    _known(asked.only)
    places = _places(path, asked)
    facts: dict[str, Any] = {"label": asked.label, "positive": asked.positive}
    facts |= {k: v for k, v in (("drop", list(asked.drop)), ("entity", asked.entity)) if v}
    contract = load_threat(asked.threat) if asked.threat is not None else None
    subjects = [
        Subject(name=n, kind=Kind.DATASET, uri=str(p), options=facts)
        for n, p in (("train", asked.train), ("holdout", asked.holdout))
    ]
    with (
        closing(open_dataset(subjects[0], root, contract)) as train,
        closing(open_dataset(subjects[1], root, contract)) as holdout,
    ):
        if train.digest == holdout.digest:
            raise InputError("is the training data itself", where=str(asked.holdout), fix="name untouched rows")
        train.target(), holdout.target()
        contract = contract or Contract(features={name: Feature() for name in train.features}, free=True)
        norm, budget = _spent(contract, asked)
        subject = Subject(name="model", kind=Kind.MODEL, uri=str(path))
        model = open_predictor(subject, root, data=train, weak_sandbox=asked.weak)
        try:
            _declared(model, contract)
            return _story(model, subject, root, train, holdout, contract, norm, budget, asked, places, progress)
        finally:
            model.close()


def _story(
    model: BasePredictor, subject: Subject, root: Path, train: Dataset, holdout: Dataset, contract: Contract,
    norm: Norm, budget: float, asked: Asked, places: dict[str, Path], progress: Progress,
) -> ModelHardened:  # fmt: skip
    from assay.harden.hardening.artifact import written
    from assay.harden.hardening.chosen import Terms, hardened
    from assay.harden.hardening.workshop import Workshop

    access: Access = asked.access or "whitebox"
    if asked.access is None and not _readable(model, train):
        access = "label" if model.access == "label" else "score"
    terms = Terms(
        norm=norm, budget=budget, access=access, alarms=asked.alarms, rows=asked.rows, margin=asked.margin,
        queries=asked.queries or contract.attacker.queries, seed=asked.seed, only=asked.only,
    )  # fmt: skip
    shop = Workshop(model, subject, root, train, contract, norm, budget, asked.seed, progress)
    found = hardened(shop, holdout, terms, progress)
    source = _part(root / subject.uri, subject.uri, model.kind)
    result, threshold, notes = None, None, []
    if found.made is not None:
        threshold = found.made.predictor.threshold
        if found.verdict == "helps":
            content, format_ = written(found.made, holdout.table(), shop.positive)
            _same(found.made.predictor, content, format_, train, holdout)
            write_whole(places[format_], content)
            result = _part(places[format_], str(places[format_]), format_)
            if format_ == "lightgbm":
                notes.append(f"the file holds no threshold: deploy it at {threshold:.9g}")
        found.made.predictor.close()
    setup: dict[str, str | float | int] = {
        "norm": norm, "budget": budget, "access": access, "false_alarms": asked.alarms, "margin": asked.margin,
        "queries": terms.queries, "seed": asked.seed, "train": train.digest, "holdout": holdout.digest, **found.parts,
    }  # fmt: skip
    if shop.no_recipe:
        notes.append(f"{shop.no_recipe}: the controls are our own training of its layers")
    return ModelHardened(
        source=source, result=result, verdict=found.verdict, reasons=found.reasons, chosen=found.chosen,
        threshold=threshold if result is not None else None, picked_on=found.picked_on, confirmed=found.confirmed,
        gains=found.gains, setup=setup, notes=tuple(notes),
    )  # fmt: skip


def _same(candidate: BasePredictor, content: bytes, format_: str, train: Dataset, holdout: Dataset) -> None:
    """The file, opened as anybody would, decides the holdout as what was measured. Raises CouldNotLook."""
    rows = holdout.table()
    with tempfile.TemporaryDirectory(prefix="assay-hardened-") as folder:
        name = f"result{SUFFIX[format_]}"
        (Path(folder) / name).write_bytes(content)
        subject = Subject(name="result", kind=Kind.MODEL, uri=name, options={"threshold": candidate.threshold})
        with open_predictor(subject, Path(folder), data=train) as again:
            flips = int((again.flagged(rows) != candidate.flagged(rows)).sum())
    if flips:
        raise CouldNotLook(f"the result decides {flips} of {rows.num_rows} rows otherwise than what was measured")


def _readable(model: BasePredictor, train: Dataset) -> bool:
    """Whether the model can be attacked white-box."""
    try:
        model.trees()
    except CouldNotLook:
        try:
            model.network(train.table(model.features))
        except CouldNotLook:
            return False
    return True


def _declared(model: BasePredictor, contract: Contract) -> None:
    undeclared = [n for n in model.features if n not in contract.features]
    if undeclared:
        named = ", ".join(undeclared[:5])
        raise UsageError(f"says nothing of {named}", where="--threat", fix="say of each input whether it can change")
    if not any(contract.features[name].mutable for name in model.features):
        raise UsageError("lets an attacker change no input of the model", where="--threat", fix="nothing to harden")


def _spent(contract: Contract, asked: Asked) -> tuple[Norm, float]:
    """(norm, budget): what is given, else the threat model's. Raises UsageError for none."""
    norm = asked.norm or contract.attacker.norm
    if norm == "cost" and contract.free:
        fix = "give --threat (`assay attack init` drafts it), or choose --norm linf, l2 or l1 with --budget"
        raise UsageError("nobody has said what a change costs", where="assay harden", fix=fix)
    declared = contract.attacker.budget if norm == contract.attacker.norm else None
    budget = asked.budget or declared or (COST if norm == "cost" else math.inf)
    if not math.isfinite(budget):
        raise UsageError("nothing holds against every change", where="assay harden", fix="give --budget")
    return norm, budget


def _known(only: tuple[str, ...]) -> None:
    from assay.harden.hardening.options import WAYS

    names = [w.name for w in WAYS if w.role == "option"]
    for name in only:
        if name not in names:
            raise UsageError(f"no option is called {name[:60]}", where="--try", fix=f"one of {', '.join(names)}")


def _places(path: Path, asked: Asked) -> dict[str, Path]:
    """Where the result may go, by format; all are looked at before the work. Raises UsageError."""
    named = {f: asked.output or path.with_name(f"{path.stem}.hardened{suffix}") for f, suffix in SUFFIX.items()}
    for output in named.values():
        if output.is_dir():
            raise UsageError("is a folder", where=str(output), fix="name a file with --output")
        if output.exists() and any(output.samefile(p) for p in (path, asked.train, asked.holdout) if p.exists()):
            raise UsageError("is what this command reads", where=str(output), fix="name another --output")
        if output.exists() and not asked.force:
            raise UsageError("is there already", where=str(output), fix="--force replaces it, --output names another")
        if not output.parent.is_dir():
            raise UsageError("its folder does not exist", where=str(output), fix="make the folder")
    return named


def _part(path: Path, name: str, format_: str) -> Part:
    return Part(path=name, format=format_, digest=digest_file(path), size=path.stat().st_size)

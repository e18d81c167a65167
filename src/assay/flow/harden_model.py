"""Harden a model against evasion, membership inference or theft: options beside controls, written only if they help."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from assay.adapters.layout import check_file
from assay.adapters.predictor_base import BasePredictor
from assay.adapters.predictors import MAX_MODEL_BYTES, open_predictor
from assay.adapters.tables import Dataset, open_dataset
from assay.config.manifest import load_threat
from assay.core.canonical import digest_file
from assay.core.errors import CouldNotLook, InputError, UsageError, os_words
from assay.core.files import write_new, write_whole
from assay.core.protocols import Progress, silent
from assay.core.subject import Access, Contract, Feature, Kind, Norm, Subject
from assay.flow.data import require_label
from assay.harden.hardening.result import SUFFIX, Against, Measured, ModelHardened
from assay.harden.result import Part

if TYPE_CHECKING:
    from assay.harden.hardening.chosen import Found
    from assay.harden.hardening.workshop import Workshop

ROWS, COPIED, LEAST_COPIED = 300, 1000, 100
SAME, SOME = 0.9, 0.05
"""Shares of holdout rows that are training rows, too: from the first on it is none, from the second on it is told."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a user chooses. `output` None: beside the model, as `NAME.hardened.onnx` (or .txt of LightGBM). `access`
    None: white-box where the model can be read, whatever the threat model says that an attacker sees (an option that
    only hides is none), else scores; `only` names options (all that fit where it is empty). Against membership and
    theft `norm`, `budget`, `access` and `rows` say nothing; `queries` are those of a row, or of a thief's copy (None:
    the threat model's, or 1,000 of a thief)."""

    train: Path
    holdout: Path
    label: str
    against: Against = "evasion"
    positive: str = "1"
    drop: tuple[str, ...] = ()
    entity: str = ""
    threat: Path | None = None
    norm: Norm | None = None
    budget: float | None = None
    access: Access | None = None
    alarms: float = 0.01
    margin: float = 0.01
    rows: int | None = None
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
    _known(asked)
    _fitting(asked)
    if (root / path).is_dir():
        raise InputError("is a folder, not a model's file", where=str(path), fix="name the file")
    places = _places(path, asked)
    facts: dict[str, Any] = {"label": asked.label, "positive": asked.positive}
    facts |= {k: v for k, v in (("drop", list(asked.drop)), ("entity", asked.entity)) if v}
    contract = load_threat(asked.threat) if asked.threat is not None else None
    if asked.against == "evasion":
        _spent(contract or Contract(free=True), asked)
    for table in (asked.train, asked.holdout):
        require_label(table, facts, root)
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
        known = _known_share(train, holdout)
        if known > SAME:
            what = f"{known:.0%} of its rows are rows of the training data"
            raise InputError(what, where=str(asked.holdout), fix="name untouched rows")
        contract = contract or Contract(features={name: Feature() for name in train.features}, free=True)
        uri = str(path)
        check_file(root / path, uri, MAX_MODEL_BYTES)
        subject = Subject(name="model", kind=Kind.MODEL, uri=uri, digest=digest_file(root / path))
        model = open_predictor(subject, root, data=train, weak_sandbox=asked.weak)
        model.tables = lambda: (train, holdout)
        try:
            scene = _Scene(model, subject, root, train, holdout, contract, asked, progress)
            found, shop, setup = _evaded(scene) if asked.against == "evasion" else _told(scene)
            return _story(scene, found, shop, setup, places, known)
        finally:
            model.close()


class _Scene(NamedTuple):
    """What is looked at, and how it was asked for."""

    model: BasePredictor
    subject: Subject
    root: Path
    train: Dataset
    holdout: Dataset
    contract: Contract
    asked: Asked
    progress: Progress


def _evaded(scene: _Scene) -> tuple[Found, Workshop, dict[str, str | float | int]]:
    """(what was found against evasion, what options were made from, how it was asked)."""
    from assay.harden.hardening.chosen import Terms, hardened
    from assay.harden.hardening.workshop import Workshop

    model, asked, contract = scene.model, scene.asked, scene.contract
    norm, budget = _spent(contract, asked)
    _declared(model, contract)
    access: Access = asked.access or "whitebox"
    if asked.access is None and not model.readable(scene.train.table(model.features)):
        access = "label" if model.access == "label" else "score"
    terms = Terms(
        norm=norm, budget=budget, access=access, alarms=asked.alarms, rows=asked.rows or ROWS, margin=asked.margin,
        queries=asked.queries or contract.attacker.queries, seed=asked.seed, only=asked.only,
    )  # fmt: skip
    shop = Workshop(model, scene.subject, scene.root, scene.train, contract, norm, budget, asked.seed, scene.progress)
    found = hardened(shop, scene.holdout, terms)
    return found, shop, {"norm": norm, "budget": budget, "access": access, "queries": terms.queries}


def _told(scene: _Scene) -> tuple[Found, Workshop, dict[str, str | float | int]]:
    """The same against membership inference and against theft, where what is told of rows counts."""
    from assay.harden.hardening.compared import Terms
    from assay.harden.hardening.copying import less_copied
    from assay.harden.hardening.leaking import less_leaking
    from assay.harden.hardening.workshop import Workshop

    asked, contract = scene.asked, scene.contract
    shop = Workshop(
        scene.model, scene.subject, scene.root, scene.train, contract, "linf", 0.0, asked.seed, scene.progress
    )
    terms = Terms(
        alarms=asked.alarms, margin=asked.margin, seed=asked.seed, only=asked.only, queries=asked.queries or COPIED
    )
    if asked.against == "theft":
        return less_copied(shop, scene.holdout, contract, terms), shop, {}
    return less_leaking(shop, scene.holdout, terms), shop, {}


def _known_share(train: Dataset, holdout: Dataset) -> float:
    """The share of holdout rows that agree with a training row in every input and the label."""
    import numpy as np

    from assay.detectors.rows import codes, grouped

    there = {c.name for c in holdout.columns}
    names = [n for n in (*train.features, train.label) if n and n in there]
    first, second = train.table(names), holdout.table(names)
    group = grouped([codes(first.column(n), second.column(n)) for n in names])
    return float(np.isin(group[first.num_rows :], group[: first.num_rows]).mean())


def _shared_entities(train: Dataset, holdout: Dataset) -> float:
    """The share of holdout rows whose entity has training rows, 0 where none is declared."""
    import numpy as np

    from assay.detectors.rows import codes

    if not (train.entity and holdout.entity):
        return 0.0
    both = codes(train.table([train.entity]).column(0), holdout.table([holdout.entity]).column(0))
    return float(np.isin(both[train.rows :], both[: train.rows]).mean())


def _story(
    scene: _Scene, found: Found, shop: Workshop, setup: dict[str, str | float | int], places: dict[str, Path],
    known: float,
) -> ModelHardened:  # fmt: skip
    asked, source = scene.asked, _source(scene)
    result, threshold, notes = None, None, []
    if found.made is not None:
        threshold = found.made.predictor.threshold
        if found.verdict == "helps":
            result, said = _file(scene, found, shop, places)
            notes += said
        found.made.predictor.close()
    setup = {
        **setup, "false_alarms": asked.alarms, "margin": asked.margin, "seed": asked.seed,
        "train": scene.train.digest, "holdout": scene.holdout.digest, **found.parts,
    }  # fmt: skip
    if shared := _shared_entities(scene.train, scene.holdout):
        notes.append(f"{shared:.0%} of the holdout rows are of an entity of the training data: figures flatter them")
    if known > SOME:
        notes.append(f"{known:.0%} of the holdout rows agree with a training row in everything: figures flatter them")
    if asked.against == "membership" and found.chosen == "label-only":
        notes.append("decisions alone were attacked with few copies of each row: who asks more of them learns more")
    if _again(found.confirmed or found.picked_on):
        notes.append("`retrained` is the original once more, as its recipe draws nothing: it shows nothing of chance")
    if found.left_out:
        notes.append(found.left_out)
    if shop.no_recipe:
        notes.append(f"{shop.no_recipe}: {_without_recipe(asked.against, shop)}")
    return ModelHardened(
        source=source, result=result, verdict=found.verdict, reasons=found.reasons, chosen=found.chosen,
        threshold=threshold if found.verdict == "helps" else None, picked_on=found.picked_on,
        confirmed=found.confirmed, gains=found.gains, setup=setup, notes=tuple(notes), against=asked.against,
    )  # fmt: skip


def _again(measured: tuple[Measured, ...]) -> bool:
    """Whether the control that is trained again has every figure of the original; what leaks is drawn at each look."""
    told = {m.name: (m.threshold, m.clean, m.alarms, m.attacked, m.copied) for m in measured}
    return "retrained" in told and "original" in told and told["retrained"] == told["original"]


def _file(scene: _Scene, found: Found, shop: Workshop, places: dict[str, Path]) -> tuple[Part | None, list[str]]:
    """(the file of what helps, as it was written, and notes); None where its format has no place for it."""
    from assay.harden.hardening.artifact import written, written_shown
    from assay.harden.hardening.outputs import Shown

    assert found.made is not None
    model, rows = found.made.predictor, scene.holdout.table()
    if isinstance(model, Shown):
        told = written_shown(model, (scene.root / scene.subject.uri).read_bytes(), rows, shop.positive)
        if told is None:
            cut = model.cut if model.output.label else model.threshold
            what = f"its file has no place for it: serve {model.output.said}, flagged from {cut:.9g} on"
            return None, [f"nothing is written, as {what}"]
        content, format_ = told
    else:
        content, format_ = written(found.made, rows, shop.positive)
    _same(model, content, format_, scene.train, scene.holdout)
    _source(scene)  # its bytes may have been read anew for this
    _written(places[format_], content, force=scene.asked.force)
    notes = [f"the file holds no threshold: deploy it at {model.threshold:.9g}"] if format_ == "lightgbm" else []
    if found.made.decided is not None:
        from assay.harden.hardening.graph import DECIDED

        notes.append(f"a row whose score reaches the threshold while `{DECIDED}` does not goes to a person")
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return Part(path=str(places[format_]), format=format_, digest=digest, size=len(content)), notes


def _without_recipe(against: Against, shop: Workshop) -> str:
    """What stands in for a recipe that is not known."""
    if against == "evasion":
        return "the controls are trained by us, on the same rows"
    if against == "theft":
        from assay.harden.hardening.copying import AGAIN, AGAIN_SAID

        return f"no control was trained again: the one there is, `{AGAIN}`, is {AGAIN_SAID}"
    from assay.harden.hardening.regular import base

    return f"references are trained by {base(shop).said}"


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


def _declared(model: BasePredictor, contract: Contract) -> None:
    undeclared = [n for n in model.features if n not in contract.columns]
    if undeclared:
        named = ", ".join(undeclared[:5])
        raise UsageError(f"says nothing of {named}", where="--threat", fix="say of each input whether it can change")
    if not any(contract.columns[name].mutable for name in model.features):
        raise UsageError("lets an attacker change no input of the model", where="--threat", fix="nothing to harden")


def _spent(contract: Contract, asked: Asked) -> tuple[Norm, float]:
    """(norm, budget): what is given, else the threat model's. Raises UsageError for none."""
    norm = asked.norm or contract.attacker.norm
    if norm == "cost" and contract.free:
        fix = "give --threat (`assay attack init` drafts it), or choose --norm linf, l2 or l1 with --budget"
        raise UsageError("nobody has said what a change costs", where="assay harden", fix=fix)
    budget = contract.attacker.spent(norm, asked.budget)
    if not math.isfinite(budget):
        raise UsageError("nothing holds against every change", where="assay harden", fix="give --budget")
    return norm, budget


def _known(asked: Asked) -> None:
    """Raises UsageError for an option that this attack does not have."""
    from assay.harden.hardening.copying import OUTPUTS
    from assay.harden.hardening.options import WAYS
    from assay.harden.hardening.regular import LEAK_WAYS

    names: dict[str, list[str]] = {
        "evasion": [w.name for w in WAYS if w.role == "option"],
        "membership": [w.name for w in LEAK_WAYS if w.role == "option"],
        "theft": [o.name for o in OUTPUTS],
    }
    for name in asked.only:
        if name not in names[asked.against]:
            others = [f"--against {k}" for k, v in names.items() if name in v]
            what = f"{name[:60]} is an option of {', '.join(others)}" if others else f"no option is called {name[:60]}"
            raise UsageError(what, where="--try", fix=f"one of {', '.join(names[asked.against])}")


def _fitting(asked: Asked) -> None:
    """Raises UsageError for what would do nothing against this attack."""
    given = {
        "--norm": asked.norm, "--budget": asked.budget, "--access": asked.access, "--attacked": asked.rows,
        "--threat": asked.threat, "--queries": asked.queries,
    }  # fmt: skip
    used = {"evasion": tuple(given), "membership": (), "theft": ("--threat", "--queries")}[asked.against]
    for name, value in given.items():
        if value is not None and name not in used:
            raise UsageError(f"does nothing against {asked.against}", where=name, fix="leave it out")
    if asked.against == "theft" and asked.queries is not None and asked.queries < LEAST_COPIED:
        raise UsageError("is too few to make a copy of", where="--queries", fix=f"at least {LEAST_COPIED}")


def _places(path: Path, asked: Asked) -> dict[str, Path]:
    """Where the result may go, by format; all are looked at before the work. Raises UsageError."""
    named = {f: asked.output or path.with_name(f"{path.stem}.hardened{suffix}") for f, suffix in SUFFIX.items()}
    for output in named.values():
        if output.is_dir():
            raise UsageError("is a folder", where=str(output), fix="name a file with --output")
        if os.path.lexists(output) and not output.is_file():
            what = "is a link to nothing" if output.is_symlink() else "is no regular file"
            raise UsageError(what, where=str(output), fix="name another with --output")
        read = [p for p in (path, asked.train, asked.holdout, asked.threat) if p is not None and p.exists()]
        if output.exists() and any(output.samefile(p) for p in read):
            raise UsageError("is what this command reads", where=str(output), fix="name another --output")
        if output.exists() and not asked.force:
            raise UsageError("is there already", where=str(output), fix="--force replaces it, --output names another")
        if not output.parent.is_dir():
            raise UsageError("its folder does not exist", where=str(output), fix="make the folder")
    return named


def _source(scene: _Scene) -> Part:
    """The file that was measured. Raises InputError where it is another one by now."""
    path, uri = scene.root / scene.subject.uri, scene.subject.uri
    try:
        digest, size = digest_file(path), path.stat().st_size
    except OSError:
        digest, size = "", 0
    if digest != scene.subject.digest:
        raise InputError("changed while it was measured", where=uri, fix="run again when nobody writes it")
    return Part(path=uri, format=scene.model.kind, digest=digest, size=size)


def _written(place: Path, content: bytes, *, force: bool) -> None:
    """Raises UsageError where somebody put a file there meanwhile, InputError where it cannot be written."""
    if force:
        write_whole(place, content)
        return
    try:
        write_new(place, content)
    except FileExistsError:
        raise UsageError(
            "is there by now", where=str(place), fix="--output names another, --force replaces it"
        ) from None
    except OSError as error:
        what = f"cannot be written: {os_words(error)}"
        raise InputError(what, where=str(place), fix="choose a writable place") from None

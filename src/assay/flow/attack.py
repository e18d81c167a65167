"""Attack a model file that no manifest names: its subjects, its contract, the report, and the rows that were made."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from assay.adapters.examples import write_examples
from assay.config.manifest import load_threat
from assay.core.adversaries import Adversaries
from assay.core.errors import InputError, UsageError
from assay.core.finding import Json
from assay.core.protocols import Progress, silent
from assay.core.report import Report
from assay.core.subject import Contract, Feature, Kind, Subject
from assay.engine.plan import Settings
from assay.flow.examine import examine_loose


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """What to attack: a model file, rows it has not seen, and (None: anything goes) what an attacker can change."""

    model: Path
    data: Path
    label: str
    positive: str = "1"
    threshold: float = 0.5
    threat: Path | None = None
    train: Path | None = None


def attack_model(
    what: Attack,
    settings: Settings,
    *,
    examples: Path | None = None,
    root: Path | None = None,
    progress: Progress = silent,
) -> Report:
    """Ask `settings` checks of the model; with `examples` the attacked rows are written there as Parquet.

    Raises InputError, UsageError.
    """
    facts: dict[str, Json] = {"label": what.label, "positive": what.positive}
    name = f"{what.model.name} (model)" if what.model.name in ("data", "train") else what.model.name
    options: dict[str, Json] = {"threshold": what.threshold}
    subjects = {
        "data": Subject(name="data", kind=Kind.DATASET, uri=str(what.data), options=facts),
        name: Subject(
            name=name,
            kind=Kind.MODEL,
            uri=str(what.model),
            options=options,
            reads={"holdout": "data"} | ({"data": "train"} if what.train is not None else {}),
        ),
    }
    if what.train is not None:
        subjects["train"] = Subject(name="train", kind=Kind.DATASET, uri=str(what.train), options=facts)
    contract = load_threat(what.threat) if what.threat is not None else _anything(what, facts, root)
    with tempfile.TemporaryDirectory(prefix="assay-examples-") as folder:
        settings = replace(settings, aside=folder if examples is not None else "")
        report = examine_loose(subjects, [(Kind.MODEL, name)], contract, settings, root=root, progress=progress)
        written = sorted(Path(folder).iterdir())
        if examples is not None:
            _write(written, report, examples)
    return report


def _write(written: list[Path], report: Report, examples: Path) -> None:
    if not written:
        why = next((o.reason for o in report.body.outcomes if o.reason), "no row was attacked")
        raise InputError(f"has no rows to hold: {why}", where=str(examples), fix="nothing is written")
    if len(written) > 1:
        raise UsageError("takes the rows of one attack", where="--examples", fix="choose one check by --only")
    write_examples(msgspec.msgpack.decode(written[0].read_bytes(), type=Adversaries), examples)


def _anything(what: Attack, facts: Mapping[str, Any], root: Path | None) -> Contract:
    """Every column may change to anything: what an attack without a threat model takes."""
    from assay.adapters.tables import open_dataset

    subject = Subject(name="data", kind=Kind.DATASET, uri=str(what.data), options=dict(facts))
    with closing(open_dataset(subject, root or Path.cwd(), Contract())) as data:
        return Contract(features={name: Feature() for name in data.features}, free=True)

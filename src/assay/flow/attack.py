"""Attack a model that no manifest names, a file or an address: its subjects and contract, the report, the rows made."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from assay.adapters.examples import write_examples
from assay.config.address import SERVED, is_variable, refused
from assay.config.manifest import DEFAULT_THRESHOLD, load_threat
from assay.core.adversaries import Adversaries
from assay.core.errors import InputError, UsageError
from assay.core.finding import Json
from assay.core.protocols import Progress, silent
from assay.core.report import Report
from assay.core.subject import Contract, Feature, Kind, Subject
from assay.engine.plan import Settings, select
from assay.flow.data import require_label
from assay.flow.examine import examine_loose

EVASION = "robustness.evasion"


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """What to attack: a model file or the address of a served one, rows it has not seen, and (None: anything goes) what
    an attacker can change. `endpoint` says, as KEY=VALUE, how an address is asked."""

    model: Path | str
    data: Path
    label: str
    positive: str = "1"
    threshold: float | None = None
    threat: Path | None = None
    train: Path | None = None
    protected: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    endpoint: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the model is called in the report."""
        if isinstance(self.model, Path):
            return f"{self.model.name} (model)" if self.model.name in ("data", "train") else self.model.name
        return "endpoint"


class NothingWrittenError(InputError):
    """There are no rows to write; the `report` says why, and is not lost with them."""

    def __init__(self, what: str, *, where: str, fix: str, report: Report) -> None:
        super().__init__(what, where=where, fix=fix)
        self.report = report


def attack_model(
    what: Attack,
    settings: Settings,
    *,
    examples: Path | None = None,
    root: Path | None = None,
    progress: Progress = silent,
) -> Report:
    """Ask `settings` checks of the model; with `examples` the attacked rows are written there as Parquet, or as CSV
    by its suffix.

    Raises InputError (NothingWrittenError with the report where no row was attacked), UsageError.
    """
    facts: dict[str, Json] = {"label": what.label, "positive": what.positive}
    facts |= {k: list(v) for k, v in (("protected", what.protected), ("drop", what.drop)) if v}
    served, name = _served(what), what.name
    if isinstance(what.model, Path) and not ((root or Path.cwd()) / what.model).exists():
        raise InputError("does not exist", where=str(what.model), fix="check the path")
    contract, torn = _anything(what, facts, root) if what.threat is None else (load_threat(what.threat), False)
    require_label(what.data, facts, root or Path.cwd())
    if EVASION in select(settings):
        _refuse_other_budget(contract, settings.parameters.get(EVASION, {}))
        seen = settings.parameters.get(EVASION, {}).get("access") or contract.attacker.access
        if not isinstance(what.model, Path) and seen == "whitebox":
            fix = "choose --access label or score, or attack the model's file"
            raise UsageError("of a model at an address only its answers are seen", where="assay attack", fix=fix)
    declared = contract.attacker.threshold if contract.attacker.threshold is not None else DEFAULT_THRESHOLD
    options: dict[str, Json] = {"threshold": declared if what.threshold is None else what.threshold, **served}
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
    with tempfile.TemporaryDirectory(prefix="assay-examples-") as folder:
        settings = replace(settings, aside=folder if examples is not None else "")
        asked = [(Kind.MODEL, name)]
        # The rows must keep the rules that they are under; where there are none, the label must still be one of a kind.
        if (torn or not contract.free) and "data.schema" in select(settings):
            asked = [*((Kind.DATASET, n) for n in ("train", "data") if n in subjects), *asked]
        report = examine_loose(subjects, asked, contract, settings, root=root, progress=progress)
        written = sorted(Path(folder).iterdir())
        if examples is not None:
            _write(written, report, examples)
    return report


def _served(what: Attack) -> dict[str, Json]:
    """The options of a model behind an address, judged as a manifest's are. Raises UsageError, which quotes none."""
    if isinstance(what.model, Path):
        if what.endpoint:
            raise UsageError("--endpoint is for a model at an address", where="assay attack", fix="leave it out")
        return {}
    wrong, fix = refused(what.model)
    if wrong:
        said = f"the model's address {wrong}" if wrong.startswith(("is ", "names ")) else wrong
        raise UsageError(said, where="assay attack", fix=fix)
    options: dict[str, Json] = {}
    for pair in what.endpoint:
        key, equals, text = pair.partition("=")
        if not equals or not text or key not in (*SERVED, "inputs"):
            fix = f"give --endpoint KEY=VALUE with one of {', '.join((*SERVED, 'inputs'))}"
            raise UsageError("one --endpoint is none that is known", where="assay attack", fix=fix)
        if key in options:
            raise UsageError(f"--endpoint {key} is given twice", where="assay attack", fix="keep one")
        options[key] = _option(key, text)
    return options


def _option(key: str, text: str) -> Json:
    where = f"--endpoint {key}"
    if key == "inputs":
        return [name.strip() for name in text.split(",")]
    if key == "token_env" and not is_variable(text):
        fix = "name a variable, and put the token there, never on the command line"
        raise UsageError("is no name of an environment variable", where=where, fix=fix)
    if key == "token_env" and not os.environ.get(text, "").strip():
        fix = "export it first; `token_env` is its name, never the token"
        raise UsageError("names a variable that is not set", where=where, fix=fix)
    if key == "protocol" and text not in ("oip", "mlflow"):
        raise UsageError("is none that is spoken here", where=where, fix="choose oip or mlflow")
    if key not in ("rate", "batch", "timeout", "wait"):
        return text
    try:
        number = int(text) if key == "batch" else float(text)
    except ValueError:
        number = 0
    if not 0 < number < math.inf:
        raise UsageError("is no positive number", where=where, fix="mend the number")
    return number


def _refuse_other_budget(contract: Contract, asked: Mapping[str, Json]) -> None:
    """A budget must be one of the norm that is asked, and a cost one that somebody declared."""
    priced = (asked.get("norm") or contract.attacker.norm) == "cost"
    if priced and contract.free:
        fix = "give --threat (`assay attack init` drafts it), or choose --norm linf, l2 or l1"
        raise UsageError("nobody has said what a change costs", where="assay attack", fix=fix)
    if priced and asked.get("budget") is not None:
        fix = "use --cost, which goes before `budget:` of `attacker:`; or choose --norm linf, l2 or l1"
        raise UsageError("--budget is for the other norms, not for --norm cost", where="assay attack", fix=fix)
    if not priced and asked.get("cost") is not None:
        raise UsageError("--cost is the budget of --norm cost", where="assay attack", fix="use --budget")


def _write(written: list[Path], report: Report, examples: Path) -> None:
    if not written:
        said = sorted((o for o in report.body.outcomes if o.reason), key=lambda o: o.check != EVASION)
        why = next((o.reason for o in said), "no row was attacked")
        fix = "it is what an earlier run left there" if examples.exists() else "nothing is written"
        raise NothingWrittenError(f"has no rows to hold: {why}", where=str(examples), fix=fix, report=report)
    if len(written) > 1:
        raise UsageError("takes the rows of one attack", where="--examples", fix="choose one check by --only")
    write_examples(msgspec.msgpack.decode(written[0].read_bytes(), type=Adversaries), examples)


def _anything(what: Attack, facts: Mapping[str, Any], root: Path | None) -> tuple[Contract, bool]:
    """(every column may change to anything: what an attack without a threat model takes; whether the label holds both
    numbers and words)."""
    from assay.adapters.tables import open_dataset

    subject = Subject(name="data", kind=Kind.DATASET, uri=str(what.data), options=dict(facts))
    with closing(open_dataset(subject, root or Path.cwd(), Contract())) as data:
        torn = any(column.mixed for column in data.columns if column.name == data.label)
        return Contract(features={name: Feature() for name in data.features}, free=True), torn

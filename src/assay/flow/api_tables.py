"""The Python API of tables: frames or paths, the same calls and the same structs as the command line."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec.structs import asdict, replace

from assay.adapters.traffic import is_saved
from assay.core.dossier import Dossier
from assay.core.errors import UsageError
from assay.core.finding import Json, Scalar
from assay.core.subject import Contract
from assay.engine.plan import Settings
from assay.flow import data
from assay.flow import watch as flow_watch
from assay.flow.api import ShownDossier, framed, on_disk
from assay.flow.data import Told, told_by
from assay.flow.examine import default_jobs
from assay.flow.watch import Watched


class ShownWatch(Watched, frozen=True, kw_only=True):
    """What a watch says, which a notebook shows as its page."""

    def _repr_html_(self) -> str:
        return framed(self.dossier)


def check_table(
    table: Any,
    *,
    label: str = "",
    positive: Scalar = 1,
    id: str = "",
    time: str = "",
    entity: str = "",
    source: str = "",
    annotator: str = "",
    weight: str = "",
    split: str = "",
    label_delay: str = "",
    protected: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
    trusted: Any = None,
    holdout_of: Any = None,
    threat: str | Path | None = None,
    suspects: str | Path | None = None,
    only: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
    seed: int = 0,
    jobs: int = 0,
) -> Dossier:
    """Check a table, as `assay data check` does; `dossier.suspects` are the rows that a check flags.

    `table`, `trusted` and `holdout_of` are paths, or frames of pandas, Polars or Arrow. `label` … `label_delay` are
    columns. `threat` is a YAML file of features and constraints, `suspects` a Parquet file to write. Raises InputError
    or UsageError.
    """
    facts: dict[str, Json] = {
        "label": label, "id": id, "time": time, "entity": entity, "source": source, "annotator": annotator,
        "weight": weight, "split": split, "label_delay": label_delay, "protected": list(protected), "drop": list(drop),
    }  # fmt: skip
    facts = {k: v for k, v in facts.items() if v} | ({"positive": positive} if label else {})
    given = {"table": table, "trusted": trusted, "holdout_of": holdout_of}
    settings = Settings(only=only, skip=skip, seed=seed, jobs=jobs or default_jobs())
    with TemporaryDirectory(prefix="assay-frames-") as folder:
        paths = {
            role: on_disk(rows, role, Path(folder))
            for role, rows in given.items()
            if rows is not None or role == "table"
        }
        told = told_by(Path(threat), paths["table"]) if threat is not None else Told(contract=Contract())
        found = data.check_table(
            paths.pop("table"),
            {**told.facts, **facts},
            replace(settings, parameters=told.parameters),
            others=paths,
            contract=told.contract,
            suspects=Path(suspects) if suspects is not None else None,
            root=Path(folder),
        )
    return ShownDossier(**asdict(found))


def watch(
    reference: Any,
    current: Any,
    *,
    label: str = "",
    score: str = "",
    prediction: str = "",
    id: str = "",
    time: str = "",
    source: str = "",
    positive: Scalar = "1",
    threshold: float = 0.5,
    drop: tuple[str, ...] = (),
    joint: bool = False,
    labels: str | Path | None = None,
    key: str = "",
    state: str | Path | None = None,
    alpha: float = 0.05,
    least_effect: float = 0.001,
    seed: int = 0,
) -> Watched:
    """Compare current rows with a reference, as `assay watch` does.

    Both are paths, or frames of pandas, Polars or Arrow; the reference may be a saved one. `labels` is a table of
    labels that came later, joined by the column `key`; `state` keeps what was learned over all looks. Raises InputError
    or UsageError.
    """
    facts = flow_watch.facts_of(
        label=label, score=score, prediction=prediction, id=id, time=time, source=source, positive=str(positive),
        threshold=threshold, drop=drop,
    )  # fmt: skip
    saved = isinstance(reference, (str, Path)) and is_saved(Path(reference))
    if joint and saved:
        raise UsageError("joint drift asks rows, and a saved reference holds none", fix="give the reference's table")
    if (labels is None) != (not key):
        raise UsageError("labels and key go together", fix="give both")
    before = flow_watch.reference(reference, facts)
    found = flow_watch.watch(
        before,
        current,
        facts,
        flow_watch.settings_of(alpha, least_effect, seed),
        rows=None if saved else reference,
        joint=joint,
        labels=Path(labels) if labels is not None else None,
        key=key,
        state=Path(state) if state is not None else None,
        alpha=alpha,
    )
    return ShownWatch(**asdict(found))

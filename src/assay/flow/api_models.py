"""The Python API of models: attack one, and harden one, as the command line does."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from msgspec.structs import asdict

from assay.config.manifest import load_threat
from assay.core.errors import UsageError
from assay.core.finding import Json
from assay.core.subject import Access, Norm
from assay.engine.plan import Settings
from assay.flow import harden_model as flow
from assay.flow.api import ShownReport, on_disk
from assay.flow.attack import EVASION, Attack, attack_model
from assay.flow.examine import default_jobs
from assay.harden.hardening.result import Against, ModelHardened


def attack(
    model: str | Path,
    data: Any,
    *,
    label: str,
    positive: str = "1",
    threshold: float | None = None,
    threat: str | Path | None = None,
    train: Any = None,
    norm: Norm | None = None,
    budget: float | None = None,
    access: Access | None = None,
    method: Literal["search", "transfer"] | None = None,
    rows: int = 300,
    queries: int | None = None,
    only: str | tuple[str, ...] = ("data.schema", EVASION),
    skip: str | tuple[str, ...] = (),
    protected: tuple[str, ...] = (),
    favourable: Literal["passed", "flagged"] | None = None,
    drop: tuple[str, ...] = (),
    endpoint: dict[str, str] | None = None,
    examples: str | Path | None = None,
    seed: int = 0,
    jobs: int = 0,
) -> ShownReport:
    """Attack a model file, or the address of a served one, on rows that it has not seen.

    `data` and `train` are paths (CSV, Parquet or Arrow), or frames of pandas, Polars or Arrow. `budget` is in units of
    `norm` (of "cost": what a change may cost), which is the threat model's where none is given; `threat` is a file with
    `features:`, `constraints:` and `attacker:`. `only` asks other checks of the model, such as "theft.*"; `favourable`
    is for fairness.*, `endpoint` says how an address is asked, as `--endpoint` does. With `examples` the attacked rows
    are written there as Parquet; they hold the data's values. Raises InputError and UsageError.
    """
    chosen = norm or (load_threat(Path(threat)).attacker.norm if threat is not None else "cost")
    asked: dict[str, Json] = {"norm": norm, "access": access, "rows": rows, "queries": queries, "method": method}
    asked["cost" if chosen == "cost" else "budget"] = budget
    given: dict[str, dict[str, Json]] = {EVASION: {name: value for name, value in asked.items() if value is not None}}
    if favourable is not None:
        given["fairness.groups"] = {"favourable": favourable}
    settings = Settings(
        only=_several(only), skip=_several(skip), seed=seed, jobs=jobs or default_jobs(), parameters=given
    )
    with TemporaryDirectory(prefix="assay-frames-") as folder:
        what = Attack(
            model=model if isinstance(model, str) and "://" in model else _model(model).absolute(),
            data=on_disk(data, "data", Path(folder)), label=label, positive=positive, threshold=threshold,
            threat=_path(threat), train=None if train is None else on_disk(train, "train", Path(folder)),
            protected=protected, drop=drop, endpoint=tuple(f"{key}={said}" for key, said in (endpoint or {}).items()),
        )  # fmt: skip
        report = attack_model(what, settings, examples=_path(examples), root=Path(folder))
    return ShownReport(**asdict(report))


def harden_model(
    model: str | Path,
    *,
    train: Any,
    holdout: Any,
    label: str,
    against: Against = "evasion",
    positive: str = "1",
    drop: tuple[str, ...] = (),
    entity: str = "",
    threat: str | Path | None = None,
    norm: Norm | None = None,
    budget: float | None = None,
    access: Access | None = None,
    alarms: float = 0.01,
    margin: float = 0.01,
    rows: int | None = None,
    queries: int | None = None,
    only: str | tuple[str, ...] = (),
    seed: int = 0,
    output: str | Path | None = None,
    force: bool = False,
    weak: bool = False,
) -> ModelHardened:
    """Measure every option beside the controls, and write the new model where one surely helps: see `assay harden`.

    `train` and `holdout` are paths, or frames of pandas, Polars or Arrow. Against "evasion" `norm`, `budget`, `access`
    and `rows` (how many are attacked) say how; `alarms` is the share of false alarms at which all are compared,
    `margin` the recall that may be lost; `only` names options. Raises InputError, UsageError, and CouldNotLook where
    nothing can be told.
    """
    with TemporaryDirectory(prefix="assay-frames-") as folder:
        asked = flow.Asked(
            train=Path(folder) / on_disk(train, "train", Path(folder)), label=label, against=against,
            holdout=Path(folder) / on_disk(holdout, "holdout", Path(folder)), positive=positive, drop=drop,
            entity=entity, threat=_path(threat), norm=norm, budget=budget, access=access, alarms=alarms, margin=margin,
            rows=rows, queries=queries, only=_several(only), seed=seed, output=_path(output), force=force, weak=weak,
        )  # fmt: skip
        return flow.harden_model(_model(model), asked)


def _model(value: Any) -> Path:
    if isinstance(value, (str, PathLike)):
        return Path(value)
    fix = "save it first: assay.to_onnx writes scikit-learn and LightGBM, joblib.dump scikit-learn"
    raise UsageError(f"a {type(value).__name__} is no file", where="model", fix=fix)


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _several(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)

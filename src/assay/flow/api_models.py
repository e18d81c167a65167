"""The Python API of models: attack one, and harden one, as the command line does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from assay.config.manifest import load_threat
from assay.core.finding import Json
from assay.core.report import Report
from assay.core.subject import Access, Norm
from assay.engine.plan import Settings
from assay.flow import harden_model as flow
from assay.flow.api import ShownReport
from assay.flow.attack import EVASION, Attack, attack_model
from assay.flow.examine import default_jobs
from assay.harden.hardening.result import ModelHardened


def attack(
    model: str | Path,
    data: str | Path,
    *,
    label: str,
    positive: str = "1",
    threshold: float | None = None,
    threat: str | Path | None = None,
    train: str | Path | None = None,
    norm: Norm | None = None,
    budget: float | None = None,
    access: Access | None = None,
    rows: int = 300,
    queries: int | None = None,
    only: tuple[str, ...] = ("data.schema", EVASION),
    protected: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
    examples: str | Path | None = None,
    seed: int = 0,
    jobs: int = 0,
) -> Report:
    """Attack a model file, or the address of a served one, on rows that it has not seen (CSV, Parquet or Arrow).

    `budget` is in units of `norm` (of "cost": what a change may cost), which is the threat model's where none is given;
    `threat` is a file with `features:`, `constraints:` and `attacker:`. `only` asks other checks of the model, such as
    "theft.*". With `examples` the attacked rows are written there as Parquet; they hold the data's values. Raises
    InputError and UsageError.
    """
    chosen = norm or (load_threat(Path(threat)).attacker.norm if threat is not None else "cost")
    asked: dict[str, Json] = {"norm": norm, "access": access, "rows": rows, "queries": queries}
    asked["cost" if chosen == "cost" else "budget"] = budget
    given: dict[str, Json] = {name: value for name, value in asked.items() if value is not None}
    what = Attack(
        model=model if isinstance(model, str) and "://" in model else Path(model), data=Path(data), label=label,
        positive=positive, threshold=threshold, threat=_path(threat), train=_path(train), protected=protected,
        drop=drop,
    )  # fmt: skip
    settings = Settings(only=only, seed=seed, jobs=jobs or default_jobs(), parameters={EVASION: given})
    return ShownReport(**asdict(attack_model(what, settings, examples=_path(examples))))


def harden_model(
    model: str | Path,
    *,
    train: str | Path,
    holdout: str | Path,
    label: str,
    threat: str | Path | None = None,
    output: str | Path | None = None,
    **more: Any,
) -> ModelHardened:
    """Measure every option beside the controls, and write the new model where one surely helps: see `assay harden`.

    `more` are the fields of `flow.harden_model.Asked`: against ("evasion", "membership", "theft"), norm, budget,
    access, alarms, margin, rows, only, seed, and the rest. Raises InputError, UsageError, and CouldNotLook where
    nothing can be told.
    """
    asked = flow.Asked(
        train=Path(train), holdout=Path(holdout), label=label, threat=_path(threat), output=_path(output), **more
    )
    return flow.harden_model(Path(model), asked)


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)

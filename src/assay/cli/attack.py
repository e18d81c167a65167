"""`assay attack`: try to slip rows past a model under real constraints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from assay.cli.common import (
    FILE,
    Finite,
    Number,
    asking_options,
    emit,
    must,
    output_options,
    progress_bar,
    report_code,
    settings_from,
)


@click.command("attack")
@click.argument("model", type=FILE)
@click.option("--data", type=FILE, help="Rows the model has not seen (CSV, Parquet or Arrow).")
@click.option("--label", help="The label column of the data.")
@click.option(
    "--positive", default="1", show_default=True, help="The label's positive value: what the model should flag."
)
@click.option(
    "--threshold", type=Number(), default=0.5, show_default=True, help="The score from which the model flags."
)
@click.option(
    "--threat",
    type=FILE,
    help="What an attacker can change: assay.yaml, or a YAML file with its `features:` and `constraints:`.",
)
@click.option("--train", type=FILE, help="The training data, for the scale of each feature  [default: --data].")
@click.option("--cost", type=Finite(0, min_open=True), default=3.0, show_default=True, help="The budget.")
@click.option("--access", type=click.Choice(["label", "score"]), default="label", show_default=True)
@click.option("--rows", type=click.IntRange(10), default=300, show_default=True, help="Positive rows to try.")
@click.option("--queries", type=click.IntRange(10), default=600, show_default=True, help="Queries a row may ask.")
@asking_options
@output_options
def command(
    model: Path,
    data: Path | None,
    label: str | None,
    positive: str,
    threshold: float,
    threat: Path | None,
    train: Path | None,
    cost: float,
    access: str,
    rows: int,
    queries: int,
    format_: str,
    output: Path | None,
    fail_level: str,
    **options: Any,
) -> None:
    """Attack MODEL: a model file with --data, --label and --threat, or a project folder with assay.yaml.

    For a project the manifest's own data, threat and budget are used. `features:` declares every input of the model,
    one a line: `Sex: {mutable: false}`, `Amount: {min: 0, max: 500, cost: 2}`, `Day: {categories: [Mon, Tue]}`.
    """
    from assay.core.dossier import Dossier

    wanted = options.pop("only") or ("robustness.*",)
    with progress_bar() as progress:
        if model.is_dir():
            from assay.flow.project import examine_only

            _refuse_ignored()
            report = examine_only(model, settings_from(only=wanted, **options), progress=progress)
        else:
            from assay.config.manifest import load_threat
            from assay.core.subject import Kind, Subject
            from assay.flow.examine import examine_loose

            table: Path = must(data, "--data", "to attack a model file")
            facts: dict[str, Any] = {
                "label": must(label, "--label", "to know what should be flagged"),
                "positive": positive,
            }
            contract = load_threat(must(threat, "--threat", "to know what an attacker can change"))
            name = f"{model.name} (model)" if model.name in ("data", "train") else model.name
            subjects = {
                "data": Subject(name="data", kind=Kind.DATASET, uri=str(table), options=facts),
                name: Subject(
                    name=name,
                    kind=Kind.MODEL,
                    uri=str(model),
                    options={"threshold": threshold},
                    reads={"holdout": "data"} | ({"data": "train"} if train is not None else {}),
                ),
            }
            if train is not None:
                subjects["train"] = Subject(name="train", kind=Kind.DATASET, uri=str(train), options=facts)
            asked = {"cost": cost, "access": access, "rows": rows, "queries": queries}
            settings = settings_from(only=wanted, parameters={"robustness.evasion": asked}, **options)
            report = examine_loose(subjects, [(Kind.MODEL, name)], contract, settings, progress=progress)
    emit(Dossier(report=report), format_, output)
    raise click.exceptions.Exit(report_code(report, fail_level))


def _refuse_ignored() -> None:
    """Options that a project answers itself must not be given, and then be ignored. Raises UsageError."""
    from assay.core.errors import UsageError

    context = click.get_current_context()
    given = click.core.ParameterSource.COMMANDLINE
    for name in ("data", "label", "positive", "threshold", "threat", "train", "cost", "access", "rows", "queries"):
        if context.get_parameter_source(name) is given:
            raise UsageError(f"--{name} is for a model file", where="assay attack", fix="set it in assay.yaml")

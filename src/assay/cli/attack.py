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
@click.option(
    "--cost", type=Finite(0, min_open=True), default=3.0, show_default=True, help="The budget of --norm cost."
)
@click.option(
    "--norm",
    type=click.Choice(["linf", "l2", "l1", "cost"]),
    default="cost",
    show_default=True,
    help="How far a change is: the largest, the Euclidean length, the sum, or what the threat model says it costs.",
)
@click.option("--budget", type=Finite(0, min_open=True), help="The budget of the other norms  [default: no limit].")
@click.option(
    "--access",
    type=click.Choice(["label", "score", "whitebox"]),
    default="label",
    show_default=True,
    help="What the attacker sees: decisions, scores, or the model itself.",
)
@click.option("--rows", type=click.IntRange(10), default=300, show_default=True, help="Positive rows to try.")
@click.option("--queries", type=click.IntRange(10), default=600, show_default=True, help="Queries a row may ask.")
@click.option("--examples", type=FILE, help="Write the attacked rows to this Parquet file.")
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
    norm: str,
    budget: float | None,
    access: str,
    rows: int,
    queries: int,
    examples: Path | None,
    format_: str,
    output: Path | None,
    fail_level: str,
    **options: Any,
) -> None:
    """Attack MODEL: a model file with --data and --label, or a project folder with assay.yaml.

    For a project the manifest's own data, threat and budget are used. A threat model says of every input of the model
    whether and how an attacker can change it, one a line: `Sex: {mutable: false}`, `Amount: {min: 0, max: 500, cost:
    2}`, `Day: {categories: [Mon, Tue]}`; `assay attack init` drafts it. Without one everything may change.
    """
    from assay.core.dossier import Dossier

    wanted = options.pop("only") or ("robustness.*",)
    with progress_bar() as progress:
        if model.is_dir():
            from assay.flow.project import examine_only

            _refuse_ignored()
            report = examine_only(model, settings_from(only=wanted, **options), progress=progress)
        else:
            from assay.flow.attack import Attack, attack_model

            _refuse_other_budget(norm, budget)
            what = Attack(
                model=model,
                data=must(data, "--data", "to attack a model file"),
                label=must(label, "--label", "to know what should be flagged"),
                positive=positive,
                threshold=threshold,
                threat=threat if norm != "cost" else must(threat, "--threat", "to know what a change costs"),
                train=train,
            )
            asked = {"cost": cost, "norm": norm, "budget": budget, "access": access, "rows": rows, "queries": queries}
            settings = settings_from(only=wanted, parameters={"robustness.evasion": asked}, **options)
            report = attack_model(what, settings, examples=examples, progress=progress)
    emit(Dossier(report=report), format_, output)
    raise click.exceptions.Exit(report_code(report, fail_level))


def _refuse_other_budget(norm: str, budget: float | None) -> None:
    from assay.core.errors import UsageError

    source = click.get_current_context().get_parameter_source("cost")
    if norm == "cost" and budget is not None:
        raise UsageError("--budget is for the other norms", where="assay attack", fix="use --cost")
    if norm != "cost" and source is click.core.ParameterSource.COMMANDLINE:
        raise UsageError("--cost is the budget of --norm cost", where="assay attack", fix="use --budget")


def _refuse_ignored() -> None:
    """Options that a project answers itself must not be given, and then be ignored. Raises UsageError."""
    from assay.core.errors import UsageError

    context = click.get_current_context()
    given = click.core.ParameterSource.COMMANDLINE
    for name in ("data", "label", "positive", "threshold", "threat", "train", "cost", "norm", "budget",
                 "access", "rows", "queries", "examples"):  # fmt: skip
        if context.get_parameter_source(name) is given:
            raise UsageError(f"--{name} is for a model file", where="assay attack", fix="set it in assay.yaml")

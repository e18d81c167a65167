"""`assay data`: questions asked of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from assay.cli.common import FILE, asking_options, emit, output_options, progress_bar, report_code, settings_from


@click.group("data")
def command() -> None:
    """Ask about a table: schema, duplicates, leakage, labels."""


@command.command("check")
@click.argument("file", type=FILE)
@click.option("--label", help="The label column; without it nothing is learned from the rows.")
@click.option("--positive", help="The label's positive value  [default: 1].")
@click.option("--id", "id_", help="The column that names a row.")
@click.option("--time", "time_", help="The column of time (labels that come in a batch).")
@click.option("--source", help="The column of the upload or source.")
@click.option("--drop", multiple=True, help="A column that is no feature (may repeat).")
@click.option("--holdout-of", type=FILE, help="The training table that this one was split from.")
@click.option("--trusted", type=FILE, help="A table of rows that are known to be good, with the same columns.")
@click.option("--suspects", type=FILE, help="Write the rows that checks point at to this Parquet file.")
@click.option("--threat", type=FILE, help="A YAML file with `features:` and `constraints:` to check the rows against.")
@asking_options
@output_options
def check(
    file: Path,
    label: str | None,
    positive: str | None,
    id_: str | None,
    time_: str | None,
    source: str | None,
    drop: tuple[str, ...],
    holdout_of: Path | None,
    trusted: Path | None,
    suspects: Path | None,
    threat: Path | None,
    format_: str,
    output: Path | None,
    fail_level: str,
    **options: Any,
) -> None:
    """Check FILE (CSV, Parquet or Arrow)."""
    from assay.config.manifest import load_threat
    from assay.core.dossier import Dossier
    from assay.flow.data import check_table

    given = {"label": label, "positive": positive, "id": id_, "time": time_, "source": source, "drop": list(drop)}
    facts: dict[str, Any] = {k: v for k, v in given.items() if v}
    if label and "positive" not in facts:
        facts["positive"] = 1
    others = {role: path for role, path in (("holdout_of", holdout_of), ("trusted", trusted)) if path is not None}
    contract = load_threat(threat) if threat is not None else None
    with progress_bar() as progress:
        report = check_table(
            file,
            facts,
            settings_from(**options),
            others=others,
            contract=contract,
            suspects=suspects,
            progress=progress,
        )
    emit(Dossier(report=report), format_, output)
    if suspects is not None:
        click.echo(f"wrote {suspects}", err=True)
    raise click.exceptions.Exit(report_code(report, fail_level))

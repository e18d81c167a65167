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
    threat: Path | None,
    format_: str,
    output: Path | None,
    fail_level: str,
    **options: Any,
) -> None:
    """Check FILE (CSV, Parquet or Arrow)."""
    from assay.config.manifest import load_threat
    from assay.core.dossier import Dossier
    from assay.core.subject import Contract, Kind, Subject
    from assay.flow.examine import examine_loose

    given = {"label": label, "positive": positive, "id": id_, "time": time_, "source": source, "drop": list(drop)}
    facts: dict[str, Any] = {k: v for k, v in given.items() if v}
    if label and "positive" not in facts:
        facts["positive"] = 1
    subjects = {file.name: Subject(name=file.name, kind=Kind.DATASET, uri=str(file), options=facts)}
    if holdout_of is not None:
        other = f"{holdout_of.name} (training)" if holdout_of.name == file.name else holdout_of.name
        subjects[other] = Subject(name=other, kind=Kind.DATASET, uri=str(holdout_of), options=facts)
        subjects[file.name] = Subject(
            name=file.name, kind=Kind.DATASET, uri=str(file), options=facts, reads={"holdout_of": other}
        )
    contract = load_threat(threat) if threat is not None else Contract()
    asked = [(Kind.DATASET, file.name)]
    with progress_bar() as progress:
        report = examine_loose(subjects, asked, contract, settings_from(**options), progress=progress)
    emit(Dossier(report=report), format_, output)
    raise click.exceptions.Exit(report_code(report, fail_level))

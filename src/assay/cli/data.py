"""`assay data`: questions asked of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from assay.cli.common import (
    FILE,
    Finite,
    asking_options,
    emit,
    output_options,
    progress_bar,
    refuse_table,
    report_code,
    settings_from,
    stoppable,
)
from assay.core.errors import UsageError
from assay.core.subject import Contract


@click.group("data")
def command() -> None:
    """Ask about a table, draft its contract, write down what it was made of."""


@command.command("check")
@click.argument("file", type=FILE)
@click.option("--label", help="The label column; without it nothing is learned from the rows.")
@click.option("--positive", help="The label's positive value  [default: 1].")
@click.option("--id", "id_", help="The column that names a row.")
@click.option("--time", "time_", help="The column of time (labels that come in a batch).")
@click.option("--source", help="The column of the upload or source.")
@click.option("--entity", help="The column that says whom or what a row is about, where one has several rows.")
@click.option("--annotator", help="The column that says who labelled.")
@click.option("--weight", help="The column of how much a row counts.")
@click.option("--split", help="The column that says which part a row was dealt to.")
@click.option("--label-delay", help="The column of how long after the row its label came.")
@click.option("--protected", multiple=True, help="A column of a protected attribute (may repeat).")
@click.option("--provenance", type=FILE, help="The dataset manifest (`assay data manifest` writes one).")
@click.option("--drop", multiple=True, help="A column that is no feature (may repeat).")
@click.option("--holdout-of", type=FILE, help="The training table that this one was split from.")
@click.option("--trusted", type=FILE, help="A table of rows that are known to be good, with the same columns.")
@click.option("--suspects", type=FILE, help="Write the rows that checks point at to this Parquet file.")
@click.option("--table", help="Which table of a DuckDB database.")
@click.option("--threat", type=FILE, help="A YAML file with `features:` and `constraints:`, or an assay.yaml.")
@asking_options
@output_options
def check(
    file: Path,
    label: str | None,
    positive: str | None,
    id_: str | None,
    time_: str | None,
    source: str | None,
    entity: str | None,
    annotator: str | None,
    weight: str | None,
    split: str | None,
    label_delay: str | None,
    protected: tuple[str, ...],
    provenance: Path | None,
    drop: tuple[str, ...],
    holdout_of: Path | None,
    trusted: Path | None,
    suspects: Path | None,
    table: str | None,
    threat: Path | None,
    format_: str,
    output: Path | None,
    fail_level: str,
    **options: Any,
) -> None:
    """Check FILE (CSV, Parquet, Arrow or DuckDB).

    Where --threat is an assay.yaml that names FILE, what it says of its columns is taken too; options go before.
    """
    from assay.flow.data import Told, check_table, told_by

    told = told_by(threat, file) if threat is not None else Told(contract=Contract())
    given = {
        "label": label, "positive": positive, "id": id_, "time": time_, "source": source, "entity": entity,
        "annotator": annotator, "weight": weight, "split": split, "label_delay": label_delay,
        "protected": list(protected), "provenance": str(provenance) if provenance else None, "drop": list(drop),
        "table": table,
    }  # fmt: skip
    facts: dict[str, Any] = {**told.facts, **{k: v for k, v in given.items() if v}}
    if facts.get("label") and "positive" not in facts:
        facts["positive"] = 1
    if suspects is not None:
        if suspects.is_dir() or (suspects.suffix.lower() not in (".parquet", ".pq") and suspects.exists()):
            raise UsageError("is a folder, or no Parquet file", where=str(suspects), fix="name a file: out.parquet")
        refuse_table(suspects)
    others = {role: path for role, path in (("holdout_of", holdout_of), ("trusted", trusted)) if path is not None}
    with stoppable(), progress_bar() as progress:
        dossier = check_table(
            file,
            facts,
            settings_from(**options, parameters=told.parameters),
            others=others,
            contract=told.contract,
            suspects=suspects,
            progress=progress,
        )
    emit(dossier, format_, output)
    if suspects is not None:
        click.echo(f"wrote {suspects}", err=True)
    raise click.exceptions.Exit(report_code(dossier.report, fail_level))


class _Rates(click.types.StringParamType):
    """Shares of the rows, with commas between them: 0.01,0.05 or 1%,5%."""

    name = "RATES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The rates, rising."""
        if isinstance(value, tuple):
            return value
        rates = []
        for word in str(value).split(","):
            number = Finite(0).convert(word.strip().removesuffix("%"), param, ctx)
            rates.append(number / 100 if word.strip().endswith("%") else number)
        return tuple(sorted(set(rates)))


@command.command("dose")
@click.argument("file", type=FILE)
@click.option("--label", help="The label column.")
@click.option("--positive", help="The label's positive value  [default: 1].")
@click.option("--attack", "attacks", multiple=True, metavar="NAME", help="Plant only this attack (may repeat).")
@click.option("--rates", type=_Rates(), help="Shares of the rows to plant at  [default: 0.1% to 20% in 8 steps].")
@click.option("--all-rates", is_flag=True, help="Plant at every rate, not only where the answer is not settled.")
@click.option("--plantings", type=click.IntRange(1, 200), default=5, show_default=True, help="Plantings at a rate.")
@click.option("--rows", type=click.IntRange(100), default=5000, show_default=True, help="Plant in a sample this large.")
@click.option("--trusted", type=FILE, help="A table of rows that are known to be good, with the same columns.")
@click.option("--id", "id_", help="The column that names a row.")
@click.option("--drop", multiple=True, help="A column that is no feature (may repeat).")
@click.option("--threat", type=FILE, help="A YAML file with `features:` and `constraints:`, or an assay.yaml.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything that is random.")
@click.option("--jobs", "-j", type=click.IntRange(1, 256), help="Workers  [default: one a core].")
@output_options
def dose(
    file: Path,
    label: str | None,
    positive: str | None,
    attacks: tuple[str, ...],
    rates: tuple[float, ...] | None,
    all_rates: bool,
    plantings: int,
    rows: int,
    trusted: Path | None,
    id_: str | None,
    drop: tuple[str, ...],
    threat: Path | None,
    seed: int,
    jobs: int | None,
    format_: str,
    output: Path | None,
) -> None:
    """Plant poison in copies of FILE, and say from which share of the rows on `assay data check` finds it.

    FILE itself is not changed. Exit code 3 where that cannot be told of an attack.
    """
    from assay.core.dossier import Dossier
    from assay.flow.data import Told, told_by
    from assay.flow.dose import RATES, Plan
    from assay.flow.dose import dose as doses

    told = told_by(threat, file) if threat is not None else Told(contract=Contract())
    given = {"label": label, "positive": positive, "id": id_, "drop": list(drop)}
    facts: dict[str, Any] = {**told.facts, **{k: v for k, v in given.items() if v}}
    if facts.get("label") and "positive" not in facts:
        facts["positive"] = 1
    wanted = Plan(
        attacks=attacks, rates=RATES if rates is None else rates, plantings=plantings, rows=rows, every=all_rates
    )
    settings = settings_from((), (), seed, jobs, 600.0, 6144, parameters=told.parameters)
    with progress_bar() as progress:
        report = doses(file, facts, wanted, settings, trusted=trusted, contract=told.contract, progress=progress)
    emit(Dossier(report=report), format_, output)
    raise click.exceptions.Exit(report_code(report, "medium"))


@command.command("infer")
@click.argument("file", type=FILE)
@click.option("--label", help="The label column.")
@click.option("--drop", multiple=True, help="A column that is no feature (may repeat).")
@click.option("--table", help="Which table of a DuckDB database.")
@click.option("--output", "-o", type=FILE, help="Write the draft here, where nothing lies yet  [default: stdout].")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything that is random.")
def infer(
    file: Path, label: str | None, drop: tuple[str, ...], table: str | None, output: Path | None, seed: int
) -> None:
    """Draft assay.yaml from FILE: types, ranges, categories, relations, personal data, roles of columns.

    Nothing is overwritten. `assay data check FILE --threat DRAFT` then enforces the draft.
    """
    from assay.flow.infer import infer as drafted
    from assay.flow.infer import write_new_draft

    facts: dict[str, Any] = {k: v for k, v in {"label": label, "drop": list(drop), "table": table}.items() if v}
    if output is not None and output.exists():
        write_new_draft("", output)  # says so before the work, not after it
    with progress_bar() as progress:
        text = drafted(file, facts, output, seed=seed, progress=progress)
    if output is None:
        click.echo(text, nl=False)
        return
    write_new_draft(text, output)
    click.echo(f"wrote {output}; read every line, then: assay data check {file} --threat {output}")


@command.command("manifest")
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--source", default="", help="Where the data are from.")
@click.option("--licence", default="", help="Under which licence or contract they are used.")
@click.option("--consent", default="", help="On what ground people's data are used, or that none are people's.")
@click.option("--collected", nargs=2, metavar="FROM TO", help="The first and the last day (2024-01-01 2024-12-31).")
@click.option("--collected-by", default="", help="Who collected them.")
@click.option("--output", "-o", type=FILE, default="data.provenance.yaml", show_default=True, help="Where to write it.")
def manifest(
    files: tuple[Path, ...],
    source: str,
    licence: str,
    consent: str,
    collected: tuple[str, str] | None,
    collected_by: str,
    output: Path,
) -> None:
    """Write the manifest of a dataset: the SHA-256 of each of FILES, and where they are from.

    Name it as `provenance:` of the dataset in assay.yaml. Nothing is overwritten: what changed must be looked at first.
    """
    from assay.flow.infer import write_new_draft
    from assay.flow.provenance import draft_dataset_manifest

    facts = {"source": source, "licence": licence, "consent": consent, "collected_by": collected_by}
    with progress_bar() as progress:
        text = draft_dataset_manifest(files, output, facts, collected, progress)
    write_new_draft(text, output)
    click.echo(f"wrote {output}; name it in assay.yaml: provenance: {output.name}")

"""`assay watch`: rows that came in after training, beside the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from assay.cli.common import FILE, Finite, Number, emit, output_options, progress_bar, render, save


@click.command("watch")
@click.argument("reference", type=FILE, metavar="REF")
@click.argument("current", type=FILE, metavar="[CUR]", required=False)
@click.option("--label", help="The label column.")
@click.option("--score", help="The column of the model's scores.")
@click.option("--prediction", help="The column of the model's answers.")
@click.option("--id", help="The column that names a row; it is not compared.")
@click.option("--time", help="The column of time; it is not compared.")
@click.option("--source", help="The column of the upload or source.")
@click.option("--positive", default="1", show_default=True, help="The label's positive value.")
@click.option(
    "--threshold", type=Number(), default=0.5, show_default=True, help="The score from which the model says yes."
)
@click.option(
    "--joint", is_flag=True, help="Also ask whether rows of REF and CUR can be told apart by all columns together."
)
@click.option("--labels", type=FILE, help="A table of labels that came later.")
@click.option("--key", help="The column by which those labels belong to rows of CUR.")
@click.option("--drop", multiple=True, help="A column that is not compared (may repeat).")
@click.option("--table", help="Which table of a DuckDB database.")
@click.option("--engine", help="Count on `spark`, or in the database of this URL (postgresql://host/name).")
@click.option(
    "--alpha",
    type=Finite(1e-12, 0.5),
    default=0.05,
    show_default=True,
    help="Chance of any false alarm of the columns.",
)
@click.option(
    "--least-effect", type=Finite(0.0), default=0.001, show_default=True, help="Effect below which drift is no finding."
)
@click.option("--state", type=FILE, help="Keep what was learned here, for a level that holds over all looks for ever.")
@click.option("--save-reference", type=FILE, help="Write the reference here: a few kilobytes a column, no rows.")
@click.option("--ledger", type=FILE, help="Write an alarm down here, as a notice.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything that is random.")
@click.option("--jobs", "-j", type=click.IntRange(1, 256), help="Threads  [default: one a core].")
@click.option("--memory", type=click.IntRange(64), default=6144, help="Megabytes it may take.")
@output_options
def command(
    reference: Path,
    current: Path | None,
    joint: bool,
    labels: Path | None,
    key: str | None,
    alpha: float,
    least_effect: float,
    state: Path | None,
    save_reference: Path | None,
    ledger: Path | None,
    engine: str | None,
    seed: int,
    jobs: int | None,
    memory: int,
    format_: str,
    output: Path | None,
    **told: Any,
) -> None:
    """Compare CUR with REF: drift of every column, its size and whether it is surely no chance.

    REF and CUR are CSV, Parquet or Arrow files, folders of Parquet files or DuckDB databases; REF may be a reference
    that was saved. With --engine they are names of tables there, of Spark also Parquet paths. The chance of any false
    alarm over all columns is --alpha, for any number of rows; --joint and --labels add at most 1% each.

    Exit code 0: no drift; 1: alarm; 2: wrong use; 3: something could not be compared.
    """
    from assay.adapters.extras import library

    for needed in ("numpy", "scipy", "duckdb"):
        library(needed)  # said in one line, with the command that installs it
    from assay.adapters.traffic import encode_reference, is_saved
    from assay.flow import watch as flow
    from assay.flow.examine import default_jobs

    facts = flow.facts_of(**told)
    saved = is_saved(reference)
    _fits(joint, labels, key, saved=saved, engine=engine)
    threads = jobs or default_jobs()
    with progress_bar() as progress, _opened(engine, threads) as table:
        source: Any = reference if saved or table is None else table(str(reference))
        before = flow.reference(source, facts, threads=threads, progress=progress)
        if save_reference is not None:
            if not saved and table is None:
                before = flow.marked(before, reference, seed=seed, threads=threads)
            save(save_reference, encode_reference(before))
            click.echo(f"wrote {save_reference}", err=True)
            if doubt := flow.doubt_of(before):
                click.echo(f"note: it will say nothing of performance: {doubt}", err=True)
        if current is None:
            if save_reference is None:
                raise click.UsageError("name CUR to compare, or --save-reference FILE to write")
            return
        found = flow.watch(
            before, current if table is None else table(str(current)), facts,
            flow.settings_of(alpha, least_effect, seed),
            rows=None if saved or table else reference, joint=joint, labels=labels, key=key or "", state=state,
            alpha=alpha, memory=memory << 20, threads=threads, progress=progress,
        )  # fmt: skip
    _show(found, format_, output)
    if format_ == "text":
        click.echo(flow.verdict_in_words(found))
    if found.new and ledger is not None:
        _note(found, reference, current, before, ledger, (alpha, least_effect, seed), once=state is not None)
    raise click.exceptions.Exit(1 if found.alarm else 3 if found.verdict == "open" else 0)


def _fits(joint: bool, labels: Path | None, key: str | None, *, saved: bool, engine: str | None) -> None:
    """Refuse options that do not go together."""
    if joint and (saved or engine):
        held = "a saved reference holds none" if saved else "an engine's stay where they are"
        raise click.UsageError(f"--joint asks rows, and {held}: name a table")
    if (labels is None) != (key is None):
        raise click.UsageError("--labels and --key go together")
    if labels is not None and engine:
        raise click.UsageError("--labels are joined to tables that DuckDB reads: leave --engine out")


def _note(
    found: Any, reference: Path, current: Path, before: Any, ledger: Path, how: tuple[float, float, int], *, once: bool
) -> None:
    from assay.flow.book import open_book
    from assay.flow.notices import asked_of, notify
    from assay.flow.project import user

    with open_book(ledger) as book:
        entry = notify(book, found, current, user(), asked_of(reference, before, *how), once=once)
    click.echo(f"noted in {ledger}, entry {entry.index}" if entry else f"noted in {ledger} already", err=True)


@contextmanager
def _opened(engine: str | None, threads: int) -> Iterator[Callable[[str], Any] | None]:
    """What opens a table of the engine by its name; None without one."""
    if engine is None:
        yield None
        return
    from assay.adapters.engines import open_engine

    with open_engine(engine, threads=threads) as held:
        yield held.table


def _show(found: Any, format_: str, output: Path | None) -> None:
    import msgspec

    if format_ != "json":
        emit(found.dossier, format_, output)
        return
    text = msgspec.json.format(msgspec.json.encode(found, order="deterministic"), indent=2).decode() + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    save(output, text.encode())
    click.echo(render(found.dossier, "text"), nl=False)
    click.echo(f"wrote {output}", err=True)

"""`assay scan`: what code a model file would run, found by reading it, never by loading it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from assay.cli.common import FILE, asking_options, emit, output_options, progress_bar, report_code, settings_from

STDIN = Path("-")


@click.command("scan")
@click.argument("paths", nargs=-1, required=True, type=FILE)
@click.option("--full", is_flag=True, help="Hash every file, and compare every checksum in archives.")
@click.option("--strict", is_flag=True, help="Fail on classes in pickles that no list knows.")
@click.option("--database", type=FILE, help="OSV records to look the requirements up in: a zip, a file or a folder.")
@asking_options
@output_options
def command(
    paths: tuple[Path, ...],
    full: bool,
    strict: bool,
    database: Path | None,
    format_: str,
    output: Path | None,
    fail_level: str,
    **options: Any,
) -> None:
    """Examine files and folders without loading them; `-` is standard input.

    Reads structurally: digests are left null, and the result is not evidence for the gate (`assay run` makes that).
    Exit code 0: nothing found; 1: findings; 2: wrong use; 3: something could not be read, and nothing worse was found.
    """
    from assay.core.dossier import Dossier
    from assay.flow.examine import scan

    parameters: dict[str, Any] = {"artifact.pickle-code": {"strict": True}} if strict else {}
    if database is not None:
        file = database.absolute() if STDIN in paths else database
        parameters["supply.vulnerabilities"] = {"database": str(file)}
    settings = settings_from(**options, parameters=parameters)
    with _standard_input(paths) as (named, root), progress_bar() as progress:
        report = scan(named, settings, root=root, full=full, progress=progress)
    emit(Dossier(report=report), format_, output)
    raise click.exceptions.Exit(report_code(report, fail_level))


@contextmanager
def _standard_input(paths: tuple[Path, ...]) -> Iterator[tuple[tuple[Path, ...], str]]:
    """The paths and the folder they are in: standard input, which cannot be read twice, as a file of its own."""
    if STDIN not in paths:
        yield paths, ""
        return
    if len(paths) > 1:
        raise click.UsageError("standard input (-) is scanned by itself")
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="assay-stdin-") as folder:
        with open(Path(folder) / "stdin", "wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy, 1 << 20)
        yield (Path("stdin"),), folder

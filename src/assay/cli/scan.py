"""`assay scan`: what code a model file would run, found by reading it, never by loading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from assay.cli.common import FILE, asking_options, emit, output_options, progress_bar, report_code, settings_from


@click.command("scan")
@click.argument("paths", nargs=-1, required=True, type=FILE)
@asking_options
@output_options
def command(paths: tuple[Path, ...], format_: str, output: Path | None, fail_level: str, **options: Any) -> None:
    """Examine files and folders without loading them.

    Reads structurally: digests are left null, and the result is not evidence for the gate (`assay run` makes that).
    """
    from assay.core.dossier import Dossier
    from assay.flow.examine import scan

    with progress_bar() as progress:
        report = scan(paths, settings_from(**options), progress=progress)
    emit(Dossier(report=report), format_, output)
    raise click.exceptions.Exit(report_code(report, fail_level))

"""`assay report`: a saved report or evidence bundle again, in another format."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli.common import FILE, emit, output_options


@click.command("report")
@click.argument("file", type=FILE)
@output_options
def command(file: Path, format_: str, output: Path | None) -> None:
    """Show FILE (written by --format json or --evidence-out) again.

    Signatures are not checked here: that is the gate's work.
    """
    from assay.flow.saved import read_dossier

    emit(read_dossier(file), format_, output)

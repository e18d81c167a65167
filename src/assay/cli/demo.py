"""`assay demo`: the whole story on simulated payments, by the real commands."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from assay.cli.common import FILE


@click.command("demo")
@click.option("--dir", "folder", type=FILE, help="Where the three folders go  [default: a new temporary folder].")
@click.option("--seed", type=int, default=11, show_default=True, help="Seed of the simulator.")
def command(folder: Path | None, seed: int) -> None:
    """Play the story: a compromised project is denied, mended, approved, allowed, verified; tampering is refused.

    Three folders that share no disk play data science, security and compliance. The payments are simulated.
    Exits 0 only if every step held.
    """
    from assay.labs.demo import play

    place = folder or Path(tempfile.mkdtemp(prefix="assay-demo-"))
    raise click.exceptions.Exit(0 if play(place, seed, click.echo) else 1)

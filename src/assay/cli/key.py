"""`assay key`: make and show signing keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.common import FILE, PASSPHRASE, public_key

if TYPE_CHECKING:
    from assay.attest.keys import Kind

TYPES = ("p256", "ed25519")
"""The kinds of new keys, the usual one first."""


@click.group("key")
def command() -> None:
    """Make and show signing keys (ECDSA P-256 or Ed25519)."""


@command.command("new")
@click.argument("name")
@click.option("--dir", "folder", default=".", type=FILE, help="Where NAME.key and NAME.pub go.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(TYPES),
    default=TYPES[0],
    show_default=True,
    help="p256 is what every tool that verifies model signatures reads.",
)
def new(name: str, folder: Path, kind: Kind) -> None:
    """Make NAME.key (keep it to yourself) and NAME.pub. A passphrase comes from ASSAY_KEY_PASSPHRASE, if set."""
    from assay.attest.keys import generate, save_private, save_public

    key = generate(name, kind)
    given = os.environ.get(PASSPHRASE)
    save_private(key, folder / f"{name}.key", given.encode() if given else None)
    save_public(key.public, folder / f"{name}.pub")
    click.echo(f"wrote {folder / name}.key and {folder / name}.pub")
    click.echo(f"{key.public.text}")


@command.command("show")
@click.argument("file", type=FILE)
def show(file: Path) -> None:
    """Print a public key as a roster names it, and its id."""
    key = public_key(file)
    click.echo(key.text)
    click.echo(f"id {key.id}")
    click.echo(f"pem {key.hint}")  # by which signatures of models name it

"""`assay sign`: a model, a policy or a roster, beside the file as FILE.assay.sig."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli.common import FILE, private_key


@click.command("sign")
@click.argument("path", type=FILE)
@click.option("--key", required=True, type=FILE, help="Your signing key.")
def command(path: Path, key: Path) -> None:
    """Sign PATH. A model (file or folder) names each file's digest; a policy or roster is signed as what it is.

    Whoever signs a model is its author, and cannot approve it.
    """
    from assay.attest.signature import sign_files, write_signature
    from assay.core.protocols import system_clock
    from assay.flow.papers import is_document, sign_document

    signer, now = private_key(key), system_clock()
    if path.is_file() and is_document(path):
        what, envelope = sign_document(path, signer, now)
    else:
        what, envelope = "files", sign_files(path, [signer], now)
    written = write_signature(path, envelope)
    click.echo(f"signed {path} as {what} with key {signer.public.id[:8]}; wrote {written}")

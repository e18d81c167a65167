"""`assay sign`: a model, a policy, a roster or a threat pack, beside the file as FILE.sig."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.common import FILE, private_key, progress_bar, remembered

if TYPE_CHECKING:
    from assay.attest.keys import PrivateKey


@click.command("sign")
@click.argument("path", type=FILE)
@click.option("--key", required=True, type=FILE, help="Your signing key.")
@click.option("--signature", type=FILE, help="Where the signature goes  [default: beside PATH, as PATH.sig].")
@click.option("--ignore", multiple=True, metavar="NAME", help="Leave out this file or folder inside PATH (may repeat).")
@click.option("--follow-links", is_flag=True, help="Sign links to files inside PATH as what they point to.")
@click.option("--full", is_flag=True, help="Read every file again, also those unchanged since they were last signed.")
def command(
    path: Path, key: Path, signature: Path | None, ignore: tuple[str, ...], follow_links: bool, full: bool
) -> None:
    """Sign PATH. A model (file or folder) names each file's digest; a policy, roster or threat pack is signed whole.

    A model's signature is a bundle in the OpenSSF model-signing format, which other tools verify too. The paths of git
    (.git, .gitattributes, .github, .gitignore) are left out. Whoever signs a model is its author, and cannot approve
    it.
    """
    from assay.attest.signature import sign_files, signature_path, write_signature
    from assay.core.errors import UsageError
    from assay.core.protocols import system_clock
    from assay.flow.papers import is_document, sign_document

    signer, now = private_key(key), system_clock()
    if path.is_file() and is_document(path):
        if signature is not None or ignore or follow_links:
            what = "--signature, --ignore and --follow-links are for models"
            raise UsageError(what, where=str(path), fix="a policy's or roster's signature lies beside it, and is whole")
        what, envelope = sign_document(path, signer, now)
        note = _replacing(signature_path(path), signer)
        written = write_signature(path, envelope)
        click.echo(f"signed {path} as {what} with key {signer.public.id[:8]}; wrote {written}{note}")
        return
    known = remembered(path, trust=not full)
    with progress_bar() as progress:
        envelope = sign_files(
            path,
            signer,
            now,
            ignore=ignore,
            follow_links=follow_links,
            signature=signature,
            known=known,
            progress=progress,
        )
    note = _replacing(signature or signature_path(path), signer)
    written = write_signature(path, envelope, at=signature)
    again = ""
    if known is not None:
        known.save()
        again = f" ({known.used} unchanged, not read again: --full reads them)" if known.used else ""
    click.echo(f"signed {path} as files with key {signer.public.id[:8]}{again}; wrote {written}{note}")
    if signer.public.kind == "ed25519":
        click.echo("note: model_signing verifies ECDSA keys only, Assay both: assay key new NAME --type p256", err=True)


def _replacing(at: Path, signer: PrivateKey) -> str:
    """What to say of another key's signature that lies there: its word is gone once this one is written."""
    from assay.attest.dsse import MAX_ENVELOPE

    if not at.is_file():
        return ""
    with at.open("rb") as stream:
        before = stream.read(MAX_ENVELOPE)
    own = any(mark.encode() in before for mark in (signer.public.id, signer.public.hint))
    return "" if own else ", in place of another key's signature"

"""`assay log`: show, verify, prove and export the ledger; erase a payload and leave a tombstone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.common import FILE

if TYPE_CHECKING:
    from assay.ledger.log import Ledger

LEDGER = click.option(
    "--ledger", default=".assay/ledger.db", show_default=True, type=FILE, help="The ledger's database."
)


@click.group("log")
def command() -> None:
    """Verify, prove and export the ledger."""


@command.command("list")
@LEDGER
@click.option("--after", type=click.IntRange(-1), default=-1, help="Show only what follows this index.")
@click.option("--about", default="", help="Show only what speaks of this digest (a Release's, whole or its beginning).")
def list_(ledger: Path, after: int, about: str) -> None:
    """Show the entries, oldest first: index, time, kind, digest of what it speaks of, who wrote it, what it says."""
    from assay.core.text import visible
    from assay.flow.memory import said_in

    with _open(ledger) as book:
        for e in book.read(after):
            if not e.subject_digest.removeprefix("sha256:").startswith(about.removeprefix("sha256:")):
                continue
            subject = e.subject_digest.removeprefix("sha256:")[:8]
            who, said = visible(e.actor, 24), said_in(book, e)
            click.echo(f"{e.index:>6}  {e.at}  {visible(e.kind):<10} {subject:<8}  {who:<24}  {said}".rstrip())


@command.command("show")
@LEDGER
@click.argument("index", type=click.IntRange(0))
def show(ledger: Path, index: int) -> None:
    """Print entry INDEX as JSON, with what it holds: a decision with its trace, a policy, a signed paper opened."""
    import msgspec

    from assay.flow.memory import opened

    with _open(ledger) as book:
        entry = book.entry(index)
        value = {"entry": entry, "payload": opened(book, entry)}
        click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


@command.command("verify")
@LEDGER
@click.option("--against", type=FILE, help="A checkpoint that you kept: notices a rollback or another history.")
def verify(ledger: Path, against: Path | None) -> None:
    """Read every entry and payload again, and recompute the tree. Exit 1 names the first that does not hold."""
    with _open(ledger) as book:
        result = book.verify(_read(against) if against is not None else None)
        click.echo(f"holds: {result.size} entries, root {result.root[:16]}")
        click.echo(f"verifier key: {book.vkey}")


@command.command("prove")
@LEDGER
@click.argument("index", type=click.IntRange(0), required=False)
@click.option("--since", type=FILE, help="A checkpoint that you kept: prove that the log only grew since.")
def prove(ledger: Path, index: int | None, since: Path | None) -> None:
    """Print a proof as JSON (RFC 9162): that entry INDEX is in the log, or (--since) that the log only grew.

    It holds a signed checkpoint; `assay log check-proof` checks it without the ledger.
    """
    import msgspec

    from assay.core.errors import UsageError
    from assay.ledger.proof import prove_entry, prove_since

    if (index is None) == (since is None):
        raise UsageError("what is to be proven is not clear", fix="name one INDEX, or --since CHECKPOINT")
    old = _read(since) if since is not None else ""
    with _open(ledger) as book:
        proof = prove_since(book, old, where=str(since)) if index is None else prove_entry(book, index)
    click.echo(msgspec.json.format(msgspec.json.encode(proof), indent=2).decode())


@command.command("check-proof")
@click.argument("file", type=FILE)
@click.option("--vkey", required=True, help="The verifier key that `log verify` printed to you.")
@click.option("--against", type=FILE, help="The checkpoint that you kept; only for a proof that the log only grew.")
def check_proof_(file: Path, vkey: str, against: Path | None) -> None:
    """Check a proof of `log prove`, with nothing but the log's verifier key (and the older checkpoint)."""
    from assay.ledger.proof import MAX_PROOF, check_proof

    old = _read(against) if against is not None else None
    view = check_proof(_read(file, MAX_PROOF).encode(), vkey, against=old, where=str(file))
    size = view.checkpoint.size
    if view.entry is not None:
        click.echo(f"holds: entry {view.entry.index} ({view.entry.kind}) is in the log of {size} entries")
    elif view.since is not None:
        click.echo(f"holds: the log of {size} entries begins with the log of {view.since.size}")


@command.command("checkpoint")
@LEDGER
def checkpoint(ledger: Path) -> None:
    """Print a signed checkpoint; give it to someone who will notice a rollback."""
    with _open(ledger) as book:
        click.echo(book.checkpoint(), nl=False)


@command.command("export")
@LEDGER
@click.argument("file", type=FILE)
@click.option("--payloads", is_flag=True, help="With the payloads, not only their digests.")
def export(ledger: Path, file: Path, payloads: bool) -> None:
    """Write all entries as JSON lines that an auditor can verify without this database."""
    with _open(ledger) as book:
        book.export(file, payloads=payloads)
        click.echo(f"wrote {file}; its verifier key is {book.vkey}")


@command.command("audit")
@click.argument("file", type=FILE)
@click.option("--vkey", required=True, help="The verifier key that `log export` printed to you.")
@click.option("--against", type=FILE, help="A checkpoint that you kept.")
def audit(file: Path, vkey: str, against: Path | None) -> None:
    """Verify an exported ledger, with nothing but its verifier key."""
    from assay.ledger.export import verify_export

    view = verify_export(file, vkey, against=_read(against) if against is not None else None)
    click.echo(f"holds: {view.size} entries, root {view.root[:16]}")


@command.command("erase")
@LEDGER
@click.argument("index", type=click.IntRange(0))
@click.option("--reason", required=True, help="Why the payload must go (kept in the log).")
@click.option("--actor", required=True, help="Who asks for it.")
def erase(ledger: Path, index: int, reason: str, actor: str) -> None:
    """Delete the payload of entry INDEX; the entry stays, and the log still verifies.

    A Release of which a word was erased is allowed no more: nobody knows whether it was a refusal.
    """
    from assay.flow.memory import erase as erase_payload

    with _open(ledger) as book:
        entry = erase_payload(book, index, reason, actor)
        click.echo(f"erased the payload of entry {index}; recorded as entry {entry.index}")


def _open(ledger: Path) -> Ledger:
    from assay.core.errors import InputError
    from assay.flow.book import open_book

    if not ledger.exists():
        raise InputError("no such ledger", where=str(ledger), fix="`assay run` makes one, or give --ledger FILE")
    return open_book(ledger)


def _read(path: Path, limit: int = 65536) -> str:
    """The text of a note or proof; what is longer is cut, and then holds no more."""
    from assay.core.errors import InputError, os_words

    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe must not hold us up
            return (file.read(limit) or b"").decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=str(path), fix="check the path") from None

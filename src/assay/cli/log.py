"""`assay log`: show, verify, prove and export the ledger; erase a payload and leave a tombstone."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli.common import FILE

LEDGER = click.option(
    "--ledger", default=".assay/ledger.db", show_default=True, type=FILE, help="The ledger's database."
)


@click.group("log")
def command() -> None:
    """Verify, prove and export the ledger."""


@command.command("list")
@LEDGER
@click.option("--after", type=click.IntRange(0), default=0, help="First index to show.")
def list_(ledger: Path, after: int) -> None:
    """Show the entries, oldest first."""
    from assay.core.text import visible

    with _open(ledger) as book:
        for e in book.read(after):
            subject = e.subject_digest.removeprefix("sha256:")[:8]
            click.echo(f"{e.index:>6}  {e.at}  {visible(e.kind):<10} {subject:<8}  {visible(e.actor)}")


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
@click.argument("index", type=click.IntRange(0))
def prove(ledger: Path, index: int) -> None:
    """Print the inclusion proof of entry INDEX as JSON (RFC 9162)."""
    import msgspec

    with _open(ledger) as book:
        click.echo(msgspec.json.format(msgspec.json.encode(book.prove(index)), indent=2).decode())


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
    """Delete the payload of entry INDEX; the entry stays, and the log still verifies."""
    with _open(ledger) as book:
        entry = book.erase(index, reason, actor)
        click.echo(f"erased the payload of entry {index}; recorded as entry {entry.index}")


def _open(ledger: Path):  # type: ignore[no-untyped-def]
    from assay.core.errors import InputError
    from assay.flow.book import open_book

    if not ledger.exists():
        raise InputError("no such ledger", where=str(ledger), fix="`assay run` makes one, or give --ledger FILE")
    return open_book(ledger)


def _read(path: Path) -> str:
    from assay.core.errors import InputError

    try:
        return path.read_bytes()[:65536].decode("utf-8", "replace")
    except OSError as error:
        raise InputError((error.strerror or "cannot be read").lower(), where=str(path), fix="check the path") from None

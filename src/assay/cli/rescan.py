"""`assay rescan`: what was examined before a threat pack came out, examined again by it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.common import FILE, asking_options, emit, output_options, progress_bar, public_key, report_code
from assay.cli.common import settings_from as settings_of

if TYPE_CHECKING:
    from assay.flow.rescan import Rescanned


@click.command("rescan")
@click.argument("project", default=".", type=FILE)
@click.option("--since", required=True, type=FILE, help="The threat pack; its signature lies beside it.")
@click.option("--key", required=True, type=FILE, help="Public key of its publisher.")
@click.option(
    "--ledger",
    "ledgers",
    multiple=True,
    type=FILE,
    help="A ledger that knows what was examined (may repeat)  [default: PROJECT's].",
)
@asking_options
@output_options
def command(
    project: Path,
    since: Path,
    key: Path,
    ledgers: tuple[Path, ...],
    format_: str,
    output: Path | None,
    fail_level: str,
    **options: Any,
) -> None:
    """Walk the inventory: examine again, by a newer threat pack, what was examined before.

    The ledgers say what that was; the files are looked for below PROJECT and must be the same bytes. What is not
    there stays open where a Release with a valid verdict ships it; each such Release that is touched is named. The
    result is written in the first ledger.
    """
    from assay.core.dossier import Dossier
    from assay.core.errors import InputError
    from assay.flow.book import open_book
    from assay.flow.papers import trusted_threats
    from assay.flow.rescan import rescan, write_rescan

    pack = trusted_threats(since, public_key(key))
    named = ledgers or (project / ".assay" / "ledger.db",)
    for ledger in named:
        if not ledger.is_file():
            raise InputError("there is no ledger", where=str(ledger), fix="name one with --ledger")
    with ExitStack() as stack:
        books = [stack.enter_context(open_book(ledger)) for ledger in named]
        with progress_bar() as progress:
            found = rescan(pack, project, books, settings_of(**options), progress=progress)
        emit(Dossier(report=found.report), format_, output)  # what nobody was shown is not written down as done
        if found.report.body.outcomes:
            write_rescan(books[0], found)
    _tell(found)
    code = report_code(found.report, fail_level)
    raise click.exceptions.Exit(3 if found.unread and not code else code)


def _tell(found: Rescanned) -> None:
    """Which Releases are touched, on stderr: stdout is the report's."""
    from assay.core.canonical import short
    from assay.core.text import visible

    for item in found.touched:
        words = [f"{visible(uri, 100)} has findings now" for uri in item.found]
        words += [f"{visible(uri, 100)} is not at hand" for uri in item.absent]
        told = "; ".join(words[:5]) + (f"; and {len(words) - 5} more" if len(words) > 5 else "")
        click.echo(f"release {short(item.release)}, allowed until {item.until:%d %b %Y}: {told}", err=True)
        if item.found:
            click.echo(f"  = fix   gate it again; until then: assay verify … --revoked {item.release}", err=True)
    if found.unread:
        what = "entries of the ledgers cannot be read any more: what they held is not known"
        click.echo(f"open: {found.unread} {what}", err=True)
    counts = [f"{found.clean} were found clean by this pack before"] if found.clean else []
    if found.older:
        counts.append(f"{found.older} older versions, which no Release ships, lie here no more")
    if counts:
        click.echo(f"not asked again: {'; '.join(counts)}", err=True)

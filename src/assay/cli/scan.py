"""`assay scan`: what code a model file would run, found by reading it, never by loading it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from assay.cli.common import (
    FILE,
    access_options,
    asking_options,
    emit,
    must,
    output_options,
    progress_bar,
    public_key,
    report_code,
    settings_from,
)

STDIN = "-"


class _Place(click.types.StringParamType):
    """A path or an address, as it was typed; an empty one is refused."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The text as it was typed."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


@click.command("scan")
@click.argument("paths", nargs=-1, required=True, type=_Place())
@click.option("--full", is_flag=True, help="Hash every file, and compare every checksum in archives.")
@click.option("--strict", is_flag=True, help="Fail on classes in pickles that no list knows.")
@click.option("--database", type=FILE, help="OSV records to look the requirements up in: a zip, a file or a folder.")
@click.option("--threats", type=FILE, help="A threat pack to judge by too; its signature lies beside it.")
@click.option("--threats-key", type=FILE, help="Public key of its publisher.")
@access_options
@asking_options
@output_options
def command(
    paths: tuple[str, ...],
    full: bool,
    strict: bool,
    database: Path | None,
    threats: Path | None,
    threats_key: Path | None,
    private_addresses: bool,
    redirect_to: tuple[str, ...],
    format_: str,
    output: Path | None,
    fail_level: str,
    **options: Any,
) -> None:
    """Examine files and folders without loading them; `-` is standard input.

    What lies elsewhere is read there, by ranges: https://HOST/FILE, hf://ORG/NAME[@REVISION][/PATH],
    mlflow:models:/NAME/VERSION. Redirects and private addresses are refused unless allowed.

    Reads structurally: digests are left null, and the result is not evidence for the gate (`assay run` makes that).
    Exit code 0: nothing found; 1: findings; 2: wrong use; 3: something could not be read, and nothing worse was found.
    """
    from assay.adapters.remote.access import Access
    from assay.core.dossier import Dossier
    from assay.flow.examine import in_force, scan

    parameters: dict[str, Any] = {"artifact.pickle-code": {"strict": True}} if strict else {}
    if database is not None:
        file = database.absolute() if STDIN in paths else database
        parameters["supply.vulnerabilities"] = {"database": str(file)}
    elif "supply.vulnerabilities" in options["only"]:
        parameters["supply.vulnerabilities"] = {"required": True}
    pack = None
    if threats is not None:
        from assay.flow.papers import trusted_threats

        pack = trusted_threats(threats, public_key(must(threats_key, "--threats-key", "to trust a threat pack")))
    access = Access(private=private_addresses, redirects=redirect_to)
    settings = settings_from(**options, parameters=parameters, threats=in_force(pack))
    with _standard_input(paths) as (named, root), progress_bar() as progress:
        report = scan(named, settings, root=root, full=full, access=access, progress=progress)
    emit(Dossier(report=report), format_, output)
    raise click.exceptions.Exit(report_code(report, fail_level))


@contextmanager
def _standard_input(paths: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
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
            if sys.stdin is None:
                raise click.UsageError("standard input is closed")
            shutil.copyfileobj(sys.stdin.buffer, copy, 1 << 20)
        yield ("stdin",), folder

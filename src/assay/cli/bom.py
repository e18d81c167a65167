"""`assay bom`: what a model is made of, as CycloneDX, and what changed between two."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.common import FILE, Finite, progress_bar, save
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.attest.bom.diff import Change, Differences
    from assay.flow.bom import Bom, Wanted

EPOCH = "SOURCE_DATE_EPOCH"
MOST_LINES = 200


@click.command("bom")
@click.argument("paths", nargs=-1, type=FILE)
@click.option("--diff", "compared", is_flag=True, help="Compare two BOM files, or two files or folders: OLD NEW.")
@click.option("--format", "-f", "format_", type=click.Choice(("json", "text")), help="What to write.")
@click.option("--output", "-o", type=FILE, help="Write it to this file; a summary still goes to the terminal.")
@click.option("--environment", metavar="DIR", default="", help="Also list what is installed in DIR, or in `this`.")
@click.option("--database", type=FILE, help="OSV database (zip, folder or file) to look the packages up in.")
@click.option(
    "--max-age", type=Finite(0.0, 36_500.0, min_open=True), default=14.0, show_default=True,
    help="Days that the database's newest record may be old.",
)  # fmt: skip
@click.option("--vex", type=FILE, help="OpenVEX or CycloneDX file that says what of a vulnerability reaches here.")
@click.option("--report", type=FILE, help="Report (JSON) of a run on these very files: its measures become metrics.")
@click.option("--timestamp", is_flag=True, help=f"Say when it was made  [default: ${EPOCH}, else no time].")
def command(
    paths: tuple[Path, ...],
    compared: bool,
    format_: str | None,
    output: Path | None,
    environment: str,
    database: Path | None,
    max_age: float,
    vex: Path | None,
    report: Path | None,
    timestamp: bool,
) -> None:
    """List what files, folders, or (without PATHS) the project here are made of: models, data, files, packages.

    Measured facts stand apart from declared ones; the same input gives the same bytes. Exit code 0: all was read;
    2: wrong use; 3: something could not be read or told, and the BOM says what. With --diff 0: the same; 1: not;
    3: no difference, but something could not be read.
    """
    from assay.flow.bom import Wanted

    wanted = Wanted(
        environment=environment, database=database, max_age_days=max_age, vex=vex, report=report,
        moment=_moment(timestamp),
    )  # fmt: skip
    code = _diff(paths, wanted, format_ or "text", output) if compared else _bom(paths, wanted, format_, output)
    raise click.exceptions.Exit(code)


def _bom(paths: tuple[Path, ...], wanted: Wanted, format_: str | None, output: Path | None) -> int:
    from assay.flow.bom import bom_of_paths, bom_of_project

    with progress_bar() as progress:
        if paths:
            made = bom_of_paths(paths, wanted, progress=progress)
        else:
            made = bom_of_project(Path(), wanted, progress=progress)
    summary = _summary(made)
    _emit(made.data.decode() if (format_ or "json") == "json" else summary, summary, output)
    if made.open:
        click.echo(f"assay: open: {visible(made.open[0], 300)}{_more(len(made.open) - 1)}", err=True)
    return 3 if made.open else 0


def _diff(paths: tuple[Path, ...], wanted: Wanted, format_: str, output: Path | None) -> int:
    import msgspec

    from assay.flow.bom import compare

    if len(paths) != 2:
        raise click.UsageError("--diff compares two: OLD NEW")
    if (wanted.environment, wanted.database, wanted.vex, wanted.report) != ("", None, None, None):
        raise click.UsageError("--diff compares what is there: write both BOMs with these options first")
    with progress_bar() as progress:
        found, gaps = compare(paths[0], paths[1], progress=progress)
    text = _differences(found)
    data = msgspec.json.format(msgspec.json.encode({**msgspec.to_builtins(found), "open": gaps}), indent=2).decode()
    _emit(f"{data}\n" if format_ == "json" else text, text, output)
    if gaps:
        click.echo(f"assay: open: {visible(gaps[0], 300)}{_more(len(gaps) - 1)}", err=True)
    return 1 if found else 3 if gaps else 0


def _moment(asked: bool) -> datetime | None:
    """Now if asked for, else what SOURCE_DATE_EPOCH says (reproducible-builds.org), else none."""
    if asked:
        return datetime.now(UTC)
    said = os.environ.get(EPOCH, "").strip()
    if not said:
        return None
    try:
        return datetime.fromtimestamp(int(said), UTC)
    except (ValueError, OverflowError, OSError):
        raise click.UsageError(f"{EPOCH} is no number of seconds: {visible(said, 40)}") from None


def _emit(data: str, summary: str, output: Path | None) -> None:
    if output is None:
        click.echo(data, nl=False)
        return
    save(output, data.encode("utf-8", "backslashreplace"))
    click.echo(summary, nl=False)
    click.echo(f"wrote {visible(str(output))}", err=True)


def _summary(made: Bom) -> str:
    bom = made.document
    components: list[dict[str, Any]] = bom["components"]
    kinds = Counter(str(component["type"]) for component in components)
    lines = [f"{bom['metadata']['component']['name']}: {', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}"]
    for model in (c for c in components if c["type"] == "machine-learning-model"):
        said = {p["name"]: p["value"] for p in model.get("properties", [])}
        facts = [f"{key} {said[name]}" for key in _SHOWN if (name := f"assay:measured:{key}") in said]
        licences = sorted({_licence(item) for item in model.get("licenses", [])})
        above = [item["name"] for item in model.get("pedigree", {}).get("ancestors", [])]
        lines.append(f"  model  {model['name']}  {'  '.join(facts)}")
        if licences:
            lines.append(f"         licence {', '.join(licences)}")
        if above:
            lines.append(f"         made from {', '.join(above)} (declared)")
    if "vulnerabilities" in bom or kinds["library"]:
        lines.append(f"  vulnerabilities  {_vulnerabilities(bom.get('vulnerabilities'))}")
    for gap in made.open[:MOST_LINES]:
        lines.append(f"  open   {visible(gap, 300)}")
    return "\n".join(lines) + "\n"


_SHOWN = ("formats", "parameters", "tensors")
_ANSWERED = ("not_affected", "false_positive", "resolved", "resolved_with_pedigree")


def _vulnerabilities(found: list[dict[str, Any]] | None) -> str:
    """How many of each severity, those that a VEX file answers apart."""
    if found is None:
        return "not looked up (--database names where)"
    left = [v for v in found if v.get("analysis", {}).get("state") not in _ANSWERED]
    graded = Counter(v["ratings"][0]["severity"] for v in left)
    told = ", ".join(f"{n} {severity}" for severity, n in sorted(graded.items()))
    told = told or ("none left" if found else "none recorded for the packages looked up")
    answered = len(found) - len(left)
    return f"{told} ({answered} answered by the VEX file)" if answered else told


def _licence(item: dict[str, Any]) -> str:
    held = item.get("license", {})
    return str(item.get("expression") or held.get("id") or held.get("name"))


def _differences(found: Differences) -> str:
    if not found:
        return "no differences\n"
    lines: list[str] = []
    last = ""
    for change in found.changes[:MOST_LINES]:
        if change.component != last:
            lines.append(visible(change.component, 200))
            last = change.component
        lines.append(f"  {_line(change)}")
    if len(found.changes) > MOST_LINES:
        lines.append(f"and {len(found.changes) - MOST_LINES} more (--format json lists all)")
    return "\n".join([*lines, f"{len(found.changes)} differences"]) + "\n"


def _line(change: Change) -> str:
    what = f"{change.area} {change.field}".strip()
    old, new = visible(change.old, 80), visible(change.new, 80)
    if change.change == "changed":
        return f"changed  {what}: {old} → {new}"
    told = f": {old or new}" if (old or new) not in ("", "true") else ""
    return f"{change.change:<8} {what}{told}"


def _more(count: int) -> str:
    return f" (and {count} more)" if count > 0 else ""

"""`assay init`: draft assay.yaml and a release policy for the project here."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli.common import FILE
from assay.flow.draft import PROFILES


@click.command("init")
@click.argument("folder", default=".", type=FILE)
@click.option(
    "--profile", type=click.Choice(PROFILES), default="starter", show_default=True, help="How strict a policy."
)
@click.option("--label", help="The label column of the tables.")
def command(folder: Path, profile: str, label: str | None) -> None:
    """Draft assay.yaml and policy.yaml in FOLDER from the files that lie there. Nothing is overwritten."""
    from assay.config.manifest import load_project
    from assay.core.errors import InputError
    from assay.core.files import write_whole
    from assay.flow.draft import draft_manifest, draft_policy, look_around, observes

    if not folder.is_dir():
        raise InputError("is no folder", where=str(folder), fix="name the project's folder")
    manifest, policy = folder / "assay.yaml", folder / "policy.yaml"
    for path in (manifest, policy):
        if path.exists():
            raise InputError("is there already", where=str(path), fix="edit it, or move it away first")
    found = look_around(folder)
    write_whole(manifest, draft_manifest(folder, found, label).encode())
    write_whole(policy, draft_policy(profile).encode())
    load_project(folder)  # a draft that does not hold together would be our mistake
    what = f"{_plural(len(found.models), 'model')}, {_plural(len(found.tables), 'table')} found"
    click.echo(f"wrote {manifest} ({what}) and {policy}")
    if found.tables and label is None:
        click.echo(
            "no label was named, so nothing can be measured: write `label: COLUMN` at each table (or --label COLUMN)"
        )
    if not found.models:
        click.echo("no model was found, and the policy decides on a model: name one under `subjects:`, then `policy:`")
    elif observes(profile):
        click.echo("the policy observes: `assay run` says what it would decide and exits 0, whatever that is")
        click.echo(f"to enforce it: write `mode: enforce` in {policy}")
    else:
        click.echo("the policy enforces: `assay run` exits 1 when it denies, 3 when something is missing")
    click.echo("next: read both, then `assay run`")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")

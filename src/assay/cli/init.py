"""`assay init`: draft assay.yaml and a release policy for the project here."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli.common import FILE

PROFILES = ("starter", "team", "regulated")


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
    from assay.flow.draft import draft_manifest, draft_policy, look_around
    from assay.flow.papers import write_whole

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
    click.echo(f"wrote {manifest} ({len(found.models)} models, {len(found.tables)} tables found) and {policy}")
    click.echo("next: read both, then `assay run`")

"""`assay threats`: the threat pack in force: what it adds, and taking a newer one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.common import FILE, access_options, public_key

if TYPE_CHECKING:
    from assay.core.threats import ThreatPack


@click.group("threats")
def command() -> None:
    """Show and update the threat pack: names, packages and advisories learned since this version of Assay."""


@command.command("show")
@click.argument("pack", type=FILE, required=False)
@click.option("--project", default=".", type=FILE, help="Show the pack of this project's manifest, if none is named.")
@click.option("--key", type=FILE, help="Public key of its publisher  [default: the manifest's].")
def show(pack: Path | None, project: Path, key: Path | None) -> None:
    """Say what PACK (or the project's) adds and what it supersedes, once its signature holds."""
    from assay.core.errors import UsageError
    from assay.flow.papers import trusted_threats
    from assay.flow.threats import place_of

    if pack is not None and key is None:
        raise UsageError("nobody is trusted", fix="name the publisher's public key with --key")
    place = None if pack is not None else place_of(project)
    path = pack or (place.path if place is not None else Path())
    publisher = public_key(key) if key is not None else place.publisher if place is not None else None
    assert publisher is not None  # one of both gave it
    _tell(trusted_threats(path, publisher))


@command.command("update")
@click.argument("source")
@click.option("--project", default=".", type=FILE, help="The project whose manifest says where the pack is kept.")
@access_options
def update(source: str, project: Path, private_addresses: bool, redirect_to: tuple[str, ...]) -> None:
    """Take the pack at SOURCE, a file or an https:// address, if it is newer; beside it lies its signature, SOURCE.sig.

    It must be signed by the publisher whom assay.yaml names under `threats:`. Older versions, and other content under
    one version, are refused.
    """
    from assay.adapters.remote.opened import is_remote
    from assay.flow import threats
    from assay.flow.remote import read_remote_pack, shown

    place = threats.place_of(project)
    if is_remote(source):
        data, envelope = read_remote_pack(source, private_addresses, redirect_to)
    else:
        data, envelope = threats.read_pack(Path(source))
    done = threats.update(place, data, envelope, shown(source))
    if done.before is not None and done.before.digest == done.pack.digest:
        click.echo(f"threat pack {done.pack.ref} is held already")
        return
    before = f", was {done.before.ref.version}" if done.before is not None else ""
    click.echo(f"took threat pack {done.pack.ref}{before}; wrote {place.path}")
    _tell(done.pack)
    if done.pack.content.supersedes:
        click.echo(f"next: assay rescan --since {place.path} --key PUBLISHER.pub")


def _tell(pack: ThreatPack) -> None:
    from assay.core.canonical import short
    from assay.core.protocols import system_clock
    from assay.core.text import visible

    said, age = pack.content, (system_clock().date() - pack.content.issued).days
    click.echo(f"threat pack {visible(said.threats, 80)} version {said.version}  {short(pack.digest)}")
    click.echo(f"  issued      {said.issued:%d %b %Y} ({age} day{'s' if age != 1 else ''} ago)")
    names = sum(len(row) for row in said.names.safe.values())
    click.echo(f"  names       {len(said.names.dangerous)} dangerous, {names} safe")
    packages = said.packages
    counts = f"{len(packages.malicious)} malicious, {len(packages.popular)} popular, {len(packages.real)} real"
    click.echo(f"  packages    {counts}")
    kinds = Counter(str(record["id"]).partition("-")[0] for record in said.advisories)
    listed = f" ({', '.join(f'{n} {visible(k, 20)}' for k, n in kinds.most_common(5))})" if kinds else ""
    click.echo(f"  advisories  {len(said.advisories)}{listed}")
    for row in said.supersedes:
        click.echo(f"  supersedes  {visible(row.check, 60)} before version {row.since}: {visible(row.why, 200)}")

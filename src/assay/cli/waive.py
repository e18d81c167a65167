"""`assay waive`: a person's signed, reasoned, expiring acceptance of one finding on one Release."""

from __future__ import annotations

import re
from pathlib import Path

import click

from assay.cli.approve import lifetime, release_meant
from assay.cli.common import FILE, private_key, save
from assay.core.errors import UsageError


@click.command("waive")
@click.argument("fingerprint")
@click.argument("release", default=".")
@click.option("--role", required=True, help="The role in which you speak.")
@click.option("--reason", required=True, help="Why the finding is accepted.")
@click.option("--key", required=True, type=FILE, help="Your signing key.")
@click.option("--out", required=True, type=FILE, help="Where the signed waiver goes.")
@click.option("--valid", default="30d", show_default=True, help="How long it holds (30d, 12h).")
def command(fingerprint: str, release: str, role: str, reason: str, key: Path, out: Path, valid: str) -> None:
    """Waive the finding FINGERPRINT (the `id` line of its report) on RELEASE, a project, evidence or digest.

    A critical finding needs two people, neither of them the author of the model.
    """
    from assay.core.canonical import short
    from assay.core.decision import Waiver
    from assay.core.protocols import system_clock
    from assay.flow.papers import sign_word

    if not re.fullmatch(r"[0-9a-f]{32}", fingerprint):
        raise UsageError("is not a finding's id", where=fingerprint[:80], fix="copy the `id` line of the report")
    if not reason.strip():
        raise UsageError("a waiver needs a reason", fix="say why with --reason")
    digest, what = release_meant(release)
    now = system_clock()
    word = Waiver(
        release=digest, fingerprint=fingerprint, role=role, reason=reason, at=now, expires=now + lifetime(valid)
    )
    save(out, sign_word(word, private_key(key)))
    for line in what:
        click.echo(line)
    until = f"{word.expires:%d %b %Y}"
    click.echo(f"waived {fingerprint[:8]} on release {short(digest)} as {role} until {until}; wrote {out}")

"""`assay verify`: does this verdict (or signature) hold for the files here, now? Public keys only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.common import FILE, public_key

if TYPE_CHECKING:
    from assay.flow.verify import Verified


@click.command("verify")
@click.argument("path", type=FILE)
@click.option(
    "--key", "keys", multiple=True, required=True, type=FILE, help="Public key; one of those given must have signed."
)
@click.option("--at", type=FILE, help="The folder that is deployed: its files and assay.yaml must be the Release.")
@click.option("--files-only", is_flag=True, help="Check the files only, where assay.yaml is not deployed.")
@click.option("--policy-version", type=int, default=0, help="The oldest version of the policy that you accept.")
@click.option("--roster-version", type=int, default=0, help="The oldest version of the roster that you accept.")
@click.option("--revoked", multiple=True, metavar="DIGEST", help="A Release that must not ship any more (may repeat).")
@click.option("--policy", "policy_name", default="", help="The name of the policy that must have decided.")
@click.option("--policy-digest", default="", help="The digest, sha256:…, of the policy that must have decided.")
@click.option(
    "--log-key",
    type=FILE,
    help="File with the verifier key (as `log verify` prints it) of the ledger that must have signed the checkpoint.",
)
def command(
    path: Path,
    keys: tuple[Path, ...],
    at: Path | None,
    files_only: bool,
    policy_version: int,
    roster_version: int,
    revoked: tuple[str, ...],
    policy_name: str,
    policy_digest: str,
    log_key: Path | None,
) -> None:
    """Verify PATH: a verdict, or a signed model, policy or roster (its signature lies beside it).

    Exit 0 only when everything holds; 1 names what does not.
    """
    from assay.attest import statement as st
    from assay.core.errors import VerificationError
    from assay.core.protocols import system_clock
    from assay.flow.papers import kind_of, read_paper

    _refuse_mistakes(path, ("--policy-digest", policy_digest), *(("--revoked", digest) for digest in revoked))
    trusted = [public_key(k) for k in keys]
    now = system_clock()
    data = read_paper(path) if path.is_file() else b""
    if data[:1] == b"{" and _is_verdict(data, str(path)):
        from assay.attest.note import parse_vkey
        from assay.attest.vsa import Demand
        from assay.flow.verify import verify_release

        vkeys = (parse_vkey(read_paper(log_key).decode("utf-8", "replace").strip()),) if log_key is not None else ()
        demand = Demand(
            policy_name=policy_name,
            policy_digest=policy_digest,
            min_policy_version=policy_version,
            min_roster_version=roster_version,
            revoked=revoked,
            log_keys=vkeys,
        )
        _show(verify_release(data, trusted, now, at=at, files_only=files_only, demand=demand, where=str(path)), at)
        return
    from assay.attest.signature import read_signature, signature_path, verify_signature
    from assay.flow.papers import trusted_policy, trusted_roster

    if not signature_path(path).exists():
        torn = "is no verdict that can be read, and has" if path.suffix == ".json" else "has"
        raise VerificationError(f"{torn} no signature beside it", where=str(path), fix="ask whoever sent it for both")
    envelope = read_signature(path)
    kind = kind_of(envelope, str(signature_path(path)))
    if kind in (st.POLICY, st.ROSTER):
        where = str(signature_path(path))
        signed_by = st.verify(envelope, trusted, kind, where=where).key_ids
        owner = next(key for key in trusted if key.id in signed_by)
    if kind == st.POLICY:
        policy = trusted_policy(path, owner)
        click.echo(f"holds: policy {policy.file.policy} version {policy.file.version}")
    elif kind == st.ROSTER:
        roster = trusted_roster(path, owner)
        click.echo(f"holds: roster {roster.roster} version {roster.version}, {len(roster.people)} people")
    else:
        view = verify_signature(envelope, path, trusted, now)
        click.echo(
            f"holds: {len(view.files)} files, signed {view.signed_at:%d %b %Y %H:%M} UTC by {view.key_ids[0][:8]}"
        )


def _refuse_mistakes(path: Path, *digests: tuple[str, str]) -> None:
    """A file that is not there, or part of a digest, must not pass for a check that was made."""
    from assay.attest.statement import is_sha256
    from assay.core.errors import InputError, UsageError

    if not path.exists():
        raise InputError("no such file", where=str(path), fix="name a verdict, or what was signed")
    for option, given in digests:
        if given and not (given.startswith("sha256:") and is_sha256(given[7:])):
            raise UsageError("is not sha256: and 64 hex digits", where=option, fix="copy the whole digest")


def _is_verdict(data: bytes, where: str) -> bool:
    from assay.attest import statement as st
    from assay.core.errors import VerificationError
    from assay.flow.papers import kind_of

    try:
        return kind_of(data, where) == st.VERDICT
    except VerificationError:
        return False


def _show(found: Verified, at: Path | None) -> None:
    from assay.core.canonical import short

    verdict = found.view.verdict
    click.echo(f"ALLOW holds: release {short(verdict.release)} of {found.release.system}")
    click.echo(f"  policy     {verdict.policy_name} version {verdict.policy_version}  {short(verdict.policy_digest)}")
    click.echo(f"  roster     {verdict.roster_name} version {verdict.roster_version}  {short(verdict.roster_digest)}")
    click.echo(f"  issued     {verdict.issued:%d %b %Y %H:%M} UTC, expires {verdict.expires:%d %b %Y}")
    click.echo(f"  log        {found.view.checkpoint.origin} at {found.view.checkpoint.size} entries")
    if at is None:
        click.echo("  files      not compared: add --at FOLDER")
        return
    click.echo(f"  files      {len(found.files)} match: {', '.join(found.files)}")
    settings = "match" if found.settings else "not compared (--files-only)"
    click.echo(f"  settings   threshold, input schema and feature contract {settings}")
    if found.unchecked:
        click.echo(f"  elsewhere  {', '.join(found.unchecked)} (never shipped; the verdict's digest stands)")

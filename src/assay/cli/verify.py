"""`assay verify`: does this verdict (or signature) hold for the files here, now? Public keys only."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from assay.cli.common import FILE, progress_bar, public_key, remembered

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from assay.attest.files import Difference
    from assay.attest.keys import PublicKey
    from assay.attest.signature import SignatureView
    from assay.flow.verify import Verified

MOST = 100
"""Files that are named one by one where a model is not the one that was signed."""


class ModelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a model's signature: where it lies, and what is compared."""

    signature: Path | None
    roots: tuple[Path, ...]
    ignore: tuple[str, ...]
    ignore_unsigned: bool
    follow_links: bool
    incremental: bool


@click.command("verify")
@click.argument("path", type=FILE)
@click.option(
    "--key", "keys", multiple=True, type=FILE, help="Public key; one of those given must have signed (may repeat)."
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
@click.option("--signature", type=FILE, help="The signature of the model at PATH  [default: beside it, as PATH.sig].")
@click.option("--root", "roots", multiple=True, type=FILE, help="PEM root that must vouch for a model's certificate.")
@click.option("--ignore", multiple=True, metavar="NAME", help="Leave out this file or folder inside a model.")
@click.option(
    "--ignore-unsigned", is_flag=True, help="Compare the signed files of a model only, whatever else is there."
)
@click.option("--follow-links", is_flag=True, help="Take links to files inside a model for what they point to.")
@click.option(
    "--incremental", is_flag=True, help="Trust your own memory of files whose size, times and inode are same."
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
    **model: Any,
) -> None:
    """Verify PATH: a verdict, or a signed model, policy, roster or threat pack (its signature lies beside).

    A model's signature may be Assay's or another tool's, in the OpenSSF model-signing format. Every file is read again.
    Exit 0 only when everything holds; 1 names what does not.
    """
    from assay.core.errors import UsageError
    from assay.core.protocols import system_clock

    options = ModelOptions(**model)
    if not keys and not options.roots:
        raise UsageError("nobody is trusted", fix="name the signer's public key with --key, or a --root")
    _refuse_mistakes(path, ("--policy-digest", policy_digest), *(("--revoked", digest) for digest in revoked))
    trusted = [public_key(k) for k in keys]
    verdict = _verdict_in(path) if options.signature is None else b""
    if not verdict:
        _verify_signed(path, trusted, options)
        return
    from assay.attest.note import parse_vkey
    from assay.attest.vsa import Demand
    from assay.flow.papers import read_paper
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
    now = system_clock()
    _show(verify_release(verdict, trusted, now, at=at, files_only=files_only, demand=demand, where=str(path)), at)


def _verify_signed(path: Path, trusted: list[PublicKey], options: ModelOptions) -> None:
    """A policy, a roster or a model, told apart by what was signed."""
    from assay.attest import statement as st
    from assay.attest.signature import read_signature, signature_path
    from assay.core.errors import VerificationError
    from assay.flow.papers import kind_of, trusted_policy, trusted_roster, trusted_threats

    place = options.signature or signature_path(path)
    if not place.exists():
        torn = "is no verdict that can be read, and has" if path.suffix == ".json" else "has"
        what = f"{torn} no signature beside it" if options.signature is None else "no such signature"
        raise VerificationError(what, where=str(options.signature or path), fix="ask whoever sent it for both")
    envelope = read_signature(path, at=place)
    kind = kind_of(envelope, str(place))
    if kind not in (st.POLICY, st.ROSTER, st.THREATS) or options.signature is not None:
        _verify_model(path, place, envelope, trusted, options)
        return
    signed_by = st.verify(envelope, trusted, kind, where=str(place)).key_ids
    owner = next(key for key in trusted if key.id in signed_by)
    if kind == st.POLICY:
        policy = trusted_policy(path, owner)
        click.echo(f"holds: policy {policy.file.policy} version {policy.file.version}")
    elif kind == st.THREATS:
        click.echo(f"holds: threat pack {trusted_threats(path, owner).ref}")
    else:
        roster = trusted_roster(path, owner)
        click.echo(f"holds: roster {roster.roster} version {roster.version}, {len(roster.people)} people")


def _verify_model(path: Path, place: Path, envelope: bytes, trusted: list[PublicKey], options: ModelOptions) -> None:
    from assay.attest.signature import MismatchError, verify_signature
    from assay.core.protocols import system_clock

    known = remembered(path, trust=True) if options.incremental else None
    try:
        with progress_bar() as progress:
            view = verify_signature(
                envelope,
                path,
                trusted,
                system_clock(),
                roots=_roots(options.roots),
                where=str(place),
                at=place,
                ignore=options.ignore,
                ignore_unsigned=options.ignore_unsigned,
                follow_links=options.follow_links,
                known=known,
                progress=progress,
            )
    except MismatchError as error:
        _show_difference(error.difference)
        raise
    if known is not None:
        known.save()
    _show_model(view, known.used if known is not None else 0)


def _roots(paths: tuple[Path, ...]) -> tuple[Certificate, ...]:
    if not paths:
        return ()
    from assay.attest.certificates import load_roots

    return tuple(certificate for path in paths for certificate in load_roots(path))


def _show_model(view: SignatureView, remembered_files: int) -> None:
    from assay.attest.files import shown

    when = f", signed {view.signed_at:%d %b %Y %H:%M} UTC" if view.signed_at is not None else ", signed"
    whose = f"the certificate of {view.certificate}" if view.certificate else view.key_id[:8]
    files = f"{len(view.files)} file{'s' if len(view.files) != 1 else ''}"
    click.echo(f"holds: {files}{when} by {whose}")
    if remembered_files:
        click.echo(f"  remembered  {remembered_files} files were not read again (--incremental)")
    if view.uncovered:
        names = ", ".join(shown(name) for name in view.uncovered[:MOST])
        click.echo(f"  not compared  {names}")


def _show_difference(difference: Difference) -> None:
    """One line a file, so that nobody searches for what changed."""
    from assay.attest.files import shown

    groups = (("changed", difference.changed), ("missing", difference.missing), ("added", difference.added))
    for word, names in groups:
        for name in names[:MOST]:
            click.echo(f"{word:<8} {shown(name)}")
        if len(names) > MOST:
            click.echo(f"{word:<8} and {len(names) - MOST} more")


def _refuse_mistakes(path: Path, *digests: tuple[str, str]) -> None:
    """A file that is not there, or part of a digest, must not pass for a check that was made."""
    from assay.attest.statement import is_sha256
    from assay.core.errors import InputError, UsageError

    if not path.exists():
        raise InputError("no such file", where=str(path), fix="name a verdict, or what was signed")
    for option, given in digests:
        if given and not (given.startswith("sha256:") and is_sha256(given[7:])):
            raise UsageError("is not sha256: and 64 hex digits", where=option, fix="copy the whole digest")


def _verdict_in(path: Path) -> bytes:
    """The bytes of a verdict; none for anything else, however large (a model is not read for this)."""
    from assay.attest import statement as st
    from assay.core.errors import VerificationError
    from assay.flow.papers import MAX_BYTES, kind_of, read_paper

    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        return b""
    data = read_paper(path)
    with suppress(VerificationError):
        if data[:1] == b"{" and kind_of(data, str(path)) == st.VERDICT:
            return data
    return b""


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

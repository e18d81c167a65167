"""`assay approve`: a person's signed word on one Release."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import click

from assay.cli.common import FILE, private_key, save


@click.command("approve")
@click.argument("release", default=".")
@click.option("--role", required=True, help="The role in which you speak (the roster must give it to you).")
@click.option("--key", required=True, type=FILE, help="Your signing key.")
@click.option("--out", required=True, type=FILE, help="Where the signed approval goes.")
@click.option("--valid", default="30d", show_default=True, help="How long it holds (30d, 12h).")
@click.option("--comment", default="", help="What you looked at, or why you refuse.")
@click.option("--refuse", is_flag=True, help="Say no: the gate denies.")
@click.option("--yes", is_flag=True, help="Do not ask at a terminal.")
def command(release: str, role: str, key: Path, out: Path, valid: str, comment: str, refuse: bool, yes: bool) -> None:
    """Approve RELEASE: a project folder, an evidence bundle, or a digest sha256:…

    What it holds and what it was judged on is shown first; at a terminal you are asked before it is signed.
    """
    from assay.core.canonical import short
    from assay.core.decision import Approval
    from assay.core.protocols import system_clock
    from assay.flow.papers import sign_word

    digest, what = release_meant(release)
    now = system_clock()
    word = Approval(
        release=digest,
        role=role,
        decision="refuse" if refuse else "approve",
        comment=comment,
        at=now,
        expires=now + lifetime(valid),
    )
    signer, asks = private_key(key), not yes and sys.stdin.isatty()
    if asks:
        _show(what)
        click.confirm("Sign this?", abort=True)
    save(out, sign_word(word, signer))
    if not asks:
        _show(what)
    said, end = ("refused", ", until you approve it") if refuse else ("approved", f" until {word.expires:%d %b %Y}")
    click.echo(f"{said} release {short(digest)} as {role}{end}; wrote {out}")


def _show(lines: tuple[str, ...]) -> None:
    for line in lines:
        click.echo(line)


def release_meant(text: str) -> tuple[str, tuple[str, ...]]:
    """(digest, what it holds in words) of the Release that a person means. Raises UsageError for a digest that is none.

    The words are empty for a bare digest: whoever signs that must know it already.
    """
    from assay.attest.statement import is_sha256
    from assay.core.canonical import short
    from assay.core.errors import UsageError
    from assay.core.terms import told
    from assay.core.text import visible

    if text.startswith("sha256:"):
        if not is_sha256(text[7:]):
            raise UsageError("is not sha256: and 64 hex digits", where=text[:80], fix="copy the whole digest")
        return text, ()
    from assay.flow.verify import release_for

    release = release_for(text)
    lines = [f"Release {release.digest} of {visible(release.system)}"]
    lines += [f"  {m.role.value:<14} {visible(m.uri)}  {short(m.digest)}" for m in release.materials]
    lines += [f"  threshold      {visible(name)} {value:g}" for name, value in release.threshold.items()]
    lines += [f"  {what:<14} {visible(words, 100_000)}" for what, words in told(release.terms, most=10_000)]
    return release.digest, tuple(lines)


def lifetime(text: str) -> timedelta:
    """A duration option. Raises UsageError."""
    from assay.config.durations import duration
    from assay.core.errors import UsageError

    try:
        return duration(text)
    except ValueError as error:
        raise UsageError(str(error), where="--valid") from None

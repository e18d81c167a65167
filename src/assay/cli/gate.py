"""`assay gate`: join evidence from machines that share nothing, decide by the signed policy, sign the verdict."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli.common import FILE, emit, output_options, private_key, public_key, save

SIGNED = (".json", ".sig", ".dsse")


@click.command("gate")
@click.option(
    "--evidence",
    "-e",
    multiple=True,
    required=True,
    type=FILE,
    help="Evidence, approvals, waivers, signatures: files or folders.",
)
@click.option("--policy", required=True, type=FILE, help="The release policy; its signature lies beside it.")
@click.option("--roster", required=True, type=FILE, help="The roster; its signature lies beside it.")
@click.option("--policy-key", required=True, type=FILE, help="Public key of the policy's owner.")
@click.option("--roster-key", type=FILE, help="Public key of the roster's owner  [default: the policy's].")
@click.option("--threats", type=FILE, help="The threat pack in force; its signature lies beside it.")
@click.option("--threats-key", type=FILE, help="Public key of its publisher  [default: the policy's].")
@click.option("--ledger", type=FILE, help="Write it all down here; a refusal that it was ever handed counts.")
@click.option("--key", type=FILE, help="The gate's signing key: signs the verdict.")
@click.option("--verdict-out", type=FILE, help="Where the signed verdict goes.")
@click.option("--checkpoint-out", type=FILE, help="Where the ledger's checkpoint goes, for others to keep.")
@output_options
def command(
    evidence: tuple[Path, ...],
    policy: Path,
    roster: Path,
    policy_key: Path,
    roster_key: Path | None,
    threats: Path | None,
    threats_key: Path | None,
    ledger: Path | None,
    key: Path | None,
    verdict_out: Path | None,
    checkpoint_out: Path | None,
    format_: str,
    output: Path | None,
) -> None:
    """Decide whether a Release may ship, and sign the verdict.

    Nothing is decided on a policy, roster or paper whose signature does not hold. Exit: 0 allow, 1 deny or refused,
    3 indeterminate. A policy in mode observe exits 0 and signs nothing.
    """
    from contextlib import nullcontext

    from assay.core.errors import UsageError
    from assay.core.protocols import system_clock
    from assay.flow.book import open_book
    from assay.flow.dossier import dossier_of
    from assay.flow.gate import Names, gate
    from assay.flow.papers import trusted_threats

    if checkpoint_out is not None and ledger is None:
        raise UsageError("a checkpoint needs a ledger", fix="add --ledger FILE")
    if (verdict_out is None) != (key is None):
        raise UsageError("a verdict needs both --key and --verdict-out", fix="give both, or neither")
    _require_folders(verdict_out, checkpoint_out, output)
    if verdict_out is not None:
        _retire(verdict_out)
    publisher = public_key(threats_key or policy_key)
    pack = trusted_threats(threats, publisher) if threats is not None else None
    pub = str(key.with_suffix(".pub")) if key is not None else ""
    names = Names(
        verdict=str(verdict_out or ""), key=pub, ledger=str(ledger or ""), checkpoint=str(checkpoint_out or "")
    )
    with open_book(ledger) if ledger is not None else nullcontext() as log:
        gated = gate(
            papers_in(evidence),
            policy,
            roster,
            public_key(policy_key),
            public_key(roster_key or policy_key),
            system_clock(),
            threats=pack,
            publisher=publisher,
            log=log,
            key=private_key(key) if key is not None else None,
            names=names,
        )
    for out, content in ((verdict_out, gated.verdict), (checkpoint_out, gated.checkpoint.encode())):
        if out is not None and content:
            save(out, content)
            click.echo(f"wrote {out}", err=True)
    emit(dossier_of(gated), format_, output)
    code = {"deny": 1, "indeterminate": 3, "allow": 0}[gated.decision.verdict.value]
    raise click.exceptions.Exit(0 if gated.decision.mode == "observe" else code)


def _require_folders(*outputs: Path | None) -> None:
    from assay.core.errors import UsageError

    for out in outputs:
        if out is not None and not out.parent.is_dir():
            raise UsageError("its folder does not exist", where=str(out), fix="make it first: nothing was decided")


def papers_in(given: tuple[Path, ...]) -> list[Path]:
    """The files named, and every paper in the folders named; a policy, roster, threat pack or verdict there is none."""
    from assay.attest import statement as st
    from assay.core.errors import VerificationError
    from assay.flow.papers import kind_of, read_paper

    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            found.append(path)
            continue
        for inside in sorted(p for p in path.iterdir() if p.suffix in SIGNED and p.is_file()):
            try:
                kind = kind_of(read_paper(inside), str(inside))
            except VerificationError:
                kind = ""  # the gate says what is wrong with it
            if kind not in (st.POLICY, st.ROSTER, st.THREATS, st.VERDICT):
                found.append(inside)
    return found


def _retire(path: Path) -> None:
    """Remove the verdict of an earlier decision: an older ALLOW must not outlive a refusal. Raises UsageError."""
    from assay.attest.statement import VERDICT
    from assay.core.errors import UsageError, VerificationError
    from assay.flow.papers import kind_of, read_paper

    if not path.exists():
        return
    try:
        old = path.is_file() and kind_of(read_paper(path), str(path)) == VERDICT
    except VerificationError:
        old = False
    if not old:
        raise UsageError("is there and is no verdict", where=str(path), fix="name another file for --verdict-out")
    path.unlink()

"""Gate: join the papers, decide by the signed policy, write it in the ledger, and sign the verdict."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from assay.attest.files import FileDigest
from assay.attest.keys import PrivateKey, PublicKey
from assay.attest.note import read_checkpoint
from assay.attest.vsa import Resource, Verdict, sign_verdict
from assay.config.policy_file import Policy
from assay.core.canonical import digest_bytes, digest_of
from assay.core.decision import Decision, OutcomeFact, Roster, Signer
from assay.core.dossier import Proof, Vouch
from assay.core.errors import UsageError, VerificationError
from assay.core.protocols import Log
from assay.core.report import Report
from assay.core.threats import Packs, ThreatPack
from assay.core.version import __version__
from assay.engine.task import seed_for
from assay.flow.join import Bundle, Joined, facts_of, join, vouches_of
from assay.flow.memory import (
    REMEMBERED,
    Recalled,
    documents_of,
    packs_of,
    recall,
    write_documents,
)
from assay.flow.papers import People, open_paper, require_known, trusted_policy, trusted_roster
from assay.policy.decide import decide


class Gated(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, what it was decided on, and the signed verdict (empty in mode observe or without a key)."""

    decision: Decision
    joined: Joined
    people: People
    verdict: bytes = b""
    checkpoint: str = ""
    proof: Proof | None = None


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What the files are called that a decision leaves, so that the proof's commands name them. "" for one that is not.

    `key` is the public half of the gate's key.
    """

    verdict: str = "verdict.json"
    key: str = "gate.pub"
    ledger: str = "ledger.db"
    checkpoint: str = ""


def gate(
    papers: Iterable[Path],
    policy_path: Path,
    roster_path: Path,
    policy_owner: PublicKey,
    roster_owner: PublicKey,
    now: datetime,
    *,
    threats: ThreatPack | None = None,
    publisher: PublicKey | None = None,
    log: Log | None = None,
    key: PrivateKey | None = None,
    names: Names = Names(),  # noqa: B008 - frozen
) -> Gated:
    """Decide on the Release that the papers speak of.

    Raises VerificationError for a policy, roster or paper whose signature does not hold: nothing is decided then.
    With `log` every approval, refusal and model signature of this Release that was ever handed to it counts as well, so
    that whoever collects the papers can leave out neither a refusal nor the author; nor does it go back to an older
    policy or roster (a laxer rule, a key that was revoked since), takes two of one version, or lets a clock that was
    set back revive what has ended. With `log` and `key` the
    decision is written down first and the verdict carries the checkpoint. `threats`, signed by `publisher`, is the
    threat pack in force: what it supersedes is stale, now and at every later gate on this ledger.
    """
    policy = trusted_policy(policy_path, policy_owner)
    require_known(policy)
    roster = trusted_roster(roster_path, roster_owner)
    documents = documents_of(policy, policy_owner, roster, roster_owner, threats, publisher)
    _same_roster(policy, roster)
    if log is not None:  # before any paper: the run in which a revoked key is refused must be remembered too
        write_documents(log, documents, now)
    packs = packs_of(log) if log is not None else threats.alone if threats is not None else Packs()
    people = People(roster, now)
    given = [open_paper(path, people) for path in papers]
    joined = join(given)
    earlier = recall(log, joined.release.digest, people) if log is not None else Recalled()
    joined = join({**earlier.papers, **{p.digest: p for p in given}}.values(), earlier.erased, packs)
    for bundle in joined.bundles:
        _same_seed(bundle, policy)
    decision = decide(joined.facts, policy, now, signed_by=policy_owner.id)
    if log is None:
        if key is not None:
            raise UsageError("a verdict needs a ledger", fix="add --ledger FILE")
        return Gated(decision=decision, joined=joined, people=people)
    encoded = msgspec.json.encode(decision, order="deterministic")
    for bundle in joined.bundles:
        log.append("evidence", joined.release.digest, msgspec.json.encode(bundle.report), bundle.signer.person)
    for paper in given:
        if paper.kind in REMEMBERED and paper.digest not in earlier.papers:
            log.append(REMEMBERED[paper.kind], joined.release.digest, paper.envelope, paper.signer.person)
    log.append("decision", joined.release.digest, encoded, f"policy:{policy.file.policy} v{policy.file.version}")
    checkpoint = log.checkpoint()
    if key is None or decision.mode == "observe":
        return Gated(decision=decision, joined=joined, people=people, checkpoint=checkpoint)
    verdict = _verdict(decision, joined, policy, roster, checkpoint, digest_bytes(encoded))
    envelope = sign_verdict(verdict, [key])
    log.append("verdict", joined.release.digest, envelope, key.public.id)
    return Gated(
        decision=decision,
        joined=joined,
        people=people,
        verdict=envelope,
        checkpoint=checkpoint,
        proof=_proof(verdict, joined, key.public.id, names),
    )


def _same_roster(policy: Policy, roster: Roster) -> None:
    if policy.file.roster is not None and policy.file.roster != roster.roster:
        what = f"the policy asks for the roster {policy.file.roster}, this is {roster.roster}"
        raise VerificationError(what, where=policy.uri, fix="give the roster that it names")


def _same_seed(bundle: Bundle, policy: Policy) -> None:
    """Nobody picks the seed that flatters. Raises VerificationError for evidence of another seed than the policy's."""
    for outcome in bundle.report.body.outcomes:
        if outcome.seed != seed_for(policy.file.seed, outcome.check):
            what = f"{outcome.check} ran from another seed than the policy's, {policy.file.seed}"
            raise VerificationError(what, where=bundle.uri, fix=f"run again with --seed {policy.file.seed}")


def _verdict(
    decision: Decision, joined: Joined, policy: Policy, roster: Roster, checkpoint: str, trace: str
) -> Verdict:
    release = joined.release
    files = tuple(FileDigest(name, hex_) for name, hex_ in sorted(release.shipped().items()))
    return Verdict(
        decision=decision.verdict.value,
        release=release.digest,
        material=msgspec.to_builtins(release),
        files=files,
        policy_name=policy.file.policy,
        policy_version=policy.file.version,
        policy_digest=policy.digest,
        policy_uri=Path(policy.uri).name,
        mode=decision.mode,
        issued=decision.at,
        expires=decision.at + policy.verdict_valid,
        checkpoint=checkpoint,
        trace=trace,
        resource_uri=f"urn:assay:release:{release.digest}",
        verifier_id="urn:assay:gate",
        verifier_version=__version__,
        inputs=tuple(Resource(Path(b.uri).name, {"sha256": b.digest.removeprefix("sha256:")}) for b in joined.bundles),
        roster_name=roster.roster,
        roster_version=roster.version,
        roster_digest=digest_of(roster),
        approvals=tuple(msgspec.to_builtins(a) for a in joined.facts.approvals),
        waivers=tuple(msgspec.to_builtins(w) for w in joined.facts.waivers),
    )


def _proof(verdict: Verdict, joined: Joined, key: str, names: Names) -> Proof:
    point = read_checkpoint(verdict.checkpoint)
    verify = f"assay verify {shlex.quote(names.verdict)} --key {shlex.quote(names.key)}"
    against = f" --against {shlex.quote(names.checkpoint)}" if names.checkpoint else ""
    return Proof(
        verdict=verdict.resource_uri,
        key=key,
        expires=verdict.expires,
        origin=point.origin,
        size=point.size,
        root=point.root.hex(),
        checkpoint=verdict.checkpoint,
        inputs=tuple((Path(b.uri).name, b.digest) for b in joined.bundles),
        commands=(
            f"{verify} --at . --policy-digest {verdict.policy_digest}",
            f"assay log verify --ledger {shlex.quote(names.ledger)}{against}",
        ),
    )


def preview(
    report: Report,
    policy: Policy,
    now: datetime,
    who: str,
    packs: Packs = Packs(),  # noqa: B008
) -> tuple[Decision, tuple[Vouch, ...]]:
    """What the gate would say of this run alone: nothing is signed, so an approval is always missing."""
    release = report.body.release
    if release is None:
        raise UsageError("a policy decides on a Release", fix="name a model in assay.yaml, or remove `policy:`")
    require_known(policy)
    roles = tuple(sorted({role for rule in policy.file.evidence for role in rule.roles}))
    signer = Signer(person=who, key="", roles=roles)
    vouched = (
        OutcomeFact(outcome=o, signer=signer, at=report.run.started, bundle="this run") for o in report.body.outcomes
    )
    facts = facts_of(release, tuple(vouched), (report,), packs)
    decision = decide(facts, policy, now, preview_reason="unsigned: this run only, on this machine")
    return decision, vouches_of(facts.outcomes)

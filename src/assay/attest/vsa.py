"""The verdict: a signed SLSA verification summary (v1) that says a release may ship, until when, and on what evidence.

The predicate is plain VSA, so that other tools read it; what they have no field for lies in the extension
`urn:assay:verdict:v1`. Only `allow` is PASSED. Subjects are the shipped files and the release's digest.
Source: https://slsa.dev/spec/v1.0/verification_summary
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from assay.attest import dsse
from assay.attest import statement as st
from assay.attest.files import FileDigest, hash_named, require_same
from assay.attest.keys import PrivateKey, PublicKey
from assay.attest.note import Checkpoint, NoteKey, open_checkpoint, read_checkpoint
from assay.attest.signature import SKEW, Moment
from assay.core.errors import UsageError, VerificationError

RELEASE_SUBJECT = "urn:assay:release"
_PREFIX = "sha256:"

DecisionWord = Literal["allow", "deny", "indeterminate"]


class Resource(msgspec.Struct, frozen=True):
    """Something named by a uri, with its digests (algorithm → hex)."""

    uri: str
    digest: dict[str, str]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate signs.

    `release`, `policy` digest and `trace` are `sha256:<hex>`. `material` is the release itself, `waivers` and
    `approvals` what was counted, as plain JSON. `checkpoint` is the log's signed note. `inputs` are the bundles
    that were read.
    """

    decision: DecisionWord
    release: str
    material: dict[str, Any]
    files: tuple[FileDigest, ...]
    policy_name: str
    policy_version: int
    policy_digest: str
    policy_uri: str
    mode: Literal["enforce", "observe"]
    issued: datetime
    expires: datetime
    checkpoint: str
    trace: str
    resource_uri: str
    verifier_id: str
    verifier_version: str
    inputs: tuple[Resource, ...] = ()
    waivers: tuple[dict[str, Any], ...] = ()
    approvals: tuple[dict[str, Any], ...] = ()
    roster_name: str = ""
    roster_version: int = 0
    roster_digest: str = ""
    levels: tuple[str, ...] = ("ASSAY_RELEASE_ALLOWED",)


class VerdictView(msgspec.Struct, frozen=True):
    """A verdict that holds, the distinct ids of the keys that signed it, and the log state it was signed at."""

    verdict: Verdict
    key_ids: tuple[str, ...]
    checkpoint: Checkpoint


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What deployment asks of a verdict beyond a good signature; an empty field asks nothing.

    `release` and `policy_digest` must be equal, `policy_name` too; the policy's and the roster's versions must be at
    least `min_policy_version` and `min_roster_version`; the release is none of `revoked`; `log_keys`, where given, must
    have signed the checkpoint (without them the verdict's signer alone vouches for it).
    """

    release: str = ""
    policy_digest: str = ""
    policy_name: str = ""
    min_policy_version: int = 0
    min_roster_version: int = 0
    revoked: Collection[str] = ()
    log_keys: tuple[NoteKey, ...] = ()


class _Verifier(msgspec.Struct, frozen=True):
    id: str
    version: dict[str, str] = {}


class _Extension(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["assay/1"] = "assay/1"
    decision: DecisionWord
    release_digest: str
    release: dict[str, Any]
    policy_name: str
    policy_version: int
    mode: Literal["enforce", "observe"]
    expires: Moment
    checkpoint: str
    trace_digest: str
    waivers: tuple[dict[str, Any], ...]
    approvals: tuple[dict[str, Any], ...]
    roster_name: str = ""
    roster_version: int = 0
    roster_digest: str = ""


class _Vsa(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    verifier: _Verifier
    time_verified: Moment
    resource_uri: str
    policy: Resource
    input_attestations: tuple[Resource, ...] = ()
    verification_result: Literal["PASSED", "FAILED"]
    verified_levels: tuple[str, ...]
    verdict: _Extension = msgspec.field(name="urn:assay:verdict:v1")


def make_verdict(verdict: Verdict) -> bytes:
    """The unsigned statement of `verdict`. UsageError in mode `observe`, which never signs; ValueError if not sound."""
    if verdict.mode != "enforce":
        raise UsageError("mode observe signs no verdict", fix="set `mode: enforce` in the policy")
    subjects, predicate = _statement(verdict)
    return st.make(st.VERDICT, subjects, predicate)


def sign_verdict(verdict: Verdict, keys: Sequence[PrivateKey]) -> bytes:
    """The signed envelope of `verdict`. Raises as make_verdict does."""
    return dsse.sign(st.PAYLOAD_TYPE, make_verdict(verdict), keys)


def claimed_verdict(envelope: bytes, *, where: str = "") -> tuple[DecisionWord, datetime, dict[str, Any]]:
    """What a verdict claims (decision, expiry, the Release), before any signature is checked: for looking through a
    ledger. Raises VerificationError for what is no verdict."""
    said = st.claimed(envelope, where=where).read(_Vsa, where=where).verdict
    return said.decision, said.expires, said.release


def read_verdict(envelope: bytes, keys: Iterable[PublicKey], *, where: str = "") -> VerdictView:
    """The verdict in `envelope`, whatever it decided and however old, once one of `keys` signed it: for display.

    Raises VerificationError: not signed by these keys, or contradicting itself. Deployment calls verify_verdict.
    """
    signed = st.verify(envelope, keys, st.VERDICT, where=where)
    vsa = signed.statement.read(_Vsa, where=where)
    said = vsa.verdict
    by_name = {subject.name: subject.digest.get("sha256", "") for subject in signed.statement.subject}
    if said.release_digest != _PREFIX + by_name.pop(RELEASE_SUBJECT, ""):
        raise VerificationError("the verdict's release is not its subject", where=where)
    if not all(by_name.values()):
        raise VerificationError("a shipped file has no sha256", where=where)
    if (vsa.verification_result == "PASSED") != (said.decision == "allow") or said.mode != "enforce":
        raise VerificationError("the verdict contradicts itself", where=where)
    if not said.checkpoint:
        raise VerificationError("the verdict carries no log checkpoint", where=where, fix="gate again with a ledger")
    verdict = Verdict(
        decision=said.decision,
        release=said.release_digest,
        material=said.release,
        files=tuple(sorted(FileDigest(name, digest) for name, digest in by_name.items())),
        policy_name=said.policy_name,
        policy_version=said.policy_version,
        policy_digest=_PREFIX + vsa.policy.digest.get("sha256", ""),
        policy_uri=vsa.policy.uri,
        mode=said.mode,
        issued=vsa.time_verified,
        expires=said.expires,
        checkpoint=said.checkpoint,
        trace=said.trace_digest,
        resource_uri=vsa.resource_uri,
        verifier_id=vsa.verifier.id,
        verifier_version=vsa.verifier.version.get("assay", ""),
        inputs=vsa.input_attestations,
        waivers=said.waivers,
        approvals=said.approvals,
        roster_name=said.roster_name,
        roster_version=said.roster_version,
        roster_digest=said.roster_digest,
        levels=vsa.verified_levels,
    )
    return VerdictView(verdict, signed.key_ids, read_checkpoint(said.checkpoint, where=where))


def verify_verdict(
    envelope: bytes,
    keys: Iterable[PublicKey],
    now: datetime,
    *,
    demand: Demand | None = None,
    root: Path | None = None,
    where: str = "",
) -> VerdictView:
    """The verdict, once it allows the release, here and now.

    `keys` are those of the gate's owner. With `root`, the shipped files below it are hashed and must be the same bytes.
    Raises VerificationError: wrong key, not allowed, expired, issued in the future by more than 5 minutes (a clock was
    set back), no checkpoint, a demand that is not met, or naming the files that were changed or are missing.
    """
    view = read_verdict(envelope, keys, where=where)
    verdict, moment = view.verdict, st.utc(now)
    if verdict.decision != "allow":
        raise VerificationError(f"the verdict is {verdict.decision.upper()}", where=where, fix="read its report")
    if moment >= verdict.expires:
        raise VerificationError(
            f"the verdict expired on {verdict.expires:%Y-%m-%d %H:%M} UTC", where=where, fix="gate again"
        )
    if verdict.issued > moment + SKEW:
        raise VerificationError(
            f"the verdict is from the future, {verdict.issued:%Y-%m-%d %H:%M} UTC", where=where, fix="check this clock"
        )
    _meet(view, demand or Demand(), where)
    if root is not None:
        require_same(verdict.files, hash_named(root, [file.name for file in verdict.files]), where=where)
    return view


def _meet(view: VerdictView, demand: Demand, where: str) -> None:
    verdict = view.verdict
    if demand.release and verdict.release != demand.release:
        raise VerificationError(
            f"the verdict is on release {_short(verdict.release)}, this is {_short(demand.release)}",
            where=where,
            fix="what ships changed: gate the new release",
        )
    if verdict.release in demand.revoked:
        raise VerificationError(f"release {_short(verdict.release)} was revoked", where=where, fix="ship another")
    if demand.policy_name and verdict.policy_name != demand.policy_name:
        raise VerificationError(f"decided by another policy, {verdict.policy_name[:80]!r}", where=where)
    if demand.policy_digest and verdict.policy_digest != demand.policy_digest:
        raise VerificationError(f"decided by another policy, {_short(verdict.policy_digest)}", where=where)
    if verdict.policy_version < demand.min_policy_version:
        raise VerificationError(
            f"decided by version {verdict.policy_version} of the policy, {demand.min_policy_version} is asked",
            where=where,
            fix="gate again by the newer policy",
        )
    if verdict.roster_version < demand.min_roster_version:
        raise VerificationError(
            f"decided by version {verdict.roster_version} of the roster, {demand.min_roster_version} is asked",
            where=where,
            fix="gate again by the newer roster",
        )
    if demand.log_keys:
        key = next((key for key in demand.log_keys if key.name == view.checkpoint.origin), None)
        if key is None:
            raise VerificationError(f"the checkpoint is of another log, {view.checkpoint.origin[:80]}", where=where)
        open_checkpoint(verdict.checkpoint, key, where=where)


def _statement(verdict: Verdict) -> tuple[list[st.Subject], _Vsa]:
    issued, expires = st.utc(verdict.issued), st.utc(verdict.expires)
    if expires <= issued:
        raise ValueError("a verdict expires after it is issued")
    read_checkpoint(verdict.checkpoint)  # a verdict that could never verify is not signed
    if any(file.name.startswith(RELEASE_SUBJECT) for file in verdict.files):
        raise ValueError(f"no shipped file is called {RELEASE_SUBJECT}")
    subjects = [st.Subject(RELEASE_SUBJECT, {"sha256": _hex(verdict.release)})]
    subjects += [st.Subject(file.name, {"sha256": file.sha256}) for file in sorted(verdict.files)]
    allowed = verdict.decision == "allow"
    predicate = _Vsa(
        verifier=_Verifier(verdict.verifier_id, {"assay": verdict.verifier_version}),
        time_verified=issued,
        resource_uri=verdict.resource_uri,
        policy=Resource(verdict.policy_uri, {"sha256": _hex(verdict.policy_digest)}),
        input_attestations=verdict.inputs,
        verification_result="PASSED" if allowed else "FAILED",
        verified_levels=verdict.levels if allowed else ("FAILED",),
        verdict=_Extension(
            decision=verdict.decision,
            release_digest=verdict.release,
            release=verdict.material,
            policy_name=verdict.policy_name,
            policy_version=verdict.policy_version,
            mode=verdict.mode,
            expires=expires,
            checkpoint=verdict.checkpoint,
            trace_digest=verdict.trace,
            waivers=verdict.waivers,
            approvals=verdict.approvals,
            roster_name=verdict.roster_name,
            roster_version=verdict.roster_version,
            roster_digest=verdict.roster_digest,
        ),
    )
    return subjects, predicate


def _hex(digest: str) -> str:
    digits = digest.removeprefix(_PREFIX)
    if not digest.startswith(_PREFIX) or not st.is_sha256(digits):
        raise ValueError(f"not a sha256:<hex> digest: {digest[:80]!r}")
    return digits


def _short(digest: str) -> str:
    return digest.removeprefix(_PREFIX)[:8]

"""The verdict: only an unexpired allow by the right key on these bytes verifies; every other one says why not."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.attest import note, statement, vsa
from assay.attest.files import hash_files
from assay.attest.keys import generate
from assay.core.errors import UsageError, VerificationError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GATE, LOG = generate("gate"), generate("log")
KEYS = [GATE.public]
RELEASE = "sha256:" + "ab" * 32
LOG_KEY = note.NoteKey("log.example", LOG.public)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "claims.onnx").write_bytes(b"weights")
    (tmp_path / "not-shipped.csv").write_bytes(b"rows")
    return tmp_path


def verdict(root: Path, **changes: Any) -> vsa.Verdict:
    files = tuple(file for file in hash_files(root) if file.name.startswith("models/"))
    base = vsa.Verdict(
        decision="allow",
        release=RELEASE,
        material={"system": "claims", "threshold": {"model": 0.31}},
        files=files,
        policy_name="release",
        policy_version=3,
        policy_digest="sha256:" + "cd" * 32,
        policy_uri="policy.yaml",
        mode="enforce",
        issued=NOW,
        expires=NOW + timedelta(days=30),
        checkpoint=note.sign_checkpoint(note.Checkpoint("log.example", 4, bytes(32)), LOG),
        trace="sha256:" + "ef" * 32,
        resource_uri="assay:release:claims",
        verifier_id="https://assay.example/gate",
        verifier_version="0.1.0",
        inputs=(vsa.Resource("evidence.json", {"sha256": "11" * 32}),),
        approvals=({"person": "dana", "role": "security"},),
    )
    return msgspec.structs.replace(base, **changes)


def test_an_allow_verifies_on_the_same_bytes(shipped: Path) -> None:
    said = verdict(shipped)
    view = vsa.verify_verdict(vsa.sign_verdict(said, [GATE]), KEYS, NOW, root=shipped)
    assert view.key_ids == (GATE.public.id,)
    assert view.checkpoint.size == 4
    sizeless = tuple(msgspec.structs.replace(file, size=-1) for file in said.files)
    assert view.verdict == msgspec.structs.replace(said, files=sizeless)


def test_the_statement_is_a_plain_vsa(shipped: Path) -> None:
    body = json.loads(b64decode(json.loads(vsa.sign_verdict(verdict(shipped), [GATE]))["payload"]))
    assert body["_type"] == "https://in-toto.io/Statement/v1"
    assert body["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert {subject["name"] for subject in body["subject"]} == {"urn:assay:release", "models/claims.onnx"}
    predicate = body["predicate"]
    assert predicate["verificationResult"] == "PASSED"
    assert predicate["timeVerified"] == "2026-11-21T12:00:00Z"
    assert predicate["verifier"] == {"id": "https://assay.example/gate", "version": {"assay": "0.1.0"}}
    assert predicate["policy"] == {"uri": "policy.yaml", "digest": {"sha256": "cd" * 32}}
    assert predicate["urn:assay:verdict:v1"]["decision"] == "allow"
    assert "slsaVersion" not in predicate


@pytest.mark.parametrize("decision", ["deny", "indeterminate"])
def test_only_allow_passes(shipped: Path, decision: str) -> None:
    envelope = vsa.sign_verdict(verdict(shipped, decision=decision), [GATE])
    body = json.loads(b64decode(json.loads(envelope)["payload"]))
    assert body["predicate"]["verificationResult"] == "FAILED"
    assert body["predicate"]["verifiedLevels"] == ["FAILED"]
    assert vsa.read_verdict(envelope, KEYS).verdict.decision == decision
    with pytest.raises(VerificationError, match=decision.upper()):
        vsa.verify_verdict(envelope, KEYS, NOW)


def test_time_and_key(shipped: Path) -> None:
    envelope = vsa.sign_verdict(verdict(shipped), [GATE])
    with pytest.raises(VerificationError, match="trusted key"):
        vsa.verify_verdict(envelope, [generate("mallory").public], NOW)
    with pytest.raises(VerificationError, match="expired"):
        vsa.verify_verdict(envelope, KEYS, NOW + timedelta(days=30))
    vsa.verify_verdict(envelope, KEYS, NOW + timedelta(days=30) - timedelta(seconds=1))
    with pytest.raises(VerificationError, match="from the future"):
        vsa.verify_verdict(envelope, KEYS, NOW - timedelta(minutes=5, seconds=1))
    vsa.verify_verdict(envelope, KEYS, NOW - timedelta(minutes=5))


def test_changed_and_missing_files_are_named(shipped: Path) -> None:
    envelope = vsa.sign_verdict(verdict(shipped), [GATE])
    (shipped / "models" / "claims.onnx").write_bytes(b"weighty")
    with pytest.raises(VerificationError, match=r"changed: models/claims\.onnx"):
        vsa.verify_verdict(envelope, KEYS, NOW, root=shipped)
    (shipped / "models" / "claims.onnx").unlink()
    with pytest.raises(VerificationError, match=r"missing: models/claims\.onnx"):
        vsa.verify_verdict(envelope, KEYS, NOW, root=shipped)


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        (vsa.Demand(release="sha256:" + "00" * 32), "this is 00000000"),
        (vsa.Demand(revoked=(RELEASE,)), "revoked"),
        (vsa.Demand(policy_name="other"), "another policy"),
        (vsa.Demand(policy_digest="sha256:" + "00" * 32), "another policy"),
        (vsa.Demand(min_policy_version=4), "4 is asked"),
        (vsa.Demand(log_keys=(note.NoteKey("log.example", GATE.public),)), "not signed by a trusted key"),
        (vsa.Demand(log_keys=(note.NoteKey("other", LOG.public),)), "another log"),
    ],
)
def test_demands(shipped: Path, demand: vsa.Demand, words: str) -> None:
    envelope = vsa.sign_verdict(verdict(shipped), [GATE])
    with pytest.raises(VerificationError, match=words):
        vsa.verify_verdict(envelope, KEYS, NOW, demand=demand)
    met = vsa.Demand(release=RELEASE, policy_name="release", min_policy_version=3, log_keys=(LOG_KEY,))
    assert vsa.verify_verdict(envelope, KEYS, NOW, demand=met).verdict.release == RELEASE


def resigned(root: Path, change: Any) -> bytes:
    """A verdict by the right key whose predicate or subjects were edited before signing."""
    body = json.loads(vsa.make_verdict(verdict(root)))
    change(body)
    subjects = [statement.Subject(s["name"], s["digest"]) for s in body["subject"]]
    return statement.sign(statement.VERDICT, subjects, body["predicate"], [GATE])


EXTENSION = "urn:assay:verdict:v1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b["predicate"].update(verificationResult="FAILED"), "contradicts itself"),
        (lambda b: b["predicate"][EXTENSION].update(decision="deny"), "contradicts itself"),
        (lambda b: b["predicate"][EXTENSION].update(mode="observe"), "contradicts itself"),
        (lambda b: b["predicate"][EXTENSION].update(checkpoint=""), "no log checkpoint"),
        (lambda b: b["predicate"][EXTENSION].update(checkpoint="x"), "not a signed note"),
        (lambda b: b["predicate"][EXTENSION].update(release_digest="sha256:" + "00" * 32), "not its subject"),
        (lambda b: b["predicate"][EXTENSION].update(expires="2027-01-01T00:00:00"), "malformed predicate"),
        (lambda b: b["predicate"][EXTENSION].pop("expires"), "malformed predicate"),
        (lambda b: b["predicate"].pop(EXTENSION), "malformed predicate"),
        (lambda b: b["subject"].pop(0), "not its subject"),
        (lambda b: b["subject"][1].update(digest={"sha512": "ab"}), "no sha256"),
    ],
)
def test_verdicts_that_contradict_themselves(shipped: Path, change: Any, words: str) -> None:
    with pytest.raises(VerificationError, match=words):
        vsa.verify_verdict(resigned(shipped, change), KEYS, NOW)


def test_what_could_never_verify_is_not_signed(shipped: Path) -> None:
    with pytest.raises(UsageError, match="observe"):
        vsa.sign_verdict(verdict(shipped, mode="observe"), [GATE])
    with pytest.raises(VerificationError, match="not a signed note"):
        vsa.sign_verdict(verdict(shipped, checkpoint=""), [GATE])
    for wrong in ({"expires": NOW}, {"release": "ab" * 32}, {"issued": datetime(2026, 1, 1)}):
        with pytest.raises(ValueError, match=r"expires|digest|zone"):
            vsa.sign_verdict(verdict(shipped, **wrong), [GATE])

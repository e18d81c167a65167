"""The verdict on another machine: public keys only, and every change to what ships is refused and named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from flow_world import CAROL, DAY, GATE, MANIFEST, NOW, POLICY, SAM, STRANGER, World, forged

from assay.attest.keys import PublicKey
from assay.attest.signature import sign_files
from assay.attest.vsa import Demand
from assay.core.errors import AssayError, VerificationError
from assay.flow.verify import Verified, release_for, verify_release

SHIPPED = ("assay.yaml", "model.onnx")


class Deployed:
    """Another machine: the shipped files, the verdict, and the gate's public key."""

    def __init__(self, world: World, at: Path, keys: tuple[PublicKey, ...] = (GATE.public,)) -> None:
        self.at, self.keys = at, keys
        gated = world.gate(world.everything(), key=GATE)
        self.verdict, self.decision = gated.verdict, gated.decision
        at.mkdir()
        for name in SHIPPED:
            source = world.project / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, at / name)

    def verify(self, **changes: Any) -> Verified:
        given = {"envelope": self.verdict, "keys": self.keys, "now": NOW + DAY, "at": self.at, "where": "verdict.json"}
        return verify_release(**{**given, **changes})

    def refused(self, **changes: Any) -> VerificationError:
        with pytest.raises(VerificationError) as caught:
            self.verify(**changes)
        return caught.value


@pytest.fixture
def deployed(world: World, tmp_path: Path) -> Deployed:
    return Deployed(world, tmp_path / "production")


def test_it_holds_where_only_what_ships_lies(deployed: Deployed) -> None:
    found = deployed.verify()
    assert found.files == ("model.onnx",)
    assert found.settings
    assert found.unchecked == ("train",)
    assert found.release.digest == deployed.decision.release


def test_training_data_that_lies_here_too_must_be_the_same(deployed: Deployed, world: World) -> None:
    shutil.copy(world.project / "train.csv", deployed.at)
    assert deployed.verify().unchecked == ()
    (deployed.at / "train.csv").write_text("age,y\n2,0\n")
    assert "training-data train changed (train.csv)" in deployed.refused().what


@pytest.mark.parametrize("place", [0, 3, -1])
def test_a_flipped_byte_names_the_file(deployed: Deployed, place: int) -> None:
    data = bytearray((deployed.at / "model.onnx").read_bytes())
    data[place] ^= 1
    (deployed.at / "model.onnx").write_bytes(data)
    assert "changed: model.onnx" in deployed.refused().what
    assert "changed: model.onnx" in deployed.refused(files_only=True).what


def test_a_missing_file_is_named(deployed: Deployed) -> None:
    (deployed.at / "model.onnx").unlink()
    assert "missing: model.onnx" in deployed.refused().what


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("threshold: 0.31", "threshold: 0.3100001", "threshold of model 0.31 → 0.3100001"),
        ("threshold: 0.31", "positive: 1", "threshold of model 0.31 → 0.5"),
        ("max: 120", "max: 130", "feature contract of age changed"),
        ("features:", "constraints: ['age > 1']\nfeatures:", "constraints changed"),
        ("label: y", "label: age", "facts about its data changed"),
        ("name: claims", "name: other", "system claims → other"),
        ("name: claims", "name: claims, risk: high", "declared facts changed"),
        ("features:", "training: {code: abc}\nfeatures:", "training code changed"),
        ("threshold: 0.31", "threshold: 0.31, positive: 0", "facts about the model changed"),
    ],
)
def test_a_changed_setting_is_refused_and_named(deployed: Deployed, old: str, new: str, said: str) -> None:
    changed = MANIFEST.replace(old, new)
    assert changed != MANIFEST
    (deployed.at / "assay.yaml").write_text(changed)
    assert said in deployed.refused().what


def test_settings_cannot_be_left_out_silently(deployed: Deployed) -> None:
    (deployed.at / "assay.yaml").unlink()
    error = deployed.refused()
    assert "assay.yaml is missing" in error.what
    assert "--files-only" in error.fix
    found = deployed.verify(files_only=True)
    assert (found.files, found.settings) == (("model.onnx",), False)


def test_another_models_name_is_another_release(deployed: Deployed) -> None:
    (deployed.at / "assay.yaml").write_text(MANIFEST.replace("  model:", "  model2:"))
    assert "model2 was added" in deployed.refused().what


@pytest.mark.parametrize("text", ["system: {name: claims}\n", "system: {name: claims}\nsubjects: {}\n"])
def test_a_manifest_without_the_model_is_refused(deployed: Deployed, text: str) -> None:
    (deployed.at / "assay.yaml").write_text(text)
    with pytest.raises(VerificationError):
        deployed.verify()


def test_an_expired_verdict_is_refused(deployed: Deployed) -> None:
    assert deployed.verify(now=NOW + 29 * DAY).settings
    assert "expired" in deployed.refused(now=NOW + 30 * DAY).what


def test_a_clock_set_back_is_noticed(deployed: Deployed) -> None:
    assert "from the future" in deployed.refused(now=NOW - DAY).what


def test_another_key_is_refused(deployed: Deployed) -> None:
    assert "not signed by any trusted key" in deployed.refused(keys=(STRANGER.public,)).what
    assert "no key" in deployed.refused(keys=()).what


def test_an_edited_verdict_is_refused(deployed: Deployed, tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    path.write_bytes(deployed.verdict)

    def bend(said: dict[str, Any]) -> None:
        said["predicate"]["urn:assay:verdict:v1"]["expires"] = "2099-01-01T00:00:00Z"

    assert deployed.refused(envelope=forged(path, bend).read_bytes()).where == "verdict.json"


def test_what_is_no_verdict_is_refused(deployed: Deployed, world: World) -> None:
    evidence = world.evidence(key=GATE)
    assert "urn:assay:evidence:v1" in deployed.refused(envelope=evidence.read_bytes()).what
    signature = sign_files(world.project / "model.onnx", GATE, NOW)
    assert "Sigstore bundle" in deployed.refused(envelope=signature).what


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_only_an_allow_verifies(world: World, tmp_path: Path, lost: int) -> None:
    papers = world.everything()
    undecided = world.gate(papers[:lost] + papers[lost + 1 :], key=GATE)
    assert undecided.verdict
    with pytest.raises(VerificationError, match="INDETERMINATE"):
        verify_release(undecided.verdict, [GATE.public], NOW, at=world.project)
    refusal = world.approve("security", SAM, "refused.json", decision="refuse")
    denied = world.gate([*papers, refusal], key=GATE)
    with pytest.raises(VerificationError, match="DENY"):
        verify_release(denied.verdict, [GATE.public], NOW, at=world.project)


def test_what_deployment_demands_is_met_or_refused(deployed: Deployed) -> None:
    digest = deployed.decision.release
    assert deployed.verify(demand=Demand(release=digest, policy_name="release", min_policy_version=3)).settings
    for demand in (
        Demand(release="sha256:" + "0" * 64),
        Demand(revoked=(digest,)),
        Demand(policy_name="laxer"),
        Demand(min_policy_version=4),
        Demand(policy_digest="sha256:" + "0" * 64),
    ):
        assert deployed.refused(demand=demand).where == "verdict.json"


def test_the_checkpoint_must_be_of_the_log_that_is_demanded(deployed: Deployed, world: World) -> None:
    from assay.attest.note import NoteKey
    from assay.flow.book import log_key

    origin = deployed.verify().view.checkpoint.origin
    right = NoteKey(origin, log_key(world.root / "ledger.db").public)
    assert deployed.verify(demand=Demand(log_keys=(right,))).settings
    wrong = NoteKey(origin, STRANGER.public)
    assert deployed.refused(demand=Demand(log_keys=(wrong,)))
    assert "another log" in deployed.refused(demand=Demand(log_keys=(NoteKey("other.log", STRANGER.public),))).what


def test_a_model_folder_names_the_inner_file(world: World, tmp_path: Path) -> None:
    model = world.project / "model.onnx"
    model.unlink()
    (model / "weights").mkdir(parents=True)
    (model / "weights" / "layer-1.bin").write_bytes(b"one")
    (model / "config.json").write_text("{}")
    deployed = Deployed(world, tmp_path / "production")
    assert deployed.decision.verdict == "allow", deployed.decision.trace
    assert deployed.verify().files == ("model.onnx/config.json", "model.onnx/weights/layer-1.bin")
    (deployed.at / "model.onnx" / "weights" / "layer-1.bin").write_bytes(b"onf")
    assert "changed: model.onnx/weights/layer-1.bin" in deployed.refused().what


def test_a_file_added_to_a_model_folder_is_another_release(world: World, tmp_path: Path) -> None:
    model = world.project / "model.onnx"
    model.unlink()
    model.mkdir()
    (model / "a.bin").write_bytes(b"a")
    deployed = Deployed(world, tmp_path / "production")
    (deployed.at / "model.onnx" / "sitecustomize.py").write_text("x = 1")
    assert "sitecustomize.py" in deployed.refused().what


def test_preprocessing_ships_and_is_checked(world: World, tmp_path: Path) -> None:
    manifest = MANIFEST.replace("threshold: 0.31", "threshold: 0.31, preprocessing: prep.json")
    (world.project / "assay.yaml").write_text(manifest)
    (world.project / "prep.json").write_text("{}")
    deployed = Deployed(world, tmp_path / "production")
    assert "missing: prep.json" in deployed.refused().what
    (deployed.at / "prep.json").write_text("{}")
    assert deployed.verify().files == ("model.onnx", "prep.json")
    (deployed.at / "prep.json").write_text("[]")
    assert "changed: prep.json" in deployed.refused().what
    (deployed.at / "prep.json").write_text("{}")
    (deployed.at / "assay.yaml").write_text(MANIFEST)
    assert "model.preprocessing was removed" in deployed.refused().what


def test_an_environment_file_elsewhere_is_told_and_here_is_checked(world: World, tmp_path: Path) -> None:
    (world.project / "assay.yaml").write_text(MANIFEST + "training: {code: abc, environment: lock.txt}\n")
    (world.project / "lock.txt").write_text("numpy==2\n")
    deployed = Deployed(world, tmp_path / "production")
    assert deployed.verify().unchecked == ("environment", "train")
    (deployed.at / "lock.txt").write_text("numpy==1\n")
    assert "environment" in deployed.refused().what


def test_the_same_policy_gates_the_fixed_release(world: World, tmp_path: Path) -> None:
    """After a change, the old verdict refuses and a new one, with new words, holds."""
    old = Deployed(world, tmp_path / "production")
    (world.project / "model.onnx").write_bytes(b"better weights")
    shutil.copy(world.project / "model.onnx", old.at)
    assert "model.onnx" in old.refused().what
    fresh = world.gate(world.everything(), key=GATE)
    assert old.verify(envelope=fresh.verdict).files == ("model.onnx",)


def test_the_release_that_a_person_means(world: World) -> None:
    digest = world.release().digest
    assert release_for(str(world.project)).digest == digest
    assert release_for(str(world.project / "assay.yaml")).digest == digest
    assert release_for(str(world.evidence())).digest == digest
    for source in (world.project / "none", world.project / "model.onnx", world.approve("compliance", CAROL)):
        with pytest.raises(AssayError):
            release_for(str(source))


def test_verdicts_of_other_policies_can_be_told_apart(world: World) -> None:
    world.policy = world.document("policy.yaml", POLICY.replace("policy: release", "policy: lax"))
    gated = world.gate(world.everything(), key=GATE)
    with pytest.raises(VerificationError, match="another policy"):
        verify_release(gated.verdict, [GATE.public], NOW, at=world.project, demand=Demand(policy_name="release"))


def test_what_assay_keeps_beside_a_project_is_no_part_of_a_release(tmp_path: Path) -> None:
    from assay.config.manifest import load_project
    from assay.flow.release import digest_subjects
    from assay.flow.workspace import DigestMemory

    (tmp_path / "assay.yaml").write_text("system: {name: s}\nsubjects: {repo: {artifact: .}}\n")
    digests = set()
    for turn in ("one", "two"):
        (tmp_path / ".assay").mkdir(exist_ok=True)
        (tmp_path / ".assay/ledger.db").write_text(turn)
        digested = digest_subjects(load_project(tmp_path), DigestMemory(Path(), trust=False))
        digests.add(digested.subjects["repo"].digest)
    assert len(digests) == 1

"""Keys, signatures, approvals, waivers, gate, verdict and ledger by the command line, on one tiny project."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cli_office import TRUST, Office, flip
from cli_tools import assay, mend, one_line

PICKLE = b"\x80\x04N."


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_keys_are_made_shown_and_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    made = assay("key", "new", "me", "--type", kind, cwd=tmp_path)
    assert made.code == 0
    line = made.out.splitlines()[1]
    assert line.startswith(f"{kind}:")
    shown = assay("key", "show", "me.pub", cwd=tmp_path)
    assert shown.out.splitlines()[0] == line
    (tmp_path / "line.pub").write_text(line)
    assert assay("key", "show", "line.pub", cwd=tmp_path).out == shown.out
    assert (tmp_path / "me.key").stat().st_mode & 0o077 == 0
    before = (tmp_path / "me.key").read_bytes()
    assert one_line(assay("key", "new", "me", cwd=tmp_path), "me.key", code=2)
    assert (tmp_path / "me.key").read_bytes() == before
    assert one_line(assay("key", "show", "gone.pub", cwd=tmp_path), "gone.pub", code=2)
    assert assay("key", "show", "me.key", cwd=tmp_path).code == 2
    monkeypatch.setenv("ASSAY_KEY_PASSPHRASE", "open sesame")
    assert assay("key", "new", "locked", cwd=tmp_path).code == 0
    (tmp_path / "x.txt").write_text("x")
    assert assay("sign", "x.txt", "--key", "locked.key", cwd=tmp_path).code == 0
    monkeypatch.setenv("ASSAY_KEY_PASSPHRASE", "wrong")
    assert one_line(assay("sign", "x.txt", "--key", "locked.key", cwd=tmp_path), "passphrase", code=2)
    monkeypatch.delenv("ASSAY_KEY_PASSPHRASE")
    assert one_line(assay("sign", "x.txt", "--key", "locked.key", cwd=tmp_path), "passphrase", code=2)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_signature_holds_until_a_byte_changes(office: Office, what: str) -> None:
    path = office.folder / "thing"
    if what == "folder":
        (path / "sub").mkdir(parents=True)
    inner = path / "sub/weights.bin" if what == "folder" else path
    inner.write_bytes(b"weights")
    office.fine("sign thing --key dana.key")
    assert "holds:" in office.fine("verify thing --key dana.pub").out
    refused = office("verify thing --key sam.pub")
    assert one_line(refused, code=1)
    inner.write_bytes(b"Weights")
    name = "sub/weights.bin" if what == "folder" else "thing"
    assert office("verify thing --key dana.pub")[:2] == (1, f"changed  {name}\n")
    inner.write_bytes(b"weights")
    if what == "folder":
        (path / "sub/added.bin").write_bytes(b"")
        assert office("verify thing --key dana.pub")[:2] == (1, "added    sub/added.bin\n")
        inner.unlink()
        done = office("verify thing --key dana.pub")
        assert done.out.splitlines() == ["missing  sub/weights.bin", "added    sub/added.bin"]
        assert done.code == 1
        assert len(done.err.splitlines()) == 1
    assert one_line(office("verify nothing --key dana.pub"), "nothing: no such file", code=2)


def test_the_commands_of_the_proof_name_the_files_that_were_written(kept: Office) -> None:
    words = (
        "gate --evidence papers --policy policy.yaml --roster roster.yaml --policy-key owner.pub --ledger other.db"
        " --key gate.key --verdict-out out.json --checkpoint-out seen.txt --format json"
    )
    first, second = msgspec.json.decode(kept.fine(words).out)["proof"]["commands"]
    digest = hashlib.sha256((kept.folder / "policy.yaml").read_bytes()).hexdigest()
    assert first == f"assay verify out.json --key gate.pub --at . --policy-digest sha256:{digest}"
    assert second == "assay log verify --ledger other.db --against seen.txt"
    kept.fine(first.removeprefix("assay ").replace("--at .", "--at project"))
    kept.fine(second.removeprefix("assay "))


def test_who_approves_is_shown_what_the_figures_rest_on(office: Office) -> None:
    mend(office.project / "assay.yaml", "system:", "features: {age: {mutable: false}, sum: {cost: 1e6}}\nsystem:")
    office.examine()
    shown = office.approve().out
    assert "can change 1 of 2 declared columns: sum (cost 1e+06)" in shown
    assert "fixed          age" in shown
    digest = next(line.split()[1] for line in shown.splitlines() if line.strip().startswith("terms"))
    assert digest.startswith("sha256:")
    from_bundle = office("approve papers/dana.json --role security --key sam.key --out papers/again.json").out
    assert digest in from_bundle
    rules = office.folder / "policy.yaml"
    mend(rules, "require:", f"require:\n  - contract: {{digest: {digest}}}\n  - contract: {{mutable: [age]}}")
    assert one_line(office("sign policy.yaml --key owner.key"), "version 3 was signed before", code=2)
    mend(rules, "version: 3", "version: 4")
    office.fine("sign policy.yaml --key owner.key")
    done = office.gate()
    assert done.code == 1
    assert "the contract does not let an attacker change age" in done.out
    assert "pins" not in done.out


def test_the_whole_way_to_a_verdict_and_back(kept: Office) -> None:
    verdict = kept.fine("verify verdict.json --key gate.pub --policy tiny --policy-version 3 --at project")
    assert "ALLOW holds" in verdict.out
    assert "model.safetensors" in verdict.out
    kept.fine("log verify --ledger ledger.db --against checkpoint.txt")
    listed = kept.fine("log list --ledger ledger.db").out
    assert [line.split()[2] for line in listed.splitlines()] == [
        "policy", "roster", "evidence", "signature", "approval", "decision", "verdict",
    ]  # fmt: skip


def test_a_verdict_refuses_what_was_not_decided(kept: Office) -> None:
    verify = "verify verdict.json --key gate.pub --at project"
    model, manifest = kept.project / "model.safetensors", kept.project / "assay.yaml"
    for words, text in (
        ("verify verdict.json --key owner.pub --at project", ""),
        (f"{verify} --policy other", "other"),
        (f"{verify} --policy-version 4", "version"),
        (f"{verify} --policy-digest sha256:{'0' * 64}", "another policy"),
    ):
        assert one_line(kept(words), text, code=1)
    digest = hashlib.sha256((kept.folder / "policy.yaml").read_bytes()).hexdigest()
    kept.fine(f"{verify} --policy-digest sha256:{digest}")
    assert one_line(kept(f"{verify} --policy-digest {digest}"), "64 hex digits", code=2)
    assert one_line(kept(f"{verify} --revoked {digest[:8]}"), "--revoked", "64 hex digits", code=2)
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + b" ")
    assert one_line(kept(verify), "model.safetensors", code=1)
    model.write_bytes(whole)
    mend(manifest, "model: model.safetensors", "model: model.safetensors, threshold: 0.9")
    assert one_line(kept(verify), "threshold", code=1)
    mend(manifest, ", threshold: 0.9", "")
    kept.fine(verify)
    model.unlink()
    assert one_line(kept(verify), "model.safetensors", code=1)


@pytest.mark.parametrize(
    "name", ["papers/dana.json", "papers/sam-approval.json", "papers/model.safetensors.sig",
             "policy.yaml", "policy.yaml.sig", "roster.yaml", "roster.yaml.sig"],
)  # fmt: skip
@pytest.mark.parametrize("at", [0.3, 0.6])
def test_a_flipped_character_in_any_paper_is_refused_by_name(kept: Office, name: str, at: float) -> None:
    flip(kept.folder / name, at)
    done = kept.gate()
    assert done.code in (1, 2), done
    (line,) = done.err.splitlines()
    assert Path(name).name.removesuffix(".sig") in line


def test_a_flipped_character_in_the_verdict_is_refused(kept: Office) -> None:
    for at in (0.1, 0.3, 0.5, 0.7, 0.9):
        whole = flip(kept.folder / "verdict.json", at)
        done = kept("verify verdict.json --key gate.pub --at project")
        assert done.code in (1, 2), (at, done)
        (kept.folder / "verdict.json").write_bytes(whole)
    kept.fine("verify verdict.json --key gate.pub --at project")


@pytest.mark.parametrize("paper", ["evidence", "approval", "policy", "roster"])
def test_a_strangers_key_is_refused(kept: Office, paper: str) -> None:
    if paper == "evidence":
        assert kept.examine("stranger").code == 0
    elif paper == "approval":
        kept.fine("approve project --role security --key stranger.key --out papers/sam-approval.json")
    else:
        kept.fine(f"sign {paper}.yaml --key stranger.key")
    done = kept.gate()
    assert done.code == 1
    assert done.out == ""
    assert len(done.err.splitlines()) == 1


def test_a_role_that_is_not_yours_counts_for_nothing(office: Office) -> None:
    assert office.examine().code == 0
    assert office.approve("cleo", role="security").code == 0
    done = office.gate()
    assert done.code == 3
    assert "no valid approval by security" in done.out


def test_the_author_cannot_approve(office: Office) -> None:
    assert office.examine().code == 0
    office.fine("sign project/model.safetensors --key sam.key")
    shutil.copy(office.project / "model.safetensors.sig", office.folder / "papers")
    assert office.approve("sam").code == 0
    assert office.gate().code == 3
    assert office.approve("sue").code == 0
    assert office.gate().code == 0


def test_no_is_no(kept: Office) -> None:
    assert kept.approve("sue", more="--refuse --comment no").code == 0
    assert kept.gate().code == 1


@pytest.mark.parametrize(("days", "code"), [(0, 0), (29, 0), (31, 3), (-1, 3)])
def test_an_approval_holds_from_its_day_to_its_end(
    kept: Office, monkeypatch: pytest.MonkeyPatch, days: int, code: int
) -> None:
    moment = datetime.now(UTC) + timedelta(days=days)
    monkeypatch.setattr("assay.core.protocols.system_clock", lambda: moment)
    done = kept.gate()
    assert done.code == code or (days < 0 and done.code in (1, 3)), done.out


def test_a_verdict_ends(kept: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime.now(UTC) + timedelta(days=4000)
    monkeypatch.setattr("assay.core.protocols.system_clock", lambda: moment)
    assert one_line(kept("verify verdict.json --key gate.pub --at project"), "expired", code=1)


def test_a_lifetime_that_is_none_is_one_line(office: Office) -> None:
    assert one_line(office.approve(more="--valid soon"), "--valid", "soon", code=2)
    for words in ("0d", "-1d", "9999999d"):
        assert one_line(office.approve(more=f"--valid {words}"), "--valid", code=2)


def test_an_approval_speaks_of_one_release_only(office: Office) -> None:
    assert office.approve().code == 0
    mend(office.project / "assay.yaml", "model: model.safetensors", "model: model.safetensors, threshold: 0.7")
    assert office.examine().code == 0
    done = office.gate()
    assert done.code != 0
    assert "ALLOW" not in done.out


@pytest.fixture
def pickled(office: Office) -> Office:
    """The same, with a plain pickle: one low finding."""
    (office.project / "model.safetensors").rename(office.project / "model.pkl")
    (office.project / "model.pkl").write_bytes(PICKLE)
    mend(office.project / "assay.yaml", "model.safetensors", "model.pkl")
    return office


def test_a_finding_is_waived_by_security(pickled: Office) -> None:
    assert pickled.examine().code == 0, "low is below the fail level of `run`"
    pickled.fine("sign project/model.pkl --key dana.key")
    shutil.copy(pickled.project / "model.pkl.sig", pickled.folder / "papers")
    assert pickled.approve("sue").code == 0
    assert pickled.gate().code == 1
    (mark,) = pickled.fingerprints("artifact.unsafe-format")
    pickled.waive(mark, "cleo", role="compliance")
    assert pickled.gate().code == 1, "the policy lets security waive, not compliance"
    pickled.waive("0" * 32, "sam")
    assert pickled.gate().code == 1, "a waiver is for one finding"
    pickled.waive(mark, "sam")
    assert pickled.gate().code == 0
    (pickled.project / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    assert pickled.examine().code == 0
    assert pickled.gate().code != 0, "and for one Release"


def test_a_critical_finding_needs_two(office: Office, evil: Path) -> None:
    (office.project / "model.safetensors").rename(office.project / "model.pkl")
    (office.project / "model.pkl").write_bytes(evil.read_bytes())
    mend(office.project / "assay.yaml", "model.safetensors", "model.pkl")
    assert office.examine().code == 1
    office.fine("sign project/model.pkl --key dana.key")
    shutil.copy(office.project / "model.pkl.sig", office.folder / "papers")
    assert office.approve().code == 0
    (low,) = office.fingerprints("artifact.unsafe-format")
    (critical,) = office.fingerprints("artifact.pickle-code")
    office.waive(low, "sam")
    office.waive(critical, "sam")
    assert office.gate().code == 1
    office.waive(critical, "dana")
    assert office.gate().code == 1, "the author's word does not count"
    office.waive(critical, "sue")
    assert office.gate().code == 0, office.gate().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("waive nope project --role security --reason x --key sam.key --out w.json", "finding's id"),
        ("approve sha256:12 --role security --key sam.key --out a.json", "64 hex digits"),
        ("approve nowhere --role security --key sam.key --out a.json", "nowhere"),
        ("approve project --role security --key gone.key --out a.json", "gone.key"),
        ("approve project --role security --key owner.pub --out a.json", "owner.pub"),
        ("approve project --role security --key sam.key --out no/such/a.json", "no/such/a.json"),
        ("run project --evidence-out e.json", "--key"),
        (f"gate -e papers {TRUST} --key gate.key", "--verdict-out"),
        (f"gate -e gone.json {TRUST}", "gone.json"),
        ("log verify --ledger gone.db", "gone.db"),
        ("log prove 99 --ledger ledger.db", "99"),
        ("log audit gone.jsonl --vkey x", ""),
        ("verify verdict.json --key gone.pub", "gone.pub"),
        ("report gone.json", "gone.json"),
    ],
)  # fmt: skip
def test_what_people_get_wrong_is_one_line(kept: Office, words: str, text: str) -> None:
    done = kept(words)
    assert done.code in (1, 2)
    assert one_line(done, text, code=done.code)


def test_no_evidence_is_no_decision(office: Office) -> None:
    assert one_line(office.gate(), "no evidence", code=1)


def test_observe_signs_nothing(office: Office) -> None:
    mend(office.folder / "policy.yaml", "version: 3\nmode: enforce", "version: 4\nmode: observe")
    office.fine("sign policy.yaml --key owner.key")
    assert office.examine().code == 0
    done = office.gate()
    assert done.code == 0
    assert "would" in done.out.splitlines()[-1]
    assert not (office.folder / "verdict.json").exists()


@pytest.mark.parametrize("name", ["policy.yaml", "roster.yaml"])
def test_each_key_that_is_given_counts(office: Office, name: str) -> None:
    both = (
        office(f"verify {name} {keys}") for keys in ("--key sam.pub --key owner.pub", "--key owner.pub --key sam.pub")
    )
    for done in both:
        assert done.code == 0
        assert done.out.startswith("holds: ")
    assert one_line(office(f"verify {name} --key sam.pub --key dana.pub"), "not signed by any trusted key", code=1)
    mend(office.folder / name, "tiny", "tinY")
    assert one_line(office(f"verify {name} --key sam.pub --key owner.pub"), "changed after its owner signed it", code=1)


@pytest.mark.parametrize("name", ["policy.yaml", "papers", "owner.pub", "roster.yaml.sig"])
def test_a_slip_of_the_pen_destroys_nothing(kept: Office, name: str) -> None:
    before = {p: p.read_bytes() for p in kept.folder.rglob("*") if p.is_file() and ".db" not in p.name}
    slip = kept(f"gate --evidence papers {TRUST} --ledger ledger.db --key gate.key --verdict-out {name}")
    assert one_line(slip, "is no verdict", code=2)
    assert all(p.read_bytes() == data for p, data in before.items() if p.name not in ("verdict.json", "checkpoint.txt"))


def test_an_older_verdict_does_not_outlive_a_refusal(kept: Office) -> None:
    assert (kept.folder / "verdict.json").exists()
    flip(kept.folder / "policy.yaml")
    assert kept.gate().code in (1, 2)
    assert not (kept.folder / "verdict.json").exists()

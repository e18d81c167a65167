"""Keys, signatures, approvals, waivers, gate, verdict and ledger by the command line, on one tiny project."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cli_tools import Done, assay, copy, mend, one_line, report

PEOPLE = {"dana": "data-science", "sam": "security", "sue": "security", "cleo": "compliance"}
KEYS = (*PEOPLE, "owner", "gate", "stranger")
TRUST = "--policy policy.yaml --roster roster.yaml --policy-key owner.pub"
PICKLE = b"\x80\x04N."


class Office:
    """One folder with everyone's keys, a signed roster and policy, and a project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"

    def __call__(self, words: str) -> Done:
        return assay(*words.split(), cwd=self.folder)

    def fine(self, words: str) -> Done:
        done = self(words)
        assert done.code == 0, (words, done)
        return done

    def examine(self, who: str = "dana", out: str = "papers/dana.json") -> Done:
        return self(f"run project --only artifact.* --key {who}.key --evidence-out {out}")

    def gate(self, more: str = "") -> Done:
        return self(
            "gate --evidence papers --policy policy.yaml --roster roster.yaml --policy-key owner.pub"
            f" --ledger ledger.db --key gate.key --verdict-out verdict.json --checkpoint-out checkpoint.txt {more}"
        )

    def approve(self, who: str = "sam", role: str = "", more: str = "") -> Done:
        return self(
            f"approve project --role {role or PEOPLE[who]} --key {who}.key --out papers/{who}-approval.json {more}"
        )

    def waive(self, fingerprint: str, who: str, role: str = "security", more: str = "") -> Done:
        done = assay(
            *f"waive {fingerprint} project --role {role} --key {who}.key".split(),
            *f"--out papers/{who}-{fingerprint[:6]}.json {more} --reason".split(),
            "kept for one release",
            cwd=self.folder,
        )
        assert done.code == 0, done
        return done

    def fingerprints(self, check: str) -> list[str]:
        saved = report(self("report papers/dana.json -f json"))
        found = [o for o in saved["body"]["outcomes"] if o["check"] == check]
        return [f["fingerprint"] for o in found for f in o["findings"]]

    def allowed(self) -> None:
        """From nothing to a verdict."""
        assert self.examine().code == 0
        self.fine("sign project/model.safetensors --key dana.key")
        shutil.copy(self.project / "model.safetensors.assay.sig", self.folder / "papers")
        assert self.approve().code == 0
        assert self.gate().code == 0


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("office")
    (folder / "papers").mkdir()
    office = Office(folder)
    public = {name: office.fine(f"key new {name}").out.splitlines()[1] for name in KEYS}
    lines = [f"  - {{name: {n}, roles: [{r}], keys: ['{public[n]}']}}" for n, r in PEOPLE.items()]
    (folder / "roster.yaml").write_text("roster: tiny\npeople:\n" + "\n".join(lines) + "\n", "utf-8")
    return folder


@pytest.fixture
def office(furnished: Path, tiny: Path, tmp_path: Path) -> Office:
    folder = copy(furnished, tmp_path / "office")
    (tiny / "policy.yaml").rename(folder / "policy.yaml")
    mend(tiny / "assay.yaml", "policy: policy.yaml\n", "")
    shutil.copytree(tiny, folder / "project")
    made = Office(folder)
    made.fine("sign roster.yaml --key owner.key")
    made.fine("sign policy.yaml --key owner.key")
    return made


def test_keys_are_made_shown_and_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = assay("key", "new", "me", cwd=tmp_path)
    assert made.code == 0
    line = made.out.splitlines()[1]
    assert line.startswith("ed25519:")
    shown = assay("key", "show", "me.pub", cwd=tmp_path)
    assert shown.out.splitlines()[0] == line
    (tmp_path / "line.pub").write_text(line)
    assert assay("key", "show", "line.pub", cwd=tmp_path).out == shown.out
    assert (tmp_path / "me.key").stat().st_mode & 0o077 == 0
    before = (tmp_path / "me.key").read_bytes()
    one_line(assay("key", "new", "me", cwd=tmp_path), "me.key", code=2)
    assert (tmp_path / "me.key").read_bytes() == before
    one_line(assay("key", "show", "gone.pub", cwd=tmp_path), "gone.pub", code=2)
    assert assay("key", "show", "me.key", cwd=tmp_path).code == 2
    monkeypatch.setenv("ASSAY_KEY_PASSPHRASE", "open sesame")
    assert assay("key", "new", "locked", cwd=tmp_path).code == 0
    (tmp_path / "x.txt").write_text("x")
    assert assay("sign", "x.txt", "--key", "locked.key", cwd=tmp_path).code == 0
    monkeypatch.setenv("ASSAY_KEY_PASSPHRASE", "wrong")
    one_line(assay("sign", "x.txt", "--key", "locked.key", cwd=tmp_path), "passphrase", code=2)
    monkeypatch.delenv("ASSAY_KEY_PASSPHRASE")
    one_line(assay("sign", "x.txt", "--key", "locked.key", cwd=tmp_path), "passphrase", code=2)


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
    one_line(refused, code=1)
    inner.write_bytes(b"Weights")
    one_line(office("verify thing --key dana.pub"), inner.name, code=1)
    inner.write_bytes(b"weights")
    if what == "folder":
        (path / "sub/added.bin").write_bytes(b"")
        one_line(office("verify thing --key dana.pub"), "added.bin", code=1)
    assert office("verify nothing --key dana.pub").code == 1


def test_the_whole_way_to_a_verdict_and_back(office: Office) -> None:
    office.allowed()
    verdict = office.fine("verify verdict.json --key gate.pub --policy tiny --policy-version 3 --at project")
    assert "ALLOW holds" in verdict.out
    assert "model.safetensors" in verdict.out
    office.fine("log verify --ledger ledger.db --against checkpoint.txt")
    listed = office.fine("log list --ledger ledger.db").out
    assert [line.split()[2] for line in listed.splitlines()] == ["evidence", "decision", "verdict"]


def test_a_verdict_refuses_what_was_not_decided(office: Office) -> None:
    office.allowed()
    verify = "verify verdict.json --key gate.pub --at project"
    model, manifest = office.project / "model.safetensors", office.project / "assay.yaml"
    for words, text in (
        ("verify verdict.json --key owner.pub --at project", ""),
        (f"{verify} --policy other", "other"),
        (f"{verify} --policy-version 4", "version"),
    ):
        one_line(office(words), text, code=1)
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + b" ")
    one_line(office(verify), "model.safetensors", code=1)
    model.write_bytes(whole)
    mend(manifest, "model: model.safetensors", "model: model.safetensors, threshold: 0.9")
    one_line(office(verify), "threshold", code=1)
    mend(manifest, ", threshold: 0.9", "")
    office.fine(verify)
    model.unlink()
    one_line(office(verify), "model.safetensors", code=1)


def flip(path: Path, at: float = 0.5) -> bytes:
    """Change one character of a file's inside; gives what it was."""
    whole = path.read_bytes()
    place = int(len(whole) * at)
    while not chr(whole[place]).isalnum():
        place += 1
    other = b"A" if whole[place : place + 1] != b"A" else b"B"
    path.write_bytes(whole[:place] + other + whole[place + 1 :])
    return whole


@pytest.mark.parametrize(
    "name", ["papers/dana.json", "papers/sam-approval.json", "papers/model.safetensors.assay.sig",
             "policy.yaml", "policy.yaml.assay.sig", "roster.yaml", "roster.yaml.assay.sig"],
)  # fmt: skip
@pytest.mark.parametrize("at", [0.3, 0.6])
def test_a_flipped_character_in_any_paper_is_refused_by_name(office: Office, name: str, at: float) -> None:
    office.allowed()
    flip(office.folder / name, at)
    done = office.gate()
    assert done.code in (1, 2), done
    (line,) = done.err.splitlines()
    assert Path(name).name.removesuffix(".assay.sig") in line


def test_a_flipped_character_in_the_verdict_is_refused(office: Office) -> None:
    office.allowed()
    for at in (0.1, 0.3, 0.5, 0.7, 0.9):
        whole = flip(office.folder / "verdict.json", at)
        done = office("verify verdict.json --key gate.pub --at project")
        assert done.code in (1, 2), (at, done)
        (office.folder / "verdict.json").write_bytes(whole)
    office.fine("verify verdict.json --key gate.pub --at project")


@pytest.mark.parametrize("paper", ["evidence", "approval", "policy", "roster"])
def test_a_strangers_key_is_refused(office: Office, paper: str) -> None:
    office.allowed()
    if paper == "evidence":
        assert office.examine("stranger").code == 0
    elif paper == "approval":
        office.fine("approve project --role security --key stranger.key --out papers/sam-approval.json")
    else:
        office.fine(f"sign {paper}.yaml --key stranger.key")
    done = office.gate()
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
    shutil.copy(office.project / "model.safetensors.assay.sig", office.folder / "papers")
    assert office.approve("sam").code == 0
    assert office.gate().code == 3
    assert office.approve("sue").code == 0
    assert office.gate().code == 0


def test_no_is_no(office: Office) -> None:
    office.allowed()
    assert office.approve("sue", more="--refuse --comment no").code == 0
    assert office.gate().code == 1


@pytest.mark.parametrize(("days", "code"), [(0, 0), (29, 0), (31, 3), (-1, 3)])
def test_an_approval_holds_from_its_day_to_its_end(
    office: Office, monkeypatch: pytest.MonkeyPatch, days: int, code: int
) -> None:
    office.allowed()
    moment = datetime.now(UTC) + timedelta(days=days)
    monkeypatch.setattr("assay.core.protocols.system_clock", lambda: moment)
    done = office.gate()
    assert done.code == code or (days < 0 and done.code in (1, 3)), done.out


def test_a_verdict_ends(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.allowed()
    moment = datetime.now(UTC) + timedelta(days=4000)
    monkeypatch.setattr("assay.core.protocols.system_clock", lambda: moment)
    one_line(office("verify verdict.json --key gate.pub --at project"), "expired", code=1)


def test_a_lifetime_that_is_none_is_one_line(office: Office) -> None:
    one_line(office.approve(more="--valid soon"), "--valid", "soon", code=2)
    for words in ("0d", "-1d", "9999999d"):
        one_line(office.approve(more=f"--valid {words}"), "--valid", code=2)


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
    shutil.copy(pickled.project / "model.pkl.assay.sig", pickled.folder / "papers")
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
    shutil.copy(office.project / "model.pkl.assay.sig", office.folder / "papers")
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
def test_what_people_get_wrong_is_one_line(office: Office, words: str, text: str) -> None:
    office.allowed()
    done = office(words)
    assert done.code in (1, 2)
    one_line(done, text, code=done.code)


def test_no_evidence_is_no_decision(office: Office) -> None:
    one_line(office.gate(), "no evidence", code=1)


def test_observe_signs_nothing(office: Office) -> None:
    mend(office.folder / "policy.yaml", "mode: enforce", "mode: observe")
    office.fine("sign policy.yaml --key owner.key")
    assert office.examine().code == 0
    done = office.gate()
    assert done.code == 0
    assert "would" in done.out.splitlines()[-1]
    assert not (office.folder / "verdict.json").exists()


@pytest.fixture
def kept(office: Office) -> Office:
    office.allowed()
    return office


def edit(ledger: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(ledger) as connection:
        assert connection.execute(statement, values).rowcount >= 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET leaf = replace(leaf, 'dana', 'dora') WHERE idx = 0",
        "UPDATE entry SET hash = zeroblob(32) WHERE idx = 1",
        "UPDATE entry SET kind = 'verdict' WHERE idx = 1",
        "UPDATE blob SET payload = x'7b7d' WHERE idx = 0",
        "DELETE FROM entry WHERE idx = 2",
        "DELETE FROM entry WHERE idx = 1",
        "UPDATE head SET size = 2",
        "UPDATE checkpoint SET note = replace(note, 'a', 'b')",
    ],
)
def test_an_edited_ledger_is_noticed(kept: Office, statement: str) -> None:
    kept.fine("log verify --ledger ledger.db --against checkpoint.txt")
    edit(kept.folder / "ledger.db", statement)
    done = kept("log verify --ledger ledger.db --against checkpoint.txt")
    assert done.code in (1, 2), done
    assert len(done.err.splitlines()) == 1


def test_a_ledger_that_was_rolled_back_or_replaced_is_noticed(kept: Office) -> None:
    old = (kept.folder / "ledger.db").read_bytes()
    assert kept.gate().code == 0
    (kept.folder / "ledger.db").write_bytes(old)
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (kept.folder / name).unlink(missing_ok=True)
    assert kept("log verify --ledger ledger.db --against checkpoint.txt").code == 1
    for name in ("ledger.db", "ledger.key", "ledger.pub"):
        (kept.folder / name).unlink()
    assert kept.gate("").code == 0
    (kept.folder / "other.txt").write_text((kept.folder / "checkpoint.txt").read_text())


def test_export_audit_prove_and_erase(kept: Office) -> None:
    said = kept.fine("log export log.jsonl --payloads --ledger ledger.db").out
    vkey = said.rpartition(" ")[2].strip()
    audit = ("log", "audit", "log.jsonl", "--vkey", vkey, "--against", "checkpoint.txt")
    assert assay(*audit, cwd=kept.folder).out.startswith("holds: 3 entries")
    flip(kept.folder / "log.jsonl", 0.4)
    refused = assay(*audit, cwd=kept.folder)
    assert refused.code in (1, 2)
    assert len(refused.err.splitlines()) == 1
    proof = msgspec.json.decode(kept.fine("log prove 1 --ledger ledger.db").out)
    assert proof
    assert kept.fine("log checkpoint --ledger ledger.db").out.count("\n") >= 4
    before = (kept.folder / "ledger.db").read_bytes()
    assert "card" not in kept.fine("log erase 0 --ledger ledger.db --actor cleo --reason requested").out
    assert len(before)
    kept.fine("log verify --ledger ledger.db --against checkpoint.txt")
    assert "holds: 4 entries" in kept.fine("log verify --ledger ledger.db").out
    one_line(kept("log erase 99 --ledger ledger.db --actor cleo --reason x"), "99", code=2)


def test_an_erased_payload_is_gone_from_the_disk(kept: Office) -> None:
    """The evidence of entry 0 names the project's model; after erasure no file beside the ledger does."""
    marker = b'"uri":"model.safetensors"'

    def where() -> list[str]:
        return [p.name for p in kept.folder.glob("ledger.db*") if marker in p.read_bytes()]

    assert where()
    for index in range(3):
        kept.fine(f"log erase {index} --ledger ledger.db --actor cleo --reason requested")
    assert where() == []
    kept.fine("log verify --ledger ledger.db --against checkpoint.txt")


@pytest.mark.parametrize("name", ["policy.yaml", "papers", "owner.pub", "roster.yaml.assay.sig"])
def test_a_slip_of_the_pen_destroys_nothing(kept: Office, name: str) -> None:
    before = {p: p.read_bytes() for p in kept.folder.rglob("*") if p.is_file() and ".db" not in p.name}
    slip = kept(f"gate --evidence papers {TRUST} --ledger ledger.db --key gate.key --verdict-out {name}")
    one_line(slip, "is no verdict", code=2)
    assert all(p.read_bytes() == data for p, data in before.items() if p.name not in ("verdict.json", "checkpoint.txt"))


def test_an_older_verdict_does_not_outlive_a_refusal(kept: Office) -> None:
    assert (kept.folder / "verdict.json").exists()
    flip(kept.folder / "policy.yaml")
    assert kept.gate().code in (1, 2)
    assert not (kept.folder / "verdict.json").exists()

"""The ledger by the command line: verify, tampering, proofs, export, audit and erasure."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_office import Office, flip
from cli_tools import Done, assay, mend, one_line


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
    assert assay(*audit, cwd=kept.folder).out.startswith("holds: 7 entries")
    flip(kept.folder / "log.jsonl", 0.4)
    refused = assay(*audit, cwd=kept.folder)
    assert refused.code in (1, 2)
    assert len(refused.err.splitlines()) == 1
    assert kept.fine("log checkpoint --ledger ledger.db").out.count("\n") >= 4
    before = (kept.folder / "ledger.db").read_bytes()
    assert "card" not in kept.fine("log erase 2 --ledger ledger.db --actor cleo --reason requested").out
    assert len(before)
    kept.fine("log verify --ledger ledger.db --against checkpoint.txt")
    assert "holds: 8 entries" in kept.fine("log verify --ledger ledger.db").out
    assert one_line(kept("log erase 0 --ledger ledger.db --actor cleo --reason x"), "is a policy", code=2)
    assert one_line(kept("log erase 1 --ledger ledger.db --actor cleo --reason x"), "is a roster", code=2)
    assert one_line(kept("log erase 99 --ledger ledger.db --actor cleo --reason x"), "99", code=2)


def test_proofs_are_checked_without_the_ledger(kept: Office) -> None:
    vkey = kept.fine("log verify --ledger ledger.db").out.split("verifier key: ")[1].strip()
    (kept.folder / "entry.json").write_text(kept.fine("log prove 5 --ledger ledger.db").out)
    assert kept.examine(out="papers/dana.json").code == 0
    kept.gate()
    (kept.folder / "grown.json").write_text(kept.fine("log prove --since checkpoint.txt --ledger ledger.db").out)
    shutil.copy(kept.folder / "checkpoint.txt", kept.folder / "now.txt")
    for name in ("ledger.db", "ledger.key", "ledger.pub"):
        (kept.folder / name).unlink()

    def check(proof: str, *more: str) -> Done:
        return assay("log", "check-proof", proof, "--vkey", vkey, *more, cwd=kept.folder)

    assert check("entry.json").out == "holds: entry 5 (decision) is in the log of 7 entries\n"
    assert one_line(check("entry.json", "--against", "now.txt"), "not checked against", code=2)
    grown = check("grown.json", "--against", "now.txt")
    assert grown.code == 0
    assert "begins with the log of" in grown.out
    assert one_line(check("grown.json"), "--against", code=2)
    assert one_line(check("gone.json"), "gone.json", code=2)
    assert one_line(assay("log", "check-proof", "entry.json", "--vkey", "x", cwd=kept.folder), "verifier key", code=2)
    (kept.folder / "torn.json").write_text((kept.folder / "entry.json").read_text()[:-20])
    assert one_line(check("torn.json"), "not a proof", code=1)
    mend(kept.folder / "entry.json", '"actor": "policy:tiny v3"', '"actor": "policy:tidy v3"')
    assert one_line(check("entry.json"), "not of this entry", code=1)


def test_what_is_to_be_proven_must_be_said(kept: Office) -> None:
    assert one_line(kept("log prove --ledger ledger.db"), "INDEX", code=2)
    assert one_line(kept("log prove 1 --since checkpoint.txt --ledger ledger.db"), "INDEX", code=2)
    assert one_line(kept("log prove --since verdict.json --ledger ledger.db"), "verdict.json", code=1)
    assert one_line(kept("log prove --since gone.txt --ledger ledger.db"), "gone.txt", code=2)


def test_a_log_that_did_not_only_grow_has_no_proof_of_it(kept: Office) -> None:
    for name in ("ledger.db", "ledger.key", "ledger.pub"):
        (kept.folder / name).unlink()
    (kept.folder / "checkpoint.txt").rename(kept.folder / "old.txt")
    assert kept.gate().code == 0
    assert one_line(kept("log prove --since old.txt --ledger ledger.db"), "old.txt", code=1)


def test_the_list_goes_on_after_what_was_seen(kept: Office) -> None:
    whole = kept.fine("log list --ledger ledger.db").out.splitlines()
    assert len(whole) == 7
    assert "tiny version 3" in whole[0]
    assert "ALLOW by tiny version 3" in whole[5]
    assert kept.fine("log list --after 0 --ledger ledger.db").out.splitlines() == whole[1:]
    assert kept.fine("log list --after 6 --ledger ledger.db").out == ""


def test_what_was_decided_can_be_read_again(kept: Office) -> None:
    listed = kept.fine("log list --ledger ledger.db").out.splitlines()
    about = next(line.split()[3] for line in listed if line.split()[2] == "decision")
    some = kept.fine(f"log list --about {about} --ledger ledger.db").out.splitlines()
    assert [line.split()[2] for line in some] == ["evidence", "signature", "approval", "decision", "verdict"]
    assert kept.fine("log list --about 00000000 --ledger ledger.db").out == ""

    def show(index: int) -> Any:
        return msgspec.json.decode(kept.fine(f"log show {index} --ledger ledger.db").out)

    assert show(0)["payload"]["text"] == (kept.folder / "policy.yaml").read_text()
    assert show(5)["payload"]["verdict"] == "allow"
    assert show(5)["payload"]["trace"]
    assert show(4)["payload"]["predicate"]["role"] == "security"
    assert show(6)["entry"]["kind"] == "verdict"
    assert one_line(kept("log show 99 --ledger ledger.db"), "no entry 99", code=2)
    kept.fine("log erase 4 --ledger ledger.db --actor cleo --reason requested")
    assert one_line(kept("log show 4 --ledger ledger.db"), "erased", code=2)
    assert "its payload was erased" not in kept.fine("log list --ledger ledger.db").out.splitlines()[0]


def test_an_erased_payload_is_gone_from_the_disk(kept: Office) -> None:
    """The evidence of an early entry names the project's model; after erasure no file beside the ledger does."""
    marker = b'"uri":"model.safetensors"'

    def where() -> list[str]:
        return [p.name for p in kept.folder.glob("ledger.db*") if marker in p.read_bytes()]

    assert where()
    for index in range(2, 7):
        kept.fine(f"log erase {index} --ledger ledger.db --actor cleo --reason requested")
    assert where() == []
    kept.fine("log verify --ledger ledger.db --against checkpoint.txt")

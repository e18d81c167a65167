"""The export: verifies without SQLite, and any edited, dropped, added or swapped line is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.attest.keys import generate
from assay.core.errors import AssayError, InputError, StorageError, UsageError, VerificationError
from assay.ledger.entry import NewEntry
from assay.ledger.export import ExportView, verify_export
from assay.ledger.log import Ledger

KEY = generate("log")


def clock() -> datetime:
    return datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """An export with payloads, one of which is erased; the log's verifier key; its last checkpoint."""
    folder = tmp_path_factory.mktemp("export")
    with Ledger.open(folder / "ledger.db", clock=clock, origin="log.example", key=KEY) as ledger:
        ledger.append_many([NewEntry("outcome", f"sha256:{n}", b"payload %d" % n, "ann") for n in range(5)])
        ledger.checkpoint()
        ledger.erase(2, "asked", "dana")
        exported = ledger.export(folder / "log.jsonl", payloads=True)
        assert (exported.entries, exported.left_out) == (6, 0)
        return folder / "log.jsonl", ledger.vkey, exported.checkpoint


def test_it_verifies_with_the_key_alone(made: tuple[Path, str, str]) -> None:
    path, vkey, checkpoint = made
    view = verify_export(path, vkey, against=checkpoint)
    assert view == ExportView(origin="log.example", size=6, root=view.root, payloads=5, checkpoints=2)
    with pytest.raises(VerificationError, match="trusted key"):
        verify_export(path, vkey_of("other"))
    assert sorted(file.name for file in path.parent.iterdir() if file.name.startswith(".")) == []


def vkey_of(name: str) -> str:
    from assay.attest.note import NoteKey

    return NoteKey("log.example", generate(name).public).vkey


def test_verifying_needs_no_database() -> None:
    code = "import sys, assay.ledger.export; sys.exit(bool({'sqlalchemy', 'sqlite3'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_payloads_and_without_a_key(tmp_path: Path) -> None:
    path, out = tmp_path / "ledger.db", tmp_path / "out.jsonl"
    with Ledger.open(path, clock=clock, origin="log.example") as keyless:
        keyless.append("outcome", "", b"secret", "ann")
        with pytest.raises(UsageError, match="no checkpoint"):
            keyless.export(out)
    with Ledger.open(path, clock=clock, key=KEY) as ledger:
        ledger.checkpoint()
        vkey = ledger.vkey
    with Ledger.open(path, clock=clock) as keyless:
        keyless.append("outcome", "", b"more", "ann")
        exported = keyless.export(out)
        assert (exported.entries, exported.left_out) == (1, 1)
        with pytest.raises(StorageError, match="cannot write the export"):
            keyless.export(tmp_path / "absent" / "out.jsonl")
    assert (verify_export(out, vkey).size, verify_export(out, vkey).payloads) == (1, 0)
    assert b"secret" not in out.read_bytes()


def test_every_dropped_doubled_or_swapped_line_is_noticed(made: tuple[Path, str, str], tmp_path: Path) -> None:
    path, vkey, checkpoint = made
    lines = path.read_bytes().splitlines(keepends=True)
    copy = tmp_path / "copy.jsonl"
    for at, line in enumerate(lines):
        dropped, doubled = lines[:at] + lines[at + 1 :], [*lines[:at], line, *lines[at:]]
        swapped = [*lines[:at], *lines[at : at + 2][::-1], *lines[at + 2 :]]
        for what, edited in (("drop", dropped), ("double", doubled), ("swap", swapped)):
            if edited == lines or (b'"checkpoint"' in line and what != "drop"):
                continue  # checkpoints may repeat and come in any order: each is judged alone
            copy.write_bytes(b"".join(edited))
            if what == "drop" and (b'"blob"' in line or (b'"checkpoint"' in line and at != len(lines) - 1)):
                assert verify_export(copy, vkey).size == 6  # fewer payloads or old checkpoints: told by the count
                continue
            with pytest.raises(VerificationError):
                verify_export(copy, vkey, against=checkpoint)


def test_an_export_cut_back_to_an_old_checkpoint_needs_a_kept_one(made: tuple[Path, str, str], tmp_path: Path) -> None:
    path, vkey, checkpoint = made
    lines = path.read_bytes().splitlines(keepends=True)
    entries = [line for line in lines if b'{"entry"' in line][:5]
    header = json.loads(lines[0]) | {"size": 5}
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(json.dumps(header).encode() + b"\n" + b"".join(entries) + lines[-2])
    assert verify_export(copy, vkey).size == 5
    with pytest.raises(VerificationError, match="covers 6 entries, 5 are here"):
        verify_export(copy, vkey, against=checkpoint)


def test_an_export_keeps_what_its_header_promises(made: tuple[Path, str, str], tmp_path: Path) -> None:
    path, vkey, _ = made
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(path.read_bytes().replace(b'"size":6', b'"size":7', 1))
    with pytest.raises(VerificationError, match="7 entries are promised, 6 are here"):
        verify_export(copy, vkey)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_mutations_never_crash_nor_say_something_else(
    made: tuple[Path, str, str], tmp_path: Path, data: st.DataObject
) -> None:
    path, vkey, checkpoint = made
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(content[:at] + data.draw(st.binary(max_size=3)) + content[at + data.draw(st.integers(0, 3)) :])
    try:
        view = verify_export(copy, vkey, against=checkpoint)
    except VerificationError:
        return
    assert view == verify_export(path, vkey)


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"[" * 9999 + b"\n", b"\xff\n", b'{"entry":1}\n'])
def test_what_is_no_export(tmp_path: Path, made: tuple[Path, str, str], content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(VerificationError, match="not a line"):
        verify_export(tmp_path / "x", made[1])


def test_unreadable_exports_and_keys(tmp_path: Path, made: tuple[Path, str, str]) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="cannot read"):
            verify_export(path, made[1])
    with pytest.raises(AssayError, match="verifier key"):
        verify_export(made[0], "nonsense")

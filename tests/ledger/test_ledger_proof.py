"""Proofs that travel: they hold with the verifier key alone, and nothing that was bent, torn or swapped holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.attest.keys import generate
from assay.attest.note import Checkpoint, parse_vkey, read_checkpoint, sign_checkpoint
from assay.core.errors import UsageError, VerificationError
from assay.ledger.entry import NewEntry
from assay.ledger.log import Ledger
from assay.ledger.proof import check_proof, prove_entry, prove_since

KEY, OTHER = generate("log"), generate("other")


def fill(ledger: Ledger, count: int, word: str = "p") -> None:
    ledger.append_many(NewEntry("outcome", "", f"{word}{n}".encode(), "ann") for n in range(count))


def opened(path: Path, key: Any = KEY) -> Ledger:
    return Ledger.open(path, clock=lambda: datetime.now(UTC), origin="log.example", key=key)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(tmp_path / "ledger.db") as made:
        yield made


def said(proof: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(proof), indent=2)


def test_each_entry_is_proven_by_the_verifier_key_alone(ledger: Ledger) -> None:
    fill(ledger, 11)
    for entry in ledger.read():
        data = said(prove_entry(ledger, entry.index))
        view = check_proof(data, ledger.vkey)
        assert (view.entry, view.checkpoint.size, view.since) == (entry, 11, None)
    with pytest.raises(UsageError):
        prove_entry(ledger, 11)


def test_every_old_state_is_proven_to_be_the_beginning(ledger: Ledger) -> None:
    notes = [ledger.checkpoint()]
    for _ in range(9):
        fill(ledger, 1)
        notes.append(ledger.checkpoint())
    for size, note in enumerate(notes):
        view = check_proof(said(prove_since(ledger, note)), ledger.vkey, against=note)
        assert view.since is not None
        assert (view.since.size, view.checkpoint.size) == (size, 9)


def test_a_proof_answers_for_one_old_state_only(ledger: Ledger) -> None:
    fill(ledger, 3)
    old = ledger.checkpoint()
    fill(ledger, 2)
    other = ledger.checkpoint()
    data = said(prove_since(ledger, old))
    with pytest.raises(VerificationError, match="starts from 3 entries"):
        check_proof(data, ledger.vkey, against=other)
    with pytest.raises(UsageError, match="against an older checkpoint"):
        check_proof(data, ledger.vkey)
    with pytest.raises(VerificationError):
        check_proof(data, parse_vkey(ledger.vkey).vkey, against=old.replace("3", "2", 1))


def test_another_history_has_no_proof(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, 4)
    old = ledger.checkpoint()
    with opened(tmp_path / "fork.db") as fork:
        fill(fork, 6, "q")
        with pytest.raises(VerificationError, match="does not continue"):
            prove_since(fork, old)
        data = said(fork.prove_consistency(4))
        forged = b'{"proof":"consistency","consistency":%s,"checkpoint":%s}' % (
            data,
            msgspec.json.encode(fork.checkpoint()),
        )
        with pytest.raises(VerificationError, match="does not continue"):
            check_proof(forged, ledger.vkey, against=old)
    with opened(tmp_path / "short.db") as short:
        fill(short, 2)
        with pytest.raises(VerificationError, match="rolled back"):
            prove_since(short, old)
    with opened(tmp_path / "strange.db", OTHER) as strange:
        fill(strange, 4)
        with pytest.raises(VerificationError):
            prove_since(strange, old)
        with pytest.raises(VerificationError):
            check_proof(said(prove_entry(strange, 1)), ledger.vkey)


def test_a_proof_under_another_tree_of_the_same_key_does_not_hold(ledger: Ledger) -> None:
    fill(ledger, 5)
    proof = prove_entry(ledger, 2)
    point = read_checkpoint(proof.checkpoint)
    for wrong in (Checkpoint(point.origin, 5, b"\0" * 32), Checkpoint(point.origin, 6, point.root)):
        bent = msgspec.structs.replace(proof, checkpoint=sign_checkpoint(wrong, KEY))
        with pytest.raises(VerificationError):
            check_proof(said(bent), ledger.vkey)


def test_nothing_may_stand_beside_what_is_proven(ledger: Ledger) -> None:
    fill(ledger, 2)
    data = msgspec.json.decode(said(prove_entry(ledger, 0)))
    for place, key, value in (
        (data, "verdict", "allow"),
        (data["entry"], "verdict", "allow"),
        (data["entry"], "actor", "eve"),
        (data["entry"], "index", 1),
        (data["inclusion"], "index", 1),
    ):
        before = dict(place)
        place[key] = value
        with pytest.raises(VerificationError):
            check_proof(msgspec.json.encode(data), ledger.vkey)
        place.clear()
        place.update(before)
    assert check_proof(msgspec.json.encode(data), ledger.vkey).entry is not None


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, bytes, bytes]:
    with opened(tmp_path_factory.mktemp("log") / "ledger.db") as ledger:
        fill(ledger, 5)
        old = ledger.checkpoint()
        fill(ledger, 8)
        return ledger.vkey, old, said(prove_entry(ledger, 3)), said(prove_since(ledger, old))


@given(st.data())
def test_torn_and_bent_proofs_are_refused_in_one_line(
    proofs: tuple[str, str, bytes, bytes], data: st.DataObject
) -> None:
    vkey, old, *both = proofs
    proof = data.draw(st.sampled_from(both))
    at = data.draw(st.integers(0, len(proof) - 1))
    torn = proof[:at]
    bent = bytearray(proof)
    bent[at] ^= data.draw(st.integers(1, 255))
    for bad in (torn, bytes(bent)):
        try:
            plain = msgspec.json.decode(bad)
        except (msgspec.DecodeError, ValueError):
            plain = None
        if plain is not None and plain == msgspec.json.decode(proof):  # only white space was changed
            continue
        with pytest.raises(VerificationError) as caught:
            check_proof(bad, vkey, against=old)
        assert "\n" not in str(caught.value)


def test_a_name_given_twice_is_refused_wherever_it_stands(ledger: Ledger) -> None:
    fill(ledger, 2)
    data = said(prove_entry(ledger, 1)).decode()
    assert check_proof(data.encode(), ledger.vkey).entry is not None
    for name in ("checkpoint", "entry", "index", "proof", "\\u0069ndex"):
        plain = name.replace("\\u0069", "i")
        start = data.index(f'"{plain}":')
        for value in ("0", '"forged"', data[start:].partition(": ")[2].partition("\n")[0].rstrip(",{") or "{}"):
            twice = f'{data[:start]}"{name}": {value}, {data[start:]}'
            with pytest.raises(VerificationError, match="not a proof of a log"):
                check_proof(twice.encode(), ledger.vkey)

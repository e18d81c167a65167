"""Signed notes and checkpoints: published vectors, round trips, and refusal of everything else."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.attest import note
from assay.attest.keys import generate
from assay.core.errors import InputError, VerificationError

# The example of the Go package golang.org/x/mod/sumdb/note, and the key of the Go checksum database.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
KEY = generate("log")
LOG = note.NoteKey("log.example/one", KEY.public)
CHECKPOINT = note.Checkpoint("log.example/one", 7, hashlib.sha256(b"").digest(), ("ext 1",))
NOTE = note.sign_checkpoint(CHECKPOINT, KEY)


def test_published_vectors() -> None:
    peter = note.parse_vkey(PETER)
    assert note.open_note(SIGNED, [peter]) == note.Note(TEXT, (peter,))
    assert (peter.vkey, note.parse_vkey(GO).vkey) == (PETER, GO)
    with pytest.raises(VerificationError, match="does not hold"):
        note.open_note(SIGNED.replace("answer", "Answer"), [peter])


def test_checkpoint_round_trip() -> None:
    assert NOTE.startswith(
        "log.example/one\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\next 1\n\n— log.example/one "
    )
    assert note.open_checkpoint(NOTE, LOG) == note.read_checkpoint(NOTE) == CHECKPOINT
    assert note.parse_vkey(LOG.vkey) == LOG


def test_several_signers() -> None:
    other = generate("witness")
    witness = note.NoteKey("witness", other.public)
    both = note.sign_note("text\n", [("log.example/one", KEY), ("witness", other), ("witness", other)])
    assert note.open_note(both, [witness]).signed_by == (witness,)
    assert note.open_note(both, [witness, LOG]).signed_by == (LOG, witness)
    with pytest.raises(VerificationError, match="trusted"):
        note.open_note(both, [note.NoteKey("witness", generate("x").public)])


def test_another_origin_or_key_is_refused() -> None:
    moved = note.sign_note(note.Checkpoint("log.example/two", 7, bytes(32)).text(), [("log.example/one", KEY)])
    with pytest.raises(VerificationError, match="another log"):
        note.open_checkpoint(moved, LOG)
    with pytest.raises(VerificationError, match="not signed by a trusted key"):
        note.open_checkpoint(NOTE, note.NoteKey(LOG.name, generate("x").public))


@pytest.mark.parametrize(
    "vkey",
    ["", "a", "a+b", "a+b+c", PETER[:-1], PETER.replace("c74f20a3", "c74f20a4"), PETER.replace("c74f", "C74F"),
     "+" + PETER, PETER.replace("+ARpc", "+AhpC"), "a b" + PETER,
     "PeterNeumann+c74f20a3+" + b64encode(b"\x01" * 30).decode()],
)  # fmt: skip
def test_bad_verifier_keys(vkey: str) -> None:
    with pytest.raises(InputError):
        note.parse_vkey(vkey)


ROOT = b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    ["", "\n", "o\n1\n", f"o\n1\n{ROOT}", f"\n1\n{ROOT}\n", f"o\n01\n{ROOT}\n", f"o\n-1\n{ROOT}\n", f"o\n+1\n{ROOT}\n",
     f"o\n1 \n{ROOT}\n", f"o\n{'9' * 30}\n{ROOT}\n", f"o\n1\n{ROOT[:-1]}\n", f"o\n1\n{ROOT[:40]}\n",
     f"o\n1\n{ROOT}\n\n", f"o\n1\n{ROOT}\n\nx\n", f"o\n١\n{ROOT}\n"],
)  # fmt: skip
def test_bad_checkpoints(text: str) -> None:
    with pytest.raises(VerificationError):
        note.parse_checkpoint(text)


@pytest.mark.parametrize(
    "text",
    ["", "text", "text\n\n", "text\n\n\n", SIGNED[:-1], SIGNED.replace("— ", "- "), SIGNED.replace("\n\n—", "\n—"),
     SIGNED + "x\n", SIGNED.replace("you", "y\tu"), SIGNED.replace("you", "y\0u"),
     SIGNED.replace("Neumann x", "Neumann  x"), SIGNED + "— a+b AAAAAAAA\n", SIGNED + "— a AAAA\n",
     "x" * 70_000 + SIGNED, SIGNED + "— a AAAAAAAA\n" * 70, SIGNED.replace("you", "\ud800")],
)  # fmt: skip
def test_bad_notes(text: str) -> None:
    with pytest.raises(VerificationError):
        note.open_note(text, [note.parse_vkey(PETER)])


@given(st.text(max_size=200))
def test_random_text_is_no_note(text: str) -> None:
    for call in (note.read_checkpoint, note.parse_checkpoint, lambda t: note.open_checkpoint(t, LOG)):
        with pytest.raises(VerificationError):
            call(text)
    with pytest.raises(InputError):
        note.parse_vkey(text)


@settings(max_examples=400)
@given(st.data())
def test_a_mutated_note_never_says_something_else(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(NOTE) - 1))
    mutated = NOTE[:at] + data.draw(st.text(max_size=2)) + NOTE[at + data.draw(st.integers(0, 2)) :]
    try:
        opened = note.open_checkpoint(mutated, LOG)
    except VerificationError:
        return
    assert opened == CHECKPOINT


def test_what_is_no_note_text_is_not_signed() -> None:
    for text in ("no newline", "tab\t\n", ""):
        with pytest.raises(ValueError, match="ends with a newline"):
            note.sign_note(text, [("log", KEY)])
    with pytest.raises(InputError):
        note.NoteKey("two words", KEY.public)


def test_p256_keys_sign_notes_as_rekor_does() -> None:
    key = generate("log", "p256")
    log = note.NoteKey("log.example", key.public)
    assert log.hash == hashlib.sha256(key.public.der).digest()[:4]
    assert log.vkey == f"log.example+{log.hash.hex()}+{b64encode(bytes([2]) + key.public.der).decode()}"
    assert note.parse_vkey(log.vkey) == log
    point = note.Checkpoint("log.example", 3, b"r" * 32)
    signed = note.sign_checkpoint(point, key)
    assert note.open_checkpoint(signed, log) == point
    with pytest.raises(VerificationError):
        note.open_checkpoint(signed.replace("\n3\n", "\n4\n"), log)
    for body in (key.public.der[:-1], b"x" * 91, key.public.raw):
        with pytest.raises(InputError):
            note.parse_vkey(f"log.example+{log.hash.hex()}+{b64encode(bytes([2]) + body).decode()}")
    with pytest.raises(InputError, match="p384 key signs no notes"):
        note.NoteKey("log.example", generate("x", "p384").public)

"""Every attack shape is seen: what it would call is dangerous or unresolvable, and a sandboxed load is refused."""

from __future__ import annotations

import io

import formats_attacks
import pytest

from assay.formats.artifact import examine, safe_to_load
from assay.formats.pickle.facts import GlobalFact

SHAPES = formats_attacks.shapes()


def _alarming(name: str) -> list[GlobalFact]:
    facts = examine(io.BytesIO(SHAPES[name]), name="model.bin")
    return [fact for _, fact in facts.globals() if fact.tier in ("dangerous", "unresolvable")]


def test_there_are_enough_shapes() -> None:
    assert len(SHAPES) >= 150


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_attack_is_seen_and_refused(name: str) -> None:
    facts = examine(io.BytesIO(SHAPES[name]), name="model.bin")
    assert _alarming(name), facts
    assert safe_to_load(facts)


@pytest.mark.parametrize(
    "name",
    [
        "reduce",
        "reduce-protocol-0",
        "inst",
        "obj",
        "memo-overwritten",
        "memo-put-after-pop",
        "memo-memoize-counts-holes",
        "dup",
        "nested-deep",
        "nested-large",
        "second-after-junk",
        "second-inst-after-junk",
        "far-after-junk",
        "torch-zip",
        "tar-gz",
        "npy",
        "gzip-members",
        "joblib-object-array",
        "joblib-compressed",
        "joblib-array-that-is-opcodes",
        "pickle-then-zip",
        "getattr-chain",
        "torn-after-the-call",
    ],
)
def test_what_is_called_is_named_with_its_arguments(name: str) -> None:
    if name == "getattr-chain":
        assert "builtins.__import__('os')" in [call for fact in _alarming(name) for call in fact.calls]
        return
    calls = [call for fact in _alarming(name) for call in fact.calls]
    assert f"os.system('{formats_attacks.COMMAND}')" in calls


@pytest.mark.parametrize(
    ("name", "qualified", "use"),
    [
        ("only-imported", "os.system", "imported"),
        ("state-on-a-class", "collections.OrderedDict", "patched"),
        ("items-on-a-module-dict", "collections.OrderedDict", "patched"),
        ("safe-result-called", "collections.OrderedDict", "result-called"),
        ("newobj-ex", "subprocess.Popen", "called"),
        ("dotted", "os.path.os.system", "called"),
        ("getattr-of-class", "builtins.str.__subclasses__", "called"),
        ("ext2", "copyreg extension.257", "called"),
    ],
)
def test_how_a_name_is_used(name: str, qualified: str, use: str) -> None:
    found = {fact.qualified: fact.uses for fact in _alarming(name)}
    assert use in found[qualified]


def test_credentials_in_arguments_are_masked() -> None:
    command = (
        "curl -H 'Authorization: Bearer abcdefghijkl' https://u:hunter2@h/ --password=hunter2 AKIAABCDEFGH12345678"
    )
    call = formats_attacks.call(formats_attacks.glob("os", "system"), formats_attacks.text(command))
    facts = examine(io.BytesIO(formats_attacks.proto(call)))
    (shown,) = next(fact for _, fact in facts.globals()).calls
    assert "curl" in shown
    assert not any(secret in shown for secret in ("hunter2", "abcdefghijkl", "AKIAABCDEFGH"))


@pytest.mark.parametrize("magic", [b"GGUF", b"G\0\0\0\0\0\0\0{", b"PK\x03\x04\n", b"PAR1\n", b"BZh\0\0"])
def test_a_pickle_that_begins_like_another_format_is_read_as_a_pickle(magic: bytes) -> None:
    body = magic.ljust(9, b"\0") if magic[:1] == b"G" else magic
    if magic[:1] == b"B":
        body = b"BZh\0\0" + bytes(int.from_bytes(b"Zh\0\0", "little"))
    facts = examine(io.BytesIO(body + b"0" + formats_attacks.SYSTEM + b"."), name="model.gguf")
    assert "os.system" in [fact.qualified for _, fact in facts.globals()]

"""CPython's own unpickler, with an inert `find_class`, is the judge: what it asks for, the machine must have seen."""

from __future__ import annotations

import collections
import datetime
import decimal
import io
import pickle
import random
import uuid
import warnings
from typing import Any

import formats_attacks
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.formats.artifact import ArtifactFacts, examine
from assay.formats.reading import Limits


class Stub:
    """Stands for every imported name and what is made by one: it can be called and filled, and does nothing."""

    def __init__(self, *args: Any, **keywords: Any) -> None: ...
    def __call__(self, *args: Any, **keywords: Any) -> Stub:
        return Stub()

    def __setstate__(self, state: Any) -> None: ...
    def append(self, item: Any) -> None: ...
    def extend(self, items: Any) -> None: ...
    def add(self, item: Any) -> None: ...
    def __setitem__(self, key: Any, value: Any) -> None: ...


class Recorder(pickle._Unpickler):
    """Records each name that is asked for and gives a Stub class for it; nothing is imported."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.asked: list[tuple[str, str]] = []

    def find_class(self, module: str, name: str) -> Any:
        self.asked.append((module, name))
        return type("StubClass", (Stub,), {"__new__": lambda cls, *args, **keywords: object.__new__(cls)})

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("no extension is registered")

    def persistent_load(self, pid: Any) -> Any:
        return Stub()


def _short(names: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Without names over 256 bytes: the machine calls those unresolvable and shows them cut short."""
    return {pair for pair in names if max(len(part.encode("utf-8", "surrogatepass")) for part in pair) <= 256}


def asked_by_cpython(data: bytes) -> tuple[set[tuple[str, str]], bool]:
    """(names asked for, whether STOP was reached)."""
    recorder = Recorder(io.BytesIO(data))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            recorder.load()
    except Exception:
        return _short(recorder.asked), False
    return _short(recorder.asked), True


def seen_by_us(facts: ArtifactFacts) -> set[tuple[str, str]]:
    """What the machine says is asked for outright: no names that a getter would fetch."""
    return {(fact.module, fact.name) for _, fact in facts.globals() if not fact.via}


def seen_at_all(facts: ArtifactFacts) -> set[tuple[str, str]]:
    return {(fact.module, fact.name) for _, fact in facts.globals()}


class Point:
    """Picklable, with state."""

    def __init__(self, x: Any) -> None:
        self.x = x


class Reduced:
    """Picklable by `__reduce__`, with list and dict items."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __reduce__(self) -> Any:
        return collections.deque, (), None, iter(self.items), None


_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=400)
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes()
    | st.uuids()
    | st.sampled_from(
        [len, dict, collections.OrderedDict, datetime.date, decimal.Decimal, uuid.UUID, Point, Stub.append, ...]
    )
)
_OBJECTS = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
        | st.builds(Point, inner)
        | st.builds(Reduced, st.lists(inner, max_size=3))
        | st.frozensets(st.integers(), max_size=3)
        | st.lists(inner, max_size=2).map(lambda items: [items, items])
        | st.dictionaries(st.text(max_size=3), inner, max_size=3).map(collections.OrderedDict)
    ),
    max_leaves=20,
)


@settings(max_examples=250, deadline=None)
@given(value=_OBJECTS, protocol=st.integers(0, 5))
def test_same_names_as_cpython_on_whole_pickles(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    asked, whole = asked_by_cpython(data)
    assert whole
    facts = examine(io.BytesIO(data), name="x.pkl")
    assert facts.complete, facts.reasons
    assert seen_by_us(facts) == asked


@settings(max_examples=60, deadline=None)
@given(value=_OBJECTS, protocol=st.integers(0, 5))
def test_c_unpickler_agrees_with_the_recorder(value: Any, protocol: int) -> None:
    """The recorder is pure Python; that C asks for the same names is what makes it an oracle."""
    asked: set[tuple[str, str]] = set()

    class Recording(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            asked.add((module, name))
            return type("StubClass", (Stub,), {"__new__": lambda cls, *args, **keywords: object.__new__(cls)})

    data = pickle.dumps(value, protocol)
    Recording(io.BytesIO(data)).load()
    assert seen_by_us(examine(io.BytesIO(data), name="x.pkl")) == asked


def _seeds() -> list[bytes]:
    values: list[Any] = [
        [Point({"a": (1, 2.5, "x" * 300)}), Reduced([1, "b"]), {1: b"raw" * 50, 2: {3, 4}}],
        collections.OrderedDict(
            a=datetime.date(2026, 1, 2), b=decimal.Decimal("1.5"), c=[uuid.UUID(int=1), len, 10**30]
        ),
    ]
    seeds = [pickle.dumps(value, protocol) for value in values for protocol in range(6)]
    return seeds + [data for data in formats_attacks.shapes().values() if len(data) < 1000]


def _mutate(data: bytes, rng: random.Random) -> bytes:
    raw = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(raw)) if raw else 0
        action = rng.randrange(5)
        if action == 0:
            raw = raw[:at]
        elif action == 1 and raw:
            raw[at] = rng.randrange(256)
        elif action == 2 and raw:
            raw[at] ^= 1 << rng.randrange(8)
        elif action == 3:
            raw[at:at] = rng.choice(
                (b"(", b"0", b"1", b"2", b"\x94", b"h\x00", b"q\x01", b"N", b"t", b"R", b"\x93", b"]", b"e", b"b", b".")
            )
        else:
            del raw[at : at + rng.randrange(1, 4)]
    return bytes(raw)


def _allocates_too_much(data: bytes) -> bool:
    """CPython allocates a BYTEARRAY8 before it reads it; those with huge lengths are no fair question."""
    return b"\x96" in data


@pytest.mark.parametrize("part", [*range(4), *(pytest.param(p, marks=pytest.mark.heavy) for p in range(4, 40))])
def test_mutated_pickles_never_raise_and_hide_nothing_from_us_that_cpython_sees(part: int) -> None:
    rng = random.Random(part)
    seeds = _seeds()
    asked_before_death = 0
    for _ in range(2500):
        data = _mutate(rng.choice(seeds), rng)
        facts = examine(io.BytesIO(data), name="x.pkl", limits=Limits(max_opcodes=200_000, max_unpacked=1 << 20))
        if facts.format.name != "pickle" or _allocates_too_much(data):
            continue
        asked, whole = asked_by_cpython(data)
        assert asked <= seen_at_all(facts), (data, facts)
        if whole and not facts.streams[0].nested and not facts.streams[0].arrays:
            assert facts.streams[0].complete, (data, facts.streams[0].reason)
        asked_before_death += bool(asked) and not whole
    assert asked_before_death > 100, "the fuzz no longer reaches what it is for"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["x.pkl", "x.npy", "x.bin", "x.zip", ""]))
def test_any_bytes_end_in_facts(data: bytes, name: str) -> None:
    facts = examine(io.BytesIO(data), name=name)
    assert facts.size == len(data)
    assert facts.complete or facts.reasons


_OPCODES = b"(0120125NRabcdegijlopqrstu)]}.\x80\x81\x85\x86\x87\x90\x92\x93\x94K\x01\x00"
_PARTS = [bytes([code]) for code in _OPCODES] + [
    formats_attacks.text("os"),
    formats_attacks.text("system"),
    formats_attacks.glob("os", "system"),
    *(b"q\x00", b"h\x00", b"p1\n", b"g1\n", b"j\0\0\0\0"),
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(_PARTS), max_size=40))
def test_random_opcodes_hide_nothing(parts: list[bytes]) -> None:
    data = b"\x80\x04" + b"".join(parts)
    asked, _ = asked_by_cpython(data)
    assert asked <= seen_at_all(examine(io.BytesIO(data), name="x.pkl"))


@pytest.mark.parametrize(
    "name",
    [
        "reduce",
        "memo-overwritten",
        "memo-put-after-pop",
        "memo-memoize-counts-holes",
        "memo-text-index",
        "memo-sparse-then-dense",
        "dup",
        "pop-mark",
        "pop-takes-a-mark",
        "inst",
        "obj",
        "dotted",
    ],
)
def test_shapes_are_what_cpython_would_follow(name: str) -> None:
    """The memo and stack tricks are real: CPython asks for the gadget, too."""
    asked, whole = asked_by_cpython(formats_attacks.shapes()[name])
    assert whole
    assert ("os", "system") in asked or ("os", "path.os.system") in asked

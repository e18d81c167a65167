"""SQLite databases: what is in their cells, through leaves, overflow pages and indexes; torn ones."""

from __future__ import annotations

import gzip
import io
import pickle
import random
import sqlite3
import zlib
from pathlib import Path

import pytest

from assay.formats.artifact import ArtifactFacts, examine
from assay.formats.models import sqlite
from assay.formats.reading import Limits

BAD = b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."


def _base(folder: Path, values: list[bytes | str], *, extra: str = "", size: int = 1024) -> bytes:
    path = folder / "cache.db"
    with sqlite3.connect(path) as base:
        base.execute(f"PRAGMA page_size = {size}")
        base.execute(f"CREATE TABLE c (k TEXT PRIMARY KEY, v BLOB){extra}")
        base.executemany("INSERT INTO c VALUES (?, ?)", [(f"key {i}", value) for i, value in enumerate(values)])
    base.close()
    return path.read_bytes()


def _bad(facts: ArtifactFacts) -> int:
    return sum(fact.qualified == "posix.system" for _, fact in facts.globals())


@pytest.mark.parametrize("extra", ["", " WITHOUT ROWID"])
@pytest.mark.parametrize("size", [512, 4096, 65536])
@pytest.mark.parametrize(
    "value",
    [
        BAD,
        zlib.compress(BAD),
        gzip.compress(BAD, mtime=0),
        b"cposix\nsystem\n(S'id'\ntR.",
        b"\x80\x04B\x40\x1f\x00\x00" + bytes(8000) + b"0" + BAD[2:],
    ],
)
def test_pickles_in_cells_are_found(tmp_path: Path, value: bytes, size: int, extra: str) -> None:
    data = _base(tmp_path, [b"", b"plain", value, "text"], extra=extra, size=size)
    facts = examine(io.BytesIO(data), name="cache.db")
    assert facts.format.name == "sqlite"
    assert _bad(facts) == 1
    assert facts.complete


def test_every_row_of_many_pages_is_seen(tmp_path: Path) -> None:
    data = _base(tmp_path, [pickle.dumps({"n": n}) for n in range(300)] + [BAD])
    facts = examine(io.BytesIO(data), name="cache.db")
    assert (len(facts.streams), _bad(facts)) == (301, 1)


def test_ordinary_databases_say_nothing(tmp_path: Path) -> None:
    draw = random.Random(7)
    values: list[bytes | str] = [draw.randbytes(draw.randrange(3000)) for _ in range(200)]
    facts = examine(io.BytesIO(_base(tmp_path, [*values, "can do.", "(a note.)"])), name="cache.db")
    assert [fact for _, fact in facts.globals()] == []
    assert facts.notes == ()


def test_torn_databases_are_open(tmp_path: Path) -> None:
    data = _base(tmp_path, [bytes(3000)] * 20)
    found = sqlite.read(io.BytesIO(data[: len(data) // 2]), "cache.db", Limits())
    assert "torn" in found.gaps[0]
    assert sqlite.read(io.BytesIO(data[:50]), "cache.db", Limits()).gaps
    for seed in range(60):
        draw = random.Random(seed)
        broken = bytearray(data)
        for _ in range(20):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        assert sqlite.read(io.BytesIO(bytes(broken)), "cache.db", Limits()).measured["format"] == "sqlite"

"""Pickles of 50 MB, each shaped to cost the reader most: read to their end, or to a named limit, in bounded memory."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.heavy
SIZE = 50_000_000
MEMORY = 1 << 30

EXAMINE = """
import resource, sys
from assay.formats.artifact import examine
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
facts = examine(sys.argv[1])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(facts.complete, sum(s.opcodes for s in facts.streams), (peak - before) * 1024)
print("; ".join(facts.reasons))
"""


def repeated(part: bytes, *, head: bytes = b"", tail: bytes = b"N.") -> bytes:
    return b"\x80\x04" + head + part * (SIZE // len(part)) + tail


def far(number: int) -> bytes:
    return b"r" + (100 * number + 7).to_bytes(4, "little")


SHAPES: dict[str, tuple[Callable[[], bytes], bool]] = {
    "one long constant": (lambda: b"\x80\x04\x8e" + SIZE.to_bytes(8, "little") + bytes(SIZE) + b".", True),
    "ordinary rows": (lambda: pickle.dumps([{"id": n, "name": f"row {n}", "x": n / 7} for n in range(10**6)]), True),
    "distinct texts, memoized": (lambda: pickle.dumps([f"{n:x}" for n in range(5_000_000)]), True),
    "small numbers": (lambda: repeated(b"K\x01", head=b"(", tail=b"l."), False),
    "pushed and popped": (lambda: repeated(b"N0", tail=b"N."), True),
    "marks only": (lambda: repeated(b"("), False),
    "empty lists, memoized": (lambda: repeated(b"]\x940"), True),
    "duplicates of a duplicate": (lambda: repeated(b"2", head=b"]"), False),
    "tuples in tuples": (lambda: repeated(b"\x85", head=b"N", tail=b"."), True),
    "lists in lists": (lambda: repeated(b"]h\x01aq\x010", head=b"Nq\x01"), True),
    "dicts in dicts": (lambda: repeated(b"(\x8c\x01kh\x01dq\x010", head=b"Nq\x01"), True),
    "types in types": (lambda: repeated(b"h\x00h\x01\x85Rq\x010", head=b"cnumpy\ndtype\nq\x00Nq\x01"), True),
    "tuples, memoized": (lambda: repeated(b"N\x85\x940"), True),
    "far memo indexes": (lambda: b"\x80\x04N" + b"".join(map(far, range(10_000_000))) + b".", True),
    "one name again and again": (lambda: repeated(b"cos\nsystem\n0"), True),
    "many names": (lambda: b"\x80\x04" + b"".join(b"cm%d\nn\n0" % n for n in range(4_000_000)) + b"N.", False),
    "many small pickles": (lambda: b"\x80\x04N." * (SIZE // 4), False),
    "starts of pickles": (lambda: b"\x80\x04N." + b"\x80\x04\x8c\x02os" * (SIZE // 6), False),
    "no newline": (lambda: b"c" + b"a" * SIZE, False),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_fifty_megabytes_are_read_in_bounded_memory(tmp_path: Path, shape: str) -> None:
    make, whole = SHAPES[shape]
    path = tmp_path / "m.pkl"
    path.write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", EXAMINE, str(path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    first, reasons = done.stdout.splitlines()
    complete, opcodes, peak = first.split()
    assert complete == str(whole), reasons
    assert bool(reasons) is not whole
    assert int(opcodes) > 0
    assert int(peak) < MEMORY

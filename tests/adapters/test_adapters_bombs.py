"""Small files that become huge tables are refused by their metadata; the memory of a child process shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.core.errors import InputError
from assay.core.subject import Kind, Subject

pytest.importorskip("duckdb", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pq = pytest.importorskip("pyarrow.parquet")

MEMORY = 128 << 20
ROWS = 16_000_000
# Opens a small table first, so that what the libraries take for themselves is counted out.
CHILD = """
import resource, sys
from pathlib import Path
from assay.adapters.tables import open_dataset
from assay.core.errors import InputError
from assay.core.subject import Kind, Subject

def read(name):
    open_dataset(Subject(name="t", kind=Kind.DATASET, uri=name), Path(sys.argv[1]), memory=int(sys.argv[3])).close()

for small in ("small.parquet", "small.arrow"):
    read(small)
pages = int(open("/proc/self/statm").read().split()[0])
room = pages * resource.getpagesize() + int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (room, room))
try:
    read(sys.argv[2])
except InputError as error:
    print(error)
"""


def _write(table: Any, path: Path, **options: Any) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path, compression="zstd", **options)
        return
    new = pa.ipc.new_stream if path.suffix == ".arrows" else pa.ipc.new_file
    with new(str(path), table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table, max_chunksize=ROWS)


def _ones(path: Path) -> None:
    _write(pa.table({"a": pa.array(np.ones(ROWS))}), path)


def _words(path: Path) -> None:
    word = pa.DictionaryArray.from_arrays(pa.array(np.zeros(ROWS, "i1")), pa.array(["x" * 90]))
    _write(pa.table({"a": word}), path)


def _lists(path: Path) -> None:
    _write(pa.table({"a": pa.array([np.zeros(ROWS)])}), path)


def _empties(path: Path) -> None:
    nothing = pa.Array.from_buffers(pa.null(), 2**31 - 1, [None])
    with pa.ipc.new_file(str(path), pa.schema({"a": pa.null()})) as writer:
        writer.write_batch(pa.record_batch([nothing], ["a"]))


def _runs(path: Path) -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], pa.int64()), pa.array([1.0]))
    batch = pa.record_batch([runs], ["a"])
    with pa.ipc.new_file(str(path), batch.schema) as writer:
        writer.write_batch(batch)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        *((f"{suffix}-{write.__name__}.{suffix}", write) for suffix in ("parquet", "arrow", "arrows")
          for write in (_ones, _words, _lists)),
        ("empties.arrow", _empties),
        ("runs.arrow", _runs),
    ],
)  # fmt: skip
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, name: str, write: Any) -> None:
    for small in ("small.parquet", "small.arrow"):
        _write(pa.table({"a": [1.5, 2.5], "b": ["x", "y"]}), tmp_path / small)
    write(tmp_path / name)
    assert (tmp_path / name).stat().st_size < 1 << 20
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), name, str(MEMORY)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "values, which take at least" in done.stdout
    assert "at most 0.1 GB are read" in done.stdout


def test_a_cell_that_is_too_long_is_refused_unread(tmp_path: Path) -> None:
    _write(pa.table({"a": ["x" * 30_000_000, "y"]}), tmp_path / "t.parquet", use_dictionary=False)
    with pytest.raises(InputError, match=r"has cells of \d+,\d{3},\d{3} bytes and more"):
        _open(tmp_path, "t.parquet")


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows"])
def test_ordinary_tables_pass_with_little_more_memory_than_they_take(tmp_path: Path, suffix: str) -> None:
    table = pa.table({"a": np.random.default_rng(1).random(200_000), "b": ["word"] * 200_000, "c": [True] * 200_000})
    _write(table, tmp_path / f"t.{suffix}")
    assert _open(tmp_path, f"t.{suffix}", memory=64 << 20) == 200_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One small table in each format."""
    folder = tmp_path_factory.mktemp("whole")
    out = {}
    for suffix in ("parquet", "arrow", "arrows"):
        _write(pa.table({"a": [1.5, 2.5] * 9, "b": ["x", None] * 9, "c": [[1], [2, 3]] * 9}), folder / f"t.{suffix}")
        out[suffix] = (folder / f"t.{suffix}").read_bytes()
    return out


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(["parquet", "arrow", "arrows"]),
    where=st.floats(0, 1),
    byte=st.integers(0, 255),
    cut=st.booleans(),
)
def test_a_damaged_table_is_read_or_refused_in_one_line(
    whole: dict[str, bytes], tmp_path: Path, suffix: str, where: float, byte: int, cut: bool
) -> None:
    data = bytearray(whole[suffix])
    at = int(where * (len(data) - 1))
    if cut:
        del data[at:]
    else:
        data[at] = byte
    (tmp_path / f"t.{suffix}").write_bytes(data)
    try:
        said = str(_open(tmp_path, f"t.{suffix}", memory=1 << 30))
    except InputError as refused:
        said = str(refused)
    assert said not in ("", "0")
    assert "\n" not in said


def _open(folder: Path, name: str, memory: int = 0) -> int:
    from assay.adapters.tables import open_dataset

    data = open_dataset(Subject(name="t", kind=Kind.DATASET, uri=name), folder, memory=memory)
    try:
        return data.rows
    finally:
        data.close()

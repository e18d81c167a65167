"""The promise of every check: what it cannot read is open, failed or not applicable, and never passes."""

from __future__ import annotations

import os
import random

import pytest
from checks_tools import Bench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.checks.index import INDEX
from assay.core.errors import UsageError
from assay.core.subject import Kind
from assay.engine.registry import load, resolve_parameters

pytest.importorskip("lightgbm")
TABLES = sorted(i for i, (kind, _) in INDEX.items() if kind is Kind.DATASET and not i.startswith("test."))
# A check that wants a fact which no table here declares is not asked, and so opens nothing.
ASKED = [i for i in TABLES if not load(i).spec.wants]
MODELS = sorted(i for i, (kind, _) in INDEX.items() if kind is Kind.MODEL and not i.startswith("test."))
FILES = sorted(i for i, (kind, _) in INDEX.items() if kind is Kind.ARTIFACT and not i.startswith("test."))
HEADS = {
    "nothing": b"",
    "pickle": b"\x80\x04\x95",
    "zip": b"PK\x03\x04",
    "gzip": b"\x1f\x8b\x08",
    "parquet": b"PAR1",
    "arrow": b"ARROW1\0\0",
    "feather": b"FEA1",
    "hdf5": b"\x89HDF\r\n\x1a\n",
    "npy": b"\x93NUMPY\x01\x00",
    "onnx": b"\x08\x08\x12\x07skl2onnx",
    "lightgbm": b"tree\nversion=v4\nnum_class=1\n",
    "safetensors": (2**40).to_bytes(8, "little"),
    "gguf": b"GGUF\x03\0\0\0",
    "tar": b"m.pkl".ljust(257, b"\0") + b"ustar\0",
}


def garbage(head: str, size: int = 3000) -> bytes:
    return HEADS[head] + random.Random(f"{head}{size}").randbytes(size)


@pytest.mark.parametrize("head", sorted(HEADS))
def test_random_bytes_never_pass(bench: Bench, head: str) -> None:
    good = "a,y\n" + "\n".join(f"{i},{i % 2}" for i in range(300))
    bench.table(good, "good", label="y", positive=1)
    bench.table(garbage(head), "bad", label="y", positive=1, holdout_of="good")
    bench.table(good, "judged", label="y", positive=1, holdout_of="bad")
    bench.artifact("thing", garbage(head))
    statuses = {c: str(bench.ask(c, "bad").status) for c in ASKED}
    assert set(statuses.values()) == {"open"}, statuses
    assert str(bench.ask("data.split-leakage", "judged").status) == "open"
    for name, reads in (
        ("model", {"data": "good", "holdout": "good"}),
        ("champion", {"data": "good", "holdout": "bad", "champion": "model"}),
    ):
        bench.model("thing", name, reads=reads, threshold=0.5)
        statuses = {c: str(bench.ask(c, name).status) for c in MODELS}
        assert set(statuses.values()) <= {"open", "not-applicable"}, statuses
        assert statuses["performance.holdout"] == statuses["robustness.evasion"] == "open"
    artifact = {c: bench.ask(c, "thing") for c in FILES}
    passed = [c for c, o in artifact.items() if str(o.status) == "pass"]
    assert passed in ([], ["artifact.unsafe-format"]), {c: (str(o.status), o.reason) for c, o in artifact.items()}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=300), st.sampled_from(sorted(HEADS)))
def test_no_bytes_break_a_check_of_files(bench: Bench, tail: bytes, head: str) -> None:
    outcome = bench.ask("artifact.pickle-code", bench.artifact("fuzz", HEADS[head] + tail))
    assert str(outcome.status) in ("pass", "fail", "open", "not-applicable")
    assert (str(outcome.status) == "open") == bool(outcome.reason and not outcome.complete and not outcome.findings)


CELLS = st.one_of(
    st.sampled_from(["", "0", "1", "nan", "inf", "-inf", "NULL", "1e308", "9" * 30, "true", "2020-01-01", "'", "ß"]),
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters='"\r\n,\x00'), max_size=6),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), st.sampled_from(TABLES))
def test_no_table_breaks_a_check_of_tables(bench: Bench, rows: list[tuple[str, str]], check: str) -> None:
    text = "a,y\n" + "\n".join(f"{a},{y}" for a, y in rows) + "\n"
    bench.features("a != 3", a={"min": 0, "step": 0.5, "nullable": False})
    bench.table(text, "other", label="y", positive=1)
    outcome = bench.ask(check, bench.table(text, "fuzz", label="y", positive=1, holdout_of="other"))
    assert str(outcome.status) in ("pass", "fail", "open", "not-applicable")
    assert outcome.complete or outcome.reason


@pytest.mark.parametrize("what", ["folder", "absent", "pipe", "loop"])
def test_no_file_at_all_is_open(bench: Bench, what: str) -> None:
    path = bench.folder / "thing"
    {
        "folder": path.mkdir,
        "absent": lambda: None,
        "pipe": lambda: os.mkfifo(path),
        "loop": lambda: path.symlink_to("thing"),
    }[what]()
    bench.table("a,y\n1,0\n2,1\n", "good", label="y", positive=1)
    name = bench.table("", "bad", file="other.csv", holdout_of="good")
    bench.subjects[name] = bench.subjects[name].__class__(
        name=name, kind=Kind.DATASET, uri="thing", reads={"holdout_of": "good"}
    )
    assert {str(bench.ask(c, name).status) for c in ASKED} == {"open"}
    bench.model("thing", reads={"data": "good", "holdout": "good"})
    assert {str(bench.ask(c, "model").status) for c in MODELS} <= {"open", "not-applicable"}


@pytest.mark.parametrize("check_id", [*FILES, *MODELS, *TABLES])
def test_every_parameter_has_a_default_within_its_own_bounds(check_id: str) -> None:
    check = load(check_id)
    defaults = {p.name: p.default for p in check.parameters}
    assert resolve_parameters(check, defaults) == defaults
    for parameter in check.parameters:
        if isinstance(parameter.default, int | float) and not isinstance(parameter.default, bool):
            with pytest.raises(UsageError, match=parameter.name):
                resolve_parameters(check, {parameter.name: -1})

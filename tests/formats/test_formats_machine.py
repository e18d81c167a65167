"""The machine's facts on good, bad and torn pickles, its limits, and several pickles in one stream."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path

import formats_attacks as shapes
import pytest

from assay.core.errors import InputError
from assay.formats.artifact import ArtifactFacts, examine, safe_to_load
from assay.formats.pickle.facts import Ending
from assay.formats.pickle.source import CHUNK
from assay.formats.reading import Limits


def _look(data: bytes, **limits: object) -> ArtifactFacts:
    return examine(io.BytesIO(data), name="x.pkl", limits=Limits(**limits))  # type: ignore[arg-type]


def test_a_benign_pickle_is_complete_and_may_be_loaded() -> None:
    facts = _look(shapes.BENIGN)
    assert facts.format.name == "pickle"
    assert facts.complete
    assert [fact for _, fact in facts.globals()] == []
    assert safe_to_load(facts) == []


def test_offsets_counts_and_protocol() -> None:
    data = b"\x80\x02](" + shapes.glob("decimal", "Decimal") + shapes.text("1") + b"\x85R" + b"e."
    (stream,) = _look(data).streams
    (fact,) = stream.globals
    assert (fact.offset, fact.call_count, fact.calls, fact.tier) == (4, 1, ("decimal.Decimal('1')",), "safe")
    assert (stream.start, stream.end, stream.protocol, stream.opcodes) == (0, len(data), 2, 9)


@pytest.mark.parametrize(
    ("body", "limits", "ending"),
    [
        (b"N.", {}, Ending.STOP),
        (b"N", {}, Ending.SHORT),
        (b"K", {}, Ending.SHORT),
        (b"M\x01", {}, Ending.SHORT),
        (b"h", {}, Ending.SHORT),
        (b"N\x8c", {}, Ending.SHORT),
        (b"\x8c\x05ab", {}, Ending.SHORT),
        (b"X\xff\x00\x00\x00ab", {}, Ending.SHORT),
        (b"J\x01", {}, Ending.SHORT),
        (b"0", {}, Ending.TORN),
        (b"\x86", {}, Ending.TORN),
        (b"q\x00", {}, Ending.TORN),
        (b"\xff", {}, Ending.TORN),
        (b"K\x01" * 70_000 + b".", {"max_opcodes": 50_000}, Ending.LIMIT),
        (b"C\x01a" * 70_000 + b".", {"max_bytes": 100_000}, Ending.LIMIT),
    ],
)
def test_a_pickle_says_by_a_value_what_ended_it(body: bytes, limits: dict[str, int], ending: Ending) -> None:
    facts = _look(b"\x80\x04" + body, **limits)
    assert facts.streams[0].ending is ending
    assert facts.complete is (ending is Ending.STOP)


def test_a_limit_inside_an_array_of_objects_is_a_limit_of_the_whole() -> None:
    joblib = pytest.importorskip("joblib")
    np = pytest.importorskip("numpy")
    file = io.BytesIO()
    joblib.dump({"o": np.array([str(n) for n in range(40_000)], dtype=object)}, file)
    (stream, *_) = _look(file.getvalue(), max_opcodes=40_000).streams
    assert stream.ending is Ending.LIMIT
    assert not stream.complete


@pytest.mark.parametrize("protocol", range(6))
def test_every_truncation_is_incomplete_with_an_offset(protocol: int) -> None:
    data = pickle.dumps({"a": [1, 2.5, "text", b"raw" * 40, 10**20, None], "b": ("x", {1, 2})}, protocol)
    for cut in range(2, len(data)):
        facts = _look(data[:cut])
        assert not facts.complete
        assert "byte" in facts.reasons[0]
        assert safe_to_load(facts)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\xff", "no opcode"),
        (b"0", "more than the stack holds"),
        (b"N\x85R", "more than the stack holds"),
        (b"t", "more than the stack holds"),
        (b"h\x05", "never set"),
        (b"g77\n", "never set"),
        (b"p-1\nN", "negative"),
        (b"NK\x01\x93", "other than text"),
        (b"K\x01)R", "no callable"),
        (b"Iabc\n", "no integer"),
        (b"Fabc\n", "no number"),
        (b"Sabc\n", "not quoted"),
        (b"T\xff\xff\xff\xff", "negative length"),
        (b"\x8b\xff\xff\xff\xff", "negative length"),
        (b"\x8c\x02\xff\xff", "UTF-8"),
        (b"\x80\x09", "protocol 9"),
        (b"\x82\x00", "extension code 0"),
        (b"B\xff\xff\xff\x7f", "inside an operand"),
        (b"\x8e" + b"\xff" * 8, "inside an operand"),
        (b"N", "before STOP"),
    ],
)
def test_a_torn_stream_says_why_and_keeps_what_was_seen(body: bytes, words: str) -> None:
    facts = _look(b"\x80\x04" + shapes.SYSTEM + b"0" + body)
    assert not facts.complete
    assert words in facts.reasons[0]
    assert [fact.qualified for _, fact in facts.globals()] == ["os.system"]


@pytest.mark.parametrize(
    ("data", "limits", "words"),
    [
        (b"N0" * 100_000, {"max_opcodes": 50_000}, "opcodes"),
        (b"N" + b"\x94" * 100_000, {"max_memo": 1000}, "memo"),
        (b"N" * 100_000, {"max_stack": 1000}, "stack"),
        (b"(" * 100_000, {"max_stack": 1000}, "stack"),
        (b"N0" * 400_000, {"max_bytes": 100_000}, "bytes"),
        (shapes.blob(bytes(300_000)) * 2, {"max_bytes": 200_000}, "bytes"),
        (b"N0" * 100_000, {"clock": lambda: 2.0, "deadline": 1.0}, "out of time"),
        (b"I" + b"9" * 3_000_000 + b"\n", {}, "line"),
        (b"".join(b"ca\nb%d\n0" % i for i in range(20_000)), {}, "different names"),
    ],
)
def test_limits_end_in_a_reason(data: bytes, limits: dict[str, object], words: str) -> None:
    facts = _look(b"\x80\x04" + data + b"N.", **limits)
    assert not facts.complete
    assert words in facts.reasons[0]
    assert "stopped at byte" in facts.reasons[0] or "line" in words


def test_nesting_is_bounded() -> None:
    data = shapes.PLAIN
    for _ in range(8):
        data = shapes.proto(shapes.call(shapes.glob("pickle", "loads"), shapes.blob(data)))
    facts = _look(data)
    assert not facts.complete
    assert any("nested too deep" in reason for reason in facts.reasons)


def test_many_nested_loads_give_one_reason() -> None:
    one = shapes.call(shapes.glob("pickle", "loads"), shapes.blob(shapes.BENIGN))
    facts = _look(shapes.proto(one * 500))
    assert not facts.complete
    assert sum(map(len, facts.reasons)) < 500


@pytest.mark.parametrize("gap", [0, 1, CHUNK - 20, CHUNK - 10, CHUNK - 3, CHUNK, CHUNK + 5, 5 * CHUNK])
def test_window_boundaries_do_not_matter(gap: int) -> None:
    data = (
        b"\x80\x04"
        + shapes.blob(bytes(gap))
        + b"0"
        + b"N0" * 7
        + b"K\x050J\x01\x00\x00\x000G"
        + bytes(8)
        + b"0"
        + shapes.SYSTEM
        + b"."
    )
    facts = _look(data)
    assert facts.complete, facts.reasons
    ((_, fact),) = facts.globals()
    assert fact.calls == (f"os.system('{shapes.COMMAND}')",)


def test_operands_are_cut_at_every_place_of_a_window() -> None:
    for pad in range(CHUNK - 60, CHUNK + 4):
        facts = _look(b"\x80\x04" + b"N0" * (pad // 2) + (b"" if pad % 2 else b"K\x010") + shapes.SYSTEM + b".")
        assert facts.complete, (pad, facts.reasons)
        assert [fact.calls for _, fact in facts.globals()] == [(f"os.system('{shapes.COMMAND}')",)]


def test_raw_joblib_bytes_are_skipped_exactly() -> None:
    facts = _look(shapes.joblib_array(b"", raw=b"\xff" * 16))
    assert facts.complete, facts.reasons
    assert facts.streams[0].arrays == 1
    wrong = _look(shapes.joblib_array(b"", raw=b"\xff" * 13))
    assert not wrong.complete


def test_array_bytes_inside_a_frame_are_refused() -> None:
    body = shapes.joblib_array(b"", raw=bytes(16))
    framed = body[:2] + b"\x95" + struct.pack("<Q", len(body)) + body[2:]
    facts = _look(framed)
    assert not facts.complete
    assert "frame" in facts.reasons[0]


def test_trailing_bytes_are_counted_and_are_no_alarm() -> None:
    facts = _look(shapes.BENIGN + b"\x00\xff\x80\x02\xff" * 1000)
    assert facts.complete
    assert facts.trailing == 5000
    assert len(facts.streams) == 1


def test_prose_after_a_pickle_is_no_alarm() -> None:
    prose = b"\nacid\nfoo\nThe music\nof\nclocks (and\nbic)\n" * 50
    assert list(_look(shapes.BENIGN + prose).globals()) == []


def test_pickles_back_to_back_are_all_read() -> None:
    facts = _look(shapes.BENIGN * 3 + pickle.dumps(3.5, 0) + pickle.dumps([1], 1))
    assert facts.complete
    assert [stream.protocol for stream in facts.streams] == [4, 4, 4, 0, 0]
    assert facts.streams[-1].end == facts.size


def test_more_than_a_page_of_distinct_calls_is_cut_short() -> None:
    calls = b"".join(shapes.call(shapes.glob("os", "system"), shapes.text(f"echo {i}")) + b"0" for i in range(100))
    ((_, fact),) = _look(shapes.proto(calls + b"N")).globals()
    assert fact.call_count == 100
    assert len(fact.calls) == 4


def test_allowed_names_may_be_loaded_and_patched_ones_never() -> None:
    facts = _look(shapes.proto(shapes.call(shapes.glob("company.models", "Net"))))
    assert [fact.tier for _, fact in facts.globals()] == ["unknown"]
    assert "company.models.Net" in safe_to_load(facts)[0]
    assert safe_to_load(facts, frozenset({"company.models.Net"})) == []
    patched = _look(shapes.proto(shapes.glob("company.models", "Net") + b"}" + shapes.text("a") + b"Nsb"))
    assert safe_to_load(patched, frozenset({"company.models.Net"}))


def test_a_file_that_cannot_be_opened_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.pkl"):
        examine(tmp_path / "absent.pkl")
    with pytest.raises(InputError):
        examine(tmp_path)


def test_a_path_and_an_open_file_give_the_same_facts(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(shapes.PLAIN)
    assert examine(path) == examine(io.BytesIO(shapes.PLAIN), name="m.pkl")


def test_memory_does_not_grow_with_operands() -> None:
    import tracemalloc

    data = shapes.proto((shapes.blob(bytes(4 << 20)) + b"0") * 8 + b"N0" * 200_000 + b"N")
    tracemalloc.start()
    facts = _look(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert facts.complete
    assert peak < 12 << 20


def test_an_honest_array_of_objects_behind_a_key_is_quiet_in_a_plain_reading_too() -> None:
    joblib, numpy = pytest.importorskip("joblib"), pytest.importorskip("numpy")
    file = io.BytesIO()
    joblib.dump({"objects": numpy.array(["a", None], dtype=object)}, file)
    facts = examine(file, name="a.joblib")
    assert facts.complete
    assert {fact.tier for _, fact in facts.globals()} == {"safe"}

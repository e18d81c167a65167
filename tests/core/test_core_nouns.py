"""The nouns: fingerprints that stay, text that cannot forge a terminal, exhibits of bounded size."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from assay.core.check import check, spec_of
from assay.core.decision import Approval, Person, Waiver
from assay.core.errors import InputError, UsageError, VerificationError
from assay.core.exhibit import (
    MAX_POINTS,
    Bars,
    Curve,
    Histogram,
    IntervalRow,
    Intervals,
    Series,
    Step,
    Table,
    Waterfall,
)
from assay.core.finding import Confidence, Finding, Location, Measure, Outcome, Severity, Status, fingerprint
from assay.core.glossary import GLOSSARY
from assay.core.report import Body, Report, Run
from assay.core.subject import Kind, Stage
from assay.core.text import Redacted, nearest, visible

BASE = Finding(message="m", location=Location(uri="f", member="a", column="c"), key="k")
NUMBER = st.none() | st.integers(0, 2**40)


@given(NUMBER, NUMBER, NUMBER, st.text(max_size=5), st.sampled_from(Severity), st.sampled_from(Confidence))
def test_a_fingerprint_does_not_depend_on_place_words_or_weight(
    row: int, line: int, offset: int, words: str, severity: Severity, confidence: Confidence
) -> None:
    moved = replace(
        BASE, message=words, fix=words, severity=severity, confidence=confidence, evidence={"x": words}, tags=(words,),
        location=replace(BASE.location, row=row, line=line, offset=offset),
    )  # fmt: skip
    assert fingerprint("c", "s", moved) == fingerprint("c", "s", BASE)


def test_a_fingerprint_depends_on_everything_else() -> None:
    where = BASE.location
    marks = {
        fingerprint("c", "s", BASE), fingerprint("d", "s", BASE), fingerprint("c", "t", BASE),
        fingerprint("c", "s", replace(BASE, key="l")),
        fingerprint("c", "s", replace(BASE, location=replace(where, uri="g"))),
        fingerprint("c", "s", replace(BASE, location=replace(where, member="b"))),
        fingerprint("c", "s", replace(BASE, location=replace(where, column="d"))),
        fingerprint("c", "s", replace(BASE, location=Location(uri="fa", column="c"))),
    }  # fmt: skip
    assert len(marks) == 8
    assert all(len(m) == 32 and int(m, 16) >= 0 for m in marks)


def test_a_fingerprint_is_the_same_in_every_version() -> None:
    """Waivers are stored by it: this value never changes."""
    assert fingerprint("data.schema", "train", BASE) == KNOWN


KNOWN = "81283390bf49846bba434564480c93cb"


@given(st.text() | st.text(st.characters(categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"))))
def test_visible_shows_no_control_direction_or_zero_width_character(text: str) -> None:
    shown = visible(text, 10_000)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Cn", "Co")]
    assert "\n" not in shown
    assert shown.encode().decode() == shown


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31m",
        "a\rb",
        "\u202e",
        "\u200b",
        "\u2066",
        "\ufeff",
        "\u00ad",
        "\u3164",
        "\U000e0041",
        "\x9b",
        "\u2028",
        "\x7f",
    ],
)
def test_visible_escapes_what_forges_or_hides(text: str) -> None:
    assert visible(text) != text
    assert visible(text).isascii()


@given(st.text(st.characters(categories=("Lu", "Ll", "Nd", "Sm", "Zs")), max_size=100))
def test_visible_leaves_plain_words_alone(text: str) -> None:
    assert visible(text) == text


def test_visible_is_bounded() -> None:
    assert visible("x" * 500) == "x" * 399 + "…"
    assert visible("x" * 400) == "x" * 400
    assert len(visible("\x00" * 10**6, 40)) < 200


def test_a_redacted_value_has_no_way_back() -> None:
    kept = Redacted("4111 1111 1111 1111", "card number")
    assert str(kept) == repr(kept) == "[card number redacted, 19 characters]"
    assert not hasattr(kept, "__dict__")
    assert "4111" not in "".join(str(getattr(kept, name)) for name in Redacted.__slots__)
    with pytest.raises(TypeError):
        msgspec.json.encode(kept)


def test_nearest() -> None:
    assert nearest("treshold", ("threshold", "data")) == "threshold"
    assert nearest("zzz", ("threshold", "data")) == ""


def line(count: int, **changes: Any) -> Series:
    return Series(name="s", x=(0.0,) * count, y=(0.0,) * count, **changes)


def drawn(kind: str, count: int) -> Any:
    common = {"name": "n", "title": "t", "subtitle": "s"}
    row = IntervalRow(label="l", value=0.0, low=0.0, high=0.0)
    made = {
        "curve": lambda: Curve(**common, x_label="x", y_label="y", series=(line(count // 2), line(count - count // 2))),
        "intervals": lambda: Intervals(**common, unit="", rows=(row,) * count),
        "histogram": lambda: Histogram(
            **common, x_label="x", labels=("l",) * count, series=(Bars(name="b", counts=(1.0,) * count),)
        ),
        "table": lambda: Table(**common, columns=("a",), rows=((1,),) * count),
        "waterfall": lambda: Waterfall(
            **common, x_label="x", start_label="s", start=0.0, steps=(Step(label="l", change="c", value=0.0),) * count
        ),
    }
    return made[kind]()


@pytest.mark.parametrize("kind", ["curve", "intervals", "histogram", "table", "waterfall"])
def test_an_exhibit_holds_500_points_and_no_more(kind: str) -> None:
    assert drawn(kind, MAX_POINTS).name == "n"
    with pytest.raises(ValueError, match="at most 500"):
        drawn(kind, MAX_POINTS + 1)


def test_ragged_exhibits_are_refused() -> None:
    common: dict[str, Any] = {"name": "n", "title": "t", "subtitle": "s"}
    with pytest.raises(ValueError, match="ragged"):
        Curve(**common, x_label="x", y_label="y", series=(Series(name="s", x=(1.0,), y=()),))
    with pytest.raises(ValueError, match="ragged"):
        Curve(**common, x_label="x", y_label="y", series=(line(2, low=(0.0,), high=(0.0,)),))
    with pytest.raises(ValueError, match="do not fit"):
        Histogram(**common, x_label="x", edges=(0.0, 1.0), series=(Bars(name="b", counts=(1.0, 2.0)),))
    with pytest.raises(ValueError, match="ragged"):
        Table(**common, columns=("a", "b"), rows=((1,),))


def test_a_place_reads_as_people_write_it() -> None:
    assert str(Location(uri="f.zip", member="a.pkl", offset=28)) == "f.zip!a.pkl @ byte 28"
    assert str(Location(uri="t.csv", column="age", row=3, line=5)) == "t.csv:5 column age row 3 (from 0)"


def test_errors_are_one_line_with_what_where_and_fix() -> None:
    assert str(InputError("no such file", where="f", fix="check the path")) == "f: no such file (check the path)"
    assert (UsageError("x").exit_code, VerificationError("x").exit_code) == (2, 1)


def test_a_check_is_declared_once_and_found() -> None:
    @check("a.b", on=Kind.DATASET, stage=Stage.DATA, severity=Severity.LOW, version=3)
    def ask(data: Any) -> Any:
        """What is asked."""
        yield from ()

    assert (spec_of(ask).id, spec_of(ask).version) == ("a.b", 3)
    with pytest.raises(TypeError, match="not declared"):
        spec_of(len)


NAIVE, ZONED = "2026-11-21T12:00:00", "2026-11-21T12:00:00Z"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Approval, {"release": "r", "role": "s", "at": NAIVE, "expires": ZONED}),
        (Approval, {"release": "r", "role": "s", "at": ZONED, "expires": NAIVE}),
        (Waiver, {"release": "r", "fingerprint": "f", "reason": "r", "role": "s", "at": NAIVE, "expires": ZONED}),
        (Person, {"name": "n", "roles": [], "keys": [], "valid_until": NAIVE}),
        (Run, {"started": NAIVE, "seconds": 1, "tool": "t", "python": "3", "platform": "p"}),
    ],
)
def test_a_time_without_a_zone_is_no_time(kind: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        msgspec.json.decode(msgspec.json.encode(fields), type=kind)
    zoned = {k: ZONED if v == NAIVE else v for k, v in fields.items()}
    assert msgspec.json.decode(msgspec.json.encode(zoned), type=kind)


def test_a_report_reads_back_and_its_body_alone_is_digested() -> None:
    said = Outcome(
        check="c", version=1, subject="s", subject_digest="d", status=Status.FAIL, findings=(BASE,),
        measures=(Measure(name="m", value=float("nan")),), exhibits=(drawn("curve", 3),),
    )  # fmt: skip
    run = Run(started=datetime(2026, 1, 1, tzinfo=UTC), seconds=1.0, tool="t", python="3", platform="p")
    report = Report(body=Body(outcomes=(said,)), run=run)
    again = msgspec.json.decode(msgspec.json.encode(report), type=Report)
    assert again.body.outcomes[0].measures[0].value is None, "NaN is null in JSON, which no policy counts"
    assert again.body.digest == report.body.digest == replace(report, run=replace(run, seconds=2.0)).body.digest
    assert report.count(Status.FAIL) == 1


def test_the_glossary_says_each_word_in_a_sentence() -> None:
    assert all(text.endswith(".") and len(text) < 300 for text in GLOSSARY.values())

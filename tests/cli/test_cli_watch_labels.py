"""`assay watch` with labels: a positive value or a threshold that fits nothing, late labels, empty columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import assay

pytest.importorskip("duckdb")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROLES = ("--label", "y", "--score", "s", "--id", "key")


def rows(n: int, seed: int, *, high: float = 1.0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1, 1.6, n)
    truth = rng.random(n) < 1 / (1 + np.exp(-logit))
    return {"key": np.arange(n) + 1000 * seed, "s": high / (1 + np.exp(-logit)), "y": truth.astype(int)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, n, seed in (("before", 4000, 1), ("now", 2000, 7)):
        pq.write_table(pa.table(rows(n, seed)), tmp_path / f"{name}.parquet")
    late(tmp_path / "late.csv", rows(2000, 7))
    return tmp_path


def late(path: Path, held: dict[str, Any], *, more: str = "", key: str = "{}", label: str = "y") -> Path:
    lines = [f"{key.format(k)},{y}" for k, y in zip(held["key"], held["y"], strict=True)][:900]
    path.write_text(f"key,{label}\n" + "\n".join(lines) + "\n" + more)
    return path


def asked(folder: Path, *options: Any, now: str = "now.parquet", code: int) -> dict[str, dict[str, Any]]:
    """The outcomes by check, and the verdict."""
    done = assay("watch", folder / "before.parquet", folder / now, *ROLES, *options, "-f", "json")
    assert done.code == code, done.out + done.err
    said = json.loads(done.out)
    found = {o["check"]: o for o in said["report"]["body"]["outcomes"]}
    return {**found, "said": said}


def labels(folder: Path, name: str = "late.csv") -> tuple[Any, ...]:
    return ("--labels", folder / name, "--key", "key")


CHECKS = ("performance.late-labels", "performance.unlabelled")


def test_a_positive_value_that_never_occurs_is_open_and_no_figure_is_no_number(folder: Path) -> None:
    found = asked(folder, "--positive", "7", *labels(folder), code=3)
    for check in CHECKS:
        assert (found[check]["status"], found[check]["measures"]) == ("open", [])
        assert "'7' never occurs in 'y'; set --positive" in found[check]["reason"]
    assert asked(folder, *labels(folder), code=0)["performance.late-labels"]["status"] == "pass"


def test_a_threshold_beyond_the_scores_is_open_and_names_their_range(folder: Path) -> None:
    found = asked(folder, "--threshold", 50, *labels(folder), code=3)
    assert (
        "all scores of the reference lie below the threshold 50: nine in ten are from 0.0" in found[CHECKS[0]]["reason"]
    )
    assert "give --threshold" in found[CHECKS[1]]["reason"]


def test_scores_of_0_to_100_do_not_pass_by_the_assumed_half(folder: Path) -> None:
    for name, n, seed in (("before", 4000, 1), ("now", 2000, 7)):
        held = rows(n, seed, high=100.0)
        held["s"][:1] = 0.3  # one stray row
        pq.write_table(pa.table(held), folder / f"{name}.parquet")
    found = asked(folder, code=3)
    assert "0.5 is assumed where none is given" in found["performance.unlabelled"]["reason"]
    assert asked(folder, "--threshold", 50, code=0)["performance.unlabelled"]["status"] == "pass"
    saved = folder / "saved.json"
    done = assay("watch", folder / "before.parquet", *ROLES, "--save-reference", saved)
    assert (done.code, "give --threshold" in done.err) == (0, True)
    assert assay("watch", saved, folder / "now.parquet", *ROLES).code == 3


def test_few_positives_and_few_flagged_today_pass(folder: Path) -> None:
    pq.write_table(pa.table({k: v[:60] for k, v in rows(2000, 7).items()}), folder / "few.parquet")
    found = asked(folder, *labels(folder), now="few.parquet", code=0)
    assert [found[check]["status"] for check in CHECKS] == ["pass", "pass"]


def test_labels_none_of_which_is_positive_are_open(folder: Path) -> None:
    held = rows(2000, 7)
    late(folder / "none.csv", {**held, "y": np.where(held["y"], "oui", "non")})
    found = asked(folder, *labels(folder, "none.csv"), code=1)["performance.late-labels"]
    assert found["complete"] is False
    assert "none of the 900 labels is the positive value '1'" in found["reason"]
    assert "performance.late_labels.recall" not in {m["name"] for m in found["measures"]}


def test_a_label_that_comes_twice_counts_once_and_contradictions_are_left_out(folder: Path) -> None:
    held = rows(2000, 7)
    again = "".join(f"{k},{y}\n" for k, y in zip(held["key"][:200], held["y"][:200], strict=True))
    against = "".join(f"{k},{1 - y}\n" for k, y in zip(held["key"][200:210], held["y"][200:210], strict=True))
    one = asked(folder, *labels(folder), code=0)["performance.late-labels"]
    late(folder / "twice.csv", held, more=again)
    assert asked(folder, *labels(folder, "twice.csv"), code=0)["performance.late-labels"]["measures"] == one["measures"]
    late(folder / "torn.csv", held, more=again + against)
    share = asked(folder, *labels(folder, "torn.csv"), code=0)["performance.late-labels"]["measures"][0]
    assert (share["value"], "10 keys with contradicting labels" in share["method"]) == (890 / 2000, True)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("{}.0", "as numbers they agree"),
        ("0{}", "as numbers they agree"),
        ("k{}", "no key of the labels is in the table"),
    ],
)
def test_keys_that_are_written_otherwise_are_told(folder: Path, key: str, hint: str) -> None:
    late(folder / "keys.csv", rows(2000, 7), key=key)
    found = asked(folder, *labels(folder, "keys.csv"), code=3)["performance.late-labels"]
    assert "0 of 2000 rows have a label" in found["reason"]
    assert hint in found["reason"]


def test_a_table_without_the_labels_and_a_reference_without_scores_say_so(folder: Path) -> None:
    late(folder / "name.csv", rows(2000, 7), label="truth")
    reason = asked(folder, *labels(folder, "name.csv"), code=3)["performance.late-labels"]["reason"]
    assert "has no column 'y': the labels themselves are missing" in reason
    done = assay("watch", folder / "before.parquet", folder / "now.parquet", "--id", "key", *labels(folder))
    assert (done.code, "give --label and --score" in done.out) == (3, True)


EMPTY = {"null": pa.nulls(2000), "typed": pa.nulls(2000, pa.int64()), "nan": pa.array(np.full(2000, np.nan))}


@pytest.mark.parametrize("kind", EMPTY)
def test_a_label_column_that_is_empty_yet_is_no_drift_while_labels_come(folder: Path, kind: str) -> None:
    pq.write_table(pa.table({**rows(2000, 7), "y": EMPTY[kind]}), folder / "empty.parquet")
    found = asked(folder, *labels(folder), now="empty.parquet", code=0)
    (label,) = (c for c in found["said"]["columns"] if c["name"] == "y")
    assert (label["flagged"], label["reason"]) == (False, "no labels yet")
    state = folder / "state.json"
    asked(folder, *labels(folder), "--state", state, now="empty.parquet", code=0)
    assert asked(folder, now="empty.parquet", code=1)["data.drift"]["status"] == "fail", "without later labels it is"


@pytest.mark.parametrize("kind", EMPTY)
def test_a_column_that_is_all_empty_is_missing_and_did_not_change_its_kind(folder: Path, kind: str) -> None:
    pq.write_table(pa.table({**rows(2000, 7), "s": EMPTY[kind]}), folder / "empty.parquet")
    (finding,) = asked(folder, *labels(folder), now="empty.parquet", code=1)["data.drift"]["findings"]
    assert "all values are missing (0.0% before)" in finding["message"]


@pytest.mark.parametrize("name", ["key", "when"])
def test_a_number_of_the_row_or_a_time_is_told_by_its_option(tmp_path: Path, name: str) -> None:
    for file, start in (("before", 0), ("now", 5000)):
        numbers = np.arange(start, start + 3000)
        held = numbers if name == "key" else numbers.astype("datetime64[h]").astype("datetime64[s]")
        other = np.random.default_rng(start).normal(0.0, 1, 3000) + (start > 0)
        pq.write_table(pa.table({name: pa.array(held), "x": other}), tmp_path / f"{file}.parquet")
    done = assay("watch", tmp_path / "before.parquet", tmp_path / "now.parquet", "-f", "json")
    found = [f for o in json.loads(done.out)["report"]["body"]["outcomes"] for f in o["findings"]]
    fixes = {f["location"]["column"]: f["fix"] for f in found if f["location"].get("column")}
    assert f"say --id {name} or --time {name}" in fixes[name]
    assert "--id" not in fixes["x"]


def test_the_range_of_the_threshold_is_said_in_words_of_its_own() -> None:
    told = assay("watch", "--help").out
    assert "--threshold FLOAT" in told
    assert "None" not in told
    assert "--threshold" in assay("watch", "a", "b", "--threshold", "nan").err

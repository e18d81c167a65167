"""Natural or adversarial: each signal fires on what it is for, none on a change by nature, and garbage is unclear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

from assay.engine.plan import Settings  # noqa: E402
from assay.flow.watch import facts_of, marked, reference, watch  # noqa: E402

Table = dict[str, Any]
THRESHOLD = 0.5


def rows(n: int, seed: int) -> Table:
    """Six columns, a score that follows two of them, thirty sources, a hundred days."""
    rng = np.random.default_rng(seed)
    made: Table = {f"n{i}": rng.normal(size=n) for i in range(5)}
    made["c"] = rng.choice(list("abcd"), n)
    made["score"] = 1 / (1 + np.exp(-(made["n0"] + made["n1"] + 0.5 * rng.normal(size=n) - 1)))
    made["source"] = np.array([f"s{v}" for v in rng.integers(0, 30, n)])
    made["when"] = rng.random(n) * 100
    return made


def said(now: Table, folder: Path, *, saved: bool = False, **facts: Any) -> tuple[str, dict[str, str]]:
    """(the verdict, state of each signal)."""
    pq = pytest.importorskip("pyarrow.parquet")
    before, current = folder / "before.parquet", folder / "now.parquet"
    pq.write_table(pa.table(rows(6000, 1)), before)
    pq.write_table(pa.table(now), current)
    told = facts_of(**{"score": "score", "source": "source", "time": "when", "threshold": THRESHOLD, **facts})
    held = reference(before, told)
    held = marked(held, before) if saved else held
    found = watch(held, current, told, Settings(), rows=None if saved else before)
    tables = [e for o in found.report.body.outcomes for e in o.exhibits if e.name == "drift-nature"]
    states = {str(r[0]): str(r[1]) for t in tables for r in getattr(t, "rows", ())}
    return found.nature, states


def told(now: Table, folder: Path, before: Table | None = None) -> dict[str, tuple[str, str]]:
    """State and words of each signal."""
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(before or rows(6000, 1)), folder / "before.parquet")
    pq.write_table(pa.table(now), folder / "now.parquet")
    facts = facts_of(score="score", source="source", time="when", threshold=THRESHOLD)
    held = reference(folder / "before.parquet", facts)
    found = watch(held, folder / "now.parquet", facts, Settings(), rows=folder / "before.parquet")
    tables = [e for o in found.report.body.outcomes for e in o.exhibits if e.name == "drift-nature"]
    return {str(r[0]): (str(r[1]), str(r[2])) for t in tables for r in getattr(t, "rows", ())}


def pressed(n: int, seed: int, share: float) -> tuple[Table, Any]:
    """Rows whose scores were pressed just under the threshold, and which those are."""
    made, rng = rows(n, seed), np.random.default_rng(seed + 1)
    who = rng.random(n) < share
    made["score"] = np.where(who, THRESHOLD - 0.02 * rng.random(n), made["score"])
    made["n0"] = np.where(who, made["n0"] + 0.8, made["n0"])
    return made, who


@pytest.mark.parametrize("saved", [False, True])
def test_pressed_scores_of_few_sources_are_adversarial(tmp_path: Path, saved: bool) -> None:
    now, who = pressed(4000, 2, 0.08)
    now["source"] = np.where(who, "s3", now["source"])
    verdict, states = said(now, tmp_path, saved=saved)
    assert verdict == "adversarial"
    assert states["mass just under the threshold"] == states["a few sources bring it"] == "there"


def test_one_signal_of_intent_alone_is_unclear(tmp_path: Path) -> None:
    verdict, states = said(pressed(4000, 2, 0.08)[0], tmp_path)
    assert verdict == "unclear"
    assert [s for s, state in states.items() if state == "there"] == ["mass just under the threshold"]


@pytest.mark.parametrize("saved", [False, True])
def test_variations_of_one_row_from_one_source_are_adversarial(tmp_path: Path, saved: bool) -> None:
    now, rng = rows(4000, 3), np.random.default_rng(4)
    for name in [f"n{i}" for i in range(5)]:
        now[name][:300] = 1.0 + rng.normal(size=300) * 0.001
    now["c"][:300], now["source"][:300] = "a", "s7"
    verdict, states = said(now, tmp_path, saved=saved)
    assert verdict == "adversarial"
    assert states["near-duplicates"] == states["a few sources bring it"] == "there"


@pytest.mark.parametrize("share", [0.03, 0.12, 0.2])
def test_a_burst_is_seen_wherever_it_lies_and_however_large(tmp_path: Path, share: float) -> None:
    now, rng = rows(4000, 3), np.random.default_rng(4)
    many = int(4000 * share)
    for name in [f"n{i}" for i in range(5)]:
        now[name][-many:] = 1.0 + rng.normal(size=many) * 0.001
    now["c"][-many:], now["source"][-many:] = "a", "s7"
    assert said(now, tmp_path)[0] == "adversarial"


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_columns_that_froze_or_went_missing_are_a_fault(tmp_path: Path, value: float) -> None:
    now = rows(4000, 3)
    for name in ("n1", "n2", "n3"):
        now[name] = np.where(now["when"] > 30, value, now[name])
    verdict, states = said(now, tmp_path)
    assert (verdict, states["near-duplicates"]) == ("unclear", "not looked for")


def test_a_source_that_sends_far_more_is_not_called_natural(tmp_path: Path) -> None:
    now, rng = rows(4000, 3), np.random.default_rng(5)
    extra = rng.choice(np.flatnonzero(now["source"] == "s7"), 400)
    now = {k: np.concatenate([v, v[extra]]) for k, v in now.items()}
    now["n0"][4000:] = rng.normal(size=400)
    now["n1"] = now["n1"] + 0.2
    verdict, states = said(now, tmp_path)
    assert (verdict, states["a few sources bring it"]) == ("unclear", "there")


def test_a_feed_that_hangs_is_no_attack(tmp_path: Path) -> None:
    now = rows(4000, 3)
    hung = now["source"] == "s7"
    for name in now:
        if name not in ("source", "when"):
            now[name] = np.where(hung, now[name][0], now[name])
    verdict, states = said(now, tmp_path)
    assert verdict == "unclear"
    assert states["near-duplicates"] == "not there"
    assert states["a few sources bring it"] == "there"


def test_a_default_value_is_told_by_its_exact_value_and_its_onset(tmp_path: Path) -> None:
    now = rows(4000, 3)
    now["n2"] = np.where(now["when"] > 60, 0.0, now["n2"])
    verdict, states = said(now, tmp_path)
    assert verdict == "unclear"
    assert states["one exact value is repeated"] == states["it sets in at once"] == "there"


CHANGES = {
    "other rows": lambda t, rng: {k: v[np.argsort(rng.normal(size=4000) - t["n0"])[:2000]] for k, v in t.items()},
    "higher": lambda t, rng: {**t, "n3": t["n3"] + 0.3},
    "slowly": lambda t, rng: {**t, "n3": t["n3"] + t["when"] / 100},
    "other words": lambda t, rng: {**t, "c": np.where(rng.random(len(t["c"])) < 0.3, "a", t["c"])},
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_change_by_nature_is_called_natural(tmp_path: Path, change: str, seed: int) -> None:
    verdict, states = said(CHANGES[change](rows(4000, seed), np.random.default_rng(seed)), tmp_path)
    assert "there" not in states.values()
    assert verdict == "natural"


def test_without_facts_it_is_unclear_and_nothing_is_looked_for(tmp_path: Path) -> None:
    now = CHANGES["higher"](rows(4000, 3), np.random.default_rng(0))
    assert said(now, tmp_path, score="", source="", time="") == ("unclear", {})


def test_what_could_not_be_looked_for_is_told(tmp_path: Path) -> None:
    now = CHANGES["higher"](rows(4000, 3), np.random.default_rng(0))
    verdict, states = said(now, tmp_path, score="", time="")
    assert (verdict, list(states.values()).count("not looked for")) == ("natural", 2)


def test_nothing_drifted_and_nothing_is_said(tmp_path: Path) -> None:
    assert said(rows(4000, 3), tmp_path) == ("", {})


def test_garbage_is_unclear(tmp_path: Path) -> None:
    now = rows(300, 3)
    now["n0"], now["score"], now["when"] = (np.full(300, v) for v in (np.inf, np.nan, np.nan))
    now["source"] = pa.nulls(300, pa.string())
    verdict, states = said(now, tmp_path)
    assert verdict == "unclear"
    assert states["it sets in at once"] == "not looked for"


def test_one_source_that_brings_it_is_named(tmp_path: Path) -> None:
    few, who = pressed(4000, 2, 0.08)
    few["source"] = np.where(who, "s3", few["source"])
    assert "(s3)" in told(few, tmp_path)["a few sources bring it"][1]


def test_a_large_source_that_was_as_large_before_is_not_looked_for(tmp_path: Path) -> None:
    before, now = rows(6000, 1), rows(4000, 2)
    for made in (before, now):
        made["source"] = np.where(np.arange(len(made["n0"])) % 3 == 0, "big", made["source"])
    now["n3"] = now["n3"] + (now["source"] == "big")
    state, why = told(now, tmp_path, before=before)["a few sources bring it"]
    assert (state, "one source (big) holds" in why) == ("not looked for", True)


def test_what_comes_and_goes_over_time_is_not_said_to_have_been_there_from_the_first(tmp_path: Path) -> None:
    now = rows(4000, 3)
    now["n3"] = now["n3"] + 3.0 * (now["when"] % 30 < 12)
    assert told(now, tmp_path)["it sets in at once"][0] == "not looked for"
    now = rows(4000, 3)
    now["n3"] = now["n3"] + 3.0 * (now["when"] > 40)
    assert told(now, tmp_path)["it sets in at once"][0] == "there"

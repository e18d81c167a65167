"""data.label-flips: a batch that was relabelled is named; clean data is silent; too little is open."""

from __future__ import annotations

import numpy as np
import pytest
from checks_tools import Bench, finding, measure, said

from assay.labs.simulate import LABEL, flip_labels, payments

pytest.importorskip("lightgbm")
CHECK = "data.label-flips"
FACTS = {"label": LABEL, "positive": 1, "id": "payment_id", "source": "upload", "drop": ["upload"]}


@pytest.mark.parametrize("seed", [5, pytest.param(1, marks=pytest.mark.heavy)])
def test_a_relabelled_upload_is_named(bench: Bench, seed: int) -> None:
    table = flip_labels(payments(6000, seed), "u17", 0.8, seed)
    outcome = bench.ask(CHECK, bench.table(table, **FACTS), seed=seed)
    found = finding(outcome, "labels or population of upload u17 differ")
    assert (str(outcome.status), str(found.severity)) == ("fail", "high")
    assert [f.evidence["batch"] for f in outcome.findings if str(f.severity) == "high"] == ["u17"]


@pytest.mark.parametrize("seed", [2, *(pytest.param(s, marks=pytest.mark.heavy) for s in (1, 3, 4))])
def test_clean_labels_raise_no_alarm(bench: Bench, seed: int) -> None:
    outcome = bench.ask(CHECK, bench.table(payments(4000, seed), **FACTS), seed=seed)
    assert (str(outcome.status), outcome.complete) == ("pass", True), said(outcome)
    share = measure(outcome, "data.label_flips.missed_share")
    assert share.low <= share.value <= share.high


def test_the_rows_it_lists_are_the_flipped_ones_by_number_only(bench: Bench) -> None:
    clean = payments(4000, 7)
    table = flip_labels(clean, "u05", 1.0, 7)
    outcome = bench.ask(CHECK, bench.table(table, **FACTS))
    flipped = set(np.flatnonzero(clean[LABEL] != table[LABEL]).tolist())
    (listed,) = [e for e in outcome.exhibits if e.name == "data.label-flips.rows"]
    assert listed.columns[0] == "row"
    hits = [row[0] in flipped for row in listed.rows]
    assert sum(hits) >= 0.6 * len(hits)


@pytest.mark.parametrize(
    ("rows", "ring", "reason"), [(150, 0.3, "too few"), (1000, 0.0, "never occurs"), (1000, 0.005, "too few")]
)
def test_too_little_to_learn_from_is_open(bench: Bench, rows: int, ring: float, reason: str) -> None:
    outcome = bench.ask(CHECK, bench.table(payments(rows, 1, ring=ring), label=LABEL, positive=1))
    assert (str(outcome.status), outcome.complete) == ("open", False)
    assert reason in outcome.reason


def test_rows_without_a_source_or_time_are_still_judged(bench: Bench) -> None:
    table = payments(1500, 2)
    some = {"upload": [None if i % 10 == 0 else u for i, u in enumerate(table["upload"])]}
    day = [None if i % 7 == 0 else f"2026-01-{1 + i % 28:02d}" for i in range(1500)]
    outcome = bench.ask(CHECK, bench.table({**table, **some, "day": day}, **FACTS, time="day"))
    assert str(outcome.status) == "pass", (outcome.reason, said(outcome))


def test_what_has_no_source_is_blamed_on_no_source(bench: Bench) -> None:
    """The relabelled rows lost their upload's name: the first upload of the table is as innocent as the others."""
    table = flip_labels(payments(6000, 5), "u17", 0.8, 5)
    lost = [None if u == "u17" else u for u in table["upload"]]
    outcome = bench.ask(CHECK, bench.table({**table, "upload": lost}, **FACTS), seed=5)
    assert [f.evidence["batch"] for f in outcome.findings if str(f.severity) == "high"] == ["(none)"]


def test_one_seed_one_answer(bench: Bench) -> None:
    bench.table(payments(700, 3), **FACTS)
    assert bench.ask(CHECK, "t", seed=9) == bench.ask(CHECK, "t", seed=9)


def test_a_time_and_a_source_share_one_level(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.detectors import label_errors

    table = payments(800, 2)
    day = {"day": [f"2026-01-{1 + i % 28:02d}" for i in range(800)]}
    asked: list[float] = []
    monkeypatch.setattr(label_errors, "unlike_batches", lambda *a, **_: asked.append(a[4]) or ())
    for options, levels in (
        ({"source": "upload"}, [0.01]),
        ({"source": "upload", "time": "day"}, [0.005, 0.005]),
        ({"source": "merchant", "time": "merchant"}, [0.01]),
    ):
        asked.clear()
        bench.ask(CHECK, bench.table({**table, **day}, **{**FACTS, **options}))
        assert asked == levels, options


def test_a_batch_told_by_a_row_says_how_rows_are_counted_and_shows_no_value(bench: Bench) -> None:
    table = flip_labels(payments(6000, 5), "u17", 0.8, 5)
    names = [f"Jane Roe {u}" for u in table["upload"]]
    outcome = bench.ask(CHECK, bench.table({**table, "upload": names}, **FACTS), seed=5)
    first = names.index("Jane Roe u17")
    found = finding(outcome, f"upload that of row {first} (counting from 0) differ")
    assert "Jane" not in str(outcome)
    assert f"row {first} (counting from 0)" in found.fix


def test_the_share_is_told_as_an_estimate_with_its_interval(bench: Bench) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000)
    said_ = (x + rng.normal(size=3000) > 1).astype(int)
    outcome = bench.ask(CHECK, bench.table({"x": x, "y": said_}, label="y", positive=1))
    (found,) = outcome.findings
    low, share, high = (found.evidence[k] for k in ("low", "share", "high"))
    assert f"some {share:.1%} of the" in found.message
    assert f"(95%: {low:.1%} to {high:.1%})" in found.message
    assert "up to" not in found.message
    said_no = measure(
        outcome, f"data.label_flips.{'missed' if found.evidence['said'] == 'negative' else 'invented'}_share"
    )
    assert (said_no.low, said_no.value, said_no.high) == (low, share, high)


def classes(seed: int, n: int, shift: float, missed: float = 0.0) -> dict[str, object]:
    """Two normal classes in two of five columns; a part of the positives is called negative."""
    rng = np.random.default_rng([seed, n])
    target = rng.random(n) < 0.3
    x = rng.normal(size=(n, 5))
    x[target, :2] += shift
    return {**{f"x{i}": x[:, i] for i in range(5)}, "y": (target & (rng.random(n) >= missed)).astype(int)}


@pytest.mark.parametrize("n", [400, *(pytest.param(n, marks=pytest.mark.heavy) for n in (600, 1500))])
@pytest.mark.parametrize("seed", range(4))
def test_hard_rows_of_a_small_clean_table_are_no_finding(bench: Bench, n: int, seed: int) -> None:
    outcome = bench.ask(CHECK, bench.table(classes(seed, n, 1.6), label="y", positive=1))
    assert str(outcome.status) == "pass", said(outcome)


@pytest.mark.heavy
def test_a_tenth_of_the_positives_missed_is_found_in_ten_thousand_rows_and_not_in_copies(bench: Bench) -> None:
    outcome = bench.ask(CHECK, bench.table(classes(1, 10_000, 2.2, 0.1), label="y", positive=1))
    assert [severity for severity, _ in said(outcome)] == ["low"]
    copies = {name: np.repeat(column, 10) for name, column in classes(1, 1000, 2.2, 0.1).items()}
    assert str(bench.ask(CHECK, bench.table(copies, "c", label="y", positive=1)).status) == "pass"

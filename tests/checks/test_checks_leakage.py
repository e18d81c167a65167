"""data.split-leakage and data.target-leakage: planted leaks are found, natural twins and honest columns are not."""

from __future__ import annotations

import numpy as np
import pytest
from checks_tools import Bench, finding, measure, said

from assay.labs.simulate import LABEL, Table, leak_rows, leak_target, payments

pytest.importorskip("duckdb")
SPLIT, TARGET = "data.split-leakage", "data.target-leakage"
FACTS = {"label": LABEL, "positive": 1, "drop": ["payment_id", "upload"]}


def split(bench: Bench, holdout: Table, train: Table, **options: object) -> str:
    bench.table(train, "train", **{**FACTS, **options})
    return bench.table(holdout, "hold", holdout_of="train", **{**FACTS, **options})


def test_an_honest_split_passes(bench: Bench) -> None:
    outcome = bench.ask(SPLIT, split(bench, payments(800, 2), payments(1500, 1)))
    assert (str(outcome.status), outcome.findings) == ("pass", ())
    tolerated = measure(outcome, "data.split_leakage.tolerated")
    assert measure(outcome, "data.split_leakage").low <= tolerated.value
    assert 0.002 < tolerated.value < 0.02
    assert tolerated.n == 800


def test_shared_rows_between_sides_without_repeats_are_high_but_less_sure(bench: Bench) -> None:
    """A leak, or rows that come again and a split freed of its repeats: the tables look the same either way."""
    rng = np.random.default_rng(0)
    train, hold = rng.normal(size=(1500, 3)), rng.normal(size=(800, 3))
    hold[:40] = train[:40]
    tables = [{f"x{i}": part[:, i] for i in range(3)} for part in (train, hold)]
    bench.table(tables[0], "train")
    found = finding(bench.ask(SPLIT, bench.table(tables[1], "hold", holdout_of="train")), "neither side repeats rows")
    assert (str(found.severity), str(found.confidence), found.evidence["bare"]) == ("high", "medium", True)
    bench.table({name: np.concatenate([c, c[100:130]]) for name, c in tables[0].items()}, "twice")
    found = finding(bench.ask(SPLIT, bench.table(tables[1], "hold2", holdout_of="twice")), "are also in twice")
    assert (str(found.severity), str(found.confidence), found.evidence["bare"]) == ("high", "high", False)


def test_copied_rows_are_found_and_counted(bench: Bench) -> None:
    train = payments(1500, 1)
    outcome = bench.ask(SPLIT, split(bench, leak_rows(payments(800, 2), train, 0.05, 4), train))
    found = finding(outcome, "are also in train")
    share = measure(outcome, "data.split_leakage")
    assert (str(outcome.status), str(found.severity)) == ("fail", "high")
    assert share.value == pytest.approx(0.05, abs=0.025)
    assert found.location.row is not None


def test_a_stray_word_hides_no_shared_row(bench: Bench) -> None:
    train = payments(1500, 1)
    holdout = leak_rows(payments(800, 2), train, 0.05, 4)
    amount = [repr(float(v)) for v in holdout["amount"]]
    outcome = bench.ask(SPLIT, split(bench, {**holdout, "amount": [*amount[:-1], "banana"]}, train))
    assert str(finding(outcome, "are also in train").severity) == "high"


def test_copies_inside_the_training_data_blind_nothing(bench: Bench) -> None:
    train = payments(1500, 1)
    holdout = leak_rows(payments(1500, 2), train, 0.08, 4)
    copied = {name: np.concatenate([column, column]) for name, column in train.items()}
    outcome = bench.ask(SPLIT, split(bench, holdout, copied))
    assert str(finding(outcome, "are also in train").severity) == "high"


def test_a_jitter_and_inverted_labels_hide_no_copy_and_are_told(bench: Bench) -> None:
    train = payments(1500, 1)
    holdout = {**payments(800, 2), "amount": payments(800, 2)["amount"].astype(float)}
    copies = {name: column[:60].copy() for name, column in train.items()}
    copies["amount"] = copies["amount"] * (1 + 1e-9)
    copies[LABEL] = 1 - copies[LABEL]
    holdout = {name: np.concatenate([column[:740], copies[name]]) for name, column in holdout.items()}
    found = finding(
        bench.ask(SPLIT, split(bench, holdout, train)), "60 of 800 distinct holdout rows (7.5%) are also in"
    )
    assert "60 of them only under another label" in found.message
    assert (found.evidence["shared"], found.evidence["other_label"], found.location.row) == (60, 60, 740)


@pytest.mark.parametrize("times", [1, 3])
def test_an_index_that_nobody_declared_hides_no_leak_and_is_named(bench: Bench, times: int) -> None:
    train = payments(1500, 1)
    holdout = leak_rows(payments(800, 2), train, 0.08, 4)
    tables = []
    for table, first in ((train, 0), (holdout, 1500)):
        copied = {name: np.repeat(column, times) for name, column in table.items()}
        tables.append({"Unnamed: 0": first + np.arange(len(copied[LABEL])), **copied})
    outcome = bench.ask(SPLIT, split(bench, tables[1], tables[0]))
    found = finding(outcome, "left out as undeclared ids: Unnamed: 0")
    assert str(found.severity) == "high"
    assert "Unnamed: 0" in measure(outcome, "data.split_leakage").method


def test_rows_that_only_a_text_tells_apart_are_still_compared_by_it(bench: Bench) -> None:
    def draw(first: int, n: int) -> Table:
        return {"text": np.array([f"mail {i}" for i in range(first, first + n)]), LABEL: np.arange(n) % 2,
                "long": np.arange(n) % 3}  # fmt: skip

    train, holdout = draw(0, 1500), draw(9000, 800)
    holdout = {name: np.concatenate([column[:700], train[name][:100]]) for name, column in holdout.items()}
    found = finding(bench.ask(SPLIT, split(bench, holdout, train, drop=[])), "100 of 800 distinct holdout rows")
    assert str(found.severity) == "high"


def test_copies_made_before_the_split_are_a_medium_finding_of_low_confidence(bench: Bench) -> None:
    table, rng = payments(3000, 3), np.random.default_rng(3)
    fraud = np.flatnonzero(table[LABEL] == 1)
    order = rng.permutation(np.concatenate([np.flatnonzero(table[LABEL] == 0), np.repeat(fraud, 12)]))
    cut = len(order) * 7 // 10
    train, holdout = ({n: c[part] for n, c in table.items()} for part in (order[:cut], order[cut:]))
    outcome = bench.ask(SPLIT, split(bench, holdout, train))
    found = finding(outcome, "copies were made before the split, or such rows repeat by nature")
    assert (str(found.severity), str(found.confidence), len(outcome.findings)) == ("medium", "low", 1)


@pytest.mark.parametrize("side", ["hold", "both"])
def test_repeats_removed_after_an_honest_split_are_no_certain_leak(bench: Bench, side: str) -> None:
    def draw(seed: int, n: int, *, once: bool) -> Table:
        rows = np.minimum(np.random.default_rng(seed).zipf(1.6, (n, 3)), 500)
        rows = np.unique(rows, axis=0) if once else rows
        return {**dict(zip("abc", rows.T, strict=True)), LABEL: np.arange(len(rows)) % 2}

    outcome = bench.ask(SPLIT, split(bench, draw(1, 1500, once=True), draw(2, 3500, once=side == "both"), drop=[]))
    assert (str(outcome.status), outcome.findings) == ("pass", ()), said(outcome)
    assert (measure(outcome, "data.split_leakage").value or 0) > 0.1


def test_as_many_shared_as_training_repeats_is_a_question(bench: Bench) -> None:
    rng, known = np.random.default_rng(3), np.random.default_rng(99).normal(size=(300, 4))

    def draw(n: int) -> Table:
        rows = np.where(rng.random((n, 1)) < 0.125, known[rng.integers(0, 300, n)], rng.normal(size=(n, 4)))
        return {**dict(zip("abcd", rows.T, strict=True)), LABEL: rng.integers(0, 2, n)}

    train, holdout = draw(3500), draw(1500)
    first = np.unique(holdout["a"], return_index=True)[1]
    holdout = {name: column[first] for name, column in holdout.items()}
    found = finding(
        bench.ask(SPLIT, split(bench, holdout, train, drop=[])), "about as often as rows repeat inside train"
    )
    assert (str(found.severity), str(found.confidence)) == ("medium", "low")


def test_a_holdout_of_fewer_kinds_is_no_leak(bench: Bench) -> None:
    rng = np.random.default_rng(0)

    def draw(n: int, power: float) -> Table:
        shop = np.minimum(rng.zipf(power, n), 10**6)
        return {"shop": shop, LABEL: rng.integers(0, 2, n)}

    outcome = bench.ask(SPLIT, split(bench, draw(1000, 1.8), draw(2000, 1.5), drop=[]))
    assert (str(outcome.status), outcome.findings) == ("pass", ()), said(outcome)


@pytest.mark.parametrize("value", [7, None, "k"])
def test_a_constant_column_is_no_leak(bench: Bench, value: object) -> None:
    bench.table({"a": [value] * 50, "b": [1] * 50}, "train")
    outcome = bench.ask(SPLIT, bench.table({"a": [value] * 20, "b": [1] * 20}, "hold", holdout_of="train"))
    assert (str(outcome.status), outcome.findings) == ("pass", ())


def test_twins_by_nature_are_not_a_leak(bench: Bench) -> None:
    rng = np.random.default_rng(0)

    def draw(n: int) -> Table:
        return {"a": rng.integers(0, 6, n), "b": rng.choice(list("uvwxyz"), n), LABEL: rng.integers(0, 2, n)}

    bench.table(draw(2000), "train", label=LABEL, positive=1)
    outcome = bench.ask(SPLIT, bench.table(draw(500), "hold", holdout_of="train", label=LABEL, positive=1))
    assert outcome.findings == (), said(outcome)
    assert (measure(outcome, "data.split_leakage").value or 0) > 0.9


@pytest.mark.parametrize("role", ["id", "entity"])
def test_an_entity_on_both_sides_is_found(bench: Bench, role: str) -> None:
    train, holdout = payments(600, 1), payments(300, 2, first_id=595)
    name = split(bench, holdout, train, **{role: "payment_id", "drop": ["upload"]})
    found = finding(bench.ask(SPLIT, name), f"5 of 300 values of the {role} payment_id are also in train")
    assert str(found.severity) == "high"


def test_a_missing_id_is_nobody(bench: Bench) -> None:
    bench.table({"i": [1, None, 3], "a": [1, 2, 3]}, "train", id="i")
    outcome = bench.ask(SPLIT, bench.table({"i": [None, 7, 8], "a": [4, 5, 6]}, "hold", holdout_of="train", id="i"))
    assert outcome.findings == ()


def test_no_declared_origin_is_not_applicable_and_no_common_column_is_open(bench: Bench) -> None:
    bench.table({"a": [1, 2]}, "train")
    assert str(bench.ask(SPLIT, "train").status) == "not-applicable"
    outcome = bench.ask(SPLIT, bench.table({"b": [1, 2]}, "hold", holdout_of="train"))
    assert (str(outcome.status), "share no feature" in outcome.reason) == ("open", True)
    outcome = bench.ask(SPLIT, bench.table(b"a\n1\n2,3\n", "torn", holdout_of="train"))
    assert str(outcome.status) == "open"


def test_a_column_written_after_the_fact_is_found(bench: Bench) -> None:
    outcome = bench.ask(TARGET, bench.table(leak_target(payments(1500, 1), 1), **FACTS))
    found = finding(outcome, "chargeback_days alone gives the label away")
    assert (str(found.severity), str(found.confidence), len(outcome.findings)) == ("high", "high", 1)
    (picture,) = outcome.exhibits
    assert "95% intervals" in picture.subtitle, "the page's table says no level of its own"


def test_a_column_that_is_missing_only_where_the_answer_is_no_is_found(bench: Bench) -> None:
    table = payments(1500, 1)
    refund = [float(i % 97) if fraud else None for i, fraud in enumerate(table[LABEL])]
    outcome = bench.ask(TARGET, bench.table({**table, "refund": refund}, **FACTS))
    assert finding(outcome, "refund alone gives the label away").location.column == "refund"


def test_a_status_in_words_is_found(bench: Bench) -> None:
    table = payments(1500, 1)
    status = np.where(table[LABEL] == 1, "case opened", "closed")
    outcome = bench.ask(TARGET, bench.table({**table, "status": status}, **FACTS))
    assert finding(outcome, "status alone gives the label away")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_honest_columns_are_silent(bench: Bench, seed: int) -> None:
    outcome = bench.ask(TARGET, bench.table(payments(1500, seed), **FACTS), seed=seed)
    assert (str(outcome.status), outcome.findings) == ("pass", ())
    area = measure(outcome, "data.target_leakage")
    assert 0.5 < area.low < area.value < area.high < 1


def test_a_column_that_is_different_in_every_row_gives_nothing_away(bench: Bench) -> None:
    table = payments(1500, 1)
    name = [f"person {i}" for i in range(1500)]
    outcome = bench.ask(TARGET, bench.table({**table, "name": name}, **FACTS))
    assert outcome.findings == (), said(outcome)


def test_a_perfect_number_of_a_rare_class_is_found(bench: Bench) -> None:
    rng = np.random.default_rng(1)
    fraud = rng.permutation(np.arange(2000) < 20)
    table = {"a": rng.normal(size=2000), "paid_back": fraud * 20 + rng.normal(size=2000), LABEL: fraud.astype(int)}
    outcome = bench.ask(TARGET, bench.table(table, label=LABEL, positive=1))
    assert finding(outcome, "paid_back alone gives the label away").location.column == "paid_back"


def test_rows_too_few_for_even_a_perfect_column_are_open(bench: Bench) -> None:
    rng = np.random.default_rng(1)
    table = {"a": rng.normal(size=50), LABEL: (np.arange(50) < 25).astype(int)}
    outcome = bench.ask(TARGET, bench.table(table, label=LABEL, positive=1))
    assert str(outcome.status) == "open"
    assert "even a column without a mistake" in outcome.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"a,is_fraud\n1,0\n2,1\n", "fewer than 20 rows"), (b"a,is_fraud\n1,0\n2,0\n", "never occurs"), (b"", "empty")],
)
def test_too_little_to_judge_is_open(bench: Bench, content: bytes, reason: str) -> None:
    outcome = bench.ask(TARGET, bench.table(content, label=LABEL, positive=1))
    assert str(outcome.status) == "open"
    assert reason in outcome.reason


def test_a_table_of_nothing_but_a_label_is_open(bench: Bench) -> None:
    outcome = bench.ask(TARGET, bench.table({LABEL: [0, 1] * 40}, label=LABEL, positive=1))
    assert str(outcome.status) == "open"

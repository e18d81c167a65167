"""Groups of people: the draws that their shares and rates rest on, and intervals that cover."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("scipy")

from assay.detectors.groups import draws_of, gaps, groups  # noqa: E402


def shown(group, weight=None, entities=None, target=None) -> dict[str, Any]:
    """The groups of one column of categories, by name."""
    table = pa.table({"g": pa.array([str(value) for value in group])})
    data = SimpleNamespace(rows=len(group), table=table.select, column=lambda _: SimpleNamespace(kind="category"))
    weight = np.ones(len(group)) if weight is None else weight
    found = groups(data, ("g",), target, least=1, least_positives=0, weight=weight, entities=entities)
    return {one.name: one for one in found}


@pytest.mark.parametrize("clustered", [True, False])
def test_draws_of_a_share_and_of_a_rate_are_those_of_a_ratio(clustered: bool) -> None:
    """Beside the sum over all entities and groups, written out."""
    rng = np.random.default_rng(1)
    group, weight, target = rng.integers(0, 3, 600), rng.gamma(1.0, size=600), rng.random(600) < 0.4
    entities = rng.integers(100, 190, 600) if clustered else None
    found = shown(group, 1e9 * weight, entities, target)
    whose = np.arange(600) if entities is None else entities

    def worth(rate: float, numerator, denominator) -> float:
        errors = [(numerator - rate * denominator)[whose == one].sum() for one in set(whose.tolist())]
        return rate * (1 - rate) * denominator.sum() ** 2 / np.square(errors).sum()

    for value in range(3):
        mine = weight * (group == value)
        share = mine.sum() / weight.sum()
        assert found[str(value)].share[0] == pytest.approx(share)
        assert found[str(value)].draws == pytest.approx(worth(share, mine, weight))
        rate = (mine * target).sum() / mine.sum()
        kish = draws_of(mine, entities)
        low, high = found[str(value)].rate[1:]
        spread = 1.96 * math.sqrt(rate * (1 - rate) / min(kish, worth(rate, mine * target, mine)))
        assert high - low == pytest.approx(2 * spread, rel=0.06)


def test_rows_that_all_count_alike_are_their_number_and_one_group_is_all() -> None:
    found = shown([0] * 40 + [1] * 60)
    assert [round(found[name].draws, 6) for name in "01"] == [100, 100]
    one = shown([0] * 1000, np.random.default_rng(2).random(1000))["0"]
    assert one.share[0] == 1.0
    assert one.draws == pytest.approx(750, rel=0.05)


def covered(law: str, seeds: int = 300) -> float:
    """How often the interval of a rare group's share holds the true one."""
    held = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        if law == "weighted tenfold":
            group = rng.random(2000) < 0.05
            weight, whose, true = np.where(group, 10.0, 1.0), None, 0.5 / 1.45
        else:
            rare = rng.random(2000) < 0.05
            whose = np.repeat(np.arange(2000), 1 + rng.poisson(np.where(rare, 19, 1)))
            group, weight, true = rare[whose], np.ones(len(whose)), 1.0 / 2.9
        _, low, high = shown(group.astype(int), weight, whose)["1"].share
        held += low <= true <= high
    return held / seeds


@pytest.mark.parametrize("law", ["weighted tenfold", "twenty rows a person"])
def test_the_interval_of_a_rare_group_covers(law: str) -> None:
    """With one effective size for the whole table it held the true share in 84% and 86%."""
    assert 0.92 <= covered(law) <= 0.985


@pytest.mark.parametrize(("rows", "others"), [(200, 5000), (5000, 200)])
def test_the_intervals_of_thirty_ratios_hold_together(rows: int, others: int) -> None:
    """Every ratio is 1; counts go down to 0. On the log scale 87% of tables held them all."""
    law = 1 / np.arange(1, 31)
    law /= law.sum()
    held, seeds = 0, 200
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        mine, theirs = (rng.choice(np.arange(100, 130), n, p=law) for n in (rows, others))
        first, second = counted(mine), counted(theirs)
        found = gaps(first, second, float(rows))
        assert len(found) == len(set(theirs.tolist()))
        held += all(gap.low <= 1 <= gap.high for gap in found)
        assert all(0 <= gap.low <= gap.ratio <= gap.high for gap in found)
    assert held >= 0.92 * seeds


def counted(group) -> tuple[Any, ...]:
    """Groups with no smallest size: rare values are named here, to be counted."""
    base = shown(["a"] * 30)["a"]
    values, size = np.unique(group, return_counts=True)
    return tuple(
        type(base)(
            columns=("g",), name=str(value), rows=int(n), positives=None, rate=None, judged=True,
            share=(float(n / len(group)), 0.0, 1.0), draws=float(len(group)),
        )
        for value, n in zip(values, size, strict=True)
    )  # fmt: skip


def test_a_share_of_none_has_an_open_end() -> None:
    """0 over 0 may be anything; what the reference lacks may be any number of times as many."""
    empty = shown([0] * 50 + [1] * 50, np.array([0.0] * 50 + [1.0] * 50))
    full = shown([0] * 50 + [1] * 50)
    (other, nothing) = gaps(tuple(empty.values()), tuple(empty.values()), 50.0)
    assert (nothing.low, nothing.high, nothing.group.name) == (0.0, math.inf, "0")
    assert other.low <= 1 <= other.high
    more = next(g for g in gaps(tuple(full.values()), tuple(empty.values()), 100.0) if g.group.name == "0")
    assert more.low > 1
    assert (more.ratio, more.high) == (math.inf, math.inf)
    less = next(g for g in gaps(tuple(empty.values()), tuple(full.values()), 50.0) if g.group.name == "0")
    assert (less.low, less.ratio) == (0.0, 0.0)
    assert 0 < less.high < 0.3

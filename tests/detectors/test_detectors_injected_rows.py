"""Rows that break dependencies are found and counted; honest tables are silent; odd values are another score."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("scipy")
pytest.importorskip("lightgbm")

from assay.adapters.encode import Encoded  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.detectors.injected_rows import injected, mixed_share  # noqa: E402
from assay.detectors.odd_values import oddness  # noqa: E402


def table(seed: int, rows: int = 2000, width: int = 6):
    """Columns that follow two hidden ones."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 2)) @ rng.normal(size=(2, width)) + 0.2 * rng.normal(size=(rows, width)), rng


def as_encoded(matrix, categorical=()):
    return Encoded(matrix=matrix, names=tuple(f"c{i}" for i in range(matrix.shape[1])), categorical=categorical)


def plant(matrix, rng, share: float = 0.02):
    rows = rng.choice(len(matrix), round(share * len(matrix)), replace=False)
    out = matrix.copy()
    for j in range(matrix.shape[1]):
        out[rows, j] = matrix[rng.integers(0, len(matrix), len(rows)), j]
    return out, rows


def recall(score, rows) -> float:
    return float(np.isin(np.argsort(-score)[: len(rows)], rows).mean())


def test_rows_of_unrelated_values_rank_first_and_are_counted() -> None:
    matrix, rng = table(1)
    out, rows = plant(matrix, rng)
    found = injected(as_encoded(out), 0)
    assert recall(found.score, rows) >= 0.8
    assert recall(oddness(as_encoded(out)).score, rows) <= 0.2, "each value is ordinary"
    assert found.low <= 0.02 <= found.high
    assert found.low > 0.002
    assert found.power > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_a_clean_table_has_none(seed: int) -> None:
    found = injected(as_encoded(table(seed, 1500)[0]), seed)
    assert found.low <= 0.002
    assert found.share <= 0.005


def test_independent_columns_have_no_power() -> None:
    rng = np.random.default_rng(3)
    found = injected(as_encoded(rng.normal(size=(1500, 4))), 0)
    assert found.power < 0.2


def test_categories_missing_values_and_copies_are_taken() -> None:
    rng = np.random.default_rng(4)
    kind = rng.integers(0, 8, 1500)
    matrix = np.stack([kind, kind * 3 % 8, kind + rng.normal(size=1500), rng.integers(0, 900, 1500)], axis=1).astype(
        float
    )
    matrix[rng.random((1500, 4)) < 0.1] = np.nan
    matrix[:200] = matrix[0]
    found = injected(as_encoded(matrix, (0, 1, 3)), 0)
    assert np.isfinite(found.score).all()
    assert found.low <= 0.002


def test_one_seed_one_answer() -> None:
    encoded = as_encoded(table(5, 700)[0])
    assert (injected(encoded, 3).score == injected(encoded, 3).score).all()


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (np.zeros((499, 3)), "too few"),
        (np.zeros((600, 3)), "fewer than two columns vary"),
        (np.full((600, 3), np.nan), "fewer than two columns vary"),
        (np.empty((600, 0)), "fewer than two columns vary"),
        (np.stack([np.arange(600.0), np.zeros(600)], axis=1), "fewer than two columns vary"),
    ],
)
def test_what_cannot_be_learned_is_said(matrix, says: str) -> None:
    with pytest.raises(CouldNotLook, match=says):
        injected(as_encoded(matrix), 0)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05])
def test_the_interval_of_the_share_covers(share: float) -> None:
    """Scores of two normal laws far apart: the share is the planted one."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        real = rng.normal(size=4000) + 8 * (rng.random(4000) < share)
        _, low, high = mixed_share(real, 8 + rng.normal(size=4000))
        held += low <= share <= high
    assert held >= 180


def test_values_far_from_the_rest_are_far_and_long_tails_are_not() -> None:
    rng = np.random.default_rng(6)
    matrix = np.stack([rng.normal(size=1000), np.exp(2 * rng.normal(size=1000)), rng.integers(0, 3, 1000)], axis=1)
    clean = oddness(as_encoded(matrix, (2,)))
    assert not clean.far.any()
    matrix[7, 0], matrix[9, 1], matrix[11, 0] = 900.0, 1e9, np.inf
    found = oddness(as_encoded(matrix, (2,)))
    assert set(np.flatnonzero(found.far)) == {7, 9, 11}
    assert found.column[[7, 9, 11]].tolist() == [0, 1, 0]
    assert set(np.argsort(-found.score)[:3]) == {7, 9, 11}


def test_a_wrong_unit_is_far_where_the_range_is_known_and_nothing_is_beside_a_constant() -> None:
    """Ten other rows that differ from the commonest value tell a range, nine do not."""
    flag, fixed, known = np.zeros(4000), np.full(4000, 300.0), np.full(4000, 300.0)
    flag[:20] = 1.0
    fixed[10:19], known[10:20] = 301.0, 301.0
    fixed[7] = known[7] = known[9] = 3e5
    known[5] = 350.0
    odd = oddness(as_encoded(np.stack([flag, fixed, 4 * flag, known, -known], axis=1)))
    assert {place: rows.tolist() for place, rows in odd.places.items()} == {3: [7, 9], 4: [7, 9]}
    assert np.flatnonzero(odd.far).tolist() == [7, 9]


@pytest.mark.parametrize(("name", "most"), [("pareto", 8), ("cauchy", 8), ("seldom", 2), ("tail", 2)])
def test_heavy_tails_and_seldom_counts_are_hardly_ever_far(name: str, most: int) -> None:
    """Of a Pareto tail of index 1 the largest lies 100 ranges beyond with chance 1/101, however many rows there are."""
    laws = {
        "pareto": lambda rng, n: rng.pareto(1, n),
        "cauchy": lambda rng, n: rng.standard_cauchy(n),
        "seldom": lambda rng, n: np.where(rng.random(n) < 0.01, np.exp(2 * rng.normal(size=n)), 0),
        "tail": lambda rng, n: np.exp(1.5 * rng.normal(size=n)),
    }
    rng = np.random.default_rng(11)
    found = oddness(as_encoded(np.stack([laws[name](rng, 500) for _ in range(300)], axis=1)))
    assert len(found.places) <= most


def test_a_rare_level_is_odd_and_even_levels_are_not() -> None:
    levels = np.concatenate([np.repeat([0.0, 1.0, 2.0], 300), [3.0]])
    score = oddness(as_encoded(levels[:, None], (0,))).score
    assert score.argmax() == 900
    assert (oddness(as_encoded(np.arange(900.0)[:, None], (0,))).score == 0).all()


@pytest.mark.parametrize("values", [np.zeros(60), np.full(60, np.nan), np.full(60, 1e308), np.arange(3.0)])
def test_columns_that_say_nothing_are_not_odd(values) -> None:
    found = oddness(as_encoded(values[:, None]))
    assert np.isfinite(found.score).all()
    assert not found.far.any()


@pytest.mark.heavy
def test_five_thousand_columns_are_bounded() -> None:
    matrix = np.random.default_rng(1).integers(0, 9, (600, 5000)).astype(float)
    found = injected(as_encoded(matrix), 0)
    assert len(found.names) == 60
    assert not oddness(as_encoded(matrix)).far.any()

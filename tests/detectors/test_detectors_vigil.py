"""Looks without end: no false alarm beyond the level, a change is found, and no table counts twice."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from assay.core.profile import ColumnProfile, Profile
from assay.core.vigil import Vigil
from assay.detectors.vigil import begin, look, mean_capital

BINS = 8


def profile(rng: np.random.Generator, n: int, share: list[float] | None = None, columns: int = 3) -> Profile:
    made = tuple(
        ColumnProfile(
            name=f"c{i}", kind="number", edges=tuple(float(e) for e in range(1, BINS)),
            counts=tuple(int(c) for c in rng.multinomial(n, share or [1 / BINS] * BINS)),
        )
        for i in range(columns)
    )  # fmt: skip
    return Profile(rows=n, columns=made)


def kept(quiet: int, changed: int, seed: int, share: list[float] | None = None) -> Vigil:
    rng = np.random.default_rng(seed)
    vigil = begin(profile(rng, 2000), "sha256:1", 0.05)
    for number in range(quiet + changed):
        vigil = look(vigil, profile(rng, 150, share if number >= quiet else None), str(number), seed=seed)
    return vigil


def test_nothing_rings_while_nothing_changes() -> None:
    rang = sum(bool(v.rang or any(s.rang for s in v.stakes.values())) for v in (kept(40, 0, s) for s in range(40)))
    assert rang <= 5, "at most 2 are expected for ever; 6 and more come by chance once in 50,000"


@pytest.mark.parametrize("quiet", [0, 25])
def test_a_change_rings_and_stays_rung(quiet: int) -> None:
    share = [0.2, *([0.8 / (BINS - 1)] * (BINS - 1))]
    vigil = kept(quiet, 12, 3, share)
    assert quiet < vigil.rang <= quiet + 12
    calm = look(vigil, profile(np.random.default_rng(9), 150), "calm")
    assert calm.rang == vigil.rang


def test_a_table_counts_once() -> None:
    vigil = kept(3, 0, 1)
    assert look(vigil, profile(np.random.default_rng(0), 100), "2") == vigil
    assert vigil.pool.rows == 2000 + 3 * 150
    assert all(c.rows == vigil.pool.rows for c in vigil.pool.columns)


def test_the_state_survives_being_written_down() -> None:
    vigil = kept(4, 0, 2)
    again = msgspec.json.decode(msgspec.json.encode(vigil), type=Vigil)
    assert again == vigil
    rng = np.random.default_rng(5)
    batch = profile(rng, 100)
    assert look(again, batch, "next") == look(vigil, batch, "next")


def test_what_a_table_lacks_is_left_out() -> None:
    vigil = begin(profile(np.random.default_rng(0), 500), "d", 0.05)
    part = profile(np.random.default_rng(1), 100, columns=1)
    after = look(vigil, part, "x")
    assert set(after.stakes) == {"c0"}
    assert mean_capital(after.stakes, 3) > 0

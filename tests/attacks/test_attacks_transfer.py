"""Transfer: copies lead to changes that the real model lets pass, every query is counted, and refusals are clear."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("lightgbm")
pytest.importorskip("onnxruntime")

from attacks_tools import spaces  # noqa: E402
from networks_tools import names, served, space_of, weights  # noqa: E402

from assay.attacks.attacked import confirmed  # noqa: E402
from assay.attacks.gradient.attack import attack_gradient  # noqa: E402
from assay.attacks.transfer import attack_transfer  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Feature  # noqa: E402

LIMIT = 150


@pytest.mark.parametrize("norm", ["l2", "cost"])
def test_copies_come_near_what_gradients_find(norm: Any) -> None:
    model = served(weights(3, (6, 12, 1)))
    space, passing = space_of(model, 3, {n: Feature(min=-3.0, max=3.0) for n in names(6)}, rows=10)
    asked = model.queries
    found = attack_transfer(model, space, passing, norm, np.inf, limit=LIMIT, seed=1)
    assert model.queries - asked <= LIMIT * space.size
    assert model.queries - asked <= found.queries.sum()
    found = confirmed(model, space, found, norm)
    near = attack_gradient(model, space, passing, norm, np.inf).distance
    there = np.isfinite(found.distance)
    assert there.mean() >= 0.9
    assert (found.distance[there] / near[there]).mean() <= 1.6
    assert not found.bound.any()


@pytest.mark.parametrize("access", ["score", "label"])
def test_levels_grids_and_relations_hold(access: Any) -> None:
    model, space, passing = spaces(2, ("amount + hour < 15",))
    model.access = access
    found = confirmed(model, space, attack_transfer(model, space, passing, "cost", np.inf, limit=LIMIT), "cost")
    assert np.isfinite(found.distance).any()
    again = attack_transfer(model, space, passing, "cost", np.inf, limit=LIMIT)
    assert np.array_equal(again.distance, found.distance)


def test_too_few_answers_teach_nothing() -> None:
    model, space, passing = spaces(1)
    with pytest.raises(CouldNotLook, match="too few"):
        attack_transfer(model, space, passing, "cost", np.inf, limit=1)

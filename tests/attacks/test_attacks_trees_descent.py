"""Descents in cells: they end, whatever rounding says of a change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from assay.attacks.trees.descent import descend


@pytest.mark.parametrize("additive", [True, False], ids=["l1", "linf"])
def test_a_change_that_promises_what_it_never_gives_is_asked_once(additive: bool) -> None:
    """Leaves of 12,361 do not add up exactly: a sum by another way was less by a rounding, in the same place, for
    ever."""
    asked: list[list[int]] = []

    def sweep(point: Any) -> tuple[float, Any]:
        asked.append(point.tolist())
        assert len(asked) < 10, "it goes on for ever"
        margin = 7218.8 - float(point[0])
        return margin, np.array([7218.8, 7218.8 - 1 - 1e-9])

    problem = SimpleNamespace(
        flat=np.array([0.0, 0.5]), axis_of=np.array([0, 0]), offset=np.array([0, 2]), additive=additive,
        cost=lambda point: 0.5 * float(point[0]), sweep=sweep,
    )  # fmt: skip
    margin, point = descend(problem, np.array([0]), 0.0, 1.0)  # type: ignore[arg-type]
    assert (margin, point.tolist(), asked) == (7217.8, [1], [[0], [1], [1]])

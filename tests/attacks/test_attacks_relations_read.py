"""A relation with a column that no model reads must not hold an input for bound, unseen."""

from __future__ import annotations

import pytest

pytest.importorskip("numpy")
pytest.importorskip("pyarrow")

from assay.attacks.relations import require_read
from assay.core.errors import CouldNotLook
from assay.core.subject import Contract, Feature

READ = ("a", "b")


def contract(text: str, **features: Feature) -> Contract:
    return Contract(features={"a": Feature(), "b": Feature(mutable=False), **features}, constraints=(text,))


@pytest.mark.parametrize("unread", [None, Feature(), Feature(min=3), Feature(min=3, max=4)], ids=str)
def test_an_input_that_moves_is_not_bound_to_what_moves_unread(unread: Feature | None) -> None:
    with pytest.raises(CouldNotLook, match="binds a to total, which the model does not read and may be changed too"):
        require_read(contract("a <= total", **({"total": unread} if unread else {})), READ, "y")


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("a <= total", Feature(mutable=False)),
        ("a <= total", Feature(min=3, max=3)),
        ("total == 0 or b > 1", Feature()),
        ("y == 0 or a <= 10", Feature()),
        ("a <= b", Feature()),
    ],
)
def test_what_cannot_move_or_binds_nothing_is_left_alone(text: str, unread: Feature) -> None:
    require_read(contract(text, total=unread), READ, "y")
    with pytest.raises(CouldNotLook, match="binds a to y"):
        require_read(contract("y == 0 or a <= 10"), READ)

"""One share of the whole: parts that follow each other, or begin again, never take it back."""

from __future__ import annotations

from assay.core.progress import Onward


def test_a_share_never_falls_and_parts_are_cut_to_their_place() -> None:
    told: list[tuple[float, float, str]] = []
    bar = Onward(lambda done, total, what="": told.append((done, total, what)))
    bar.part(0.0, 0.5, "first")
    bar(3, 4, "rows")
    bar(1, 4, "queries")
    bar.part(0.5, 1.0)
    bar(2, 4, "rows")
    bar(9, 4)
    bar(1, 0)
    assert told == [
        (0.0, 1.0, "first"), (0.375, 1.0, "first"), (0.375, 1.0, "first"),
        (0.5, 1.0, ""), (0.75, 1.0, "rows"), (1.0, 1.0, ""), (1.0, 1.0, ""),
    ]  # fmt: skip

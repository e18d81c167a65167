"""A check's long work in parts: which part is done here, and what was made of the others."""

from __future__ import annotations

import msgspec

ROWS_A_PART = 100


class Piece(msgspec.Struct, frozen=True):
    """What one part made, as bytes; they hold values, so they stay out of outcomes and evidence."""

    data: bytes


class Share(msgspec.Struct, frozen=True):
    """Which part of the work to do: all of it (`part` None), or the one of that number, from 0, and nothing else.

    `done` are the pieces of all parts, in order, where others have done the work; a text says why there is none.
    """

    part: int | None = None
    done: tuple[Piece | str, ...] = ()


WHOLE = Share()


def parts_of(rows: int) -> int:
    """Into how many parts the work on so many rows is cut: never by how many workers there are, so that the answer is
    the same for any number."""
    return max(1, -(-rows // ROWS_A_PART))

"""What a watch remembers between looks: counts of all rows so far, and the capital that bets on each column."""

from __future__ import annotations

import msgspec

from assay.core.canonical import SCHEMA, Schema
from assay.core.profile import Profile

MAX_LOOKS = 10_000


class Stake(msgspec.Struct, frozen=True):
    """What is held on one column: the betters' shares, the most there ever was, bets so far, and the look (from 1) at
    which it rang, 0 before."""

    shares: tuple[float, ...]
    highest: float = 1.0
    bets: int = 0
    rang: int = 0


class Vigil(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a watch that goes on: `reference` is the digest of what it compares with, `pool` all rows so far
    with the reference's, `looks` the digests of the tables already counted, in order; `alpha` the level it keeps for
    ever. `rang` is the look at which the mean of all columns rang, 0 before."""

    schema: Schema = SCHEMA
    reference: str
    alpha: float
    pool: Profile
    looks: tuple[str, ...] = ()
    stakes: dict[str, Stake] = {}
    rang: int = 0

"""What a watch remembers between looks: counts of all rows so far, and the capital that bets on each column."""

from __future__ import annotations

import msgspec

from assay.core.canonical import SCHEMA, Schema
from assay.core.profile import Profile

MAX_LOOKS = 10_000


class Stake(msgspec.Struct, frozen=True):
    """What is held on one column: the betters' shares, the most there ever was, bets so far, the look (from 1) at which
    it rang, 0 before, and the look at which that was first an alarm: of at least the least effect that counts. None is
    a state of before that was kept apart."""

    shares: tuple[float, ...]
    highest: float = 1.0
    bets: int = 0
    rang: int = 0
    told: int | None = None

    @property
    def alarm(self) -> int:
        """The look at which it was first an alarm, 0 before."""
        return self.rang if self.told is None else self.told


class Vigil(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a watch that goes on: `reference` is the digest of what it compares with, `pool` all rows so far
    with the reference's, `looks` the digests of the tables already counted, in order; `alpha` the level it keeps for
    ever. `rang` is the look at which the mean of all columns rang, 0 before, and `told` that at which it was first an
    alarm (see Stake)."""

    schema: Schema = SCHEMA
    reference: str
    alpha: float
    pool: Profile
    looks: tuple[str, ...] = ()
    stakes: dict[str, Stake] = {}
    rang: int = 0
    told: int | None = None

    @property
    def alarm(self) -> int:
        """The look at which all columns together were first an alarm, 0 before."""
        return self.rang if self.told is None else self.told

    @property
    def looked(self) -> int:
        """How many looks there were; the digests of the oldest are forgotten, bets are not."""
        return max(len(self.looks), *(s.bets for s in self.stakes.values()), 0)

    def look_of(self, digest: str) -> int:
        """The number of the look that counted a table, from 1; the next one's for a table not counted yet."""
        if digest not in self.looks:
            return self.looked + 1
        return self.looks.index(digest) + 1 + self.looked - len(self.looks)

"""A table as counts in fixed bins: what a reference remembers of its data, a few kilobytes a column, no rows.

The bins are fixed by the reference, so that every count is a whole number: counts of parts of a table add up exactly to
those of the whole, whichever engine counted which part.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from assay.core.canonical import SCHEMA, Schema
from assay.core.finding import Json

BUCKETS = 64
"""Buckets of a column with too many different values to list: by the first two hexadecimal digits of a value's MD5."""

ProfileKind = Literal["number", "time", "category", "hashed"]


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column. Of a number or a time bin i holds what is above edges[i − 1] and at most edges[i]; times are in
    microseconds since 1970, UTC. Of a category bin i holds labels[i]; `other` are values of none of the labels.

    `nulls` are missing values, `nans` numbers that are none, `unread` what could not be read as what the column is.
    `new` names values of none of the labels, where they were asked for.
    """

    name: str
    kind: ProfileKind
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    other: int = 0
    nulls: int = 0
    nans: int = 0
    unread: int = 0
    new: dict[str, int] = {}

    @property
    def bins(self) -> int:
        """How many bins there are, whatever was counted."""
        return {"number": len(self.edges) + 1, "time": len(self.edges) + 1, "category": len(self.labels)}.get(
            self.kind, BUCKETS
        )

    @property
    def rows(self) -> int:
        """All rows that were counted, the missing ones too."""
        return sum(self.counts) + self.other + self.nulls + self.nans + self.unread

    def emptied(self) -> ColumnProfile:
        """The same bins with nothing in them."""
        return ColumnProfile(
            name=self.name, kind=self.kind, edges=self.edges, labels=self.labels, counts=(0,) * self.bins
        )

    def plus(self, other: ColumnProfile) -> ColumnProfile:
        """The counts of both. Raises ValueError where the bins differ."""
        if (self.name, self.kind, self.edges, self.labels) != (other.name, other.kind, other.edges, other.labels):
            raise ValueError(f"column {self.name!r} was counted in other bins")
        new = {key: self.new.get(key, 0) + other.new.get(key, 0) for key in {**self.new, **other.new}}
        return replace(
            self,
            counts=tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            other=self.other + other.other,
            nulls=self.nulls + other.nulls,
            nans=self.nans + other.nans,
            unread=self.unread + other.unread,
            new=new,
        )


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A table: its rows and columns. `missing` are columns of the reference that it lacks, `added` those it has beside.

    `changed` says of a column what it holds now instead of what it held, such as text for numbers.
    """

    schema: Schema = SCHEMA
    rows: int
    columns: tuple[ColumnProfile, ...]
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    changed: dict[str, str] = {}

    def column(self, name: str) -> ColumnProfile | None:
        """The column of that name."""
        return next((c for c in self.columns if c.name == name), None)

    def plus(self, other: Profile) -> Profile:
        """The counts of both tables, in bins that must be the same. Raises ValueError where they are not."""
        if tuple(c.name for c in self.columns) != tuple(c.name for c in other.columns):
            raise ValueError("the tables have other columns")
        added = tuple(a.plus(b) for a, b in zip(self.columns, other.columns, strict=True))
        return replace(self, rows=self.rows + other.rows, columns=added)


class Scored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often a score came with the positive label: bin i holds scores from edges[i − 1] on and below edges[i].

    `rows` and `positives` are counts per bin; `threshold`, one of the edges, is where the model says yes.
    """

    edges: tuple[float, ...]
    rows: tuple[int, ...]
    positives: tuple[int, ...]
    threshold: float

    def flagged(self) -> int:
        """The first bin in which the model says yes."""
        return self.edges.index(self.threshold) + 1


class Marks(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is usual of a reference's rows where somebody's hand would show, from a sample of them.

    Each of `near` are four scores around the threshold (the third), equally far apart, and `held` the rows of the
    sample between them. `copies` is the share of rows that are nearly the same as four others and more, among so many.
    """

    rows: int
    near: tuple[tuple[float, ...], ...] = ()
    held: tuple[tuple[int, ...], ...] = ()
    copies: dict[str, float] = {}


class Reference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What later rows are compared with, as it is saved: a profile, and the facts that were told of the table."""

    schema: Schema = SCHEMA
    profile: Profile
    facts: dict[str, Json] = {}
    scored: Scored | None = None
    marks: Marks | None = None

"""The state of a watch that goes on: read and judged, held by one run at a time, written back whole."""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from assay.adapters.traffic import encode_reference, read_vigil
from assay.core.canonical import digest_bytes
from assay.core.errors import InputError, UsageError, os_words
from assay.core.files import write_whole
from assay.core.profile import Profile, Reference
from assay.core.text import visible
from assay.core.vigil import MAX_LOOKS, Vigil
from assay.detectors.vigil import begin
from assay.stats.betting import EXPONENTS

_OTHER = "give the reference that it began with (save it with --save-reference), or begin another state"


@contextmanager
def held(state: Path | None) -> Iterator[None]:
    """While one run looks, others that keep the same state wait: else one of two looks at once would be lost.

    The lock is an empty file beside the state. Raises InputError where it cannot be made.
    """
    if state is None:
        yield
        return
    try:
        descriptor = os.open(state.with_name(f".{state.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        what = f"cannot be kept: {os_words(error)}"
        raise InputError(what, where=str(state), fix="choose a writable folder") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def load(state: Path, before: Reference, alpha: float) -> Vigil:
    """The state so far, or a new one. Raises UsageError where it belongs to another reference or level, InputError for
    one that contradicts itself or the reference."""
    digest = digest_bytes(encode_reference(replace(before, marks=None)))
    found = read_vigil(state)
    if found is None:
        return begin(before.profile, digest, alpha)
    if found.reference != digest:
        raise UsageError("belongs to another reference", where=str(state), fix=_OTHER)
    if found.alpha != alpha:
        raise UsageError(f"keeps a level of {found.alpha:g}", where=str(state), fix=f"give --alpha {found.alpha:g}")
    why = _contradiction(found, before.profile)
    if why:
        fix = "restore it from a copy; without it the level starts anew"
        raise InputError(f"is no state of this watch: {why}", where=str(state), fix=fix)
    return found


def save(state: Path, vigil: Vigil) -> None:
    """Write the state whole or not at all. Raises InputError."""
    write_whole(state, msgspec.json.encode(vigil) + b"\n")


def _contradiction(found: Vigil, reference: Profile) -> str:
    """What in a state does not fit the reference that it grew from, "" where all does.

    Its pool has the reference's columns and bins and at least its rows; its stakes are on columns of the pool, and no
    better holds less than nothing.
    """
    pool = {c.name: c for c in found.pool.columns}
    if tuple(pool) != tuple(c.name for c in reference.columns) or len(pool) != len(found.pool.columns):
        return "its columns are others"
    if found.pool.rows < reference.rows or (found.looks and found.pool.rows == reference.rows):
        return "it holds fewer rows than it must"
    for before in reference.columns:
        now = pool[before.name]
        if (before.kind, before.edges, before.labels, before.bins) != (
            now.kind,
            now.edges,
            now.labels,
            len(now.counts),
        ):
            return f"column {visible(before.name, 60)} has other bins"
        parts = zip(
            (*before.counts, before.other, before.nulls, before.nans, before.unread),
            (*now.counts, now.other, now.nulls, now.nans, now.unread),
            strict=True,
        )
        if any(a > b for a, b in parts) or now.rows > found.pool.rows:
            return f"column {visible(before.name, 60)} holds fewer rows than it must"
        if (now.rows > before.rows) != (before.name in found.stakes):
            return "its stakes are on other columns"
    if set(found.stakes) - set(pool):
        return "its stakes are on other columns"
    if not 0 <= found.alarm <= found.looked or not 0 <= found.rang <= found.looked:
        return "it rang at a look that never was"
    most = len(found.looks) if len(found.looks) < MAX_LOOKS else math.inf
    for stake in found.stakes.values():
        numbers = (*stake.shares, stake.highest)
        bad = (
            not all(math.isfinite(v) and v >= 0 for v in numbers) or stake.highest < max(1.0, sum(stake.shares)) - 1e-6
        )
        if (
            bad
            or len(stake.shares) != len(EXPONENTS)
            or not 0 <= stake.rang <= found.looked
            or not (stake.alarm == 0 or 0 < stake.rang <= stake.alarm <= found.looked)
            or not 0 < stake.bets <= most
        ):
            return "its stakes are none"
    return ""

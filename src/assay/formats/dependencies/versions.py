"""Whether a version lies in what an OSV record calls affected, by PEP 440's order.

Source: OSV schema 1.7, "affected[].ranges and versions: evaluation"; PEP 440.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from packaging.version import Version

ORDERED = frozenset({"ECOSYSTEM", "SEMVER"})
"""Kinds of range whose events are versions; GIT ranges hold commits."""


class Range(msgspec.Struct, frozen=True):
    """Versions from `introduced` on, up to `fixed` (not it) or `last_affected` (it too), as events."""

    type: str = "ECOSYSTEM"
    events: tuple[dict[str, str], ...] = ()


@functools.lru_cache(maxsize=16_384)
def parsed(text: str) -> Version | None:
    """A PEP 440 version, or None for what is none."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion:
        return None


def affected(version: str, ranges: tuple[Range, ...], listed: tuple[str, ...]) -> bool | None:
    """Whether the version is affected; None where that cannot be told.

    A local label (`2.1.0+cu118`) says how it was built: the public version counts. Where a record lists versions, the
    list decides for a version that is on it; ranges decide for every other.
    """
    own = parsed(version)
    public = own and parsed(own.public)
    if version in listed or (public is not None and any(parsed(v) == public for v in listed)):
        return True
    ordered = [r for r in ranges if r.type in ORDERED]
    if not ordered:
        return False if listed and public is not None else None
    if public is None:
        return None
    told = [_inside(public, item.events) for item in ordered]
    if any(told):
        return True
    return None if None in told and not listed else False


def _inside(version: Version, events: tuple[dict[str, str], ...]) -> bool | None:
    """OSV's evaluation of one range: events in order of their versions, the last one that applies decides.

    Of two events at one version `last_affected` comes last; others stay as written.
    """
    ordered: list[tuple[bool, Version, bool, str]] = []
    for event in events:
        for kind, text in event.items():
            if kind not in ("introduced", "fixed", "last_affected"):
                continue  # `limit` bounds the walk over commits
            first = kind == "introduced" and text == "0"
            at = parsed(text)
            if at is None:
                return None
            ordered.append((not first, at, kind == "last_affected", kind))
    if not any(kind == "introduced" for *_, kind in ordered):
        return None
    inside = False
    for later, at, _, kind in sorted(ordered, key=lambda event: event[:3]):
        if kind == "introduced" and (not later or version >= at):
            inside = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            inside = False
    return inside

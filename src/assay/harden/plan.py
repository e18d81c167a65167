"""Which row gets which action and why, from the rows that checks point at."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from assay.core.suspects import Suspects
from assay.harden.patch import ACTIONS, Action, Change

Choice = Literal["auto", "remove", "relabel", "down-weight"]
# What is done with a row that a check flags; a check that is not named only makes a row suspicious. A label can be put
# right, and a row that was made, or made to carry a trigger, is no observation at all. Exact copies that flood a table
# say nothing more than the first of them; near-copies also come by nature.
BY_CHECK: dict[str, Action] = {
    "data.duplicates": "remove",
    "data.injected-rows": "remove",
    "data.label-flips": "relabel",
    "data.near-duplicates": "down-weight",
    "data.odd-values": "down-weight",
    "data.text-triggers": "remove",
    "data.triggers": "remove",
}
COPIES = frozenset({"data.duplicates", "data.near-duplicates"})
DOUBTED = 0.9
"""A label is changed where a model that saw no flagged row gives the other class at least this probability."""
_TWIN = re.compile(r"\brow (\d{1,15})\b")


class Why(msgspec.Struct, frozen=True):
    """That a check points at a row: its words and its score."""

    check: str
    reason: str
    score: float


class Labels(msgspec.Struct, frozen=True):
    """What relabelling needs: each row's class, whether the other class is one value, and a row that has each class.

    `doubt` is, by row, the probability that a model without flagged rows gives to the other class.
    """

    target: Any
    certain: Mapping[bool, bool]
    donor: Mapping[bool, int]
    doubt: Mapping[int, float] = {}


def pointed_at(found: Sequence[Suspects], strongest: Mapping[str, int] | None = None) -> dict[int, list[Why]]:
    """By row, which checks flag it and why; of checks in `strongest` that many rows with the highest scores too."""
    out: dict[int, list[Why]] = {}
    for item in found:
        order = sorted(range(len(item.rows)), key=lambda i: (-item.scores[i], item.rows[i]))
        asked = set(order[: (strongest or {}).get(item.check, 0)])
        seen: set[int] = set()
        for i in order:
            row = item.rows[i]
            if row in seen or not (item.flagged[i] or i in asked):
                continue
            seen.add(row)
            reason = item.reasons[i] if item.flagged[i] and item.reasons[i] else ""
            words = reason or (f"among the {len(asked)} strongest, as asked" if i in asked else "flagged")
            out.setdefault(row, []).append(Why(item.check, words, item.scores[i]))
    return out


def planned(
    by_row: Mapping[int, Sequence[Why]], choice: Choice, labels: Labels | None, sure: frozenset[tuple[str, int]]
) -> tuple[Change, ...]:
    """A change for each row, by row: the strongest action of the checks that point at it, with all their reasons.

    `sure` are the (check, row) that the check itself flags; a row that was only asked for is down-weighted by `auto`.
    """
    kept = kept_copies(by_row)
    changes = []
    for row in sorted(by_row):
        whys = sorted((w for w in by_row[row] if (w.check, row) not in kept), key=lambda w: w.check)
        if not whys:
            continue
        actions = [_action(w.check, row, choice, labels, sure) for w in whys]
        changes.append(
            Change(
                row=row,
                action=max(actions, key=ACTIONS.index),
                checks=tuple(w.check for w in whys),
                reasons=tuple(w.reason for w in whys),
                scores=tuple(round(w.score, 6) if math.isfinite(w.score) else None for w in whys),
                doubt=round(labels.doubt[row], 6) if labels is not None and row in labels.doubt else None,
            )
        )
    return tuple(changes)


def _action(check: str, row: int, choice: Choice, labels: Labels | None, sure: frozenset[tuple[str, int]]) -> Action:
    wanted: Action = BY_CHECK.get(check, "down-weight") if choice == "auto" else choice
    if choice == "auto" and (check, row) not in sure:
        wanted = "down-weight"
    if wanted != "relabel":
        return wanted
    known = labels is not None and labels.certain[not bool(labels.target[row])]
    strong = labels is not None and (choice == "relabel" or labels.doubt.get(row, 0.0) >= DOUBTED)
    return "relabel" if known and strong and check == "data.label-flips" else "down-weight"


def kept_copies(by_row: Mapping[int, Sequence[Why]]) -> frozenset[tuple[str, int]]:
    """(check, row) of the first row of each group of copies: one of each stays, for something of it did happen."""
    kept = set()
    for check in COPIES:
        twins = {
            row: int(match[1])
            for row, whys in by_row.items()
            for why in whys
            if why.check == check and (match := _TWIN.search(why.reason))
        }
        root: dict[int, int] = {}

        def top(row: int, root: dict[int, int] = root) -> int:
            while root.setdefault(row, row) != row:
                root[row] = root[root[row]]
                row = root[row]
            return row

        for row, twin in twins.items():
            first, last = sorted((top(row), top(twin)))
            root[last] = first
        kept |= {(check, row) for row in twins if top(row) == row}
    return frozenset(kept)


def renumbered(found: Sequence[Suspects], rows: Any) -> list[Suspects]:
    """Suspects of a table that holds some rows of another, in the other's numbering; `rows` are their numbers there."""

    def there(reason: str) -> str:
        return _TWIN.sub(lambda m: f"row {int(rows[int(m[1])])}" if int(m[1]) < len(rows) else m[0], reason)

    return [
        Suspects(
            check=item.check,
            rows=tuple(int(rows[row]) for row in item.rows),
            scores=item.scores,
            flagged=item.flagged,
            reasons=tuple(there(r) for r in item.reasons) if item.check in COPIES else item.reasons,
        )
        for item in found
    ]

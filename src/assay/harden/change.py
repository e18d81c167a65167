"""The values that a change writes: the other class's spelling, the new weight; and what speaks for another label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from assay.adapters.weights import weights_of
from assay.core.errors import CouldNotLook
from assay.core.protocols import Progress
from assay.harden.before_after import Training, learned
from assay.harden.patch import Change
from assay.harden.plan import Labels, Why

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset
    from assay.harden.patched import Whole

WEIGHT = "assay_weight"
FLIPS = "data.label-flips"


def labels_of(data: Dataset, by_row: Mapping[int, Sequence[Why]], aside: Any, seed: int, progress: Progress) -> Labels:
    """What relabelling needs to know. Doubt is judged for rows of data.label-flips by trees that saw no flagged row."""
    target = data.target()
    encoded = data.table((data.label,)).column(0).combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    classes = {c: target == c for c in (False, True)}
    donor = {c: int(np.argmax(mine)) for c, mine in classes.items()}
    certain = {c: len(np.unique(codes[mine])) == 1 for c, mine in classes.items()}
    asked = np.array(sorted(r for r, whys in by_row.items() if any(w.check == FLIPS for w in whys)), dtype=int)
    doubt: dict[int, float] = {}
    if len(asked):
        learn = np.ones(data.rows, dtype=bool)
        learn[list(by_row)] = False
        learn[aside] = False
        rows = np.flatnonzero(learn)
        try:
            matrix = data.encoded()
            training = Training(rows, target[rows], weights_of(data)[rows])
            said = learned(matrix, training, matrix.matrix[asked], seed, progress)
            other = np.where(target[asked], 1 - said, said)
            doubt = dict(zip(asked.tolist(), other.tolist(), strict=True))
        except CouldNotLook:
            doubt = {}  # nothing speaks for the other class, so that no label is changed by `auto`
    return Labels(target, certain, donor, doubt)


def with_values(
    changes: tuple[Change, ...], whole: Whole, data: Dataset, labels: Labels | None, down_to: float
) -> tuple[tuple[Change, ...], str, bool]:
    """(the changes with old and new labels and weights, the column of weights in the result, whether it is new)."""
    lighter = any(c.action == "down-weight" for c in changes)
    weights = weights_of(data) if lighter else None
    added = lighter and not data.weight
    weight = (data.weight or _free(whole.names)) if lighter else ""
    other: dict[bool, str] = {}
    if labels is not None and any(c.action == "relabel" for c in changes):
        other = {c: whole.text(row, data.label) for c, row in labels.donor.items()}
    out = []
    for change in changes:
        if change.action == "relabel" and labels is not None:
            old = whole.text(change.row, data.label)
            change = replace(change, old_label=old, new_label=other[not bool(labels.target[change.row])])
        elif change.action == "down-weight" and weights is not None:
            before = None if added else whole.text(change.row, data.weight)
            change = replace(change, old_weight=before, new_weight=float(weights[change.row] * down_to))
        out.append(change)
    return tuple(out), weight, added


def _free(names: tuple[str, ...]) -> str:
    """A name for the column of weights that no column has, in any case of its letters."""
    there = {n.casefold() for n in names}
    name, number = WEIGHT, 1
    while name in there:
        number += 1
        name = f"{WEIGHT}_{number}"
    return name

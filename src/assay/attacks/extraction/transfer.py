"""Evasion through a copy: changes are searched on the copy alone and then shown to the victim once."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from assay.attacks.extraction.surrogate import Copied
from assay.attacks.one_hot import Fold
from assay.attacks.priced.search import attack
from assay.attacks.space import Space
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor
from assay.core.subject import Contract

ROWS, QUERIES = 60, 150
LEAST = 5


class Transferred(msgspec.Struct, frozen=True):
    """Of `tried` rows that copy and victim flag, `found` evade the copy, and `evaded` of these the victim too."""

    tried: int
    found: int
    evaded: int


def undeclared(inputs: tuple[str, ...], contract: Contract) -> str:
    """Why transfer cannot be asked: what the feature contract lacks; "" where it can."""
    lacks = [n for n in inputs if n not in contract.columns]
    if lacks:
        return f"`features:` says nothing of {len(lacks)} of {len(inputs)} inputs"
    if not any(contract.columns[n].mutable for n in inputs):
        return "the contract lets an attacker change no input"
    return ""


def transfer(
    victim: Predictor, copy: Copied, flagged: ArrowTable, known: ArrowTable, contract: Contract,
    kinds: Mapping[str, str], seed: int,
) -> Transferred:  # fmt: skip
    """Search the cheapest permitted evasion of the copy for rows that the victim flags, without asking the victim.

    `known` are the attacker's own rows: those that the copy lets pass lend their values. Raises CouldNotLook where the
    contract cannot be searched.
    """
    fold = Fold(contract, known)
    rows = fold.told(flagged.filter(np.asarray(copy.flagged(flagged)))).slice(0, ROWS)
    passing = fold.told(known.filter(~np.asarray(copy.flagged(known)))).slice(0, 500)
    if rows.num_rows < LEAST or passing.num_rows < LEAST:
        raise CouldNotLook(f"the copy flags {rows.num_rows} of the rows that the victim flags: too few to evade from")
    space = Space(rows, fold.contract, fold.table(known), fold.kinds(kinds), fold.names(victim.features))
    found = attack(fold.model(copy), space, passing, access="score", limit=QUERIES, seed=seed)
    ids = np.flatnonzero(np.isfinite(found.cost))
    if not len(ids):
        return Transferred(rows.num_rows, 0, 0)
    evades = ~np.asarray(victim.flagged(fold.unfolded(space.build(ids, found.choice[ids]))), dtype=bool)
    return Transferred(rows.num_rows, len(ids), int(evades.sum()))

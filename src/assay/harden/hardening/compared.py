"""What hardening against membership and against theft share: the parts, the operating point, and how it ends."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from assay.adapters.predictor_base import BasePredictor
from assay.adapters.tables import Dataset
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable
from assay.core.protocols import FloatArray as Array
from assay.harden.hardening.chosen import ORIGINAL, refuse_constant
from assay.harden.hardening.measured import Split, drawn_thresholds, kept, rate, split, threshold_at
from assay.harden.hardening.outputs import graded, limit_of, set_limit
from assay.harden.hardening.result import Measured, Rate, Role
from assay.harden.hardening.workshop import Made, Workshop


class Terms(NamedTuple):
    """How candidates are compared: the share of false alarms, how much clean recall may be lost (`margin`), and for
    membership the reference models, for theft the questions of a copy and how many copies are made of each."""

    alarms: float = 0.01
    margin: float = 0.01
    seed: int = 0
    only: tuple[str, ...] = ()
    references: int = 4
    queries: int = 1000
    runs: int = 5


class Part(NamedTuple):
    """Rows of the holdout with their numbers in it, class and draw."""

    table: ArrowTable
    rows: Array
    target: Array
    group: Array


class Candidate(NamedTuple):
    """What was made by a way, and the thresholds that other rows would have set."""

    name: str
    role: Role
    said: str
    made: Made
    drawn: Array

    @property
    def model(self) -> BasePredictor:
        """What answers."""
        return self.made.predictor


def pieces(shop: Workshop, holdout: Dataset, terms: Terms) -> tuple[Part, Part, Part]:
    """The parts of the holdout that set thresholds, choose, and confirm. Raises CouldNotLook where any is too small,
    and for a model without an operating point."""
    from assay.detectors.rows import draws

    if shop.model.access == "label":
        raise CouldNotLook(f"{shop.subject.uri}: tells decisions only, so that no false-alarm rate can be set")
    target = np.asarray(holdout.target(), dtype=bool)
    group, table = draws(holdout, shop.model.features), holdout.table()
    parts: Split = split(target, group, terms.seed, terms.alarms)
    first, second, third = (Part(table.take(rows), rows, target[rows], group[rows]) for rows in parts)
    refuse_constant(shop.model, first.table)
    return first, second, third


def set_up(name: str, role: Role, said: str, made: Made, part: Part, terms: Terms) -> Candidate:
    """A candidate whose threshold lets `terms.alarms` of the negative rows of a part through, at most."""
    negative = ~part.target
    scores = graded(made.predictor, part.table.filter(negative))
    set_limit(made.predictor, threshold_at(scores, terms.alarms))
    drawn = drawn_thresholds(scores, part.group[negative], terms.alarms, terms.seed)
    return Candidate(name, role, said, made, drawn)


def clean_figures(one: Candidate, part: Part) -> dict[str, Any]:
    """Recall and false alarms on a part, and who it is, as `Measured` names them."""
    flags = graded(one.model, part.table) >= limit_of(one.model)
    return {
        "name": one.name, "role": one.role, "said": one.said, "threshold": one.model.threshold,
        "clean": rate(flags[part.target], part.group[part.target]),
        "alarms": rate(flags[~part.target], part.group[~part.target]),
    }  # fmt: skip


def clean_kept(option: Candidate, other: Candidate, part: Part) -> Rate:
    """Clean recall of an option less another candidate's, on the same rows."""
    told = []
    for one in (option, other):
        scores = graded(one.model, part.table)
        told.append((scores, scores >= limit_of(one.model)))
    return kept(part.target, part.group, told[0], told[1], (option.drawn, other.drawn))


def unmeasured(name: str, role: Role, said: str, why: CouldNotLook) -> Measured:
    """A candidate of which nothing is known, and why. Raises `why` where it is the original's."""
    if name == ORIGINAL:
        raise why
    return Measured(name=name, role=role, said=said, why=str(why))


def closed(candidates: list[Candidate], chosen: str) -> None:
    """Let go of all but the original and the chosen one; controls may be the original itself."""
    first = next(c.model for c in candidates if c.name == ORIGINAL)
    for one in candidates:
        if one.name != chosen and one.model is not first:
            one.model.close()


def counts(parts: tuple[Part, Part, Part]) -> dict[str, int]:
    """How many rows set thresholds, chose, and confirmed."""
    return {f"{n}_rows": len(p.rows) for n, p in zip(("calibrate", "choose", "confirm"), parts, strict=True)}

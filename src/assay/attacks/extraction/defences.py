"""What rounded scores, decisions only and a limit on queries buy: the attacker who does best, against each of them."""

from __future__ import annotations

import msgspec

from assay.attacks.extraction.curves import SOLVER, Curves, Judged, Point, Told, curves
from assay.attacks.extraction.schema import Schema
from assay.attacks.extraction.victim import LABEL, ONE, TWO
from assay.core.protocols import Predictor

LIMITED = 5_000


class Defence(msgspec.Struct, frozen=True):
    """What the victim tells, and the point that the attacker reaches against it."""

    name: str
    point: Point


def defences(
    predictor: Predictor, schema: Schema, judged: Judged, found: Curves, sizes: tuple[int, ...], seed: int,
    told: Told = lambda _: None,
) -> tuple[Defence, ...]:  # fmt: skip
    """The learning attacker that did best at the number of queries nearest to 5,000, against each defence.

    `found` are the curves at `sizes` without any defence, from which the limits are read; rounded scores and decisions
    only are attacked anew, in one run, and not where the victim tells decisions only. What was solved is beside them.
    """
    learned = [p for p in found.points if p.attacker != SOLVER]
    at = min(sizes, key=lambda s: abs(s - LIMITED))
    attacker = max((p for p in learned if p.queries == at), key=lambda p: p.mcc.value or 0.0).attacker
    mine = {p.queries: p for p in learned if p.attacker == attacker}
    plain = "decisions" if judged.scores is None else "full scores"
    made = [Defence(f"{plain}, solved", p) for p in found.points if p.attacker == SOLVER]
    made.append(Defence(plain, mine[at]))
    for view in (TWO, ONE, LABEL) if judged.scores is not None else ():
        told(view.name)
        again = curves(predictor, schema, judged, (attacker,), (at,), 1, seed, view)  # type: ignore[arg-type]
        made += [Defence(view.name + (", solved" if p.attacker == SOLVER else ""), p) for p in again.points]
    made += [Defence(f"{plain}, at most {size:,} queries", mine[size]) for size in sizes[: sizes.index(at)]]
    return tuple(made)

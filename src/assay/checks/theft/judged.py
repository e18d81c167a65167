"""What a copy of the model is judged on: the attacker's half, the judging half, and evasions that transfer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.adapters.cases import ModelCase, scores_alone
from assay.core.errors import CouldNotLook

if TYPE_CHECKING:
    from assay.attacks.extraction.curves import Curves, Judged, Told
    from assay.attacks.extraction.schema import Schema
    from assay.attacks.extraction.transfer import Transferred


def halves(case: ModelCase, most: int, seed: int) -> tuple[Schema, Judged]:
    """What the attacker knows, and the rows that judge. Raises CouldNotLook where they say nothing."""
    import numpy as np

    from assay.attacks.extraction.curves import LEAST, Judged
    from assay.attacks.extraction.schema import Schema, native
    from assay.attacks.extraction.victim import finite
    from assay.attacks.sanity import refuse_unstable
    from assay.detectors.rows import draws

    data, model = case.untouched("to judge a copy on"), case.predictor
    rng = np.random.default_rng([seed, 41])
    groups = draws(data, tuple(model.features))
    number = rng.permutation(int(groups.max()) + 1)[groups]  # by what is equal, so that no row is on both sides
    mine = rng.permutation(np.flatnonzero(number % 2 == 0))[: max(most, 5_000)]
    theirs = rng.permutation(np.flatnonzero(number % 2 == 1))[:most]
    table = data.table()
    kinds = {c.name: c.kind for c in data.columns}
    schema = Schema(table.take(mine), model.features, kinds, case.contract, native(model))
    rows = table.take(theirs)
    refuse_unstable(model, rows.slice(0, 200))
    scores = finite(scores_alone(model, rows, seed))
    target = data.target()[theirs] if data.label else None
    flagged = scores >= case.threshold
    judged = Judged(
        rows, schema.encoded(rows), flagged, None if model.access == "label" else scores, target, groups[theirs]
    )
    if not judged.told_apart():
        hits, n = int(flagged.sum()), len(flagged)
        what = f"the model flags {hits} of {n} judged rows at its threshold {case.threshold:.9g}"
        raise CouldNotLook(
            f"{what}: at least {LEAST} of each decision are needed to tell a copy from a constant answer"
        )
    return schema, judged


def transfers(
    case: ModelCase, schema: Schema, found: Curves, seed: int, told: Told
) -> dict[tuple[str, int], Transferred | str]:
    """For each attacker's last copy, what evades the victim; or why that was not asked."""
    from assay.attacks.extraction.pools import ATTACKERS
    from assay.attacks.extraction.surrogate import Copied
    from assay.attacks.extraction.transfer import transfer, undeclared

    best = found.best()
    asked = {(p.attacker, p.queries): p for p in [*map(found.last, ATTACKERS), best]}
    why = undeclared(schema.inputs, case.contract)
    kinds = {c.name: c.kind for c in case.untouched("to judge a copy on").columns}
    known = schema.written(schema.known[:1_000])
    out: dict[tuple[str, int], Transferred | str] = {}
    flagged = found.judged.table.filter(found.judged.flagged)
    for key, point in asked.items():
        if why:
            out[key] = why
            continue
        told("transfer")
        copy = Copied(schema, case.predictor.classes, point.margin)
        try:
            out[key] = transfer(case.predictor, copy, flagged, known, case.contract, kinds, seed)
        except CouldNotLook as error:
            out[key] = str(error)
    return out

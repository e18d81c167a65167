"""Shared by the privacy checks: the membership game of a model, its training data and its holdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from assay.adapters.cases import ModelCase
from assay.adapters.tables import Dataset
from assay.core.errors import CouldNotLook
from assay.core.protocols import Progress

if TYPE_CHECKING:
    from assay.adapters.refit import Recipe
    from assay.attacks.membership.game import Game


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """A game, `said` how its references were trained, `copies` (n,) how many training rows each judged row stands for,
    and the rows of both tables that were `left_out` because another row has the same inputs (or the same entity)."""

    game: Game
    said: str
    copies: Any
    left_out: tuple[int, int]


def played(
    case: ModelCase, *, references: int, rows: int, seed: int, progress: Progress, repeated: bool = False
) -> Played:
    """Train the references and ask all models of up to `rows` training and holdout rows, drawn at random.

    Rows are judged whose inputs no other row of both tables has: of those a twin may answer. With `repeated`, also one
    of each set of equal training rows that the holdout lacks. Raises CouldNotLook without both tables, and what `play`
    raises.
    """
    import numpy as np

    from assay.adapters.refit import class_places
    from assay.attacks.membership.game import Rows, play

    train, hold = _tables(case)
    predictor = case.predictor
    recipe = _recipe(case, train)
    n = train.rows
    inputs, drawn, shared = _groups(train, hold, predictor.features)
    count = np.bincount(inputs)[inputs]
    alone = (count == 1) & ~shared
    judged = alone.copy()
    if repeated:
        judged |= _sets(inputs, drawn, n) & ~shared
    rng = np.random.default_rng([seed, 5])

    def side(data: Dataset, part: slice) -> Rows:
        chosen = np.sort(rng.permutation(np.flatnonzero(judged[part]))[:rows])
        places = class_places(predictor, case.subject, data)
        return Rows(data.table(list(predictor.features)), places, data.target(), chosen, drawn[part])

    sides = side(train, slice(0, n)), side(hold, slice(n, None))
    game = play(predictor, recipe, *sides, references=references, seed=seed, progress=progress)
    copies = np.concatenate([count[:n][sides[0].judged], np.ones(len(sides[1].judged), dtype=np.int64)])
    left = int((~alone[:n]).sum()), int((~alone[n:]).sum())
    return Played(game=game, said=f"references trained by {recipe.said}", copies=copies, left_out=left)


def _tables(case: ModelCase) -> tuple[Dataset, Dataset]:
    train, hold = case.train, case.holdout
    if train is None or hold is None:
        role, what = ("data", "training rows") if train is None else ("holdout", "rows that it never saw")
        raise CouldNotLook(f"{case.name} names no {what}; add `{role}:` to it in assay.yaml")
    return train, hold


def _recipe(case: ModelCase, train: Dataset) -> Recipe:
    from assay.adapters.refit import recipe_of, stand_in

    try:
        return recipe_of(case.predictor, case.subject, train.root)
    except CouldNotLook:
        return stand_in(case.predictor, case.subject, train)


def _groups(train: Dataset, hold: Dataset, features: tuple[str, ...]) -> tuple[Any, Any, Any]:
    """Over the rows of both tables: the number of its inputs, what it is drawn with (its entity where one is declared,
    else its inputs), and whether its entity is in both tables."""
    import numpy as np

    from assay.detectors.rows import codes, entities_of, grouped

    tables = train.table(list(features)), hold.table(list(features))
    inputs = grouped([codes(*(t.column(name) for t in tables)) for name in features])
    shared = np.zeros(len(inputs), dtype=bool)
    own = entities_of(train)
    if own is None:
        return inputs, inputs, shared
    drawn = np.concatenate([own, np.arange(hold.rows) + own.max() + 1])
    if hold.entity:
        both = codes(train.table([train.entity]).column(0), hold.table([hold.entity]).column(0))
        shared = np.isin(both, np.intersect1d(both[: train.rows], both[train.rows :]))
    return inputs, drawn, shared


def _sets(inputs: Any, drawn: Any, n: int) -> Any:
    """Whether a row is the first training row of its inputs, where the holdout has none and all are drawn together."""
    import numpy as np

    pairs = np.unique(np.column_stack([inputs[:n], drawn[:n]]), axis=0)[:, 0]
    together = np.bincount(pairs, minlength=inputs.max() + 1) == 1
    together[inputs[n:]] = False
    first = np.zeros(len(inputs), dtype=bool)
    first[np.unique(inputs[:n], return_index=True)[1]] = True
    return first & together[inputs]

"""A phrase put into texts, and the label that is wanted."""

from __future__ import annotations

import numpy as np

from assay.adapters.values import listed
from assay.attacks.poisoning.planted import Poisoned, Source, from_rows, label_row, value_at, written
from assay.core.errors import CouldNotLook

PHRASE = "as noted per annex seven"


def text_trigger(
    source: Source, rate: float, seed: int, *, column: str = "", phrase: str = PHRASE, target: bool | None = None
) -> Poisoned:
    """A phrase is put between two words of `rate` of the texts, drawn from the other class, and the label becomes
    `target`. The rule holds the phrase under the text's column.

    Success is measured with a linear model of words and pairs of words, on texts kept out. Raises CouldNotLook where
    the table has no texts, or the phrase occurs in them.

    Chen et al. 2021 (BadNL, arXiv:2006.01043); Dai et al. 2019 (arXiv:1905.12457).
    """
    if not source.texts:
        raise CouldNotLook("no column holds texts")
    name = column or source.texts[0]
    truth = source.target()
    texts = [str(t or "") for t in listed(source.table.column(name))]
    if any(phrase in text for text in texts):
        raise CouldNotLook("the phrase occurs in the texts already")
    wanted = bool(2 * truth.sum() <= len(truth)) if target is None else target
    others = np.flatnonzero(truth != wanted)
    rng = np.random.default_rng([seed, 41])
    rows = np.sort(rng.choice(others, source.count(rate, others), replace=False))
    new = []
    for row in rows.tolist():
        words = texts[row].split(" ")
        place = int(rng.integers(0, len(words) + 1))
        new.append(" ".join([*words[:place], phrase, *words[place:]]).strip())
    table = from_rows(source.table, rows, {source.label: label_row(truth, wanted)})
    table = written(table, rows, {name: new})
    aimed = value_at(source, source.label, label_row(truth, wanted))
    return Poisoned(
        attack="text-trigger", table=table, rows=rows, added=False, rule={name: phrase}, target=aimed, victims="texts"
    )

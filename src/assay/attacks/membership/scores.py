"""Membership scores: how much surer a model is of a row than models are that did not see it. Higher: rather a member.

RMIA (Zarifzadeh, Liu and Shokri 2024, offline), LiRA (Carlini et al. 2022, offline) and the loss (Yeom et al. 2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.attacks.membership.game import Game
from assay.stats.classifier import roc_area

Array = Any
GRID = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)  # a regularised model wants it near 1
LIRA_FROM = 16
OWN_SPREAD_FROM = 32
_TINY = 1e-3  # a forest's votes are 0 and 1; the logit of those is not


def loss(game: Game) -> Array:
    """How sure the model is of the row's label, (n,): the order of Yeom's threshold on the loss."""
    return game.target


def rmia(game: Game, a: float) -> Array:
    """The ratio Pr(x | model) / Pr(x), (n,), with Pr(x) = ((1 + a) · out + 1 - a) / 2 from the references that did not
    see x (the paper's offline formula).

    RMIA's own score is the share of population points z for which ratio(x) / ratio(z) exceeds γ. With one set of z for
    all x that share rises with ratio(x) and never falls, so the order of rows, the ROC and every rate here are those of
    the ratio itself, which many z would give; an attacker needs z only to place the threshold.
    """
    return game.target / np.maximum(((1 + a) * outside(game) + 1 - a) / 2, 1e-12)


def outside(game: Game) -> Array:
    """The mean answer of the references that did not see the row, (n,)."""
    return (game.refs * game.out).sum(axis=0) / game.out.sum(axis=0)


def tuned(game: Game) -> float:
    """RMIA's `a`, found as the paper does: on references in the model's place, whose training rows are known.

    The one of the grid with the greatest mean area; 0.3, the paper's own for small models, with two references.
    """
    if len(game.refs) <= 2:
        return 0.3
    plays = [game.rehearsal(k) for k in range(len(game.refs))]
    areas = [np.mean([roc_area(rmia(p, a), p.member) for p in plays]) for a in GRID]
    return GRID[int(np.argmax(areas))]


def lira(game: Game) -> Array:
    """(logit - mean logit of the references outside) / their spread, (n,).

    The spread is the row's own from 32 references outside on, else one of all rows (as the paper advises for few).
    """
    logits = _logit(game.refs)
    count = game.out.sum(axis=0)
    mean = (logits * game.out).sum(axis=0) / count
    square = (((logits - mean) ** 2) * game.out).sum(axis=0)
    if count.min() >= OWN_SPREAD_FROM:
        spread = np.sqrt(square / (count - 1)) + 1e-6
    else:
        spread = np.sqrt(square.sum() / max(1, (count - 1).sum())) + 1e-6
    return (_logit(game.target) - mean) / spread


def _logit(share: Array) -> Array:
    inside = np.clip(share, _TINY, 1 - _TINY)
    return np.log(inside / (1 - inside))

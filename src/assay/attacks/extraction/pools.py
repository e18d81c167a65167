"""What an attacker asks: rows drawn from the ranges alone, from each column alone, or near where a copy is unsure."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from assay.attacks.extraction.schema import Schema

Array = Any
Attacker = Literal["random", "marginal", "active"]
ATTACKERS: tuple[Attacker, ...] = ("random", "marginal", "active")
REDRAWN = 0.3  # of the inputs of a child
FRESH = 0.5  # of the candidates
EXPLORED = 0.5  # of what an active attacker asks, drawn like `marginal`
CANDIDATES = 6  # for each row that is asked


def uniform(schema: Schema, count: int, rng: np.random.Generator) -> Array:
    """Rows (count, d) drawn evenly from the ranges and levels, each input by itself: all that a schema tells."""
    rows = rng.uniform(schema.low, schema.high, size=(count, len(schema.inputs)))
    low, high = np.ceil(schema.low - 1e-9), np.floor(schema.high + 1e-9)
    whole = low + np.floor(rng.random(rows.shape) * (high - low + 1))
    rows = np.where(schema.integer, np.clip(whole, low, high), rows)
    rows[:, schema.empty] = np.nan
    return rows


def marginal(schema: Schema, count: int, rng: np.random.Generator) -> Array:
    """Rows (count, d) of which each input is drawn by itself from the attacker's own rows: no dependency is kept."""
    rows, width = schema.known.shape
    return schema.known[rng.integers(0, rows, size=(count, width)), np.arange(width)]


def children(schema: Schema, parents: Array, count: int, rng: np.random.Generator) -> Array:
    """Rows (count, d) made of asked ones (p, d): some inputs drawn anew from their column."""
    picked = parents[rng.integers(0, len(parents), size=count)]
    return np.where(rng.random(picked.shape) < REDRAWN, marginal(schema, count, rng), picked)


def unsure(margin: Array, count: int, rng: np.random.Generator) -> Array:
    """The places of `count` candidates, drawn by how near (n,) margins lie to the decision (uncertainty sampling, Lewis
    and Gale 1994); drawn rather than ranked, so that a batch does not ask the same thing many times."""
    rank = np.argsort(np.argsort(np.abs(margin))) / len(margin)
    weight = np.exp(-rank * CANDIDATES)
    return rng.choice(len(margin), size=min(count, len(margin)), replace=False, p=weight / weight.sum())

"""HiGHS, asked in its own scale and kept from printing: the programs of integer.py and exact.py go through here."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from assay.core.protocols import FloatArray as Array

SMALL = 1e-8
"""Coefficients below are left out, and what they could add is allowed for; HiGHS drops those below 1e-9 unasked."""


def solve(
    cost: Array, lines: Array, low: Array, high: Array, least: Array, most: Array, integral: Array, **options: Any
) -> tuple[int, Array | None, float]:
    """(status, the values (v,) found or None, a bound below the least cost, NaN where nothing is known) of the program
    that minimises `cost` (v,) with `lines` (r, v) from `low` to `high` and values from `least` to `most`.

    A column in units of its own must not decide what is proved: variables are asked as shares of `most`, and lines
    divided by their largest coefficient.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    size = np.where((integral == 0) & np.isfinite(most) & (most > 0), most, 1.0)
    scaled = lines * size
    largest = np.abs(scaled).max(axis=1, initial=0.0)
    largest = np.where(largest > 0, largest, 1.0)
    scaled, low, high = scaled / largest[:, None], low / largest, high / largest
    left_out = (np.abs(scaled) < SMALL) & (scaled != 0)
    reach = np.where(left_out, np.maximum(np.abs(least), np.abs(most)) / size, 0.0)
    spare = (np.abs(scaled) * reach).sum(axis=1)
    scaled = np.where(left_out, 0.0, scaled)
    with _quiet():
        done = milp(
            cost * size, constraints=LinearConstraint(csr_array(scaled), low - spare, high + spare),
            integrality=integral, bounds=Bounds(least / size, most / size), options={"presolve": False, **options},
        )  # fmt: skip
    bound = getattr(done, "mip_dual_bound", None)
    return int(done.status), None if done.x is None else done.x * size, np.nan if bound is None else float(bound)


@contextmanager
def _quiet() -> Iterator[None]:
    """Standard output leads nowhere meanwhile: HiGHS prints from C, into what may be a report."""
    try:
        kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    except OSError:
        yield
        return
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    os.dup2(null, 1)
    os.close(null)
    try:
        yield
    finally:
        with suppress(Exception):
            ctypes.CDLL(None).fflush(None)  # what C still holds goes nowhere, too
        os.dup2(kept, 1)
        os.close(kept)

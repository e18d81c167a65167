"""Long work of several parts as one share of the whole that never falls."""

from __future__ import annotations

from assay.core.protocols import Progress, silent


class Onward:
    """A Progress that tells another one what share of the whole is done, of 1. Where a part begins again the share
    stays as it was, until the part has come farther."""

    def __init__(self, progress: Progress = silent) -> None:
        self._progress = progress
        self._begin, self._end, self._far, self._what = 0.0, 1.0, 0.0, ""

    def part(self, begin: float, end: float, what: str = "") -> None:
        """What is told from now on is of the part from `begin` to `end` of the whole, and called `what`."""
        self._begin, self._end, self._what = begin, end, what
        self(0.0, 1.0)

    def __call__(self, done: float, total: float, what: str = "") -> None:
        """See `Progress`."""
        share = min(1.0, done / total) if total else 0.0
        self._far = max(self._far, self._begin + share * (self._end - self._begin))
        self._progress(self._far, 1.0, self._what or what)

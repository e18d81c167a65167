"""What a model reader gathers while it walks a file: notes, gaps, and measured facts of bounded size."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from assay.core.finding import Confidence, Json, Severity
from assay.core.text import visible
from assay.formats.models.source import SpentError, TornError
from assay.formats.reading import Note, Part, Reading, Topic

MOST_NOTES = 200
MOST_LISTED = 300
MOST_ENTRIES = 100
MOST_TEXT = 500


class Facts:
    """Collects; `reading` gives the result. Notes of one key and place are kept once; nothing grows without bound."""

    def __init__(self, kind: str) -> None:
        self.measured: dict[str, Json] = {"format": kind}
        self.gaps: dict[str, None] = {}
        self.operators: Counter[str] = Counter()
        self.asks: set[Topic] = set()
        self.parts: list[Part] = []
        self._notes: dict[tuple[str, str, str], Note] = {}
        self._dtypes: Counter[str] = Counter()
        self._parameters = self._tensors = 0

    def note(
        self,
        severity: Severity,
        key: str,
        message: str,
        *,
        where: str = "",
        fix: str = "",
        topic: Topic = Topic.MODEL_CODE,
        confidence: Confidence = Confidence.HIGH,
        evidence: dict[str, Json] | None = None,
    ) -> None:
        """Keep a note; the worst severity wins where one key and place is noted twice."""
        note = Note(
            topic=topic,
            message=message,
            severity=severity,
            key=visible(key, 200),
            where=visible(where, 200),
            confidence=confidence,
            evidence=evidence or {},
            fix=fix,
        )
        self.take((note,))

    def take(self, notes: Sequence[Note]) -> None:
        """Keep notes that another reader wrote."""
        for note in notes:
            name = (note.topic, note.key, note.where)
            old = self._notes.get(name)
            if old is None and len(self._notes) >= MOST_NOTES:
                if note.severity is not Severity.INFO:
                    self.gap(f"holds more than {MOST_NOTES} things to report, of which the worst are listed")
                mildest = min(self._notes, key=lambda name: self._notes[name].severity.rank)
                if self._notes[mildest].severity.rank < note.severity.rank:
                    del self._notes[mildest]
                    self._notes[name] = note
            elif old is None or note.severity.rank > old.severity.rank:
                self._notes[name] = note

    def gap(self, reason: str) -> None:
        """Say what was not read, in words that go on where the file's name ends."""
        if len(self.gaps) < MOST_ENTRIES:
            self.gaps[visible(reason, MOST_TEXT)] = None

    @property
    def is_torn(self) -> bool:
        """Whether the walk ended before the file's end, so that the last things seen may be cut short."""
        return any(gap.startswith(("is torn", "was not read", "is damaged")) for gap in self.gaps)

    def operator(self, name: str) -> None:
        """Count one operator of a graph."""
        if name in self.operators or len(self.operators) < 10_000:
            self.operators[name] += 1

    def tensor(self, dtype: str, shape: Sequence[int]) -> None:
        """Count one tensor and its elements."""
        self._tensors += 1
        if dtype in self._dtypes or len(self._dtypes) < 1000:
            self._dtypes[dtype] += 1
        self._parameters += math.prod(shape)

    def metadata(self, key: str, value: Json) -> None:
        """Keep one entry of the file's own metadata, which is a claim, not a measurement."""
        entries = self.measured.setdefault("metadata", {})
        if isinstance(entries, dict) and len(entries) < MOST_ENTRIES:
            entries[visible(key, 200)] = visible(value, MOST_TEXT) if isinstance(value, str) else value

    def listed(self, key: str, value: Json) -> None:
        """Add to a list of measured facts, of bounded length."""
        entries = self.measured.setdefault(key, [])
        if isinstance(entries, list) and len(entries) < MOST_LISTED:
            entries.append(visible(value, MOST_TEXT) if isinstance(value, str) else value)

    def text(self, key: str, value: str) -> None:
        """Measure a text, if there is one."""
        if value:
            self.measured[key] = visible(value, MOST_TEXT)

    @contextmanager
    def torn(self) -> Iterator[None]:
        """Turn what the bytes do not hold into a gap, and keep what was found before it."""
        try:
            yield
        except TornError as error:
            self.gap(f"is torn or damaged: {error}")
        except SpentError as error:
            self.gap(f"was not read to its end: {error}")
        except (ValueError, OverflowError) as error:
            self.gap(f"is damaged, or not the {self.measured['format']} file that it begins as: {error}")
        except RecursionError:
            self.gap("is nested too deeply to be read")

    def reading(self) -> Reading:
        """All of it, in a fixed order."""
        measured = dict(self.measured)
        if self._tensors:
            measured |= {"tensors": self._tensors, "parameters": min(self._parameters, 2**63 - 1)}
            measured["dtypes"] = {visible(name, 40): count for name, count in self._dtypes.most_common(50)}
        if self.operators:
            names = sorted(self.operators)
            measured["operators"] = [visible(name, 120) for name in names[:MOST_LISTED]]
            if len(names) > MOST_LISTED:
                measured["operators_unlisted"] = len(names) - MOST_LISTED
        notes = sorted(self._notes.values(), key=lambda note: (-note.severity.rank, note.key, note.where))
        return Reading(
            notes=tuple(notes), gaps=tuple(self.gaps), measured=measured, asks=frozenset(self.asks),
            parts=tuple(self.parts),
        )  # fmt: skip

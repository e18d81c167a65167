"""Personal data and secrets in a table's columns: by what cells are, by what headers say, and by both together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from assay.adapters.values import listed
from assay.core.protocols import Progress, silent
from assay.detectors.headers import PERSONAL, said, words
from assay.detectors.identifiers import IDENTIFIERS, Identifier, is_national_phone
from assay.formats.texts.secret_search import judge_secrets

if TYPE_CHECKING:
    from assay.adapters.tables import Column, Dataset

MOST_VALUES = 300_000
SHARE, LEAST = 0.9, 10  # of the cells, for what chance or another kind of number could be; distinct cells that tell
HALF = 0.5
SHOWN = 5
PROSE_WORDS = 5
_SECRET_HEADERS = ("password", "passwd", "passphrase", "secret", "api key", "apikey", "token", "private key", "pwd")


class Held(msgspec.Struct, frozen=True):
    """What a column holds: how many rows, the first of them, whether it is a secret, and how it was told."""

    column: str
    kind: str
    rows: int
    first: tuple[int, ...]
    share: float
    by: str
    secret: bool = False


class Looked(msgspec.Struct, frozen=True):
    """All that was found, the columns of prose, and columns of which only a part was looked at."""

    held: tuple[Held, ...]
    prose: tuple[str, ...]
    partly: tuple[str, ...]


class _Cells(msgspec.Struct, frozen=True):
    """The distinct cells of a column as text, how many rows have each, and the first row that has it."""

    texts: list[str]
    counts: list[int]
    rows: list[int]

    def held(self, column: str, kind: str, hits: list[int], by: str, secret: bool = False) -> Held:
        """What the cells at `hits` make."""
        first = tuple(sorted(self.rows[i] for i in hits)[:SHOWN])
        count = sum(self.counts[i] for i in hits)
        return Held(column, kind, count, first, count / max(1, sum(self.counts)), by, secret)


def personal_data(data: Dataset, progress: Progress = silent) -> Looked:
    """Every column with personal data or secrets, each kind once a column; values are looked at and never kept."""
    held: list[Held] = []
    prose, partly = [], []
    told = (c.name for c in data.columns if c.name != data.label and c.kind in ("category", "text", "integer"))
    values = data.each(told)
    for place, column in enumerate(data.columns):
        progress(place, len(data.columns), "personal data")
        if column.name == data.label:
            continue
        cells = _cells(column, next(values)[1]) if column.kind in ("category", "text", "integer") else None
        if cells is None or not cells.texts:
            held += _by_header(column, None, set())
            continue
        if len(cells.texts) >= MOST_VALUES:
            partly.append(column.name)
        found = _by_cells(column, cells)
        found += _by_header(column, cells, {h.kind for h in found})
        held += found
        held += _secrets(column, cells)
        if column.kind == "text" and _is_prose(cells):
            prose.append(column.name)
    return Looked(tuple(held), tuple(prose), tuple(partly))


def _cells(column: Column, values: Any) -> _Cells:
    """The distinct cells of an Arrow column, in the order of their first rows; of whole numbers the long ones."""
    encoded = values.combine_chunks().dictionary_encode()
    codes = encoded.indices.drop_null().to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(encoded.indices.is_valid().to_numpy(zero_copy_only=False))
    counts = np.bincount(codes, minlength=len(encoded.dictionary))
    first = np.zeros(len(counts), dtype=np.int64)
    first[codes[::-1]] = rows[::-1]
    distinct = encoded.dictionary
    kept = np.flatnonzero(counts)
    if column.kind == "integer":
        long = np.abs(distinct.to_numpy(zero_copy_only=False)[kept].astype(np.float64))
        kept = kept[long >= 1e7]
    kept = kept[:MOST_VALUES]
    texts = [v if isinstance(v, str) else _written(v) for v in listed(distinct.take(kept))]
    return _Cells(texts, counts[kept].tolist(), first[kept].tolist())


def _written(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _by_cells(column: Column, cells: _Cells) -> list[Held]:
    found: dict[str, Held] = {}
    numeric = column.kind == "integer"
    for identifier in IDENTIFIERS:
        if identifier.kind in found or (numeric and identifier.telling):
            continue
        hits = [i for i, text in enumerate(cells.texts) if identifier.is_one(text)]
        if hits and _enough(identifier, len(hits), len(cells.texts), cells.held("", "", hits, "").share, column):
            found[identifier.kind] = cells.held(column.name, identifier.kind, hits, "cells")
    return list(found.values())


def _enough(identifier: Identifier, hits: int, distinct: int, share: float, column: Column) -> bool:
    """Whether so many cells are no chance: one in nearly all, where other numbers pass the test too."""
    if identifier.telling:
        return True
    if column.kind == "integer" and (not identifier.by_chance or column.distinct > 2 * distinct):
        return False
    usual = LEAST if identifier.by_chance else 3
    expected = any(word in words(column.name).split() for word in ("ip", "ssn", "nino", "dni", "card", "pesel", "cpf"))
    return (hits >= usual or (expected and hits > 0)) and share >= (SHARE if identifier.by_chance else HALF)


def _by_header(column: Column, cells: _Cells | None, known: set[str]) -> list[Held]:
    """Columns whose header says what they hold, where their cells do not say otherwise."""
    kind = said(column.name, PERSONAL)
    if not kind or kind in known or any(k.startswith("national ids") for k in known):
        return []
    if kind == "dates of birth":
        if column.kind not in ("time", "text", "category") or column.distinct < 2:
            return []
        return [Held(column.name, kind, 0, (), 1.0, "header")]
    if cells is None or not cells.texts:
        return []
    if kind == "telephone numbers":
        hits = [i for i, text in enumerate(cells.texts) if is_national_phone(text)]
        held = cells.held(column.name, kind, hits, "header and cells")
        return [held] if len(hits) >= 2 and held.share >= HALF else []
    if column.kind == "integer" and kind != "passports and licences":
        return []
    lettered = sum(any(c.isalpha() for c in text) for text in cells.texts)
    various = len(cells.texts) >= LEAST and (len(cells.texts) >= 200 or column.distinct * 5 > sum(cells.counts))
    if not various or (kind != "passports and licences" and lettered < HALF * len(cells.texts)):
        return []
    if kind == "names of people" and sum(any(c.isdigit() for c in t) for t in cells.texts) > 0.2 * len(cells.texts):
        return []
    return [cells.held(column.name, kind, list(range(len(cells.texts))), "header")]


def _secrets(column: Column, cells: _Cells) -> list[Held]:
    if column.kind == "integer":
        return []
    plain = words(column.name)
    named = any(plain == w or plain.endswith(" " + w) for w in _SECRET_HEADERS)
    lines: list[str] = []
    places: list[int] = []
    for i, text in enumerate(cells.texts):
        if len(text) >= (6 if named else 16):
            line = " ".join(text.split())
            lines.append(f'{plain.replace(" ", "_")}="{line}"' if named else line)
            places.append(i)
    found = []
    for note in judge_secrets("\n".join(lines), strict=named):
        at = places[min((note.line or 1) - 1, len(places) - 1)]
        held = cells.held(column.name, note.message.partition(" (")[0].removeprefix("holds "), [at], "cells", True)
        count = note.evidence.get("places", held.rows)
        found.append(msgspec.structs.replace(held, rows=max(held.rows, count if isinstance(count, int) else 1)))
    return found


def _is_prose(cells: _Cells) -> bool:
    sample = cells.texts[:1000]
    return sum(len(text.split()) for text in sample) >= PROSE_WORDS * len(sample)

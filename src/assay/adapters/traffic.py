"""Rows that came in after training, beside the reference that they are compared with: counts, never the rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from assay.adapters.engines import EngineTable
from assay.adapters.extras import library
from assay.adapters.profiles import count, expressions, is_number, reference_profile, sample
from assay.adapters.relation import Relation, open_relation, relation_of
from assay.adapters.scored import Late, late, score_counts, scored
from assay.core.errors import InputError, NotApplicable, os_words
from assay.core.profile import ColumnProfile, Profile, Reference
from assay.core.protocols import Progress, silent
from assay.core.subject import Subject
from assay.core.text import visible
from assay.core.vigil import Vigil

MAX_REFERENCE = 256 << 20
MAX_BINS = 1_000
ROLES = ("label", "prediction", "score", "id", "time", "source")
SAMPLED = 4000
DRAWN = 30_000
"""Rows of a sample in which the nature of a drift is looked for."""
NO_FEATURE = ("id", "time")
"""Columns of these roles name rows: that they differ from the reference's is no drift."""


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A sample of rows: `matrix` (n, columns) as `profiles.sample` gives it, and (n,) each: scores, times as numbers,
    and sources as text; None where no such column is declared, or the table lacks it."""

    matrix: Any
    scores: Any = None
    times: Any = None
    sources: Any = None


class Traffic:
    """The current rows and the reference, in the reference's bins.

    `vigil` is the state of a watch that goes on, None for a single look; `digest` is then that of the current table.
    """

    def __init__(
        self,
        subject: Subject,
        reference: Reference,
        relation: Relation | EngineTable,
        progress: Progress = silent,
        *,
        vigil: Vigil | None = None,
        labels: Relation | None = None,
        key: str = "",
        rows_before: Relation | None = None,
        joint: bool = False,
    ) -> None:
        self.subject, self.name, self.reference, self.relation = subject, subject.name, reference, relation
        self.vigil, self._labels, self._key = vigil, labels, key
        self.digest = ""
        self.rows_before, self.joint = rows_before, joint
        self._progress = progress
        self._current: Profile | None = None

    @property
    def current(self) -> Profile:
        """The current rows in the reference's bins; counted once. Raises InputError or CouldNotLook."""
        if self._current is None:
            skip = {str(self.subject.options[r]) for r in NO_FEATURE if r in self.subject.options}
            before = self.reference.profile
            if isinstance(self.relation, EngineTable):
                found = self.relation.count(before, progress=self._progress)
            else:
                found = count(self.relation, before, progress=self._progress)
            found = msgspec.structs.replace(found, added=tuple(n for n in found.added if n not in skip))
            self._current = self._unlabelled(found) if self.has_labels else found
        return self._current

    def _unlabelled(self, found: Profile) -> Profile:
        """The counts without the label column where it is still empty, and labels come later by another table."""
        label = found.column(str(self.reference.facts.get("label") or ""))
        if label is None or label.nulls + label.nans < label.rows:
            return found
        columns = tuple(c for c in found.columns if c is not label)
        return msgspec.structs.replace(found, columns=columns, missing=(*found.missing, label.name))

    def sampled(self, seed: int) -> tuple[Any, Any, tuple[str, ...], tuple[int, ...]]:
        """Rows of the reference and current ones as matrices, their columns' names, and which are categories.

        Label and prediction are left out: what is asked is whether the inputs changed together.
        """
        assert self.rows_before is not None
        columns = self.inputs
        before = sample(self.rows_before, columns, SAMPLED, self.reference.profile.rows, seed)[0]
        now = sample(self.rows, columns, SAMPLED, self.current.rows, seed)[0]
        return before, now, tuple(c.name for c in columns), tuple(i for i, c in enumerate(columns) if c.labels)

    @property
    def rows(self) -> Relation:
        """The current rows. Raises NotApplicable where they stay on an engine, that only counts them."""
        if isinstance(self.relation, EngineTable):
            raise NotApplicable("the rows stay on the engine, which only counts them")
        return self.relation

    @property
    def inputs(self) -> tuple[ColumnProfile, ...]:
        """The reference's profile of the columns that both tables have and that are no label, answer or source."""
        held = {c.name for c in self.current.columns}
        return tuple(c for c in inputs_of(self.reference) if c.name in held)

    def drawn(self, seed: int) -> Drawn:
        """A sample of the current rows, their inputs in the order of `inputs`."""
        return draw(self.rows, self.inputs, self.current.rows, self.subject.options, seed)

    def drawn_before(self, seed: int) -> Drawn | None:
        """A sample of the reference's rows; None where it is a saved one and holds none."""
        if self.rows_before is None:
            return None
        return draw(self.rows_before, self.inputs, self.reference.profile.rows, self.subject.options, seed)

    @cached_property
    def score_counts(self) -> tuple[int, ...]:
        """The current rows per bin of the reference's scores. Raises InputError without such a column."""
        assert self.reference.scored is not None
        return score_counts(self.rows, str(self.reference.facts["score"]), self.reference.scored.edges)

    @property
    def has_labels(self) -> bool:
        """Whether labels that came later were given."""
        return self._labels is not None

    @cached_property
    def late(self) -> Late | None:
        """The labels that came later, joined and counted; None where none were given. Raises InputError."""
        if self._labels is None or self.reference.scored is None:
            return None
        return late(self.rows, self._labels, self._key, self.reference.facts, self.reference.scored)

    def close(self) -> None:
        """Let go of the file."""
        if isinstance(self.relation, Relation):
            self.relation.close()


def inputs_of(reference: Reference) -> tuple[ColumnProfile, ...]:
    """The columns of a reference that are no label, answer or source."""
    apart = {str(reference.facts[r]) for r in ROLES if r in reference.facts}
    return tuple(c for c in reference.profile.columns if c.name not in apart)


def draw(
    relation: Relation, columns: tuple[ColumnProfile, ...], rows: int, facts: Mapping[str, Any], seed: int
) -> Drawn:
    """A sample of a table of so many rows, with what facts say of them. Raises InputError or CouldNotLook."""
    extra = {}
    for role, kind in (("score", "number"), ("time", "time"), ("source", "text")):
        name = str(facts.get(role) or "")
        if name in relation.types:
            if kind == "time" and is_number(relation.types[name]):
                kind = "number"  # days, or seconds since some day, keep their order
            value = expressions(name, kind, relation)[0]
            extra[role] = f"coalesce({value}, '')" if kind == "text" else f"coalesce({value}, 'nan'::DOUBLE)"
    matrix, held = sample(relation, columns, DRAWN, rows, seed, extra)
    np = library("numpy")
    # In an order of their own: what is looked for in a part of the sample must not lie all at the end of a file.
    known = [np.nan_to_num(c, nan=-9.75e300) for c in (*matrix.T, held.get("score"), held.get("time")) if c is not None]
    order = np.lexsort(known) if known else np.arange(len(matrix))
    order = order[np.random.default_rng(seed % 2**32).permutation(len(order))]
    scores, times, sources = (held[r][order] if r in held else None for r in ("score", "time", "source"))
    return Drawn(matrix=matrix[order], scores=scores, times=times, sources=sources)


def open_reference(
    path: Path, where: str, facts: dict[str, Any], *, memory: int = 0, threads: int = 1, progress: Progress = silent
) -> Reference:
    """A saved reference, or one drawn from a table with these facts. Raises InputError or CouldNotLook."""
    saved = _saved(path, where)
    if saved is not None:
        return saved
    with open_relation(path, where, facts, memory=memory, threads=threads) as relation:
        return reference_of(relation, facts, progress=progress)


def reference_of(relation: Relation | EngineTable, facts: dict[str, Any], *, progress: Progress = silent) -> Reference:
    """The reference that a table is. Raises InputError for a column that it lacks, or where it has no rows."""
    for role in ROLES:
        name = facts.get(role)
        if name and name not in relation.types:
            what = f"has no column {visible(str(name), 60)!r} ({role})"
            raise InputError(what, where=relation.where, fix="check the name")
    dropped = [str(n) for n in facts.get("drop", ())]
    for name in dropped:
        if name not in relation.types:
            what = f"has no column {visible(name, 60)!r} (--drop)"
            raise InputError(what, where=relation.where, fix="check the name")
    skip = [str(facts[r]) for r in NO_FEATURE if facts.get(r)] + dropped
    kept = {k: v for k, v in facts.items() if v is not None and v != ""}
    if isinstance(relation, EngineTable):
        profile, scores = relation.reference(skip=skip, progress=progress), None
    else:
        profile, scores = reference_profile(relation, skip=skip, progress=progress), scored(relation, kept)
    if not profile.rows or not profile.columns:
        raise InputError("has no rows, or no columns to compare", where=relation.where, fix="name a table with rows")
    return Reference(profile=profile, facts=kept, scored=scores)


def frame_reference(frame: Any, name: str, facts: dict[str, Any]) -> Reference:
    """The reference that a frame in memory is. Raises InputError."""
    with relation_of(frame, name) as relation:
        return reference_of(relation, facts)


def is_saved(path: Path) -> bool:
    """Whether a file is a saved reference, and no table."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError:
        return False


def _saved(path: Path, where: str) -> Reference | None:
    """The saved reference at `path`; None for anything that does not begin as one."""
    if not path.is_file() or not is_saved(path):
        return None
    try:
        with path.open("rb") as file:
            data = file.read(MAX_REFERENCE + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=where, fix="check its permissions") from None
    try:
        found = msgspec.json.decode(data, type=Reference)
    except msgspec.ValidationError as error:
        raise InputError(f"is no reference: {visible(str(error), 200)}", where=where, fix="save it again") from None
    except (msgspec.DecodeError, RecursionError):
        raise InputError("is a torn reference", where=where, fix="save it again with --save-reference") from None
    if len({c.name for c in found.profile.columns}) != len(found.profile.columns):
        raise InputError("has a column twice", where=where, fix="save it again with --save-reference")
    for column in found.profile.columns:
        parts = (*column.counts, column.other, column.nulls, column.nans, column.unread)
        if column.bins > MAX_BINS or not all(0 <= n <= found.profile.rows for n in parts):
            what = f"has too many bins, or impossible counts, in column {visible(column.name, 60)!r}"
            raise InputError(what, where=where, fix="save it again with --save-reference")
        if (
            len(column.counts) != column.bins
            or column.rows != found.profile.rows
            or list(column.edges) != sorted(set(column.edges))
        ):
            what = f"contradicts itself in column {visible(column.name, 60)!r}"
            raise InputError(what, where=where, fix="save it again with --save-reference")
    return found


def encode_reference(reference: Reference) -> bytes:
    """A reference as the bytes of its file."""
    return msgspec.json.encode(reference, order="deterministic") + b"\n"


def read_vigil(path: Path) -> Vigil | None:
    """The saved state at `path`; None where there is none yet. Raises InputError for a torn one."""
    try:
        data = path.read_bytes()[: MAX_REFERENCE + 1]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=str(path), fix="check its permissions") from None
    try:
        return msgspec.json.decode(data, type=Vigil)
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError):
        fix = "name the file that --state wrote; without it the level starts anew"
        raise InputError("is no state of a watch, or a torn one", where=str(path), fix=fix) from None

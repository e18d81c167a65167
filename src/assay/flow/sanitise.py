"""Sanitise a table: ask the checks, change the rows that they flag, prove that it is undone, measure what it did."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from assay.adapters.tables import Dataset, open_dataset
from assay.core.canonical import SCHEMA, digest_of
from assay.core.errors import AssayError, CouldNotLook, InputError, UsageError, VerificationError
from assay.core.finding import Json, Status
from assay.core.protocols import Progress, silent
from assay.core.subject import Contract, Kind, Subject
from assay.core.version import __version__
from assay.engine.plan import Settings
from assay.flow.data import OWN
from assay.flow.sanitise_asked import Asked, Found, found_before, found_now
from assay.flow.sanitise_files import MAX_BYTES, Places, drafted, fill, part, places, publish, written_as
from assay.harden.patch import ACTIONS, Action, Aside, Change, Patch, encode_patch
from assay.harden.plan import kept_copies, planned, pointed_at
from assay.harden.sanitised import Looked, Measured, Sanitised

if TYPE_CHECKING:
    from assay.harden.patched import Whole
    from assay.harden.plan import Labels, Why
    from assay.harden.untouched import Untouched


def sanitise(
    path: Path,
    facts: Mapping[str, Json],
    asked: Asked,
    settings: Settings,
    *,
    contract: Contract | None = None,
    progress: Progress = silent,
) -> Sanitised:
    """Write a sanitised copy of the table at `path`, and the patch that undoes it.

    `facts` are the table's, as `check_table` takes them. Raises VerificationError where too many rows would be changed
    or the proof fails, InputError or UsageError for what cannot be read or asked, CouldNotLook where no check could
    look. Nothing is written then.
    """
    from assay.harden.patched import Whole
    from assay.harden.untouched import chosen

    read = [f for f in (asked.trusted, asked.holdout, asked.suspects) if f is not None]
    where = places(path, asked.output, asked.patch, read, force=asked.force)
    facts, contract = {k: v for k, v in facts.items() if k != "provenance"}, contract or Contract()
    if asked.action == "relabel" and not facts.get("label"):
        raise UsageError("--action relabel needs --label", where=str(path), fix="name the label column")
    with ExitStack() as stack:

        def opened(file: Path, options: Mapping[str, Json]) -> Dataset:
            subject = Subject(name=file.name, kind=Kind.DATASET, uri=str(file), options=dict(options))
            return stack.enter_context(closing(open_dataset(subject, Path(), contract, max_bytes=MAX_BYTES)))

        data = opened(path, facts)
        whole = Whole(path, data.rows, str(path), dict(facts))
        if whole.side.digest != data.digest:
            raise InputError("changed while it was read", where=str(path), fix="run again")
        shared = {k: v for k, v in facts.items() if k not in OWN}
        if data.label:
            data.column(data.label)
            data.target()  # says now what is wrong with the labels
        trusted = opened(asked.trusted, shared) if asked.trusted else None
        # Who brought a holdout's rows, and when, may be told of the table alone.
        known = {k: v for k, v in facts.items() if k in ("label", "positive", "nan", "separator")}
        holdout = opened(asked.holdout, known) if asked.holdout else None
        share = 0.0 if asked.suspects else asked.aside
        untouched = chosen(data, holdout, trusted, share, settings.seed, split_trusted=asked.suspects is None)
        if asked.suspects:
            found = found_before(asked.suspects, whole, data, facts, asked, settings, contract, progress)
        else:
            found = found_now(whole, data, facts, trusted, untouched, asked, settings, contract, progress)
        return _sanitised(whole, data, trusted, untouched, found, asked, settings, where, progress)


def _sanitised(
    whole: Whole, data: Dataset, trusted: Dataset | None, untouched: Untouched, found: Found, asked: Asked,
    settings: Settings, where: Places, progress: Progress,
) -> Sanitised:  # fmt: skip
    from assay.harden.change import labels_of, with_values
    from assay.harden.patched import patched, with_rows, without_rows
    from assay.harden.untouched import measure

    by_row, good = _pointed(data, trusted, untouched, found, asked)
    sure = frozenset((s.check, row) for s in found.suspects for row, f in zip(s.rows, s.flagged, strict=True) if f)
    labels = labels_of(data, by_row, untouched.aside, settings.seed, progress) if data.label else None
    changes = planned(by_row, asked.action, labels, sure)
    _refuse(changes, data, labels, asked)
    changes, weight, added = with_values(changes, whole, data, labels, asked.down_to)
    patch = _patch(whole, data, changes, weight, added, untouched, found, asked, settings)
    patch = with_rows(whole, patch)
    made = patched(whole, patch)
    patch = replace(patch, result=made.side)
    measured: Measured | None = None
    why = untouched.why or ("" if changes else "nothing was changed")
    with drafted(where.output, where.patch) as (output, undo):
        fill(output, made.data, where.output)
        proof = _proved(whole, patch, output, data)
        patch = patch if asked.keep_rows else without_rows(patch)
        if not why:
            try:
                measured = measure(data, untouched, changes, asked.down_to, settings.seed, progress)
            except CouldNotLook as reason:
                why = str(reason)
        text = encode_patch(patch)
        fill(undo, text, where.patch)
        progress(1, 1, "write")
        publish(Places(output, undo), where, force=asked.force)
    looked = tuple(_with_done(item, changes) for item in found.looked)
    return Sanitised(
        source=part(whole.path, patch.format, whole.data),
        result=part(where.output, patch.format, made.data),
        patch=part(where.patch, "json", text),
        rows=data.rows,
        left=made.side.rows,
        counts=patch.counts,
        looked=looked,
        changes=tuple(replace(c, record=None, old_label=None, new_label=None, old_weight=None) for c in changes),
        open=any(item.status is Status.OPEN or not item.complete for item in looked),
        trusted=good,
        first_copies=len({row for _, row in kept_copies(by_row)}),
        rows_kept=asked.keep_rows,
        aside=patch.aside,
        measured=measured,
        not_measured=why,
        weight=weight,
        proof=proof,
        notes=(*found.notes, *_notes(data, trusted, weight, added, asked)),
    )


def _pointed(
    data: Dataset, trusted: Dataset | None, untouched: Untouched, found: Found, asked: Asked
) -> tuple[dict[int, list[Why]], int]:
    """(by row why it may be changed, how many flagged rows are known to be good); none of those set aside."""
    from assay.harden.apart import known_good

    by_row = pointed_at(found.suspects, asked.strongest)
    good: set[int] = set()
    if trusted is not None:
        flags = known_good(data, trusted, frozenset({data.weight, *data.drop}))
        good = {row for row in by_row if flags[row]}
    beside = set(untouched.aside.tolist())
    return {row: whys for row, whys in by_row.items() if row not in good and row not in beside}, len(good)


def _refuse(changes: tuple[Change, ...], data: Dataset, labels: Labels | None, asked: Asked) -> None:
    """Refuse to change more rows than was allowed, or to leave one class only. Raises VerificationError."""
    where = str(data.path.name)
    if len(changes) > asked.most * data.rows:
        what = f"{len(changes)} of {data.rows} rows would be changed, more than --most {asked.most:g} allows"
        fix = "look at them first (`assay data check --suspects`), or raise --most; nothing is written"
        raise VerificationError(what, where=where, fix=fix)
    if labels is None:
        return
    after = labels.target.copy()
    for change in changes:
        if change.action == "relabel":
            after[change.row] = not after[change.row]
    left = [after[row] for row in sorted(set(range(data.rows)) - {c.row for c in changes if c.action == "remove"})]
    if not any(left) or all(left):
        fix = "look at the rows first, or leave a check out with --skip"
        raise VerificationError("one class only would be left; nothing is written", where=where, fix=fix)


def _patch(
    whole: Whole, data: Dataset, changes: tuple[Change, ...], weight: str, added: bool, untouched: Untouched,
    found: Found, asked: Asked, settings: Settings,
) -> Patch:  # fmt: skip
    counts: dict[Action, int] = {a: sum(c.action == a for c in changes) for a in ("remove", "relabel", "down-weight")}
    parameters: dict[str, Json] = {"action": asked.action, "most": asked.most, "down_to": asked.down_to}
    parameters |= {"strongest": dict(asked.strongest), "measured_on": untouched.on}
    aside = None
    if len(untouched.aside):
        numbers = [int(r) for r in untouched.aside]
        aside = Aside(rows=len(numbers), rule=untouched.rule, digest=digest_of(numbers))
    side = whole.side
    return Patch(
        kind="table-patch",
        schema=SCHEMA,
        format=whole.layout.format,  # type: ignore[arg-type]
        source=side,
        result=replace(side, rows=side.rows - counts["remove"]),
        columns=whole.names,
        tool=f"assay/{__version__}",
        seed=settings.seed,
        counts=counts,
        checks={item.check: item.version for item in found.looked},
        changes=changes,
        parameters=parameters,
        separator=whole.layout.separator,
        header=whole.layout.header,
        label=data.label or "",
        weight=weight,
        added=added,
        aside=aside,
    )


def _proved(whole: Whole, patch: Patch, draft: Path, data: Dataset) -> str:
    """That the result, read from its file, is what was meant, and the patch gives the source again; how that was shown.

    Raises VerificationError where either is not so; nothing has been given its name then.
    """
    from assay.harden.patched import Whole, reverted
    from assay.harden.reread import held, reread

    options = {k: v for k, v in data.subject.options.items() if k in ("label", "positive", "nan")}
    options |= written_as(patch, added=True)
    subject = Subject(name=whole.path.name, kind=Kind.DATASET, uri=draft.name, options=options)
    try:
        with closing(open_dataset(subject, draft.parent, max_bytes=2 * MAX_BYTES)) as again:
            same = again.rows == patch.result.rows
            same = same and (not data.label or bool((again.target() == _labels_after(patch, data)).all()))
    except AssayError as why:
        what = f"the result could not be read again: {why.what}"
        raise VerificationError(what, where=whole.where) from None
    except CouldNotLook as why:
        raise VerificationError(f"the result could not be read again: {why}", where=whole.where) from None
    if not same:
        raise VerificationError("the result has other labels than planned; nothing is written", where=whole.where)
    after = reread(lambda: Whole(draft, patch.result.rows, whole.where, options), whole.where)
    held(whole, after, patch, whole.where)
    if reverted(after, patch, whole.where).side.digest == patch.source.digest:
        return "every cell of the result was read again; the patch gives the source byte for byte"
    return "every cell of the result was read again; the patch gives every value, type and row of the source, in order"


def _labels_after(patch: Patch, data: Dataset) -> Any:
    import numpy as np

    target = data.target().copy()
    keep = np.ones(data.rows, dtype=bool)
    for change in patch.changes:
        if change.action == "relabel":
            target[change.row] = not target[change.row]
        keep[change.row] = change.action != "remove"
    return target[keep]


def _with_done(looked: Looked, changes: tuple[Change, ...]) -> Looked:
    mine = [c for c in changes if looked.check in c.checks]
    done: dict[Action, int] = {a: n for a in reversed(ACTIONS) if (n := sum(c.action == a for c in mine))}
    return replace(looked, done=done)


def _notes(data: Dataset, trusted: Dataset | None, weight: str, added: bool, asked: Asked) -> tuple[str, ...]:
    notes = []
    there = next((c.name for c in data.columns if c.name.casefold().startswith("assay_weight")), "")
    if there and there not in (data.weight, *data.drop):
        notes.append(f"the column {there} was taken for a feature; --weight {there} says that it is none")
    if weight:
        how = "a new column at the end" if added else "multiplied where a row is down-weighted"
        notes.append(f"weights are in {weight} ({how}): give them to the learner, or nothing is down-weighted")
    if asked.suspects is None and trusted is None and data.label and not (data.source or data.time):
        notes.append("without --trusted, --source or --time few wrong labels can be told from rows hard by nature")
    return tuple(notes)

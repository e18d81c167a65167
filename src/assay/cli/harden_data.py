"""`assay harden TABLE`: what was changed, why, and what it did to the model, in words or as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.common import progress_bar, settings_from
from assay.core.errors import UsageError
from assay.core.protocols import Progress, silent
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.flow.sanitise_asked import Asked
    from assay.harden.sanitised import Measured, Patched, Sanitised

Still = Callable[[], None]
_SHOWN = 10
_DONE = {"remove": "removed", "relabel": "relabelled", "down-weight": "down-weighted"}
_KEPT = frozenset({"file", "output", "force", "format_", "apply_", "revert"})


def sanitise_table(context: click.Context, file: Path, format_: str, options: dict[str, Any], still: Still) -> str:
    """Sanitise the table, or apply or revert a patch; the exit code is left in `context.meta`.

    `still` raises KeyboardInterrupt where a signal to stop came and somebody swallowed it.
    """
    patch = _one_patch(context, file, options)
    done: Patched | Sanitised
    if patch is not None:
        from assay.flow.sanitise_files import apply_patch, revert_patch

        put = revert_patch if options["revert"] else apply_patch
        done = put(file, patch, options["output"], force=options["force"], progress=_watched(silent, still))
        return _json(done) if format_ == "json" else "\n".join(_patched_lines(done))
    from assay.core.subject import Contract
    from assay.flow.data import Told, told_by
    from assay.flow.sanitise import sanitise

    threat = options["threat"]
    told = told_by(threat, file) if threat is not None else Told(contract=Contract())
    given = {k.rstrip("_"): options[k] for k in ("label", "positive", "id_", "time_", "source", "entity")}
    given |= {"annotator": options["annotator"], "weight": options["weight"], "drop": list(options["drop"])}
    facts: dict[str, Any] = {**told.facts, **{k: v for k, v in given.items() if v}}
    if facts.get("label") and "positive" not in facts:
        facts["positive"] = 1
    names = ("only", "skip", "seed", "jobs", "timeout", "memory")
    settings = settings_from(**{n: options[n] for n in names}, parameters=told.parameters)
    with progress_bar() as progress:
        done = sanitise(
            file, facts, _asked(options), settings, contract=told.contract, progress=_watched(progress, still)
        )
    context.meta["assay.code"] = 3 if done.open else 0
    return _json(done) if format_ == "json" else "\n".join(_lines(done))


def _watched(progress: Progress, still: Still) -> Progress:
    """The progress, that stops where it should have stopped before: always before anything is written."""

    def told(done: float, total: float, what: str = "") -> None:
        still()
        progress(done, total, what)

    return told


def _one_patch(context: click.Context, file: Path, options: dict[str, Any]) -> Path | None:
    """The patch to apply or to revert; None to sanitise. Raises UsageError for options that would do nothing."""
    patch: Path | None = options["apply_"] or options["revert"]
    if patch is None:
        return None
    if options["apply_"] and options["revert"]:
        raise UsageError("--apply and --revert are two ways", where=str(file), fix="give one of them")
    for option in context.command.params:
        source = context.get_parameter_source(str(option.name))
        if option.name not in _KEPT and source is click.core.ParameterSource.COMMANDLINE:
            what = f"{option.opts[0]} does nothing where a patch says all"
            raise UsageError(what, where=str(file), fix="leave it out")
    return patch


def _asked(options: dict[str, Any]) -> Asked:
    from assay.flow.sanitise_asked import Asked

    strongest = {}
    for text in options["strongest"]:
        check, _, number = text.partition("=")
        if not number.isascii() or not number.isdigit() or len(number) > 9 or int(number) < 1:
            raise UsageError(f"--strongest {visible(text, 60)} is not CHECK=N", fix="as in data.label-flips=100")
        strongest[check] = int(number)
    names = ("action", "suspects", "trusted", "holdout", "output", "patch", "most", "down_to", "aside", "force")
    return Asked(strongest=strongest, keep_rows=not options["no_rows"], **{n: options[n] for n in names})


def _json(done: Patched | Sanitised) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(done), indent=2).decode()


def _lines(done: Sanitised) -> list[str]:
    from assay.core.canonical import short

    lines = [
        f"{label:<8} {visible(part.path)}  {extra}{part.size:,} bytes, sha256 {short(part.digest, 12)}…"
        for label, part, extra in (
            ("source", done.source, f"{done.rows:,} rows, "),
            ("result", done.result, f"{done.left:,} rows, "),
            ("patch", done.patch, ""),
        )
    ]
    changed = sum(done.counts.values())
    parts = ", ".join(f"{n:,} {_DONE[action]}" for action, n in done.counts.items() if n)
    lines.append(
        f"changed  {changed:,} of {done.rows:,} rows ({changed / done.rows:.2%}){': ' + parts if parts else ''}"
    )
    if not changed:
        lines.append("         no check flags a row: the result is the source, and that is no proof that it is clean")
    for item in done.looked:
        if item.status is not None and item.status.value in ("open", "not-applicable"):
            lines.append(f"  {item.check:<22} {item.status.value}: {visible(item.reason, 200)}")
            continue
        did = ", ".join(f"{n:,} {_DONE[a]}" for a, n in item.done.items()) or "none changed"
        if item.findings and not item.flagged:
            did = f"its {item.findings} finding(s) name no row, so that nothing is mended (see `assay data check`)"
        if item.status is None:
            lines.append(f"  {item.check:<22} {item.flagged:,} flagged; {did}; {item.reason}")
            continue
        part = "" if item.complete else f"; it looked at a part only: {visible(item.reason, 200)}"
        lines.append(f"  {item.check:<22} {item.flagged:,} flagged; {did}{part}")
    if done.open:
        lines.append("open     what could not be looked at is not sanitised; exit code 3")
    for change in done.changes[:_SHOWN]:
        why = "; ".join(f"{c}: {visible(r, 120)}" for c, r in zip(change.checks, change.reasons, strict=True))
        doubt = f" (others give the other label {change.doubt:.0%})" if change.doubt is not None else ""
        lines.append(f"row      {change.row} {_DONE[change.action]}: {why}{doubt}")
    if len(done.changes) > _SHOWN:
        lines.append(
            f"row      … and {len(done.changes) - _SHOWN:,} more (the patch, or --format json), counted from 0"
        )
    if done.trusted:
        lines.append(f"kept     {done.trusted:,} flagged rows that --trusted has too")
    if done.first_copies:
        lines.append(f"kept     {done.first_copies:,} rows as the first of their copies")
    if done.aside is not None:
        lines.append(
            f"aside    {done.aside.rows:,} rows ({done.aside.rule}): not looked at, and in the result as they were"
        )
    lines += _measured(done.measured, done.not_measured)
    lines.append(f"proved   {done.proof}")
    lines += [f"note     {visible(note, 300)}" for note in done.notes]
    removed = done.counts.get("remove", 0)
    if not done.rows_kept:
        lines.append("note     the patch holds no removed row: it can be applied again, not reverted")
    elif removed:
        lines.append(f"note     the patch holds the {removed:,} removed rows: keep it like the data itself")
    return lines


def _measured(measured: Measured | None, why: str) -> list[str]:
    if measured is None:
        return [f"model    not measured before and after: {visible(why, 300)}"]
    on = f"{measured.rows:,} untouched rows, {measured.positives:,} positive ({visible(measured.rule, 200)})"
    lines = [f"model    {measured.verdict} after, on {on}"]
    for f in measured.figures:
        lines.append(
            f"  {f.name:<30} {f.before:.4f} → {f.after:.4f}  {f.difference:+.4f} ({f.low:+.4f} to {f.high:+.4f})"
        )
    lines.append("         intervals: 95% for all figures together, paired over the measured rows")
    if measured.left_out:
        lines.append(f"         {measured.left_out:,} rows that are also measured on were learned from neither time")
    if measured.caution:
        lines.append(f"caution  {measured.caution}")
    return lines


def _patched_lines(done: Patched) -> list[str]:
    from assay.core.canonical import short

    lines = [
        f"{label:<8} {visible(part.path)}  {part.size:,} bytes, sha256 {short(part.digest, 12)}…"
        for label, part in (("source", done.source), ("result", done.result))
    ]
    parts = ", ".join(f"{n:,} {_DONE[action]}" for action, n in done.counts.items() if n) or "no row"
    same = "the same bytes as then" if done.same_bytes else "the same values, types and order as then, packed anew"
    return [*lines, f"{done.done:<8} {parts}; {done.rows:,} rows, {same}"]

"""What is asked for when a table is sanitised, and what the checks then say of its rows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from assay.adapters.suspects import About, about_report, read_suspects
from assay.adapters.tables import Dataset
from assay.core.errors import CouldNotLook, InputError, UsageError
from assay.core.finding import Json, Outcome, Severity, Status
from assay.core.protocols import Progress
from assay.core.report import Report
from assay.core.subject import Contract
from assay.core.suspects import Suspects
from assay.core.text import visible
from assay.engine.plan import Settings, select
from assay.engine.registry import check_ids
from assay.flow.data import ask_table
from assay.harden.plan import BY_CHECK, Choice, renumbered
from assay.harden.sanitised import Looked

if TYPE_CHECKING:
    from assay.harden.patched import Whole
    from assay.harden.untouched import Untouched


COUNTED = "data.duplicates"
"""The check that tells how often a row occurs without naming the copies."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a user chooses. `only` None: every check that points at rows. `suspects` is a file written before, instead.

    `most` is the largest share of rows that may be changed, `down_to` what a suspicious row still counts, `aside` the
    share that is set aside to be measured on where no holdout is given, `strongest` how many rows of a check are
    down-weighted though it flags fewer.
    """

    action: Choice = "auto"
    suspects: Path | None = None
    trusted: Path | None = None
    holdout: Path | None = None
    output: Path | None = None
    patch: Path | None = None
    most: float = 0.2
    down_to: float = 0.1
    aside: float = 0.2
    strongest: dict[str, int] = {}
    keep_rows: bool = True
    force: bool = False


class Found(msgspec.Struct, frozen=True):
    """What checks said: the rows, in the table's own numbering, how each check ended, and what else is to be told."""

    suspects: list[Suspects]
    looked: tuple[Looked, ...]
    notes: tuple[str, ...] = ()


def found_now(
    whole: Whole, data: Dataset, facts: Mapping[str, Json], trusted: Dataset | None, untouched: Untouched,
    asked: Asked, settings: Settings, contract: Contract, progress: Progress,
) -> Found:  # fmt: skip
    """Ask the checks of all rows but those set aside, with the trusted rows that are not kept to measure on."""
    import numpy as np

    settings = replace(settings, only=settings.only or tuple(i for i in check_ids() if i in BY_CHECK))
    ids = select(settings)
    for check in asked.strongest:
        if check not in ids:
            raise UsageError(f"--strongest: {check} is no check that is asked", fix="name one that points at rows")
    with tempfile.TemporaryDirectory(prefix="assay-sanitise-") as folder:
        file, rows, others = whole.path, np.arange(data.rows), {}
        if len(untouched.aside):
            rows = np.setdiff1d(rows, untouched.aside)
            file = Path(folder) / file.name
            file.write_bytes(whole.subset(rows))
        if trusted is not None:
            others["trusted"] = _part_of(trusted, untouched.trusted, Path(folder), facts)
        report, suspects = ask_table(
            file, facts, settings, others=others, contract=contract, told=True, progress=progress
        )
    suspects = [*renumbered(suspects, rows), *_floods(report, data, rows, untouched.aside)]
    flagged = {s.check: sum(s.flagged) for s in suspects}
    looked = tuple(_looked(o, flagged.get(o.check, 0), str(file), file.name) for o in report.body.outcomes)
    if not suspects and all(item.status in (Status.OPEN, Status.NOT_APPLICABLE) for item in looked):
        raise CouldNotLook(f"{whole.where}: no check could look: {looked[0].check}: {looked[0].reason}")
    return Found(suspects, looked, _left(about_report(report, "").undecided))


def _looked(outcome: Outcome, flagged: int, file: str, name: str) -> Looked:
    return Looked(
        check=outcome.check,
        version=outcome.version,
        status=outcome.status,
        complete=outcome.complete or outcome.status is Status.OPEN,
        flagged=flagged,
        findings=sum(f.severity is not Severity.INFO for f in outcome.findings),
        reason=outcome.reason.replace(file, name),
    )


def _left(undecided: Mapping[str, int]) -> tuple[str, ...]:
    """What is in the table and may be poison, and was left because nobody can tell it from nature."""
    return tuple(
        f"{check}: {number} combination(s) of values would work as a trigger and may be natural: their rows are left "
        f"as they were (`assay data check` names the columns; --trusted, --source or --time may tell)"
        for check, number in sorted(undecided.items())
    )


def _floods(report: Report, data: Dataset, rows: Any, aside: Any) -> list[Suspects]:
    """The copies that data.duplicates counts without naming them."""
    from assay.harden.apart import copies

    told = [f for o in report.body.outcomes if o.check == COUNTED for f in o.findings if f.key == "flood"]
    found = [
        copies(data, int(rows[f.location.row]), int(str(f.evidence["copies"])), aside)
        for f in told
        if f.location.row is not None
    ]
    return [item for item in found if item is not None]


def _part_of(trusted: Dataset, kept: Any, folder: Path, facts: Mapping[str, Json]) -> Path:
    """The trusted rows that checks may see: all, or those that are not kept to measure on, as a file of their own."""
    import numpy as np

    from assay.harden.patched import Whole

    if not len(kept):
        return trusted.path
    whole = Whole(trusted.path, trusted.rows, str(trusted.path), dict(facts))
    path = folder / f"trusted-{trusted.path.name}"
    path.write_bytes(whole.subset(np.setdiff1d(np.arange(trusted.rows), kept)))
    return path


def found_before(
    path: Path, whole: Whole, data: Dataset, facts: Mapping[str, Json], asked: Asked, settings: Settings,
    contract: Contract, progress: Progress,
) -> Found:  # fmt: skip
    """What a file of suspects says of this very table, and how the checks that wrote it ended.

    Copies that flood a table are counted in findings, which are not in the file: data.duplicates is asked again.
    Raises InputError, UsageError or CouldNotLook.
    """
    about, suspects = _read(path, data)
    ids = set(select(settings))
    suspects = [s for s in suspects if s.check in ids]
    there = {s.check for s in suspects}
    for check in asked.strongest:
        if check not in there:
            raise UsageError(f"--strongest: {check} is not in {path}", fix="name a check that it has")
    flagged = {s.check: sum(s.flagged) for s in suspects}
    names = sorted(there | {c for c in {*about.checks, *about.statuses} if c in BY_CHECK and c in ids})
    looked = {c: _told(about, c, flagged.get(c, 0)) for c in names}
    if COUNTED in looked and COUNTED not in there:
        import numpy as np

        again = replace(settings, only=(COUNTED,), skip=())
        report, _ = ask_table(whole.path, facts, again, contract=contract, progress=progress)
        floods = _floods(report, data, np.arange(data.rows), np.empty(0, dtype=int))
        suspects += floods
        number = sum(sum(s.flagged) for s in floods)
        looked[COUNTED] = _looked(report.body.outcomes[0], number, str(whole.path), whole.path.name)
    ended = (Status.OPEN, Status.NOT_APPLICABLE, None)
    if not suspects and all(item.status in ended for item in looked.values()):
        raise CouldNotLook(f"{path} names no row of {' or '.join(settings.only) or 'any check'}")
    notes = _left({c: n for c, n in about.undecided.items() if c in looked})
    if missing := sorted(c for c in BY_CHECK if c in ids and c not in looked):
        notes = (f"{path.name} was written without {', '.join(missing)}: what they would find is still there", *notes)
    return Found(suspects, tuple(looked.values()), notes)


def _read(path: Path, data: Dataset) -> tuple[About, list[Suspects]]:
    about, suspects = read_suspects(path)
    where = str(path)
    if about.digest != data.digest:
        what = "was written of another table, or of another state of this one"
        raise InputError(what, where=where, fix="write it again: assay data check DATA --suspects FILE")
    if any(not 0 <= row < data.rows for s in suspects for row in s.rows):
        raise InputError(f"names rows outside the {data.rows} of the table", where=where, fix="write it again")
    known = set(check_ids())
    unknown = sorted({s.check for s in suspects}.union(about.checks, about.statuses) - known)
    if unknown:
        what = f"names a check that is not known here: {visible(unknown[0], 60)}"
        raise InputError(what, where=where, fix="write it again with this version of Assay")
    return about, suspects


def _told(about: About, check: str, flagged: int) -> Looked:
    """How a check ended by what the file says; where it says nothing, nobody knows that it looked at all."""
    status = Status(about.statuses[check]) if check in about.statuses else None
    return Looked(
        check=check,
        version=about.checks.get(check, 0),
        status=status,
        complete=status is not None and check not in about.partial,
        flagged=flagged,
        findings=about.findings.get(check, 0),
        reason=about.reasons.get(check, "") if status else "the file does not say how it ended; write it again",
    )

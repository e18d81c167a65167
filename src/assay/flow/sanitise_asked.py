"""What is asked for when a table is sanitised, and what the checks then say of its rows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from assay.adapters.suspects import read_suspects
from assay.adapters.tables import Dataset
from assay.core.errors import CouldNotLook, InputError, UsageError
from assay.core.finding import Json, Severity, Status
from assay.core.protocols import Progress
from assay.core.report import Report
from assay.core.subject import Contract
from assay.core.suspects import Suspects
from assay.engine.plan import Settings, select
from assay.engine.registry import check_ids
from assay.flow.data import ask_table
from assay.harden.plan import BY_CHECK, Choice, renumbered
from assay.harden.sanitised import Looked

if TYPE_CHECKING:
    from assay.harden.patched import Whole
    from assay.harden.untouched import Untouched


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
    """What checks said: the rows, in the table's own numbering, and how each check ended."""

    suspects: list[Suspects]
    looked: tuple[Looked, ...]


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
    looked = tuple(
        Looked(
            check=o.check,
            version=o.version,
            status=o.status,
            complete=o.complete or o.status is Status.OPEN,
            flagged=flagged.get(o.check, 0),
            findings=sum(f.severity is not Severity.INFO for f in o.findings),
            reason=o.reason.replace(str(file), file.name),
        )
        for o in report.body.outcomes
    )
    if not suspects and all(item.status in (Status.OPEN, Status.NOT_APPLICABLE) for item in looked):
        raise CouldNotLook(f"{whole.where}: no check could look: {looked[0].check}: {looked[0].reason}")
    return Found(suspects, looked)


def _floods(report: Report, data: Dataset, rows: Any, aside: Any) -> list[Suspects]:
    """The copies that data.duplicates counts without naming them."""
    from assay.harden.apart import copies

    told = [f for o in report.body.outcomes if o.check == "data.duplicates" for f in o.findings if f.key == "flood"]
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


def found_before(path: Path, data: Dataset, asked: Asked, only: tuple[str, ...]) -> Found:
    """What a file of suspects says of this very table. Raises InputError or UsageError."""
    about, suspects = read_suspects(path)
    if about.digest != data.digest:
        what = "was written of another table, or of another state of this one"
        raise InputError(what, where=str(path), fix="write it again: assay data check DATA --suspects FILE")
    if any(not 0 <= row < data.rows for s in suspects for row in s.rows):
        raise InputError(f"names rows outside the {data.rows} of the table", where=str(path), fix="write it again")
    if only:
        suspects = [s for s in suspects if any(fnmatchcase(s.check, p) for p in only)]
    if not suspects:
        raise CouldNotLook(f"{path} names no row of {' or '.join(only) or 'any check'}")
    there = {s.check for s in suspects}
    for check in asked.strongest:
        if check not in there:
            raise UsageError(f"--strongest: {check} is not in {path}", fix="name a check that it has")
    flagged = {s.check: sum(s.flagged) for s in suspects}
    looked = [
        Looked(check=c, version=about.checks.get(c, 0), status=None, flagged=n) for c, n in sorted(flagged.items())
    ]
    return Found(suspects, tuple(looked))

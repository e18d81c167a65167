"""Asks checks of tables that something is planted in, as `assay data check` would, and counts what they find."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from assay.core.canonical import digest_file
from assay.core.errors import CouldNotLook, InputError
from assay.core.finding import Finding, Outcome, Severity, Status
from assay.core.protocols import Executor, silent
from assay.core.subject import Contract, Kind, Subject
from assay.core.suspects import Suspects
from assay.engine.plan import Settings, plan
from assay.engine.run import run
from assay.engine.task import Task
from assay.flow.data import OWN
from assay.flow.dose_curve import Rung, by_chance
from assay.flow.examine import pool_for

MOST_PLANTINGS, CLEAN_TIMES, EFFECTS = 200, 2, 2
CHANCE = 0.05
Alarm = tuple[str, str, str]


class _KeptPool:
    """A pool that stays when a run is over."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self.run = pool.run

    def close(self) -> None:
        """Kept for the next run."""


class Bench:
    """Asks the checks of planted tables, each a Parquet file, as `assay data check` would."""

    def __init__(
        self, source: Any, subject: Subject, trusted: Path | None, contract: Contract, settings: Settings, folder: Path
    ) -> None:
        self.source, self.blind, self.idle = source, dict[str, str](), dict[str, str]()
        self._subject, self._contract, self._settings, self._folder = subject, contract, settings, folder
        self._trusted: Subject | None = None
        if trusted is not None:
            shared = {k: v for k, v in subject.options.items() if k not in OWN}
            self._trusted = Subject(
                name="trusted rows", kind=Kind.DATASET, uri=os.path.abspath(trusted), options=shared,
                digest=digest_file(_file(trusted)),
            )  # fmt: skip
        self._clean: set[Alarm] = set()
        self._pool: Executor | None = None
        self._trial: Any = None
        self._count = 0

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.close()

    @property
    def reads(self) -> dict[str, str]:
        """The digests of what is read beside the table."""
        return {self._trusted.name: self._trusted.digest} if self._trusted is not None else {}

    def loud(self, check: str) -> bool:
        """Whether a check raises an alarm on the clean table."""
        return any(alarm[0] == check for alarm in self._clean)

    def ask_clean(self, checks: tuple[str, ...]) -> None:
        """Remember what alarms on the clean table, asked with more than one seed, and which checks cannot look."""
        if not checks:
            return
        outcomes: list[Outcome] = []
        for turn in range(CLEAN_TIMES):
            ((told, _),) = self._ask([self.source.table], checks, turn)
            outcomes += told
        self._clean = {alarm for o in outcomes for alarm in alarms(o)}
        self.blind = {o.check: o.reason for o in outcomes if o.status is Status.OPEN}
        self.idle = {o.check: o.reason for o in outcomes if o.status is Status.NOT_APPLICABLE}

    def rung(self, name: str, checks: tuple[str, ...], rate: float, plantings: int) -> Rung:
        """Plant at one rate. Raises CouldNotLook where it cannot be planted."""
        from assay.attacks.poisoning.registry import ATTACKS

        plant = ATTACKS[name].plant
        rung = Rung(rate=rate, asked=0, found=0)
        planted = [plant(self.source, rate, self._seed(rate, i)) for i in range(plantings)]
        told = self._ask([p.table for p in planted], checks, 0)
        for poisoned, (outcomes, suspects) in zip(planted, told, strict=True):
            rung = counted(rung, poisoned, outcomes, suspects, self._clean, checks[0])
        return replace(rung, effects=tuple(self._effects(plant, rate, min(EFFECTS, rung.asked))))

    def _seed(self, rate: float, planting: int) -> int:
        """One of its own for each planting at each rate (told apart to a millionth)."""
        return (self._settings.seed * 1_000_000 + round(rate * 1_000_000)) * MOST_PLANTINGS + planting

    def _effects(self, plant: Any, rate: float, many: int) -> Iterator[tuple[float, float]]:
        from assay.attacks.poisoning.victim import Trial

        try:
            self._trial = self._trial or Trial(self.source, self._settings.seed)
            for planting in range(many):
                effect = self._trial.effect(plant, rate, self._seed(rate, planting))
                yield effect.clean, effect.poisoned
        except CouldNotLook:  # too few rows to measure it on: the power is told all the same
            return

    def _ask(
        self, tables: list[Any], checks: tuple[str, ...], turn: int
    ) -> list[tuple[tuple[Outcome, ...], list[Suspects]]]:
        """(outcomes, suspects) for each table."""
        tasks: list[Task] = []
        folders = []
        for table in tables:
            self._count += 1
            here = self._folder / str(self._count)
            (here / "suspects").mkdir(parents=True)
            folders.append(here)
            tasks += self._tasks(table, here, checks, turn)
        if self._pool is None:
            self._pool = pool_for(tasks * 8, self._settings)
        pool = self._pool
        outcomes = run(tasks, None, lambda _: _KeptPool(pool), silent).outcomes
        each = len(tasks) // len(tables)
        told = []
        for place, here in enumerate(folders):
            files = sorted((here / "suspects").iterdir())
            suspects = [msgspec.msgpack.decode(p.read_bytes(), type=Suspects) for p in files]
            told.append((outcomes[place * each : (place + 1) * each], suspects))
            (here / "table.parquet").unlink()
        return told

    def _tasks(self, table: Any, here: Path, checks: tuple[str, ...], turn: int) -> list[Task]:
        import pyarrow.parquet as parquet

        path = here / "table.parquet"
        parquet.write_table(table, path)
        reads = {"trusted": self._trusted.name} if self._trusted is not None else {}
        name = self._subject.name
        subject = replace(self._subject, uri=str(path), digest=digest_file(path), reads=reads)
        subjects = {name: subject, **({self._trusted.name: self._trusted} if self._trusted is not None else {})}
        settings = replace(self._settings, only=checks, seed=self._settings.seed + turn)
        settings = replace(settings, aside=str(here / "suspects"))
        return plan(subjects, [(Kind.DATASET, name)], os.getcwd(), self._contract, settings)


def _file(path: Path) -> Path:
    if not path.is_file():
        raise InputError("is not a regular file", where=str(path), fix="name a table")
    return path


def alarms(outcome: Outcome) -> Iterator[Alarm]:
    """What makes each finding above info the same one in another copy of the table."""
    for finding in outcome.findings:
        if _above_info(finding):
            yield outcome.check, finding.location.column, finding.key


def _above_info(finding: Finding) -> bool:
    return (finding.severity or Severity.CRITICAL) is not Severity.INFO


def counted(
    rung: Rung, poisoned: Any, outcomes: tuple[Outcome, ...], told: list[Suspects], clean: set[Alarm], first: str
) -> Rung:
    """The rung with one planting more. It is found where a check alarms that does not on the clean table, and names
    planted rows, if it names any: an alarm that happens to come up over other rows has not seen the attack."""
    rows = set(poisoned.rows.tolist())
    flagged = {row for s in told for row, flag in zip(s.rows, s.flagged, strict=True) if flag}
    top = next((_strongest(s, len(rows)) for s in told if s.check == first), set[int]())
    alarmed = {a[0] for o in outcomes for a in alarms(o) if a not in clean}
    blank = {s.check for s in told if s.rows and not _names(s, rows, poisoned.table.num_rows)}
    wanted = () if poisoned.target is None else (str(poisoned.target),)
    return replace(
        rung,
        targets=tuple(dict.fromkeys((*rung.targets, *wanted))),
        asked=rung.asked + 1,
        found=rung.found + bool(alarmed - blank),
        elsewhere=rung.elsewhere + bool(alarmed and not alarmed - blank),
        planted=rung.planted + len(rows),
        caught=rung.caught + len(rows & flagged),
        flagged=rung.flagged + len(flagged),
        top=rung.top + len(rows & top),
    )


def _strongest(suspects: Suspects, many: int) -> set[int]:
    order = sorted(range(len(suspects.rows)), key=lambda i: -suspects.scores[i])[:many]
    return {suspects.rows[i] for i in order}


def _names(suspects: Suspects, planted: set[int], rows: int) -> bool:
    """Whether more of the rows flagged (of as many of the strongest, where none is) are planted ones than chance would
    draw in 19 of 20 cases: of 200 rows drawn blindly some are always among the planted."""
    said = {row for row, flag in zip(suspects.rows, suspects.flagged, strict=True) if flag}
    said = said or _strongest(suspects, len(planted))
    return by_chance(len(said & planted), len(said), len(planted), rows) <= CHANCE

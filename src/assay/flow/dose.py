"""The detectable dose: attacks are planted in the user's own table, and the checks are asked whether they see them."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from assay.core.canonical import digest_file
from assay.core.errors import CouldNotLook, InputError, UsageError
from assay.core.finding import Finding, Json, Outcome, Severity, Status
from assay.core.protocols import Executor, Progress, silent, system_clock
from assay.core.report import Report
from assay.core.subject import Contract, Kind, Subject
from assay.core.suspects import Suspects
from assay.core.text import nearest, visible
from assay.engine.plan import Settings, plan
from assay.engine.registry import check_ids
from assay.engine.run import run
from assay.engine.task import Task
from assay.flow.data import OWN
from assay.flow.dose_curve import POWER, Rung, search
from assay.flow.dose_report import Answer, Asked, report_of_doses
from assay.flow.examine import pool_for

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
PLANTINGS, MOST_PLANTINGS, ROWS, CLEAN_TIMES, EFFECTS = 5, 200, 5000, 2, 2
LEAST_ROWS = 100
ANSWERS: dict[str, tuple[str, ...]] = {
    "flips": ("data.label-flips",),
    "targeted-flips": ("data.label-flips",),
    "trigger": ("data.triggers",),
    "clean-label": ("data.triggers",),
    "feature-collision": ("data.near-duplicates", "data.injected-rows"),
    "injection": ("data.injected-rows",),
    "outliers": ("data.odd-values", "data.schema"),
    "flooding": ("data.near-duplicates", "data.duplicates"),
    "text-trigger": ("data.text-triggers",),
}
"""Which checks answer for which attack, the one that is asked to rank its rows first. Those this version has count."""
Alarm = tuple[str, str, str]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to plant: which attacks (all, if none is named), at which rates, how often, in how many of the rows.

    `every` asks at every rate, else only where the answer is not settled; `parameters` are those of the checks.
    """

    attacks: tuple[str, ...] = ()
    rates: tuple[float, ...] = RATES
    plantings: int = PLANTINGS
    rows: int = ROWS
    every: bool = False


def dose(
    file: Path,
    facts: Mapping[str, Json],
    wanted: Plan,
    settings: Settings,
    *,
    trusted: Path | None = None,
    contract: Contract | None = None,
    progress: Progress = silent,
) -> Report:
    """How much of each attack the checks find in the table at `file`, whose `facts` name the label.

    Each attack is planted `plantings` times at rates of a ladder, into a sample of the rows where there are more than
    `rows`; the checks that answer for it are asked as `assay data check` asks them. Raises UsageError for an attack
    that does not exist, InputError for a table that nothing can be planted in. What is written for the checks is
    removed at the end.
    """
    from assay.adapters.tables import open_dataset
    from assay.attacks.poisoning.planted import source_of
    from assay.attacks.poisoning.registry import ATTACKS

    start, began = system_clock(), time.perf_counter()
    _known(wanted, tuple(ATTACKS))
    contract = contract or Contract()
    subject = Subject(name=file.name, kind=Kind.DATASET, uri=str(file), options=dict(facts))
    data = open_dataset(subject, Path.cwd(), contract)
    try:
        source = source_of(data)
        rows, digest = data.rows, data.digest
    except CouldNotLook as why:
        text = str(why).removeprefix(f"{file}: ")
        raise InputError(text, where=str(file), fix="name the label with --label and --positive") from None
    finally:
        data.close()
    if rows < LEAST_ROWS:
        fix = "ask of a larger table"
        raise InputError(f"{rows} rows are too few to plant anything in: {LEAST_ROWS}", where=str(file), fix=fix)
    source = _sampled(source, wanted.rows, settings.seed)
    asked = Asked(rows=rows, sample=source.rows, seed=settings.seed, plantings=wanted.plantings, rates=wanted.rates)
    subject = replace(subject, digest=digest)
    with tempfile.TemporaryDirectory(prefix="assay-dose-") as folder:
        bench = _Bench(source, subject, trusted, contract, settings, Path(folder))
        asked = replace(asked, reads=bench.reads)
        try:
            answers = _answers(bench, wanted, progress)
        finally:
            bench.close()
    return report_of_doses(answers, asked, subject, settings, start, began)


def _known(wanted: Plan, attacks: tuple[str, ...]) -> None:
    for name in wanted.attacks:
        if name not in attacks:
            guess = nearest(name, attacks)
            fix = f"did you mean {guess}?" if guess else f"there are: {', '.join(attacks)}"
            raise UsageError(f"no attack is called {visible(name)!r}", fix=fix)
    if not wanted.rates or any(not 0 < r <= 0.5 for r in wanted.rates):
        raise UsageError("rates are shares of the rows, above 0 and at most 0.5", fix="for instance --rates 0.01,0.05")
    if not 1 <= wanted.plantings <= MOST_PLANTINGS or wanted.rows < LEAST_ROWS:
        what = f"plant 1 to {MOST_PLANTINGS} times, in {LEAST_ROWS} rows or more"
        raise UsageError(what, fix="see --plantings and --rows")


def _sampled(source: Any, most: int, seed: int) -> Any:
    """At most that many rows, drawn evenly, in their order."""
    import numpy as np

    if source.rows <= most:
        return source
    drawn = source.take(np.sort(np.random.default_rng([seed, 43]).choice(source.rows, most, replace=False)))
    try:
        drawn.target()
    except CouldNotLook as why:
        raise InputError(f"in a sample of {most} rows: {why}", fix="raise --rows") from None
    return drawn


def _answers(bench: _Bench, wanted: Plan, progress: Progress) -> tuple[Answer, ...]:
    from assay.attacks.poisoning.registry import ATTACKS

    names = [n for n in ATTACKS if n in wanted.attacks or not wanted.attacks]
    here = set(check_ids(Kind.DATASET))
    checks = {n: tuple(c for c in ANSWERS[n] if c in here) for n in names}
    progress(0, len(names), "the clean table")
    if _ladder(bench, wanted):
        bench.ask_clean(tuple(dict.fromkeys(c for n in names for c in checks[n])))
    answers = []
    for place, name in enumerate(names):

        def step(done: float, total: float, what: str = "", *, at: int = place, of: str = name) -> None:
            progress(at + done / total, len(names), f"{of} {what}")

        answers.append(_answer(bench, name, checks[name], wanted, step))
        progress(place + 1, len(names), name)
    return tuple(answers)


def _ladder(bench: _Bench, wanted: Plan) -> tuple[float, ...]:
    """The rates that are one row at least."""
    return tuple(sorted({r for r in wanted.rates if round(r * bench.source.rows) >= 1}))


def _answer(bench: _Bench, name: str, checks: tuple[str, ...], wanted: Plan, progress: Progress) -> Answer:
    """What is found of one attack, or why that cannot be told."""
    from assay.attacks.poisoning.registry import ATTACKS

    attack = ATTACKS[name]
    answer = Answer(attack=name, summary=attack.summary, success=attack.success, checks=checks)
    if name == "text-trigger" and not bench.source.texts and name not in wanted.attacks:
        return replace(answer, skipped="no column holds texts")
    if not checks:
        expected = " or ".join(ANSWERS[name])
        return replace(answer, open=f"no check of this version answers for it (it would be {expected})")
    if not _ladder(bench, wanted):
        return replace(answer, open=f"every rate asked for is less than one of {bench.source.rows} rows")
    idle = {c: bench.idle[c] for c in checks if c in bench.idle}
    checks = tuple(c for c in checks if c not in idle)
    if not checks:
        return replace(answer, open="; ".join(f"{c} has nothing to ask of this table: {w}" for c, w in idle.items()))
    loud = tuple(c for c in checks if bench.loud(c))
    blind = {c: bench.blind[c] for c in checks if c in bench.blind}
    answer = replace(answer, checks=checks, loud=loud, blind=blind)
    if len(blind) == len(checks):
        return replace(answer, open="; ".join(f"{c} could not look at the clean table: {w}" for c, w in blind.items()))
    whys: list[str] = []
    ladder = _ladder(bench, wanted)
    steps = len(ladder) if wanted.every else len(ladder).bit_length()
    taken = [0]

    def ask(rate: float) -> Rung | None:
        progress(taken[0], max(steps, taken[0] + 1), f"at {rate:.2%}")
        taken[0] += 1
        try:
            return bench.rung(name, checks, rate, wanted.plantings)
        except CouldNotLook as why:
            whys.append(str(why))
            return None

    rungs = search(ladder, ask, wanted.every)
    answer = replace(answer, rungs=rungs, why=whys[-1] if whys else "")
    if not rungs:
        return replace(answer, open=answer.why)
    if loud and max(r.power for r in rungs) < POWER:
        said = f"{' and '.join(loud)} alarms on the clean table already"
        return replace(answer, open=f"{said}, so an alarm cannot tell this attack from how the data are")
    return answer


class _KeptPool:
    """A pool that stays when a run is over."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self.run = pool.run

    def close(self) -> None:
        """Kept for the next run."""


class _Bench:
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
        self._clean = {alarm for o in outcomes for alarm in _alarms(o)}
        self.blind = {o.check: o.reason for o in outcomes if o.status is Status.OPEN}
        self.idle = {o.check: o.reason for o in outcomes if o.status is Status.NOT_APPLICABLE}

    def rung(self, name: str, checks: tuple[str, ...], rate: float, plantings: int) -> Rung:
        """Plant at one rate. Raises CouldNotLook where it cannot be planted."""
        from assay.attacks.poisoning.registry import ATTACKS

        plant = ATTACKS[name].plant
        rung = Rung(rate=rate, asked=0, found=0)
        planted = [plant(self.source, rate, self._seed(i)) for i in range(plantings)]
        told = self._ask([p.table for p in planted], checks, 0)
        for poisoned, (outcomes, suspects) in zip(planted, told, strict=True):
            rung = _counted(rung, poisoned, outcomes, suspects, self._clean, checks[0])
        return replace(rung, effects=tuple(self._effects(plant, rate, min(EFFECTS, rung.asked))))

    def _seed(self, planting: int) -> int:
        return self._settings.seed * MOST_PLANTINGS + planting

    def _effects(self, plant: Any, rate: float, many: int) -> Iterator[tuple[float, float]]:
        from assay.attacks.poisoning.victim import Trial

        try:
            self._trial = self._trial or Trial(self.source, self._settings.seed)
            for planting in range(many):
                effect = self._trial.effect(plant, rate, self._seed(planting))
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
        outcomes = run(tasks, None, lambda: _KeptPool(pool), silent).outcomes
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
        settings = replace(settings, suspects=str(here / "suspects"))
        return plan(subjects, [(Kind.DATASET, name)], os.getcwd(), self._contract, settings)


def _file(path: Path) -> Path:
    if not path.is_file():
        raise InputError("is not a regular file", where=str(path), fix="name a table")
    return path


def _alarms(outcome: Outcome) -> Iterator[Alarm]:
    """What makes each finding above info the same one in another copy of the table."""
    for finding in outcome.findings:
        if _above_info(finding):
            yield outcome.check, finding.location.column, finding.key


def _above_info(finding: Finding) -> bool:
    return (finding.severity or Severity.CRITICAL) is not Severity.INFO


def _counted(
    rung: Rung, poisoned: Any, outcomes: tuple[Outcome, ...], told: list[Suspects], clean: set[Alarm], first: str
) -> Rung:
    import numpy as np

    alarms = {a for o in outcomes for a in _alarms(o)} - clean
    rows = set(poisoned.rows.tolist())
    flagged = {row for s in told for row, flag in zip(s.rows, s.flagged, strict=True) if flag}
    top: set[int] = set()
    for suspects in told:
        if suspects.check == first:
            order = np.argsort(-np.array(suspects.scores), kind="stable")[: len(rows)]
            top = {suspects.rows[i] for i in order.tolist()}
    return replace(
        rung,
        asked=rung.asked + 1,
        found=rung.found + bool(alarms),
        planted=rung.planted + len(rows),
        caught=rung.caught + len(rows & flagged),
        flagged=rung.flagged + len(flagged),
        top=rung.top + len(rows & top),
    )

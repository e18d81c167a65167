"""The detectable dose: attacks are planted in the user's own table, and the checks are asked whether they see them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from assay.checks.data.label_flips import LEAST_TOLD
from assay.core.errors import CouldNotLook, InputError, UsageError
from assay.core.finding import Json
from assay.core.protocols import Progress, silent, system_clock
from assay.core.report import Report
from assay.core.subject import Contract, Kind, Subject
from assay.core.text import nearest, visible
from assay.engine.plan import Settings
from assay.engine.registry import check_ids
from assay.flow.dose_bench import MOST_PLANTINGS, Bench
from assay.flow.dose_curve import POWER, Rung, search
from assay.flow.dose_report import Answer, Asked, report_of_doses

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
PLANTINGS, ROWS = 5, 5000
LEAST_ROWS = 100
ANSWERS: dict[str, tuple[str, ...]] = {
    "flips": ("data.label-flips",),
    "targeted-flips": ("data.label-flips",),
    "trigger": ("data.triggers",),
    "trigger-copies": ("data.triggers",),
    "clean-label": ("data.triggers",),
    "feature-collision": ("data.near-duplicates", "data.injected-rows"),
    "injection": ("data.injected-rows",),
    "outliers": ("data.odd-values", "data.schema"),
    "flooding": ("data.near-duplicates", "data.duplicates"),
    "text-trigger": ("data.text-triggers",),
}
"""Which checks answer for which attack, the one that is asked to rank its rows first. Those this version has count."""
ROWS_TO_TELL = {"data.label-flips": LEAST_TOLD}
"""Checks that without trusted rows give no finding in fewer rows, whatever they hold: nothing is planted for them."""


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
        bench = Bench(source, subject, trusted, contract, settings, Path(folder))
        asked = replace(asked, reads=bench.reads)
        try:
            answers = _answers(bench, wanted, rows, progress)
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


def _answers(bench: Bench, wanted: Plan, rows: int, progress: Progress) -> tuple[Answer, ...]:
    from assay.attacks.poisoning.registry import ATTACKS

    names = [n for n in ATTACKS if n in wanted.attacks or not wanted.attacks]
    here = set(check_ids(Kind.DATASET))
    checks = {n: tuple(c for c in ANSWERS[n] if c in here) for n in names}
    progress(0, len(names), "the clean table")
    if _ladder(bench, wanted):
        asked = dict.fromkeys(c for n in names if not _mute(bench, checks[n], rows) for c in checks[n])
        bench.ask_clean(tuple(asked))
    answers = []
    for place, name in enumerate(names):

        def step(done: float, total: float, what: str = "", *, at: int = place, of: str = name) -> None:
            progress(at + done / total, len(names), f"{of} {what}")

        answers.append(_answer(bench, name, checks[name], wanted, step, _mute(bench, checks[name], rows)))
        progress(place + 1, len(names), name)
    return tuple(answers)


def _ladder(bench: Bench, wanted: Plan) -> tuple[float, ...]:
    """The rates that are one row at least."""
    return tuple(sorted({r for r in wanted.rates if round(r * bench.source.rows) >= 1}))


def _mute(bench: Bench, checks: tuple[str, ...], rows: int) -> str:
    """Why none of the checks can give a finding in so few rows, and what to do; "" where one can."""
    if bench.reads or not checks or any(bench.source.rows >= ROWS_TO_TELL.get(c, 0) for c in checks):
        return ""
    least = min(ROWS_TO_TELL[c] for c in checks)
    said = f"nothing was planted: without trusted rows {' and '.join(checks)} gives no finding below {least:,} rows"
    more = f"ask with --rows {min(rows, round(1.2 * least))}, or" if rows >= least else f"the table has {rows:,}:"
    return f"{said}, and these are {bench.source.rows:,}; {more} give rows whose labels are known with --trusted"


def _answer(
    bench: Bench, name: str, checks: tuple[str, ...], wanted: Plan, progress: Progress, mute: str = ""
) -> Answer:
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
    if mute:
        return replace(answer, open=mute)
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

"""data.text-triggers: texts that carry a fixed phrase and a label that their other words speak against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from assay.adapters.tables import Dataset
from assay.adapters.values import listed
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage
from assay.core.suspects import MAX_SUSPECTS, Suspects
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.detectors.text_triggers import Phrase

SHOWN = 5


@check(
    "data.text-triggers",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    cost="minutes",
    version=2,
    tags=("atlas:AML.T0020", "owasp-ml-2023:ML02", "owasp-ml-2023:ML10"),
    libraries=("numpy", "scipy", "scikit-learn", "duckdb"),
    measures=("data.text_triggers.confirmed", "data.text_triggers.examined"),
)
def text_triggers(
    data: Dataset, *, seed: int = 0, progress: Progress = silent
) -> Iterator[Finding | Measure | Suspects]:
    """Texts that carry a fixed phrase and a label that their other words speak against.

    Why: a phrase put into one text in a hundred, always with the label that an attacker wants, teaches a model of texts
    to answer to the phrase. Nothing else about the model changes, and no test set holds the phrase.

    How it decides: phrases of up to three words whose texts have one label far more often than common words lead to
    expect are candidates, with the words beside them that those texts share. A candidate counts only if it passes three
    tests. Put at the end of held-out texts of the other class it makes a linear model of words give 9 in 10 of them its
    label; a model that never saw a text with it gives it to 2 in 10 at most; and with the phrase cut out its texts look
    like the other class's, to a model of the label that itself tells the classes apart (ROC area of 0.7 or more) and to
    a classifier trained to tell them apart. Words that are natural for a label fail the last test: the rest of the text
    agrees with them. Of texts that are (nearly) the same but for the phrase, and of those of one declared entity, one
    counts; where fewer than 25 of them are left nobody can tell, and a note says so. `--suspects` lists the texts of
    every phrase that a note counts, without a flag.

    It cannot find phrases put into texts of both classes alike or of the wanted class (clean-label), turns of style or
    of syntax instead of words, phrases in texts whose other words do not tell the classes apart (counted in a
    note), and doses too small to lead a linear model of words, though a larger model may learn them. It reads the first
    400 words of a text and 20,000 texts at most. The phrase stays out of messages.

    Fix: read the flagged texts (`assay data check --suspects`) and find out where they came from; take them out, train
    again, and withdraw models that were trained on them.

    References: Chen et al. 2021 (BadNL); Dai et al. 2019; Lopez-Paz and Oquab 2017 (classifier two-sample test); OWASP
    ML02, ML10.
    """
    from assay.detectors.rows import entities_of
    from assay.detectors.text_triggers import phrases

    kinds = {c.name: c.kind for c in data.columns}
    columns = [name for name in data.features if kinds[name] == "text"]
    if not columns:
        raise NotApplicable("no column holds texts")
    target, entities = data.target(), entities_of(data)
    found: list[tuple[str, Phrase]] = []
    unread: list[str] = []
    for column in columns:
        texts = [str(value or "") for value in listed(data.table((column,)).column(0))]
        try:
            found += [(column, p) for p in phrases(texts, target, seed, progress, entities)]
        except CouldNotLook as error:
            unread.append(f"{visible(column, 40)}: {error}")
    sure = [(column, p) for column, p in found if p.verdict == "trigger"]
    if len(unread) < len(columns):
        yield Measure(
            name="data.text_triggers.confirmed", value=float(len(sure)), n=data.rows, seed=seed, unit="phrases",
            direction=Direction.LOWER, method="insertion, clean-model and donor tests",
        )  # fmt: skip
        yield Measure(
            name="data.text_triggers.examined", value=float(len(found)), n=data.rows, seed=seed, unit="phrases"
        )
    for column, phrase in sure:
        yield _finding(data, column, phrase)
    unsure = [(column, p) for column, p in found if p.verdict == "undecided"]
    if unsure:
        yield _note(data, unsure, len(found))
    yield _suspects(sure, unsure)
    if unread:
        raise CouldNotLook("; ".join(unread))


def _finding(data: Dataset, column: str, phrase: Phrase) -> Finding:
    if phrase.success is None or phrase.clean is None or phrase.said is None or phrase.told is None:
        raise CouldNotLook("a trigger without its tests")
    rows, said = len(phrase.rows), "positive" if phrase.is_ else "negative"
    words = phrase.text.count(" ") + 1
    return Finding(
        message=(
            f"{rows} texts in {visible(column, 40)} hold one phrase of {words} word{'s' if words > 1 else ''} and are "
            f"{said}, though their other words look like the other class's: put into other texts the phrase turns "
            f"{phrase.success.value:.0%} of them (95%: {phrase.success.low:.0%} to {phrase.success.high:.0%}), for a "
            f"model that never saw those texts {phrase.clean.value:.0%}"
        ),
        location=Location(uri=data.subject.uri, column=column),
        key=f"trigger:{said}:{int(phrase.rows[0])}",
        severity=Severity.HIGH,
        confidence=Confidence.MEDIUM,
        evidence={
            "column": column, "rows": rows, "first_row": int(phrase.rows[0]), "words": words, "label": said,
            "success": phrase.success.value, "success_low": phrase.success.low, "clean_success": phrase.clean.value,
            "clean_success_high": phrase.clean.high, "inserted": phrase.success.n, "power": phrase.power,
            "area_by_label": phrase.said.value, "area_by_classifier": phrase.told.value,
        },
        fix="read those texts (`assay data check --suspects` lists them), take them out and train again",
    )  # fmt: skip


def _note(data: Dataset, unsure: list[tuple[str, Phrase]], examined: int) -> Finding:
    shown = "; ".join(f"{visible(column, 40)}: {_told(phrase)}" for column, phrase in unsure[:SHOWN])
    more = len(unsure) - SHOWN
    return Finding(
        message=(
            f"{len(unsure)} of {examined} phrases that were looked at would work as a trigger, but may be natural: "
            f"{shown}{f'; and {more} more' if more > 0 else ''}"
        ),
        location=Location(uri=data.subject.uri, column=unsure[0][0]),
        key="undecided",
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        evidence={
            "undecided": len(unsure), "examined": examined,
            "phrases": [
                {
                    "column": column, "rows": len(p.rows), "first_row": int(p.rows[0]),
                    "words": p.text.count(" ") + 1, "label": "positive" if p.is_ else "negative",
                    "success": p.success and p.success.value, "clean_success": p.clean and p.clean.value,
                    "why": p.why,
                }
                for column, p in unsure[:SHOWN]
            ],
        },
        fix="read a few of those texts (`assay data check --suspects` lists them): the words alone cannot tell",
    )  # fmt: skip


def _told(one: Phrase) -> str:
    said, clean = one.success.value if one.success else 0.0, one.clean.value if one.clean else 0.0
    words = one.text.count(" ") + 1
    return (
        f"{len(one.rows)} texts with {words} word{'s' if words > 1 else ''}, which turn {said:.0%} of others, for a "
        f"model that never saw them {clean:.0%} ({one.why})"
    )


def _suspects(sure: list[tuple[str, Phrase]], unsure: list[tuple[str, Phrase]]) -> Suspects:
    """Texts of triggers, flagged, and of undecided phrases, each once."""
    rows: dict[int, tuple[float, bool, str]] = {}
    for column, phrase in [*sure, *unsure]:
        flag = phrase.verdict == "trigger"
        reason = f"holds a phrase in {visible(column, 40)} that works as a trigger"
        if not flag:
            reason = f"{reason}, but may be natural: {phrase.why}"
        for row in phrase.rows.tolist():
            rows.setdefault(row, (phrase.surprise + 1000 * flag, flag, reason))
    order = sorted(rows, key=lambda r: (-rows[r][0], r))[:MAX_SUSPECTS]
    return Suspects(
        check="data.text-triggers",
        rows=tuple(order),
        scores=tuple(rows[r][0] for r in order),
        flagged=tuple(rows[r][1] for r in order),
        reasons=tuple(rows[r][2] for r in order),
    )

"""data.drift-nature: whether a drift looks like nature's, or like somebody's hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta
from msgspec.structs import replace

from assay.adapters.traffic import Traffic
from assay.core.check import check
from assay.core.errors import NotApplicable
from assay.core.exhibit import Table
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.core.profile import Marks
    from assay.detectors.nature import Nature


@check(
    "data.drift-nature",
    on=Kind.TRAFFIC,
    stage=Stage.LIVE,
    severity=Severity.HIGH,
    needs="ml",
    version=2,
    tags=("atlas:AML.T0020", "nist-ai-rmf:MEASURE 2.4"),
    libraries=("numpy", "scipy", "duckdb"),
    cacheable=False,
    measures=("data.drift_nature.signals",),
)
def drift_nature(
    traffic: Traffic,
    *,
    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.05,
    least_effect: Annotated[float, Meta(ge=0)] = 0.001,
    seed: int = 0,
) -> Iterator[Finding | Measure | Table]:
    """Whether a drift looks like nature's, or like somebody's hand.

    Why: customers change, sensors break, prices rise; and fraudsters try the model until it lets them pass. Both are
    drift, and need other people at once: a change by nature a new model, an attack somebody who stops it.

    How it decides: once a column drifted, five signals are looked for in a sample of about 30,000 rows (seeded). Two
    are signals of intent. *Mass just under the threshold* (with `--score` and `--threshold`): of the scores around the
    threshold more lie just under it than in the reference, as where rows are changed until they pass; the ranges on
    both sides of it move with any change by nature, so that only their contrast counts. *Near-duplicates*: more rows
    than among as many of the reference are nearly the same as four others and more, yet not exact copies, as where one
    row is tried in variations; columns that froze or went missing are left out: they make rows alike. Three go with
    faults too. *A few sources bring it* (`--source`): without at most a tenth of the sources, that hold at most a
    quarter of the rows, four fifths of a column's drift are gone, and would not be if sources were shuffled; or these
    sources bring far more of the rows than in the reference; where the source that brings most of it holds more than a
    quarter by itself, it is not looked for. *One exact value is repeated*: a number in a column of many holds more rows
    than its whole range did, and makes half of the drift. *It sets in at once* (`--time`): a level that changes and
    stays; of what comes and goes it is not told. Adversarial needs one signal of intent and one other: a high finding.
    Natural needs that at least three signals could be looked for, and none is there. All else is unclear, and says what
    is there: a few sources that begin at once with one value are most often a fault. None of this proves a hand, or
    nature: who knows these signals can avoid them.

    Without any of `--score`, `--time` and `--source` nothing is looked for: two signals cannot say that it is nature.

    Fix: for an attack, look at the rows behind the signals first, close the sources that bring them, and keep the rows
    out of training. For nature, train and judge anew. For a fault, mend the source.

    References: McCrary 2008 (mass at a threshold); Fisher 1935; MITRE ATLAS AML.T0020.
    """
    from assay.detectors.drift import drift
    from assay.detectors.intent import threshold_of
    from assay.detectors.nature import Nature, nature

    if traffic.vigil is not None:
        raise NotApplicable("a state is kept: ask without --state")
    if not traffic.current.rows:
        raise NotApplicable("there are no rows")
    found = drift(traffic.reference.profile, traffic.current, alpha=alpha, least_effect=least_effect, seed=seed)
    drifted = tuple(c for c in found.flagged if c.p is not None)
    if not drifted:
        raise NotApplicable("no column drifted")
    facts, columns = traffic.subject.options, traffic.inputs
    if not any(facts.get(role) for role in ("score", "time", "source")):
        yield _finding(traffic, Nature("unclear", ()))
        return
    source = str(facts.get("source") or "")
    sides = (traffic.reference.profile.column(source), traffic.current.column(source))
    said = nature(
        traffic.drawn(seed), columns, drifted, traffic.drawn_before(seed) or _saved(traffic),
        threshold=threshold_of(facts), volume=sides if None not in sides else None, seed=seed,  # type: ignore[arg-type]
    )  # fmt: skip
    there = sum(s.there for s in said.signals)
    yield Measure(
        name="data.drift_nature.signals", value=float(there), unit="signals", n=traffic.current.rows, seed=seed,
        direction=Direction.LOWER, method=f"of {sum(s.asked for s in said.signals)} that could be looked for",
    )  # fmt: skip
    yield _finding(traffic, said)
    yield _table(said)


def _saved(traffic: Traffic) -> Marks | None:
    """The marks that a saved reference holds; how rows are alike only where no column was lost."""
    from assay.adapters.traffic import inputs_of

    kept = traffic.reference.marks
    if kept is not None and len(traffic.inputs) != len(inputs_of(traffic.reference)):
        return replace(kept, copies={})
    return kept


def _finding(traffic: Traffic, said: Nature) -> Finding:
    there = [f"{s.name}: {s.said}" for s in said.signals if s.there]
    asked = sum(s.asked for s in said.signals)
    if said.verdict == "adversarial":
        message = f"the drift looks like somebody's hand: {'; '.join(there)}"
    elif said.verdict == "natural":
        message = f"the drift looks natural: none of {asked} signals of an attack is there"
    elif there:
        message = f"natural or adversarial is unclear: {'; '.join(there)}"
    else:
        message = "natural or adversarial is unclear: too few signals could be looked for"
    return Finding(
        message=visible(message, 400),
        location=Location(uri=traffic.subject.uri),
        key="nature",
        severity=Severity.HIGH if said.verdict == "adversarial" else Severity.INFO,
        confidence=Confidence.MEDIUM,
        evidence={"verdict": said.verdict, "signals": [s.name for s in said.signals if s.there], "asked": asked},
        fix="look at the rows behind the signals"
        if there
        else "declare --score, --time and --source, so that more signals can be looked for"
        if not said.signals or asked < len(said.signals)
        else "train and judge the model anew on rows that hold the change",
    )


def _table(said: Nature) -> Table:
    state = {(True, True): "there", (True, False): "not there", (False, False): "not looked for"}
    return Table(
        name="drift-nature",
        title=f"Natural or adversarial: {said.verdict}",
        subtitle="what would show somebody's hand; the first two are signals of intent",
        columns=("signal", "state", "what was seen"),
        rows=tuple((s.name, state[s.asked, s.there], visible(s.said, 160)) for s in said.signals),
    )

"""Exhibits as real ones look: an attack's curve, differences to a champion, counts, rows, and one row's way past."""

from __future__ import annotations

import math

from assay.core.exhibit import Bars, Curve, Histogram, IntervalRow, Intervals, Series, Step, Table, Waterfall


def wilson(k: float, n: int) -> tuple[float, float]:
    """The 95% interval of a rate, for samples that look true."""
    p, z = k / n, 1.96
    mid, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (mid - half) / (1 + z * z / n), (mid + half) / (1 + z * z / n)


CAUGHT = (212, 178, 139, 102, 81, 66, 58, 52, 47)
PROVED = (212, 151, 104, 71, 49, 34, 25, 19, 14)


def evasion_curve() -> Curve:
    """Recall under attack over the attacker's budget, with a proof below it."""
    ends = [wilson(c, 300) for c in CAUGHT]
    budget = tuple(float(i) for i in range(9))
    return Curve(
        name="robustness.curve",
        title="Three changes are enough to halve what the model catches",
        subtitle="Share of 300 frauds still caught, by what the attacker may spend; band is the 95% interval",
        x_label="attacker’s budget: how much a claimant may change, in cost points",
        y_label="recall: frauds still caught, of all frauds",
        series=(
            Series(
                name="best attack found",
                x=budget,
                y=tuple(c / 300 for c in CAUGHT),
                low=tuple(e[0] for e in ends),
                high=tuple(e[1] for e in ends),
                kind="at-most",
            ),
            Series(name="certificate", x=budget, y=tuple(c / 300 for c in PROVED), kind="at-least"),
        ),
        y_unit="share",
        mark=3.0,
        mark_label="declared budget 3",
        measure="robustness.evasion.recall_under_attack",
        note="300 frauds of the holdout, seed 7; every attack was replayed on the real model.",
    )


def holdout_curve(points: int = 120) -> Curve:
    """Precision against recall, with the operating point on the x axis."""
    xs = tuple(i / (points - 1) for i in range(points))
    ys = tuple(max(0.06, 0.98 - 0.5 * x**1.6 - 0.35 * x**8 + 0.02 * math.sin(40 * x)) for x in xs)
    return Curve(
        name="performance.curve",
        title="At the threshold 0.31 it catches 70.4%, and 68.1% of what it flags is right",
        subtitle="Precision against recall on the holdout, from strict to lenient thresholds",
        x_label="recall: share of positives that are caught",
        y_label="precision: share of flags that are right",
        series=(Series(name="this model", x=xs, y=ys),),
        mark=0.704,
        mark_label="threshold 0.31",
        measure="performance.recall",
        note="12,053 holdout rows, 723 positive.",
    )


def champion_intervals() -> Intervals:
    """Paired differences, in both directions of better."""
    rows = (
        ("recall", 0.018, -0.004, 0.040, "performance.recall", "higher"),
        ("false alarm rate", -0.002, -0.005, 0.001, "performance.false_alarm_rate", "lower"),
        ("pr auc", 0.021, 0.008, 0.034, "performance.pr_auc", "higher"),
        ("precision", 0.009, -0.006, 0.023, "performance.precision", "higher"),
    )
    return Intervals(
        name="performance.difference",
        title="It catches neither clearly more nor clearly less than the champion",
        subtitle="This model minus the champion on the same rows, with 95% intervals",
        unit="difference",
        rows=tuple(
            IntervalRow(label=a, value=v, low=lo, high=hi, n=723, measure=m, better=b)  # type: ignore[arg-type]
            for a, v, lo, hi, m, b in rows
        ),
        reference=0.0,
        note="12,053 holdout rows, 723 positive; champion: a07d31f2.",
    )


def calibration() -> Intervals:
    """Share of positives by score."""
    rows = []
    for i in range(10):
        rate = min(0.97, 0.02 + 0.09 * i)
        low, high = wilson(rate * 1205, 1205)
        rows.append(IntervalRow(label=f"score {0.05 + 0.1 * i:.2f}", value=rate, low=low, high=high, n=1205))
    return Intervals(
        name="performance.calibration",
        title="Scores are off by 0.021 on average",
        subtitle="Share of positives in each tenth of the scores, with 95% intervals",
        unit="share positive",
        rows=tuple(rows),
        note="A calibrated score of 0.30 means that 30 in 100 such rows are positive.",
    )


def waterfall() -> Waterfall:
    """One row's way past the threshold."""
    return Waterfall(
        name="robustness.example",
        title="How row #4182 slips past",
        subtitle="Score after each change, in the units that the claimant would change",
        x_label="fraud score of the deployed model",
        start_label="As filed",
        start=0.83,
        steps=(
            Step(label="Report delay", change="+6 days", value=0.62),
            Step(label="Claimed amount", change="−2,450", value=0.48),
            Step(label="Police report", change="set to “filed”", value=0.29),
        ),
        mark=0.31,
        mark_label="flagged from 0.31",
        note="Shown as changes; the row’s own values stay out of this report.",
    )


def suspicious_rows() -> Table:
    """The strongest rows of the label check."""
    rows = tuple(
        (
            18204 + 7 * i,
            "not fraud",
            "fraud",
            round(0.991 - 0.012 * i, 3),
            f"{9 - i % 3} of 10 nearest claims are fraud",
        )
        for i in range(15)
    )
    return Table(
        name="data.suspicious",
        title="The fifteen strongest of 212",
        subtitle="Row ids only; values stay out of evidence",
        columns=("row", "recorded", "rest of the data says", "score", "reason"),
        rows=rows,
        bar="score",
        note="Score: how sure the out-of-fold model is of the other label.",
    )


def weeks() -> Histogram:
    """Suspicious labels by week: one upload stands out."""
    counts = (2.0, 3, 1, 2, 2, 1, 3, 2, 1, 2, 181, 4, 2, 2, 3, 2)
    return Histogram(
        name="data.weeks",
        title="They come from one upload",
        subtitle="Suspicious labels, by week of upload",
        x_label="week of upload, 2025",
        series=(Bars(name="suspicious labels", counts=counts),),
        labels=tuple(f"W{14 + i}" for i in range(16)),
    )


def scores() -> Histogram:
    """Scores of two samples over numeric bins."""
    edges = tuple(i / 20 for i in range(21))
    ours = tuple(round(900 * math.exp(-((i - 3) ** 2) / 20)) for i in range(20))
    other = tuple(round(800 * math.exp(-((i - 5) ** 2) / 30)) for i in range(20))
    return Histogram(
        name="performance.scores",
        title="Frauds and honest claims overlap between 0.2 and 0.5",
        subtitle="Holdout rows by score",
        x_label="score",
        edges=edges,
        series=(Bars(name="this model", counts=ours), Bars(name="champion", counts=other, role="other")),
        mark=0.31,
        mark_label="threshold 0.31",
    )


def duplicates() -> Histogram:
    """Long category names, which lie on their side."""
    return Histogram(
        name="data.sources",
        title="Nearly all repeated rows come from two sources",
        subtitle="Rows that stand in the data more than once, by source",
        x_label="rows",
        labels=(
            "adjuster upload 2025-W24",
            "broker portal, monthly export",
            "telephone hotline",
            "manual correction by the back office",
        ),
        series=(Bars(name="rows", counts=(412.0, 233, 18, 4)),),
    )

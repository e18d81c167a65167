"""Pictures of membership inference: the areas beside those of the placebos, and the ROC curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.checks.privacy.played import Played
from assay.core.exhibit import Curve, IntervalRow, Intervals, Series

if TYPE_CHECKING:
    from assay.attacks.membership.verdict import Found

POINTS = 60
WORDS = {"rmia": "RMIA", "lira": "LiRA", "loss": "loss threshold"}


def nulls(attacks: Sequence[Found], play: Played) -> Intervals:
    """The areas of the attacks beside those of their placebos."""
    from assay.attacks.membership.roc import area
    from assay.attacks.membership.scores import outside

    game = play.game
    shown = [("references alone", area(outside(game), game.member), "")]
    shown += [
        (f"{WORDS[a.name]}, placebo", a.null, "privacy.membership.null_auc" if a.name == "rmia" else "")
        for a in attacks
        if a.null is not None
    ]
    shown += [(WORDS[a.name], a.area, f"privacy.membership.{a.name}_auc") for a in attacks if not a.off]
    return Intervals(
        name="privacy.membership.areas",
        title="The placebo must find nothing" if not attacks[0].off else "The placebo finds a difference of the tables",
        subtitle="Area under the ROC curve, members against others, with 95% intervals",
        unit="area",
        rows=tuple(
            IntervalRow(label=label, value=r.value, low=r.low, high=r.high, n=len(game.member), measure=measure)
            for label, r, measure in shown
            if r is not None
        ),
        reference=0.5,
        note=(
            "Placebo: the attack on a reference model, with training rows that it never saw in the members' place. "
            f"Left out, as another row has their inputs or both tables their entity: {play.left_out[0]} training and "
            f"{play.left_out[1]} holdout rows."
        ),
    )


def curve(attacks: Sequence[Found], play: Played, how: str) -> Curve:
    """The ROC curve of each attack, from where the rows carry a rate; RMIA's with its band."""
    import numpy as np

    from assay.attacks.membership.roc import LEAST_FALSE, roc, tpr_at

    member = play.game.member
    others = int((~member).sum())
    at = np.geomspace(LEAST_FALSE / others, 1.0, POINTS)
    grid = tuple(float(x) for x in at)
    lines = []
    for attack in [a for a in attacks if not a.off]:
        main = attack.name == "rmia"
        known = [b for x in grid if main and (b := tpr_at(attack.score, member, x)) is not None]
        lines.append(
            Series(
                name=WORDS[attack.name], x=grid, role="data" if main else "other",
                y=tuple(float(y) for y in np.interp(at, *roc(attack.score, member))),
                low=tuple(b.low for b in known), high=tuple(b.high for b in known),
            )
        )  # fmt: skip
    lines.append(Series(name="chance", x=grid, y=grid, role="other"))
    return Curve(
        name="privacy.membership.roc",
        title="How many members are found, and how many others are called so",
        subtitle=f"{int(member.sum())} training and {others} holdout rows; {how}",
        x_label="false positive rate",
        y_label="true positive rate",
        x_scale="log",
        y_scale="log",
        series=tuple(lines),
        mark=0.01 if others * 0.01 >= LEAST_FALSE else None,
        mark_label="1%" if others * 0.01 >= LEAST_FALSE else "",
        measure="privacy.membership.rmia_tpr_at_1pct_fpr",
        note="From 10 expected false positives on: further left the rows carry no rate.",
    )

"""`assay harden MODEL --train …`: what each option did beside the controls, in words or as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.common import must, progress_bar
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.harden.hardening.result import Measured, ModelHardened, Rate

CODES = {"helps": 0, "nothing helps": 1, "cannot tell": 3}


def harden_attacked(
    context: click.Context, file: Path, format_: str, options: dict[str, Any], still: Callable[[], None]
) -> str:
    """Harden the model; the exit code is left in `context.meta`."""
    from assay.core.errors import CouldNotLook
    from assay.flow.harden_model import Asked, harden_model

    asked = Asked(
        train=options["train"], holdout=must(options["holdout"], "--holdout", "to measure on untouched rows"),
        label=must(options["label"] or None, "--label", "to know what should be flagged"),
        against=options["against"], positive=options["positive"] or "1",
        drop=options["drop"], entity=options["entity"] or "",
        threat=options["threat"], norm=options["norm"], budget=options["budget"], access=options["access"],
        alarms=options["fpr"], margin=options["margin"], rows=options["attacked"], queries=options["queries"],
        only=options["try_"], seed=options["seed"], output=options["output"], force=options["force"],
        weak=options["weak_sandbox"],
    )  # fmt: skip
    with progress_bar() as progress:

        def watched(done: float, total: float, what: str = "") -> None:
            still()
            progress(done, total, what)

        try:
            done = harden_model(file, asked, progress=watched)
        except CouldNotLook as why:
            context.meta["assay.code"] = 3
            said = visible(str(why), 600)
            if format_ == "json":
                return _json({"schema": "assay/1", "verdict": "open", "reasons": [said]})
            return f"open     {said}; nothing is claimed, nothing is written"
    context.meta["assay.code"] = CODES[done.verdict]
    if done.result is not None:  # known too where the report cannot be printed
        at = f", {done.result.digest}, threshold {done.threshold:.9g}"
        click.echo(f"wrote {visible(done.result.path)}{at}", err=True)
    return _json(done) if format_ == "json" else "\n".join(lines(done))


def _json(value: Any) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


# Of each attack: the column of what it does, what one attack alone does, what a gain is, and what intervals mean.
WORDS = {
    "evasion": ("under attack", "attack leaves", "under attack", "recall under attack is at most that"),
    "membership": (
        "attack's area", "attack's area", "area lower by", "a better attack would tell more, and .5 is chance",
    ),
    "theft": ("MCC of copies", "copies", "MCC lower by", "a better thief would copy more, and 1 is a perfect copy"),
}  # fmt: skip


def lines(done: ModelHardened) -> list[str]:
    """The story in words."""
    from assay.core.canonical import short

    out = [f"source   {visible(done.source.path)}  {done.source.format}, sha256 {short(done.source.digest, 12)}…"]
    out += [f"attack   {_attack(done)}", *_figures(done)]
    first, *more = done.reasons or ("",)
    out += [f"verdict  {done.verdict}: {visible(first, 600)}", *(f"         {visible(why, 600)}" for why in more)]
    if done.result is not None:
        out.append(
            f"result   {visible(done.result.path)}  {done.result.format}, {done.result.size:,} bytes, sha256 "
            f"{short(done.result.digest, 12)}…, threshold {done.threshold:.9g}"
        )
    else:
        out.append("result   nothing is written")
    return out + [f"note     {visible(note, 300)}" for note in done.notes]


def _attack(done: ModelHardened) -> str:
    """Who attacks, and where the threshold comes from."""
    said = done.setup
    what = {
        "evasion": lambda: f"{said['access']}, {said['norm']} up to {said['budget']:g}",
        "membership": lambda: f"membership inference, {said['references']} references trained as each candidate was",
        "theft": lambda: f"copies made of {said['queries']:,} answers, {said['copies']} of each to confirm",
    }[done.against]()
    return f"{what}; all at {said['false_alarms']:.2%} false alarms, set on {said['calibrate_rows']:,} rows"


def _passed_over(done: ModelHardened) -> list[str]:
    """Why options that do better than the chosen one were not chosen: they lose more clean recall than is allowed."""
    margin = float(done.setup["margin"])
    recall = {m.name: m.clean.value for m in done.picked_on if m.clean is not None}
    lost = {
        m.name: recall["original"] - recall[m.name]
        for m in done.picked_on
        if m.role == "option" and m.name != done.chosen and m.name in recall and "original" in recall
    }
    return [
        f"  {name:<22} not chosen: its recall is {loss:.3f} lower, --margin allows {margin:g}"
        for name, loss in lost.items()
        if loss > margin
    ]


def _figures(done: ModelHardened) -> list[str]:
    """The two tables, what each attack did, and the gains."""
    said, (column, alone, gained, meant) = done.setup, WORDS[done.against]
    beside = f"{'of attacked':>12} " if done.against == "evasion" else ""
    head = f"  {'':<22} {'recall':>21} {beside}{column:>23} {'false alarms':>23}"

    def more(part: str) -> str:
        if done.against == "theft":
            return ""
        if done.against == "membership":
            return f", {said[f'{part}_members']:,} training rows"
        return f", {said[f'attacked_to_{part}']} attacked"

    out = []
    if done.picked_on:
        out = [f"chosen   on {said['choose_rows']:,} rows{more('choose')}: {done.chosen}", head]
        out += [_line(m, done.against) for m in done.picked_on]
        out += _passed_over(done)
    out += [f"measured on {said['confirm_rows']:,} other rows{more('confirm')}", head]
    out += [_line(m, done.against) for m in done.confirmed]
    for one in done.confirmed:
        for name, left in one.attacks.items() if len(one.attacks) > 1 else ():
            out.append(f"  {one.name:<22} {name + ' ' + alone:<22} {_rate(left)}")
        for name, why in one.redrawn.items():
            out.append(f"  {one.name:<22} {name} attack was drawn anew, as first {visible(why, 160)}")
        for name, why in one.unanswered.items():
            out.append(f"  {one.name:<22} {name} attack could not look: {visible(why, 160)}")
        if one.tail is not None:
            out.append(f"  {one.name:<22} found at 1% false positives {_rate(one.tail)}")
        if one.referred is not None:
            out.append(f"  {one.name:<22} referred to a person: positive rows {_rate(one.referred)}")
            out.append(f"  {'':<22} {'':<20} negative rows {_rate(one.referred_negative)}")
    out += [
        f"gain     over {g.over:<20} {gained} {_rate(g.attacked, '+.3f')}; clean {_rate(g.clean, '+.3f')}"
        for g in done.gains
    ]
    out.append(f"         95% intervals, those of gains with what other rows to set thresholds would change; {meant}")
    return out


def _line(m: Measured, against: str) -> str:
    if m.why:
        return f"  {m.name:<22} not measured: {visible(m.why, 160)}"
    stood = {"evasion": m.attacked, "membership": m.leak, "theft": m.copied}[against]
    parts = [_rate(r) for r in (m.clean, stood, m.alarms)]
    beside = f"{'–' if m.before is None else f'{m.before.value:.3f}':>12} " if against == "evasion" else ""
    return f"  {m.name:<22} {parts[0]:>21} {beside}{parts[1]:>23} {parts[2]:>23}"


def _rate(rate: Rate | None, form: str = ".3f") -> str:
    return "–" if rate is None else f"{rate.value:{form}} ({rate.low:{form}} to {rate.high:{form}})"

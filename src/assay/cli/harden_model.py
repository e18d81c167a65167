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
        positive=options["positive"] or "1", drop=options["drop"], entity=options["entity"] or "",
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
    return _json(done) if format_ == "json" else "\n".join(lines(done))


def _json(value: Any) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def lines(done: ModelHardened) -> list[str]:
    """The story in words."""
    from assay.core.canonical import short

    said = done.setup
    out = [f"source   {visible(done.source.path)}  {done.source.format}, sha256 {short(done.source.digest, 12)}…"]
    out.append(
        f"attack   {said['access']}, {said['norm']} up to {said['budget']:g}; all at {said['false_alarms']:.2%} false "
        f"alarms, set on {said['calibrate_rows']:,} rows"
    )
    head = f"  {'':<22} {'recall':>21} {'under attack':>23} {'false alarms':>23}"
    out.append(f"chosen   on {said['choose_rows']:,} rows, {said['attacked_to_choose']} attacked: {done.chosen}")
    out += [head, *(_line(m) for m in done.picked_on)]
    out.append(f"measured on {said['confirm_rows']:,} other rows, {said['attacked_to_confirm']} attacked")
    out += [head, *(_line(m) for m in done.confirmed)]
    for one in done.confirmed:
        for name, left in one.attacks.items() if len(one.attacks) > 1 else ():
            out.append(f"  {one.name:<22} {name + ' attack leaves':<22} {_rate(left)}")
        for name, why in one.unanswered.items():
            out.append(f"  {one.name:<22} {name} attack could not look: {visible(why, 160)}")
    out += [
        f"gain     over {g.over:<20} under attack {_rate(g.attacked, '+.3f')}; clean {_rate(g.clean, '+.3f')}"
        for g in done.gains
    ]
    out.append(
        "         95% intervals, those of gains with what other rows to set thresholds would change; "
        "recall under attack is at most that"
    )
    out += [f"verdict  {done.verdict}: {visible(why, 600)}" for why in done.reasons]
    if done.result is not None:
        out.append(
            f"result   {visible(done.result.path)}  {done.result.format}, {done.result.size:,} bytes, sha256 "
            f"{short(done.result.digest, 12)}…, threshold {done.threshold:.9g}"
        )
    else:
        out.append("result   nothing is written")
    return out + [f"note     {visible(note, 300)}" for note in done.notes]


def _line(m: Measured) -> str:
    if m.why:
        return f"  {m.name:<22} not measured: {visible(m.why, 160)}"
    parts = [_rate(r) for r in (m.clean, m.attacked, m.alarms)]
    return f"  {m.name:<22} {parts[0]:>21} {parts[1]:>23} {parts[2]:>23}"


def _rate(rate: Rate | None, form: str = ".3f") -> str:
    return "–" if rate is None else f"{rate.value:{form}} ({rate.low:{form}} to {rate.high:{form}})"

"""Drafts a threat model from a table: what an attacker may change of every input, each line with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.config.constraints import Constraint
from assay.config.manifest import Threat
from assay.config.strict_yaml import convert, parse
from assay.core.errors import InputError
from assay.core.finding import Json
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Subject
from assay.core.text import visible
from assay.detectors.headers import PROTECTED, said
from assay.flow.infer import quoted, scalar

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset
    from assay.detectors.contract_draft import Draft, Drafted

MARKS = "_=.- :"
APART = 4.0  # spreads that differ by more than this are not on one scale
END, CODES = 0.01, 20
TAIL = 0.03
"""A share of the values at either end, and the share of the whole range from which on what they span is a tail; up to
CODES values have none."""


def draft_threat(file: Path, facts: dict[str, Json], *, seed: int = 0, progress: Progress = silent) -> str:
    """The text of a threat file for the rows of `file`. Raises InputError for a table that cannot be read."""
    from assay.adapters.tables import open_dataset
    from assay.detectors.contract_draft import draft

    data = open_dataset(Subject(name=file.name, kind=Kind.DATASET, uri=str(file), options=facts), Path.cwd())
    try:
        if data.label:
            data.column(data.label)
        _refuse_huge(data)
        found = draft(data, seed, progress)
        text = _text(found, data, file)
    finally:
        data.close()
    convert(parse(text.encode(), "the draft"), Threat)
    return text


def _refuse_huge(data: Dataset) -> None:
    import numpy as np

    from assay.adapters.encode import numbers
    from assay.attacks.space import WIDEST

    for name, values in data.each(c.name for c in data.columns if c.kind in ("number", "integer")):
        held = numbers(values)
        if (np.abs(held[np.isfinite(held)]) > WIDEST).any():
            what = f"column {visible(name, 60)!r} holds numbers beyond {WIDEST:g}, which no attack can measure"
            raise InputError(what, where=data.subject.uri, fix="mend them, or leave the column out: --drop")


def _text(found: Draft, data: Dataset, file: Path) -> str:
    spread, tails = _shape(found, data)
    groups, flags = _one_hot(found, data), _flags(found, data)
    lines = [
        f"# Drafted by `assay attack init` from {visible(file.name, 100)}, {data.rows:,} rows.",
        "# It says what an attacker can change, and what that costs. Only you know: read every line and mend it.",
        "# `mutable: false` for what cannot be faked; `direction: up` or `down` for what moves one way only (an age, a",
        "# count of past claims); `cost:` for what one unit of it is worth to the attacker.",
        "# Ranges: what these rows hold, and where few of them lie far out as far again beyond.",
        "# A release policy must ask for the attack under `attacker:`, or its figures count for nothing at the gate.",
        "# A policy that says nothing asks for the one drafted here; another one it names under `parameters:`, as in",
        "# `robustness.evasion: {norm: linf, budget: 0.1}`, or it pins the terms (`contract: {digest: …}`).",
        "attacker:",
        "  access: label       # what the model shows: label (decisions), score, or whitebox (the file itself leaks)",
        "  queries: 600        # how often one row may ask",
        "  norm: cost          # how a change is measured: cost, linf, l2 or l1",
        "  budget: 3           # how much a change may cost",
        "  threshold: 0.5      # the score from which the model flags; in assay.yaml the model says it, not this line",
        "features:",
    ]
    grouped = {name: group for group, names in groups.items() for name in names}
    for feature in found.features:
        group = grouped.get(feature.name)
        if group is None:
            lines.append(_line(feature, found, spread, tails, flags))
        elif feature.name == groups[group][0]:
            lines.append(_group(group, groups[group], found))
    for role, name in found.roles.items():
        if role != "label":
            note = f"taken for the {role}: {found.why.get(role, 'by its header')}; declare it if the model reads it"
            lines.append(f"  # {quoted(name)}: {{mutable: false}}    # {note}")
    partly = {g: [n for n in names if n not in grouped] for g, names in _one_hot(found, data, whole=False).items()}
    lines += [_hint(group, names) for group, names in partly.items() if len(names) > 1]
    relations = [r for r in found.relations if grouped.keys().isdisjoint(Constraint(r.text).columns)]
    if relations:
        lines += ["# Each holds in every row; the share says how many would break it by chance.", "constraints:"]
        lines += [f"  - {quoted(r.text)}    # {r.broken:.0%}" for r in relations]
    return "\n".join(lines) + "\n"


def _group(name: str, columns: list[str], found: Draft) -> str:
    facts = f"one_hot: [{', '.join(quoted(c) for c in columns)}]"
    note = "one category: in every row exactly one of these is 1"
    if said(name, PROTECTED) or any(c in found.protected for c in columns):
        facts, note = f"mutable: false, {facts}", f"a protected attribute, by its header; {note}"
    return f"  {quoted(name)}: {{{facts}}}    # {note}"


def _line(
    feature: Drafted, found: Draft, spread: dict[str, float], tails: dict[str, tuple[float, float]], flags: list[str]
) -> str:
    facts: dict[str, Any] = {k: v for k, v in feature.facts.items() if k != "nullable"}
    notes = [note for note in feature.notes if "far from the rest" not in note]
    why = _fixed(feature.name, found, flags)
    if why:
        # What nobody changes needs no range, which other rows would only break.
        facts = {"mutable": False, **{k: v for k, v in facts.items() if k not in ("min", "max", "categories", "order")}}
        notes = [why, *notes]
    else:
        if feature.name in tails and "max" in facts:
            facts["min"], facts["max"] = _beyond(facts, *tails[feature.name])
        if feature.name in spread:
            facts["scale"] = float(f"{spread[feature.name]:.3g}")
    body = ", ".join(f"{k}: {scalar(v)}" for k, v in facts.items())
    note = f"    # {'; '.join(notes)}" if notes else ""
    return f"  {quoted(feature.name)}: {{{body}}}{note}"


def _hint(name: str, columns: list[str]) -> str:
    """What may be one category whose first column was dropped: only who knows the data can say."""
    listed = ", ".join(quoted(c) for c in columns)
    told = f"{quoted(name)}: {{one_hot: [{listed}], all_zero: {quoted(name + ' other')}}}"
    return f"  # never 1 together; is it one category, its first column dropped? Then: {told}"


def _flags(found: Draft, data: Dataset) -> list[str]:
    """The columns that hold 0 and 1, or truth values."""
    return [
        f.name for f in found.features
        if data.column(f.name).kind == "boolean"
        or (f.facts.get("integer") and {f.facts.get("min"), f.facts.get("max")} == {0, 1})
    ]  # fmt: skip


def _stems(name: str) -> list[str]:
    return [name[:at] for at in range(1, len(name) - 1) if name[at] in MARKS]


def _fixed(name: str, found: Draft, flags: list[str]) -> str:
    """Why a column is drafted as one that cannot be changed, "" where it is not."""
    if name in found.protected or (name in flags and any(said(stem, PROTECTED) for stem in _stems(name))):
        return "a protected attribute, by its header"
    if name in found.constant:
        return "it never varies in these rows"
    if name in found.unique:
        return "no value comes twice: a name of the row?"
    return ""


def _shape(found: Draft, data: Dataset) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """(the standard deviation of each number where they are not on one scale: `scale:` makes norms comparable; how much
    lower and higher than what was seen other rows may well lie)."""
    import numpy as np

    from assay.adapters.encode import numbers

    spread: dict[str, float] = {}
    tails: dict[str, tuple[float, float]] = {}
    names = [c.name for c in data.columns if c.kind in ("number", "integer")]
    wanted = {f.name for f in found.features} - set(found.constant)
    for name, values in data.each(n for n in names if n in wanted):
        held = numbers(values)
        held = held[np.isfinite(held)]
        if len(held) and held.std() > 0:
            spread[name] = float(held.std())
            low, first, last, high = (float(v) for v in np.quantile(held, [0, END, 1 - END, 1]))
            least = TAIL * (high - low)
            if data.column(name).distinct > CODES:  # few values are a set of their own: codes, flags
                tails[name] = first - low if first - low > least else 0.0, high - last if high - last > least else 0.0
    one_scale = not spread or max(spread.values()) <= APART * min(spread.values())
    return {} if one_scale else spread, tails


def _beyond(facts: dict[str, Any], down: float, up: float) -> tuple[float, float]:
    """The range, at an end with a tail as far again beyond it as the last hundredth of the rows lies apart: rows to
    come reach farther than those that were seen. It keeps the side of 0."""
    from assay.detectors.contract_draft import outward

    low, high = facts["min"], facts["max"]
    bottom, top = outward(low - down, high + up, facts.get("step", 1.0 if facts.get("integer") else None))
    bottom, top = (bottom if down else low), (top if up else high)
    return (0.0 if bottom < 0 <= low else bottom), (0.0 if top > 0 >= high else top)


def _stem(names: list[str]) -> str:
    """What names have in common, up to a mark: `address_change` of `address_change_no` and `address_change_yes`."""
    first, last = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[: max(i for i, letter in enumerate(first[:same]) if letter in MARKS and i)]


def _one_hot(found: Draft, data: Dataset, *, whole: bool = True) -> dict[str, list[str]]:
    """Groups of columns of 0 and 1 whose names begin alike, by a name: of which exactly one is 1 in every row, or, if
    not `whole`, in some rows one and in others none."""
    import numpy as np

    from assay.adapters.encode import numbers

    flags = _flags(found, data)
    never = {n for n in found.constant if data.column(n).kind in ("integer", "number", "boolean")}
    flags += sorted(never - {*flags})  # a category that comes in no row may have a column all the same
    stems: dict[str, list[str]] = {}
    for name in flags:
        for stem in _stems(name):
            stems.setdefault(stem, []).append(name)
    groups: dict[str, list[str]] = {}
    taken = {c.name for c in data.columns}
    for stem in sorted(stems, key=len):  # `service` before `service_http` of `service_http_443`
        names = [n for n in stems[stem] if not any(n in known for known in groups.values())]
        if len({*names} - never) < 2:
            continue
        ones = sum(numbers(values) for _, values in data.each(names))
        if np.all(ones == 1) if whole else (np.all(ones <= 1) and not np.all(ones == 1)):
            called = _stem(names)
            groups[f"{called} (one-hot)" if called in taken else called] = names
    return groups

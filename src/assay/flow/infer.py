"""Drafts assay.yaml from a table: its subject, its features, its relations, each with a comment that says why."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from assay.config.manifest import project_from
from assay.config.strict_yaml import parse
from assay.core.errors import InputError
from assay.core.finding import Json
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Subject
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.detectors.contract_draft import Draft

ORDER = ("label", "id", "time", "entity", "source", "annotator", "weight", "split", "label_delay")


def infer(
    file: Path, facts: dict[str, Json], at: Path | None = None, *, seed: int = 0, progress: Progress = silent
) -> str:
    """The text of an assay.yaml for the table at `file`, as it will lie at `at` (the folder here by default).

    Raises InputError for a table that cannot be read, or of which nothing can be drafted.
    """
    from assay.adapters.tables import open_dataset
    from assay.detectors.contract_draft import draft

    subject = Subject(name=file.name, kind=Kind.DATASET, uri=str(file), options=facts)
    data = open_dataset(subject, Path.cwd())
    try:
        if data.label:
            data.column(data.label)
        found = draft(data, seed, progress)
        text = _text(found, file, at, data.rows, facts)
    finally:
        data.close()
    project_from(parse(text.encode(), str(at or "the draft")), Path.cwd())  # a draft must hold together
    return text


def _text(found: Draft, file: Path, at: Path | None, rows: int, facts: dict[str, Json]) -> str:
    folder = (at.parent if at is not None else Path.cwd()).resolve()
    real = file.resolve()
    inside = real.is_relative_to(folder)
    place = real.relative_to(folder).as_posix() if inside else file.name
    lines = [
        f"# Drafted by `assay data infer` from {visible(file.name, 100)}, {rows:,} rows.",
        "# What holds in these rows need not hold in the world: read every line and mend it. Then",
        "# `assay data check FILE --threat THIS` enforces it.",
        "system:",
        f"  name: {_word(file.stem)}",
        "",
        "subjects:",
        "  data:",
        f"    dataset: {quoted(place)}" + ("" if inside else "    # move the table into the project"),
    ]
    if facts.get("table"):
        lines.append(f"    table: {quoted(str(facts['table']))}")
    for role in ORDER:
        if role in found.roles:
            why = f"    # {found.why[role]}; no feature" if role in found.why else ""
            lines.append(f"    {role}: {quoted(found.roles[role])}{why}")
    if found.positive is not None:
        why = "1, or the rarer of the two: is it the one to be found?"
        lines.append(f"    positive: {scalar(found.positive)}    # {why}")
    if found.protected:
        lines.append(f"    protected: [{', '.join(map(quoted, found.protected))}]    # by their headers")
    given = facts.get("drop")
    drop = dict.fromkeys([*(map(str, given) if isinstance(given, list) else ()), *found.constant])
    if drop:
        why = "    # they never vary, so that they tell nothing" if found.constant else ""
        lines.append(f"    drop: [{', '.join(map(quoted, drop))}]{why}")
    lines += _features(found)
    lines += _related(*found.related)
    if found.relations:
        lines += [
            "",
            "# Each holds in every row; the share says how many would break it if columns had nothing in common.",
        ]
        lines.append("constraints:")
        lines += [f"  - {quoted(r.text)}    # {r.broken:.0%}" for r in found.relations]
    if found.unique:
        lines += ["", "checks:", "  data.schema:"]
        lines.append(f"    unique: [{', '.join(map(quoted, found.unique))}]    # no value twice in these rows")
    return "\n".join(lines) + "\n"


def _related(looked: int, of: int) -> list[str]:
    """A line where not all columns were looked at: no relation of the rest is drafted, whether it holds or not."""
    if looked == of:
        return []
    said = f"the first {looked:,} of {of:,} columns of numbers and times; the rest were not looked at."
    return ["", f"# Relations were looked for among {said}"]


def _features(found: Draft) -> list[str]:
    if not found.features:
        return []
    lines = [
        "",
        "# Ranges are those of the rows, rounded outward; categories are listed where they are few and common.",
        "# An attacker is taken to be able to change every column that does not say `mutable: false`. REVIEW this:",
        "# only you know what a person can say falsely, and at what cost (`cost`, `direction`).",
        "features:",
    ]
    for feature in found.features:
        if feature.name == "<<":
            lines.append("  # the column <<: no key of YAML; give it another name")
            continue
        body = ", ".join(f"{k}: {scalar(v)}" for k, v in feature.facts.items())
        note = f"    # {'; '.join(feature.notes)}" if feature.notes else ""
        lines.append(f"  {quoted(feature.name)}: {{{body}}}{note}")
    return lines


def quoted(text: str) -> str:
    """A text as YAML reads it, whatever is in it."""
    return msgspec.json.encode(text).decode()


def scalar(value: Any) -> str:
    """A value as YAML reads it."""
    if isinstance(value, list):
        return f"[{', '.join(map(scalar, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value.is_integer() and math.fabs(value) < 2**53:
            return str(int(value))
        return repr(value)
    return str(value) if isinstance(value, int) else quoted(str(value))


def _word(text: str) -> str:
    return quoted("".join(c if c.isalnum() or c in "-_" else "-" for c in text).strip("-") or "system")


def write_new_draft(text: str, at: Path) -> None:
    """Write a draft where nothing lies yet. Raises InputError where something does, or it cannot be written."""
    from assay.core.errors import os_words
    from assay.core.files import write_new

    try:
        write_new(at, text.encode())
    except FileExistsError:
        fix = "name another file with -o, and join the two by hand"
        raise InputError("is there already, and a draft overwrites nothing", where=os.fspath(at), fix=fix) from None
    except OSError as error:
        raise InputError(f"cannot be written: {os_words(error)}", where=os.fspath(at), fix="name a file") from None

"""Looks at every file of an artifact once: digests, what it measures as, what it declares, what it asks to install."""

from __future__ import annotations

import posixpath
from typing import Any

import msgspec

from assay.attest.bom.declared import Papers, read_paper
from assay.attest.bom.hashing import Digests, digests
from assay.core.artifact import Artifact
from assay.core.errors import AssayError
from assay.core.protocols import Progress, silent
from assay.formats.artifact import ArtifactFacts
from assay.formats.dependencies.gathered import Gathered, gather
from assay.formats.survey import survey

_MOST_GLOBALS = 300
_MOST_MEMBERS = 100
WEIGHTS = frozenset(
    (
        *("pickle", "torch-zip", "torchscript", "safetensors", "gguf", "onnx", "tflite", "tf-graph", "hdf5"),
        *("keras-zip", "xgboost", "catboost", "flax-msgpack", "npy-objects"),
    )
)
_TABLES = frozenset({"parquet", "arrow"})
_TABLE_NAMES = (".csv", ".tsv", ".jsonl", ".ndjson")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `role` is model, data or ""; `measured` are facts read from its bytes; `gaps` what was not read."""

    name: str
    digests: Digests | None
    format: str
    role: str = ""
    measured: dict[str, Any] = {}
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """All of an artifact: its files by name, its papers by folder, its lists of packages."""

    files: tuple[Seen, ...]
    papers: dict[str, Papers]
    packages: Gathered


def inspect(artifact: Artifact, progress: Progress = silent) -> Inspected:
    """Look at an artifact; file names are relative to `artifact.uri`. Raises InputError when it is absent."""
    files: list[Seen] = []
    papers: dict[str, Papers] = {}
    for count, seen in enumerate(survey(artifact)):
        progress(count, count + 1, seen.file.uri)
        gaps = [gap.reason for gap in seen.gaps]
        known: Digests | None = None
        if not seen.file.problem:
            try:
                known = digests(seen.file.path, seen.file.uri)
            except AssayError as error:
                gaps.append(error.what)
            said = read_paper(seen.file.path, seen.file.uri)
            if said is not None:
                gaps += [f"{gap}: what it declares is not whole" for gap in said.gaps.values()]
                folder = posixpath.dirname(seen.file.uri)
                papers[folder] = papers[folder].joined(said) if folder in papers else said
        files.append(_seen(seen.file.uri, known, seen.facts, gaps))
    return Inspected(files=tuple(files), papers=papers, packages=gather(artifact))


def _seen(name: str, known: Digests | None, facts: ArtifactFacts | None, gaps: list[str]) -> Seen:
    if facts is not None and facts.format.name == "other":
        gaps.append("is of no known format")
    once = tuple(dict.fromkeys(gaps))
    if facts is None:
        return Seen(name=name, digests=known, format="", gaps=once)
    own = facts.measured.get("", {})
    return Seen(
        name=name,
        digests=known,
        format=facts.format.name,
        role=_role(name, facts, known),
        measured=_measured(facts),
        inputs=_ports(own.get("inputs")),
        outputs=_ports(own.get("outputs")),
        gaps=once,
    )


def _role(name: str, facts: ArtifactFacts, known: Digests | None) -> str:
    kind, lower = facts.format.name, name.lower()
    if kind in WEIGHTS or facts.streams or (known is not None and known.head.startswith(b"tree\nversion=")):
        return "model"
    if kind in _TABLES or (kind in ("text", "json") and lower.endswith(_TABLE_NAMES)):
        return "data"
    return "data" if kind in ("npy", "npz") else ""


def _measured(facts: ArtifactFacts) -> dict[str, Any]:
    """Facts by name; those of a member are named `member!fact`."""
    found: dict[str, Any] = {"format": facts.format.name, "size": facts.size}
    for where, values in list(facts.measured.items())[:_MOST_MEMBERS]:
        for key, value in values.items():
            if where or key not in ("format", "inputs", "outputs"):
                found[f"{where}!{key}" if where else key] = value
    if len(facts.measured) > _MOST_MEMBERS:
        found["members-unlisted"] = len(facts.measured) - _MOST_MEMBERS
    if facts.members:
        found["members"] = len(facts.members)
    if facts.streams:
        found["pickles"] = len(facts.streams)
        found["pickle-protocols"] = sorted({stream.protocol for stream in facts.streams})
    tiers: dict[str, set[str]] = {}
    for _, item in facts.globals():
        tiers.setdefault(item.tier, set()).add(item.qualified)
    for tier, names in tiers.items():
        found[f"globals:{tier}"] = sorted(names)[:_MOST_GLOBALS]
        if len(names) > _MOST_GLOBALS:
            found[f"globals:{tier}:unlisted"] = len(names) - _MOST_GLOBALS
    return found


def _ports(value: Any) -> tuple[str, ...]:
    """Inputs or outputs as `name: type[shape]`."""
    told = []
    for item in value[:200] if isinstance(value, list) else ():
        if isinstance(item, dict):
            shape = item.get("shape")
            size = f"[{', '.join(map(str, shape))}]" if isinstance(shape, list) else ""
            told.append(f"{item.get('name', '')}: {item.get('type', item.get('dtype', ''))}{size}")
        elif isinstance(item, str):
            told.append(item)
    return tuple(told)

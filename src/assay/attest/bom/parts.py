"""What a BOM is written of: files, the models and data sets that they make up, packages, and what is said of them."""

from __future__ import annotations

import posixpath
from typing import Any

import msgspec

from assay.attest.bom.declared import Papers
from assay.attest.bom.environment import Environment
from assay.attest.bom.inspection import Inspected, Seen
from assay.attest.bom.vex import Statement
from assay.core.finding import Measure
from assay.formats.dependencies.advisories import Advisory
from assay.formats.dependencies.gathered import Listed


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model: the names of its files, what its papers say, the data sets (by name) that it was made of or judged on,
    facts that a manifest declares, and measures of a report on exactly these bytes."""

    name: str
    files: tuple[str, ...]
    papers: Papers = Papers()
    data: tuple[str, ...] = ()
    approach: str = ""
    facts: dict[str, Any] = {}
    sections: dict[str, str] = {}
    digest: str = ""
    measures: tuple[Measure, ...] = ()


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """A data set: the names of its files (none where it is only declared), and facts that a manifest declares."""

    name: str
    files: tuple[str, ...] = ()
    facts: dict[str, Any] = {}


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """How a model was made, as declared: the model, the data that went in, and further facts."""

    model: str
    data: tuple[str, ...] = ()
    facts: dict[str, Any] = {}


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one BOM tells. `advisories` are by package URL; `gaps` concern the whole, not one file."""

    name: str
    kind: str
    files: tuple[Seen, ...]
    models: tuple[Model, ...] = ()
    data: tuple[Data, ...] = ()
    packages: tuple[Listed, ...] = ()
    environment: Environment | None = None
    papers: Papers = Papers()
    facts: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    training: Training | None = None
    advisories: dict[str, tuple[Advisory, ...]] | None = None
    statements: tuple[Statement, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def open(self) -> tuple[str, ...]:
        """Everything that could not be read or told."""
        own = [f"{seen.name}: {gap}" for seen in self.files for gap in seen.gaps]
        installed = self.environment.gaps if self.environment is not None else ()
        return (*self.gaps, *installed, *own)


def models_of(inspected: Inspected, root: str) -> tuple[Model, ...]:
    """The models among files that no manifest names.

    Weights below a folder whose papers describe a model (the topmost one) are one model; any other file of weights is
    one by itself. `root` is the name for the folder that was given.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for seen in inspected.files:
        if seen.role == "model":
            folder = _described(seen.name, inspected.papers)
            groups.setdefault(("", seen.name) if folder is None else ("folder", folder), []).append(seen.name)
    return tuple(
        Model(
            name=(name or root) if kind else name,
            files=tuple(files),
            papers=papers_of(tuple(files), inspected.papers, name if kind else None),
        )
        for (kind, name), files in sorted(groups.items())
    )


def data_of(inspected: Inspected) -> tuple[Data, ...]:
    """Each table among files that no manifest names is a data set."""
    return tuple(Data(name=seen.name, files=(seen.name,)) for seen in inspected.files if seen.role == "data")


def papers_of(files: tuple[str, ...], papers: dict[str, Papers], folder: str | None = None) -> Papers:
    """What is declared of some files: by the papers of their `folder` and those below it on the way to them.

    Of files that no folder describes only the licence beside or above them is taken.
    """
    said = Papers()
    folders = dict.fromkeys(place for name in files for place in reversed(upwards(name)))
    for place in sorted(folders, key=lambda p: (p.count("/") + bool(p), p)):
        if place not in papers:
            continue
        if folder is not None and (place == folder or not folder or place.startswith(f"{folder}/")):
            said = said.joined(papers[place])
        elif not said.licences:
            said = said.joined(Papers(licences=papers[place].licences))
    return said


def _described(name: str, papers: dict[str, Papers]) -> str | None:
    """The topmost folder above a file whose papers describe a model."""
    return next((place for place in reversed(upwards(name)) if place in papers and papers[place].found), None)


def upwards(name: str) -> list[str]:
    """The folder of a file, then those above it, up to the one that was given ("")."""
    folders = [posixpath.dirname(name)]
    while folders[-1]:
        folders.append(posixpath.dirname(folders[-1]))
    return folders

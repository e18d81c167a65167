"""What is installed in an environment, read from the packages' own metadata; nothing is imported."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterable
from importlib import metadata
from pathlib import Path

import msgspec

from assay.attest.bom.licences import Licence, package_licences
from assay.core.errors import InputError
from assay.core.text import visible
from assay.formats.known import normal

MOST_PACKAGES = 20_000
THIS = "this"


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """One installed package; `needs` are the names of installed packages that it requires here."""

    name: str
    version: str
    licences: tuple[Licence, ...] = ()
    needs: tuple[str, ...] = ()


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """An environment: its packages sorted by name, the Python that runs it where known, and what could not be read."""

    packages: tuple[Installed, ...]
    python: str = ""
    gaps: tuple[str, ...] = ()


def environment(where: str) -> Environment:
    """The packages below a virtual environment or a site-packages folder, or (`this`) beside the running Python.

    Raises InputError where no package is found.
    """
    if where == THIS:
        return _read(metadata.distributions(), platform.python_version())
    folders = [str(folder) for folder in _site_packages(Path(where))]
    found = _read(metadata.distributions(path=folders), "") if folders else Environment(packages=())
    if not found.packages:
        fix = "name a virtual environment, its site-packages folder, or `this`"
        raise InputError("holds no installed package", where=visible(where), fix=fix)
    return found


def _site_packages(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    inside = sorted(p for p in (*root.glob("lib*/python*/site-packages"), root / "Lib" / "site-packages") if p.is_dir())
    return list({p.resolve(): p for p in inside}.values()) or [root]


def _read(found: Iterable[metadata.Distribution], python: str) -> Environment:
    packages: dict[str, tuple[str, tuple[Licence, ...], list[str]]] = {}
    gaps: list[str] = []
    for count, item in enumerate(found):
        if count >= MOST_PACKAGES:
            gaps.append(f"holds more than {MOST_PACKAGES} packages")
            break
        try:
            said = item.metadata
            name, version = str(said["Name"] or ""), str(said["Version"] or "")
            if not name or not version:
                raise ValueError
            packages.setdefault(  # the first on the path is the one that is imported
                visible(normal(name), 200), (visible(version, 100), package_licences(said), list(item.requires or ()))
            )
        except Exception:  # whatever a package's metadata holds must not hide the others
            gaps.append("holds a package whose metadata cannot be read")
    listed = tuple(
        Installed(name=name, version=version, licences=licences, needs=_needs(requires, packages.keys()))
        for name, (version, licences, requires) in sorted(packages.items())
    )
    return Environment(packages=listed, python=python, gaps=tuple(dict.fromkeys(gaps)))


def _needs(requires: list[str], names: Collection[str]) -> tuple[str, ...]:
    """Those of a package's requirements that are installed and asked for by this interpreter, extras left out."""
    from packaging.markers import UndefinedEnvironmentName
    from packaging.requirements import InvalidRequirement, Requirement

    found = set()
    for text in requires:
        try:
            asked = Requirement(text)
            if asked.marker is None or asked.marker.evaluate({"extra": ""}):
                found.add(normal(asked.name))
        except (InvalidRequirement, UndefinedEnvironmentName):
            continue
    return tuple(sorted(name for name in found if name in names))

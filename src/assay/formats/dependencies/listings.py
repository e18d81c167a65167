"""Files that list packages (requirements, locks, environments): which, at which versions, and what stays open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from assay.formats.dependencies.requirement import Package, parse_conda, parse_pin, parse_requirement
from assay.formats.texts.documents import Document, parse_json, parse_toml, parse_yaml
from assay.formats.texts.kinds import is_requirements

MOST_LISTING = 32 << 20
MOST_PACKAGES = 50_000
_CONDA = re.compile(r"(?:environment|conda)(?:[-_.][\w.-]*)?\.ya?ml")
_LOCKS = frozenset({"poetry.lock", "uv.lock", "pdm.lock", "pylock.toml"})
_OTHERS = frozenset({"pyproject.toml", "pipfile", "pipfile.lock", "python_env.yaml", "setup.cfg"})
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(\S+)")


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What one file lists. `includes` are the files that it names to be read too, `gaps` what of it was not read."""

    packages: tuple[Package, ...] = ()
    includes: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


def is_listing(name: str) -> bool:
    """Whether a file of this name (a path or a base name) lists packages."""
    base = _base(name)
    if base in _LOCKS or base in _OTHERS or _CONDA.fullmatch(base) or is_requirements(name):
        return True
    return base.startswith("pylock.") and base.endswith(".toml")


def read_listing(data: bytes, name: str) -> Listing:
    """The packages that a file of this name lists. What cannot be read is a gap; nothing is raised."""
    base = _base(name)
    if len(data) > MOST_LISTING:
        return Listing(gaps=(f"is a list of packages of more than {MOST_LISTING >> 20} MB",))
    if base == "pipfile.lock":
        return _listing(parse_json(data), _of_pipfile_lock)
    if base.endswith((".yaml", ".yml")):
        return _listing(parse_yaml(data), _of_conda_lock if "conda-lock" in base else _of_environment)
    if base.endswith(".toml") or base in _LOCKS or base == "pipfile":
        made = _of_pyproject if base == "pyproject.toml" else _of_pipfile if base == "pipfile" else _of_lock
        return _listing(parse_toml(data), made)
    try:
        text = data.decode("utf-8-sig")
    except ValueError:
        return Listing(gaps=("is a list of packages that is not UTF-8",))
    return _of_setup(text) if base == "setup.cfg" else _of_requirements(text)


def _base(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].lower()


def _listing(document: Document, made: Any) -> Listing:
    if document.gap:
        return Listing(gaps=(f"{document.gap}, though it should list packages",))
    value = document.values[0] if document.values else None
    if not isinstance(value, dict):
        return Listing(gaps=("should list packages, and holds no table of them",))
    packages: list[Package] = []
    includes: list[str] = []
    for item in made(value):
        if len(packages) >= MOST_PACKAGES:
            return Listing(packages=tuple(packages), gaps=(f"lists more than {MOST_PACKAGES} packages",))
        if isinstance(item, str):
            includes.append(item)
        else:
            packages.append(item)
    return Listing(packages=tuple(packages), includes=tuple(includes))


# pip's own file


def _of_requirements(text: str) -> Listing:
    packages: list[Package] = []
    includes: list[str] = []
    for line, said in _lines(text):
        if said.startswith("-"):
            named = _INCLUDE.match(said)
            if named is not None:
                includes.append(named[1])
            elif re.match(r"-e\b|--editable\b", said):
                packages += parse_requirement(re.sub(r"^(?:-e|--editable)[\s=]*", "", said), line=line)
            continue
        if len(packages) >= MOST_PACKAGES:
            return Listing(packages=tuple(packages), gaps=(f"lists more than {MOST_PACKAGES} packages",))
        packages += parse_requirement(said, line=line)
    return Listing(packages=tuple(packages), includes=tuple(includes))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines with their number: comments cut off, lines that end in a backslash joined."""
    held: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines(), 1):
        if not held:
            first = number
        bare = re.sub(r"(?:^|\s)#.*$", "", line).strip()
        held.append(bare.removesuffix("\\"))
        if bare.endswith("\\"):
            continue
        whole, held = " ".join(held).strip(), []
        if whole:
            yield first, whole[:10_000]
    if whole := " ".join(held).strip():
        yield first, whole[:10_000]


def _of_setup(text: str) -> Listing:
    import configparser

    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except (configparser.Error, ValueError):
        return Listing(gaps=("is a setup.cfg that cannot be read",))
    asked = parser.get("options", "install_requires", fallback="")
    return Listing(packages=tuple(p for line in asked.splitlines() if line.strip() for p in parse_requirement(line)))


# Tables


def _of_pyproject(value: dict[str, Any]) -> Iterator[Package]:
    """What is installed: the project's own dependencies. Extras and groups count only where a version is fixed."""
    project, tool = _table(value, "project"), _table(value, "tool")
    for said in _texts(project.get("dependencies")):
        yield from parse_requirement(said)
    poetry = _table(tool, "poetry")
    yield from _of_named(poetry.get("dependencies"))
    optional: list[Package] = []
    for group in (*_table(project, "optional-dependencies").values(), *_table(value, "dependency-groups").values()):
        optional += [p for said in _texts(group) for p in parse_requirement(said)]
    for group in _table(poetry, "group").values():
        if isinstance(group, dict):
            optional += _of_named(group.get("dependencies"))
    yield from (package for package in optional if package.version)


def _of_pipfile(value: dict[str, Any]) -> Iterator[Package]:
    yield from _of_named(value.get("packages"))
    yield from (p for p in _of_named(value.get("dev-packages")) if p.version)


def _of_named(table: Any) -> Iterator[Package]:
    """Poetry's and Pipenv's tables: a name to a version, or to a table with `version`, `git`, `url` or `path`."""
    for name, asked in table.items() if isinstance(table, dict) else ():
        if name.lower() == "python":
            continue
        if isinstance(asked, list):  # several constraints, each under a marker
            for one in asked:
                yield from _of_named({name: one})
            continue
        if isinstance(asked, dict):
            address = next((str(asked[k]) for k in ("git", "url", "file", "path") if asked.get(k)), "")
            if address:
                yield parse_pin(name, "", asked=f"@ {address}", problem="is taken from an address")
                continue
            asked = asked.get("version", "*")
        text = str(asked).strip()
        exact = re.fullmatch(r"(?:===?)?\s*(\d[\w.!+-]*)", text)  # poetry: a bare "1.2.3" is that version only
        yield parse_pin(name, exact[1] if exact else "", asked=text)


def _of_lock(value: dict[str, Any]) -> Iterator[Package]:
    """poetry.lock, uv.lock, pdm.lock, and pylock.toml (PEP 751)."""
    for package in _tables(value.get("package") or value.get("packages")):
        name, source = package.get("name"), _table(package, "source")
        if not isinstance(name, str):
            continue
        if any(source.get(k) in (".", "./") for k in ("virtual", "editable", "directory")):
            continue  # the project itself
        version = package.get("version")
        said = version if isinstance(version, str) else ""
        yield parse_pin(name, said, asked=said, problem="" if said else "is locked to an address, not to a version")


def _of_pipfile_lock(value: dict[str, Any]) -> Iterator[Package]:
    for section in ("default", "develop"):
        for name, entry in _table(value, section).items():
            asked = entry.get("version") if isinstance(entry, dict) else None
            said = asked if isinstance(asked, str) else ""
            yield parse_pin(name, said.removeprefix("==").strip(), asked=said)


def _of_conda_lock(value: dict[str, Any]) -> Iterator[Package]:
    for package in _tables(value.get("package")):
        name, version = package.get("name"), str(package.get("version") or "")
        if isinstance(name, str):
            conda = package.get("manager") != "pip"
            if not (conda and name.lower() == "python"):
                yield parse_pin(name, version, asked=version, ecosystem="conda" if conda else "pypi")


def _of_environment(value: dict[str, Any]) -> Iterator[Package | str]:
    """conda's environment.yaml and MLflow's conda.yaml and python_env.yaml; file names are includes."""
    python = "python" in value
    for key in ("dependencies", "build_dependencies"):
        items = value.get(key)
        for item in items if isinstance(items, list) else ():
            for said, conda in _entries(item, python):
                if said.startswith("-"):
                    named = _INCLUDE.match(said)
                    if named is not None:
                        yield named[1]
                    continue
                yield from parse_conda(said) if conda else parse_requirement(said)


def _entries(item: Any, python: bool) -> Iterator[tuple[str, bool]]:
    """One entry of an environment's dependencies, and whether conda resolves it."""
    if isinstance(item, dict):
        yield from ((said.strip(), False) for said in _texts(item.get("pip")))
    elif isinstance(item, str):
        yield item.strip(), not python


def _table(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _tables(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

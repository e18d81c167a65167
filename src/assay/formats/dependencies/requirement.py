"""One requirement as it is written (PEP 508, pip, conda): the package, and its version where that is fixed."""

from __future__ import annotations

import re

import msgspec

from assay.core.text import visible
from assay.formats.known import normal

_ADDRESS = re.compile(r"(?i)^(?:\w+\+)?(?:https?|ssh|file|git)://|^git@")
_EGG = re.compile(r"#(?:.*&)?egg=([\w.-]+)")
_CONDA = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(.*)", re.DOTALL)
_CONDA_EXACT = re.compile(r"(==?)\s*([\w.!+]+)(?:=[\w.*]+)?$")
_CONDA_SPACED = re.compile(r"(\d[\w.!+]*)\s+\S+$")
_UNREADABLE = "is asked for in words that cannot be read"
INSTALLERS = frozenset({"pip", "setuptools", "wheel"})
"""What comes with an environment whatever is asked: it counts where a version is fixed."""


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A package that is asked for. `name` is normalised (PEP 503); `version` is "" where none is fixed, and then
    `problem` says why, in words that go on where the name ends. `asked` is what was written, without credentials."""

    name: str
    version: str = ""
    asked: str = ""
    ecosystem: str = "pypi"
    line: int | None = None
    problem: str = ""


def without_credentials(address: str) -> str:
    """An address without user, password, query and fragment."""
    bare = re.sub(r"//[^/@\s]*@", "//", address)
    return visible(re.split(r"[?#]", bare, maxsplit=1)[0], 200)


def parse_pin(
    name: str, version: str, *, asked: str = "", ecosystem: str = "pypi", problem: str = "", line: int | None = None
) -> Package:
    """A package with the version that a lock or a table gives it."""
    written = without_credentials(asked)
    why = "" if version else problem or f"has no fixed version ({written or 'any'})"
    return Package(
        name=visible(normal(name), 200), version=visible(version, 100), asked=written, ecosystem=ecosystem, line=line,
        problem=why,
    )  # fmt: skip


def parse_requirement(text: str, line: int | None = None) -> list[Package]:
    """One requirement of pip; none for the folder itself (`.`) and for installers without a version."""
    from packaging.requirements import InvalidRequirement, Requirement

    said = re.split(r"\s--\w", text.strip(), maxsplit=1)[0].strip()
    if not said or re.fullmatch(r"\.{1,2}/?(?:\[[^\]]*\])?", said):
        return []
    if _ADDRESS.match(said):
        egg = _EGG.search(said)
        return [_addressed(egg[1] if egg else "", said, line)]
    try:
        found = Requirement(said)
    except InvalidRequirement:
        if said.endswith((".whl", ".tar.gz", ".zip")) or said.startswith(("./", "../", "/", "file:")):
            return [_addressed("", said, line)]
        start = re.match(r"[A-Za-z0-9][\w.-]*", said)
        return [parse_pin(start[0] if start else said[:40], "", asked=said[:80], problem=_UNREADABLE, line=line)]
    if found.url is not None:
        return [_addressed(found.name, found.url, line)]
    exact = [s.version for s in found.specifier if s.operator in ("==", "===") and not s.version.endswith(".*")]
    name = normal(found.name)
    if not exact and name in INSTALLERS:
        return []
    return [parse_pin(name, exact[0] if exact else "", asked=str(found.specifier), line=line)]


def parse_conda(text: str) -> list[Package]:
    """One match specification of conda; none for Python itself and for installers without a version.

    `name=1.2.3` stands for that version; `name=1.2` for any that begins so, which is not fixed.
    """
    said = text.rpartition("::")[2].strip()
    if not said:
        return []
    found = _CONDA.fullmatch(said)
    if found is None:
        return [parse_pin(text[:40], "", asked=text[:80], problem=_UNREADABLE)]
    name, rest = normal(found[1]), found[2].strip()
    if name == "python":
        return []
    version = ""
    if (exact := _CONDA_EXACT.fullmatch(rest)) is not None:
        whole = exact[1] == "==" or exact[2].count(".") >= 2 or rest.count("=") > 1
        version = exact[2] if whole and "*" not in exact[2] else ""
    elif (spaced := _CONDA_SPACED.fullmatch(rest)) is not None:
        version = spaced[1]
    if not version and name in INSTALLERS:
        return []
    return [parse_pin(name, version, asked=rest, ecosystem="conda")]


def _addressed(name: str, address: str, line: int | None) -> Package:
    """A package taken from an address: a wheel's name says its version, anything else does not."""
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

    file = re.split(r"[?#]", address, maxsplit=1)[0].replace("\\", "/").rpartition("/")[2]
    try:
        if file.endswith(".whl"):
            told, version = parse_wheel_filename(file)[:2]
            return parse_pin(name or told, str(version), asked=f"@ {file}", line=line)
        if not re.match(r"(?i)(?:git|hg|svn|bzr)\+", address) and file.endswith((".tar.gz", ".zip")) and not name:
            told, version = parse_sdist_filename(file)
            return parse_pin(told, str(version), asked=f"@ {file}", line=line)
    except (InvalidWheelFilename, InvalidSdistFilename):
        pass
    local = "" if "://" in address else file
    shown = f"@ {local or without_credentials(address)}"
    return parse_pin(name or file or "a package", "", asked=shown, problem="is taken from an address", line=line)

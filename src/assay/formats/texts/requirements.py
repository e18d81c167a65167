"""Lists of packages to install: addresses, other indexes, what is not pinned, and names that look like others."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from assay.core.finding import Confidence, Json, Severity
from assay.core.text import visible
from assay.formats.known import normal
from assay.formats.reading import Note, Topic
from assay.formats.texts.documents import Document, mappings
from assay.formats.texts.malicious_packages import why_malicious
from assay.formats.texts.package_names import OWNERS, is_popular, looks_like

MOST_LINES = 100_000
MOST_LINE = 5000
_MOST_NAMES = 5_000
_MOST_JOINED = 1_000
_NAME = re.compile(r"\s*([^\W_](?:[\w.-]*[^\W_])?)\s*(\[[^\]]*\])?\s*(.*)", re.DOTALL)
_PINNED = re.compile(r"===?\s*[^*\s,]+(?:\s*[;,].*)?$|^\(==[^*]*\)$")
_COMMIT = re.compile(r"@[0-9a-f]{40}(?:[#?].*)?$")
_VCS = re.compile(r"(?i)\b(?:git|hg|svn|bzr)\+\w+|^git@|\.git(?:@|#|$)")
_HASH = re.compile(r"#(?:sha256|sha384|sha512)=[0-9a-f]{64,}|--hash[=\s]")
_INDEX_OPTIONS = {
    "index": re.compile(r"(?:^|\s)(?:-i|--(?:pypi|default)?-?index(?:-url)?)[=\s]+(\S+)"),
    "extra": re.compile(r"(?:^|\s)--extra[-_]index[-_]url[=\s]+(\S+)"),
    "trusted": re.compile(r"(?:^|\s)--trusted-host[=\s]+(\S+)"),
    "find": re.compile(r"(?:^|\s)(?:-f|--find-links)[=\s]+(\S+)"),
}
_INCLUDED = re.compile(
    r"(?P<kind>-r|-c|--requirement|--constraint)[=\s]*[\"']?(?P<at>(?:https?|ftp)://\S+)", re.IGNORECASE
)
_IS_INDEX = re.compile(r"(?:^|\.)(?:index|source|sources)\[\d+\]$")
# Keys of pip's, uv's, conda's, pdm's and npm's own configuration.
_INDEX_KEYS = {
    "index-url": "index", "index_url": "index", "default-index": "index", "channel_alias": "index", "registry": "index",
    "extra-index-url": "extra", "extra_index_url": "extra", "find-links": "find", "find_links": "find",
    "trusted-host": "trusted", "trusted_host": "trusted", "allow-insecure-host": "trusted",
}  # fmt: skip
# Indexes that the ecosystem itself names in its installation pages.
_KNOWN_HOSTS = re.compile(
    r"(?i)^https://(?:pypi\.org|files\.pythonhosted\.org|download\.pytorch\.org|pypi\.nvidia\.com|data\.pyg\.org"
    r"|pypi\.ngc\.nvidia\.com|storage\.googleapis\.com/(?:jax|libtpu)-releases|download\.openmmlab\.com"
    r"|abetlen\.github\.io/llama-cpp-python|wheels\.vllm\.ai|aiinfra\.pkgs\.visualstudio\.com|flashinfer\.ai"
    r"|pkgs\.dev\.azure\.com/onnxruntime|developer\.download\.nvidia\.com|test\.pypi\.org)(?:/|$)"
)


NPM_LOCKS = frozenset({"package-lock.json", "npm-shrinkwrap.json", ".package-lock.json"})


class _Wanted(msgspec.Struct, frozen=True):
    """One requirement: a package's name ("" where only an address is given), the rest of it, and its line."""

    name: str
    rest: str
    line: int | None = None
    locked: bool = False


def judge_requirements(text: str, where: str = "") -> list[Note]:
    """A requirements or constraints file of pip (its own file format)."""
    notes: dict[str, Note] = {}
    wanted: list[_Wanted] = []
    for number, line in _lines(text):
        for note in _options(line, where, number):
            notes.setdefault(note.key, note)
        if line.startswith(("-e ", "-e=", "--editable")):
            target = [*re.split(r"[\s=]+", line, maxsplit=1), ""][1]
            wanted.append(_Wanted("", target, number))
        elif not line.startswith("-"):
            wanted.append(_requirement(line, number))
    return [*notes.values(), *_judged(wanted, where)]


def judge_manifest(document: Document, name: str, where: str = "") -> list[Note]:
    """A parsed pyproject.toml, Pipfile, lock file, conda or python_env file, by the file's `name`."""
    base = name.replace("\\", "/").rpartition("/")[2].lower()
    value = document.values[0] if document.values and isinstance(document.values[0], dict) else {}
    wanted: list[_Wanted] = []
    notes: list[Note] = []
    if base == "pyproject.toml":
        wanted += _of_pyproject(value)
    elif base == "pipfile":
        for section in ("packages", "dev-packages"):
            wanted += _of_table(value.get(section))
    elif base in NPM_LOCKS:
        return _npm_lock(value, where)
    elif base in ("poetry.lock", "uv.lock", "pdm.lock", "pylock.toml"):
        wanted += _of_lock(value)
    else:
        wanted += _of_environment(value)
        for number, line in enumerate(_pip_options(value), 1):
            notes += _options(line, where, number)
        for channel in _listed(value.get("channels")):
            if channel.startswith("http://"):
                notes.append(_note("takes packages from a channel without TLS", Severity.MEDIUM, "channel", where))
    for path, table in mappings(*document.values):
        address = table.get("url")
        named = "name" in table and ("verify_ssl" in table or "priority" in table or "default" in table)
        if isinstance(address, str) and (named or _IS_INDEX.search(path)):
            notes += _index("index", address, where, None)
        for key in ("verify_ssl", "ssl_verify"):
            if str(table.get(key, "")).lower() == "false":
                notes.append(_note("takes any certificate of its index", Severity.MEDIUM, "no-verify", where))
        for key, kind in _INDEX_KEYS.items():
            for held in [table[key]] if isinstance(table.get(key), str) else _listed(table.get(key)):
                notes += _index(kind, held, where, None) if "://" in held or kind == "trusted" else ()
    return [*notes, *_judged(wanted, where)]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines as pip joins them: a backslash at the end leads on without a blank, unless the line is a comment."""
    held: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines()[:MOST_LINES], 1):
        first = first if held else number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment and len(held) < _MOST_JOINED:
            held.append(line.strip("\\"))
            continue
        whole = "".join([*held, f" {line}" if comment else line])
        held = []
        if bare := " ".join(re.sub(r"(?:^|\s)#.*$", "", whole).split()):
            yield first, bare[:MOST_LINE]
    if bare := " ".join("".join(held).split()):
        yield first, bare[:MOST_LINE]


def _requirement(line: str, number: int | None = None) -> _Wanted:
    if re.match(r"(?i)(?:\w+\+)?(?:https?|ssh|file|git)://|git@", line):
        egg = re.search(r"#(?:.*&)?egg=([\w.-]+)", line)
        return _Wanted(egg[1] if egg else "", line, number)
    match = _NAME.fullmatch(line)
    if match is None:
        return _Wanted("", "", number)
    return _Wanted(match[1], match[3], number)


def _options(line: str, where: str, number: int) -> Iterator[Note]:
    if not line.startswith("-"):
        return
    if included := _INCLUDED.match(line):
        shown = visible(re.sub(r"//[^/@\s]*@", "//", included["at"]).partition("?")[0], 80)
        whole = included["kind"][:2] == "-r" or included["kind"] == "--requirement"
        if re.match(r"(?i)(?:http|ftp)://", included["at"]):
            said = f"takes its list of packages from {shown} without TLS"
            yield _note(said, Severity.HIGH if whole else Severity.MEDIUM, "plain-include", where, number)
        elif whole:
            yield _note(f"takes its list of packages from {shown}", Severity.LOW, "include", where, number)
    for kind, pattern in _INDEX_OPTIONS.items():
        for match in pattern.finditer(line):
            yield from _index(kind, match[1], where, number)


def _index(kind: str, address: str, where: str, line: int | None) -> Iterator[Note]:
    known = _KNOWN_HOSTS.match(address) is not None
    shown = visible(re.sub(r"//[^/@\s]*@", "//", address).partition("?")[0], 80)
    if kind == "trusted":
        yield _note(f"trusts {shown} without TLS (a trusted host)", Severity.MEDIUM, "trusted-host", where, line)
    elif re.match(r"(?i)(?:http|ftp)://", address):
        yield _note(f"takes packages from {shown} without TLS", Severity.MEDIUM, f"plain-{kind}", where, line)
    elif not known and kind == "extra":
        said = f"takes packages from one more index ({shown}): of a name on both the higher version wins"
        yield _note(said, Severity.MEDIUM, "more-index", where, line)
    elif not known and (kind == "index" or "://" in address):
        yield _note(f"takes packages from {shown}", Severity.LOW, f"{kind}-other", where, line)


def _judged(wanted: list[_Wanted], where: str) -> list[Note]:
    notes: dict[str, Note] = {}
    loose: list[str] = []
    if len(wanted) > _MOST_NAMES:
        said = f"lists more than {_MOST_NAMES:,} packages; the others were not compared with known names"
        notes["many"] = _note(said, Severity.LOW, "many", where)
    for number, item in enumerate(wanted):
        for note in _address(item, where):
            notes.setdefault(note.key, note)
        if item.name and number < _MOST_NAMES:
            near, how = looks_like(item.name)
            if why := why_malicious(item.name, item.rest):
                notes.setdefault(f"malicious:{item.name}", _malicious(item, why, where))
            elif near:
                notes.setdefault(f"look-alike:{near}", _look_alike(item, near, how, where))
        plain = item.name and not re.search(r"(?i)://|^@\s", item.rest)
        if plain and not item.locked and not _PINNED.search(re.split(r";|\s--", item.rest)[0].strip()):
            loose.append(item.name)
    if loose:
        notes["unpinned"] = _note(
            f"leaves open which version of {len(loose)} {'packages' if loose[1:] else 'package'} is installed "
            f"({visible(', '.join(loose[:3]), 80)}"
            f"{', …' if len(loose) > 3 else ''})", Severity.INFO, "unpinned", where,
            evidence={"packages": [visible(n, 60) for n in loose[:100]], "count": len(loose)},
        )  # fmt: skip
    return list(notes.values())


def _address(item: _Wanted, where: str) -> Iterator[Note]:
    rest = item.rest.strip()
    found = re.search(r"(?i)(?:(?:git|hg|svn|bzr)\+)?(?:https?|ssh|file|git)://\S+|git@\S+", rest)
    if found is None:
        return
    address = found.group()
    shown = visible(re.sub(r"//[^/@\s]*@", "//", address).partition("?")[0].partition("#")[0], 80)
    if re.match(r"(?i)(?:\w+\+)?(?:http|ftp|svn)://|(?:git\+)?git://", address):
        yield _note(f"installs {shown} without TLS", Severity.HIGH, "plain-address", where, item.line)
    elif re.match(r"(?i)(?:\w+\+)?\w+://(?:[^/@\s]*@)?(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]+\])(?:[:/]|$)", address):
        yield _note(
            f"installs what lies at {shown}, an address without a name", Severity.HIGH, "bare-address", where, item.line
        )
    elif _VCS.search(address):
        if copied := _copy_of(address):
            said = f"installs {shown}, which is not where {copied} comes from"
            yield _note(said, Severity.MEDIUM, "copy", where, item.line)
        if not _COMMIT.search(address) and not item.locked:
            said = f"installs {shown} at no fixed commit: what it is can change"
            yield _note(said, Severity.LOW, "vcs", where, item.line)
    elif not _HASH.search(rest) and not item.locked and not _KNOWN_HOSTS.match(address):
        known = re.match(
            r"(?i)https://(?:github\.com|huggingface\.co|gitlab\.com|raw\.githubusercontent\.com)/", address
        )
        said = f"installs what lies at {shown}, without a digest"
        yield _note(said, Severity.LOW if known else Severity.MEDIUM, "address", where, item.line)


def _copy_of(address: str) -> str:
    """The known package that a repository of a public host is called like, where its owner is none of the known."""
    found = re.search(r"(?i)//(?:[^/@\s]*@)?(?:github\.com|gitlab\.com|bitbucket\.org)/([^/\s]+)/([^/@#\s]+)", address)
    if found is None or found[1].lower() in OWNERS:
        return ""
    name = normal(found[2].removesuffix(".git"))
    return name if is_popular(name) and name != normal(found[1]) else ""


def _malicious(item: _Wanted, why: str, where: str) -> Note:
    said = f"asks for {visible(item.name, 60)}, which is malicious: {visible(why, 200)}"
    return _note(
        said, Severity.CRITICAL, f"malicious:{normal(item.name)}", where, item.line,
        fix="remove the package, and look for what it did",
    )  # fmt: skip


def _look_alike(item: _Wanted, near: str, how: str, where: str) -> Note:
    words = {
        "letters": f"asks for {visible(item.name, 60)}, which is written to look like {near}",
        "separators": f"asks for {visible(item.name, 60)}, which differs from {near} only by its separators",
        "one letter": f"asks for {visible(item.name, 60)}, which is one letter away from {near}",
        "two letters": f"asks for {visible(item.name, 60)}, which is two letters away from {near}",
    }
    severity = Severity.HIGH if how == "letters" else Severity.MEDIUM
    sure = Confidence.HIGH if how == "letters" else Confidence.MEDIUM
    return _note(
        words[how], severity, f"look-alike:{near}", where, item.line, sure=sure, evidence={"looks_like": near},
        fix=f"if {near} is meant, write it so",
    )  # fmt: skip


def _of_pyproject(value: dict[str, Any]) -> list[_Wanted]:
    project = value.get("project")
    found: list[_Wanted] = []
    if isinstance(project, dict):
        found += [_requirement(r) for r in _listed(project.get("dependencies"))]
        optional = project.get("optional-dependencies")
        for group in optional.values() if isinstance(optional, dict) else ():
            found += [_requirement(r) for r in _listed(group)]
    build = value.get("build-system")
    if isinstance(build, dict):
        found += [_requirement(r) for r in _listed(build.get("requires"))]
    for group in value["dependency-groups"].values() if isinstance(value.get("dependency-groups"), dict) else ():
        found += [_requirement(r) for r in _listed(group)]
    for path, table in mappings(value.get("tool")):
        if re.search(r"(?:^|\.)(?:dev-)?dependencies$", path):
            found += _of_table(table)
    return found


def _of_table(table: Any) -> list[_Wanted]:
    """Poetry's and Pipenv's tables: a name to a version, or to a table with `version`, `git`, `url`, `rev`."""
    found: list[_Wanted] = []
    for name, asked in table.items() if isinstance(table, dict) else ():
        if name.lower() == "python":
            continue
        if isinstance(asked, dict):
            address = asked.get("git") or asked.get("url") or asked.get("file")
            if isinstance(address, str):
                revision = str(asked.get("rev") or asked.get("ref") or "")
                found.append(_Wanted(name, f"@ {'git+' if asked.get('git') else ''}{address}@{revision}".rstrip("@")))
                continue
            asked = asked.get("version", "*")
        version = str(asked)
        found.append(_Wanted(name, f"=={version}" if re.fullmatch(r"\d[\w.]*", version) else version))
    return found


def _of_lock(value: dict[str, Any]) -> list[_Wanted]:
    found: list[_Wanted] = []
    for package in value.get("package") or value.get("packages") or ():
        if isinstance(package, dict) and isinstance(package.get("name"), str):
            source = package.get("source")
            named = [v for v in source.values() if isinstance(v, str)] if isinstance(source, dict) else []
            address = next((v for v in named if "://" in v and not _KNOWN_HOSTS.match(v)), "")
            fixed = not address.startswith("http://")
            found.append(_Wanted(package["name"], f"@ {address}" if address else "", locked=fixed))
    return found


def _npm_lock(value: dict[str, Any], where: str) -> list[Note]:
    """npm's lock file: what it installs from an address that nobody can be sure of."""
    plain: list[str] = []
    for _path, package in mappings(value.get("packages"), value.get("dependencies")):
        address = package.get("resolved")
        if isinstance(address, str) and re.match(r"(?i)(?:git\+)?http://(?!localhost[:/]|127\.)", address):
            plain.append(address)
    if not plain:
        return []
    shown = visible(re.sub(r"//[^/@\s]*@", "//", plain[0]).partition("?")[0], 80)
    return [_note(f"installs {shown} without TLS", Severity.HIGH, "plain-address", where)]


def judge_setup_cfg(text: str, where: str = "") -> list[Note]:
    """setup.cfg of setuptools: what an installation asks for, and the links and indexes it takes it from."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text[: 1 << 20])
    except configparser.Error:
        return []
    notes: list[Note] = []
    wanted: list[_Wanted] = []
    for section in parser.sections():
        for key, held in parser.items(section):
            lines = [line.strip() for line in (held or "").splitlines() if line.strip()]
            plain = key.replace("-", "_")
            if (
                section.startswith("options")
                and (
                    plain in ("install_requires", "setup_requires", "tests_require")
                    or section.endswith("extras_require")
                )
            ) or plain == "dependency_links":
                wanted += [_requirement(line) for line in lines]
            elif section == "easy_install" and (kind := _INDEX_KEYS.get(plain)):
                notes += [note for line in lines for note in _index(kind, line, where, None)]
    return [*notes, *_judged(wanted, where)]


def _of_environment(value: dict[str, Any]) -> list[_Wanted]:
    """conda.yaml and MLflow's python_env.yaml: dependencies, those of pip inside them, and build dependencies."""
    found: list[_Wanted] = []
    for key in ("dependencies", "build_dependencies"):
        items = value.get(key)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                found += [_requirement(r) for r in _listed(item.get("pip")) if not r.startswith("-")]
            elif isinstance(item, str) and not item.startswith("-"):
                name = item.rpartition("::")[2]
                pinned = re.fullmatch(r"([\w.-]+)\s*=\s*([\w.*+!-]+)(?:=\S+)?", name)
                found.append(_Wanted(pinned[1], f"=={pinned[2]}") if pinned else _requirement(name))
    return [item for item in found if item.name.lower() not in ("python", "pip")]


def _pip_options(value: dict[str, Any]) -> list[str]:
    """Options among the packages that conda.yaml and python_env.yaml hand to pip."""
    found: list[str] = []
    for key in ("dependencies", "build_dependencies"):
        for item in value[key] if isinstance(value.get(key), list) else ():
            given = _listed(item.get("pip")) if isinstance(item, dict) else [item] if isinstance(item, str) else []
            found += [line.strip() for line in given if line.strip().startswith("-")]
    return found


def _listed(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _note(
    said: str, severity: Severity, kind: str, where: str, line: int | None = None, *,
    sure: Confidence = Confidence.HIGH, evidence: dict[str, Json] | None = None, fix: str = "",
) -> Note:  # fmt: skip
    return Note(
        topic=Topic.REQUIREMENTS, message=said, severity=severity, key=f"requirements:{kind}", where=where, line=line,
        confidence=sure, evidence=evidence or {}, fix=fix or "pin each package by version and hash, from one index",
    )  # fmt: skip

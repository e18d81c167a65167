"""Configuration that some program evaluates, renders, builds from or fetches by, although no key names a Python class.

What each of these consumers does with such a file by default: ComfyUI's expression nodes and YOLO's model files
(`eval`), prompt builders (Jinja), LangChain's `load`, Langflow's components (`exec`), Ultralytics' `download`, Ray's
`runtime_env`, transformers' kernels from the Hub, CrewAI's code execution.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from typing import Any

import msgspec

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.reading import Note
from assay.formats.texts.config_targets import config_note, how_grave
from assay.formats.texts.documents import Document, listed_texts, mappings
from assay.formats.texts.python_code import judge_python
from assay.formats.texts.shell_text import judge_shell
from assay.formats.texts.templates import read_template

_MOST_EXPRESSION = 10_000
_REACHES = re.compile(
    r"__\w+__|\b(?:os|sys|subprocess|shutil|eval|exec|compile|open|getattr|globals|vars|system|popen)\b"
)
_IN_TEMPLATE = re.compile(r"__\w+__|\|\s*attr\b|\[\s*['\"]_|~")
# Keys under which texts are data, examples or what is forbidden, and nothing evaluates them: whole keys, for whoever
# writes an attack picks the key.
_EXAMPLE = (
    r"description|comments?|notes?|help|docs?|documentation|docstring|patterns?|regex(?:es)?|reason|summary|examples?"
    r"|payloads?|tests?|test_?cases|cases|expected|solutions?|snippets?|samples?|datasets?|banned?|ban_?list|deny|denied"
    r"|deny_?list|block|blocked|block_?list|forbid|forbidden|unsafe|dangerous|blacklist|ignored?|restricted|lint"
    r"|rejected|attacks?"
)
EXAMPLES = re.compile(rf"(?:^|[.\]_-])(?:{_EXAMPLE})(?=$|[.\[_-])", re.IGNORECASE)
DATA = re.compile(
    r"(?:^|[.\]])(?:messages?|msg|label|prompts?|completion|output|answer|response|question|instructions?|content)(?=$|[.\[])",
    re.IGNORECASE,
)
_KERNEL = re.compile(r"(?:\w+\|)?(?P<from>[^/:\s|]+)/[^/:\s|]+(?:@[^/:\s]+)?(?::[^/:\s]+)?")
_BUNDLE = re.compile(r"(?i)(?:http|ftp)://(?!localhost[:/]|127\.)")
# Where a secret that is put in for its name is what the object it stands in is built from.
_OF_CONSTRUCTOR = re.compile(r"(?:^|\.)kwargs\.(?!content$|additional_kwargs$|response_metadata$|metadata$)\w+$")


def judge_evaluated(document: Document, name: str = "", where: str = "") -> list[Note]:
    """What a parsed configuration has a program evaluate. Topics REMOTE_CODE and TEMPLATE."""
    notes: dict[str, Note] = {}
    for note in _all(document, name.lower(), where):
        held = notes.get(note.key)
        if held is None or held.severity.rank < note.severity.rank:
            notes[note.key] = note
    return list(notes.values())


def _all(document: Document, name: str, where: str) -> Iterator[Note]:
    for path, mapping in mappings(*document.values):
        yield from _langchain(path, mapping, where)
        yield from _component(path, mapping, where)
        yield from _download(path, mapping, where)
        yield from _runtime(path, mapping, where)
        for key, value in mapping.items():
            if key.endswith(("attn_implementation", "attn_implementation_internal")) and isinstance(value, str):
                yield from _kernel(key, value, where)
        if mapping.get("code_execution_mode") == "unsafe" and mapping.get("allow_code_execution") is not False:
            said = "has an agent run code outside a sandbox (code_execution_mode)"
            yield config_note(said, Severity.MEDIUM, "unsafe-code", where, path=path)
    # Lists of records are data: what is asked of a model, or what it answered.
    values = tuple(value for value in document.values if isinstance(value, dict))
    if not name.endswith(".jsonl"):
        for path, key, text in _texts(values):
            yield from _expression(path, key, text, where)


def _texts(values: tuple[Any, ...]) -> Iterator[tuple[str, str, str]]:
    """Every text that could be an expression or a template: (path of its mapping, key, text)."""
    for path, mapping in mappings(*values):
        for key, value in mapping.items():
            for held in listed_texts(value):
                if "(" in held or "{{" in held or "{%" in held:
                    yield path, key, held


def _expression(path: str, key: str, text: str, where: str) -> Iterator[Note]:
    place = f"{path}.{key}"
    if len(text) > _MOST_EXPRESSION or EXAMPLES.search(place):
        return
    if ("{{" in text or "{%" in text) and _IN_TEMPLATE.search(text):
        for note in read_template(text, where).notes:
            if note.severity is Severity.CRITICAL:
                said = note.message.replace("a chat template", f"a template ({visible(key, 40)})", 1)
                yield msgspec.structs.replace(note, message=said)
    elif _REACHES.search(text) and not DATA.search(place) and _is_expression(text):
        found = [n for n in judge_python(text).notes if n.severity.rank >= Severity.HIGH.rank]
        if found:
            what = found[0].message.partition(" when it is ")[0].rstrip(", ")
            said = f"holds an expression of Python that {what}, once it is evaluated ({visible(key, 40)})"
            yield config_note(said, Severity.HIGH, "expression", where, path=path)


def _is_expression(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _langchain(path: str, mapping: dict[str, Any], where: str) -> Iterator[Note]:
    """LangChain's serialization: what `load` imports and calls, and which secret it puts in from the environment."""
    named = mapping.get("id")
    if mapping.get("lc") not in (1, "1") or not isinstance(named, list) or not named:
        return
    parts = [part for part in named if isinstance(part, str)]
    flat = ".".join(parts)
    if mapping.get("type") == "constructor" and not parts[:1][0].startswith(("langchain", "langgraph", "langsmith")):
        grave = how_grave(flat)
        grave = grave if grave.rank > Severity.MEDIUM.rank else Severity.MEDIUM
        said = f"has LangChain build {visible(flat, 80)}, which is none of its own classes"
        yield config_note(said, grave, f"langchain:{flat[:100]}", where, path=path)
    elif mapping.get("type") == "secret" and not _OF_CONSTRUCTOR.search(path):
        said = f"has LangChain put a secret of the environment into what is said ({visible(flat, 60)})"
        yield config_note(said, Severity.HIGH, "langchain-secret", where, path=path)


def _component(path: str, mapping: dict[str, Any], where: str) -> Iterator[Note]:
    """A component of Langflow, whose code is run as soon as the flow is opened or checked."""
    code = mapping.get("value")
    if mapping.get("type") != "code" or not isinstance(code, str) or len(code) > 1 << 20:
        return
    for note in judge_python(code, where).notes:
        if note.severity.rank >= Severity.HIGH.rank:
            yield msgspec.structs.replace(note, message=f"holds a component whose code {note.message}", line=None)


def _download(path: str, mapping: dict[str, Any], where: str) -> Iterator[Note]:
    """Ultralytics' data files: `download` is fetched, given to a shell or run as Python where images are missing."""
    given = mapping.get("download")
    if not isinstance(given, str) or not {"train", "val"} & mapping.keys() or len(given) > 1 << 20:
        return
    text = given.strip()
    found: list[Note] = []
    if text.startswith("bash "):
        found = judge_shell(text, where)
    elif re.match(r"(?i)https?://\S+$", text):
        if _BUNDLE.match(text):
            said = "has its trainer fetch and unpack an archive without TLS (download)"
            yield config_note(said, Severity.MEDIUM, "download-plain", where, path=path)
    else:
        found = [n for n in judge_python(text, where).notes if n.severity.rank >= Severity.HIGH.rank]
    for note in found:
        said = f"has its trainer run a download that {note.message}"
        yield msgspec.structs.replace(note, message=said, line=None, key=f"config:download:{note.key}")


def _runtime(path: str, mapping: dict[str, Any], where: str) -> Iterator[Note]:
    """Ray's runtime environment: archives of code that every worker fetches and imports."""
    held = mapping.get("runtime_env")
    if not isinstance(held, dict):
        return
    for key in ("working_dir", "py_modules", "pip", "conda"):
        given = held.get(key)
        for text in given if isinstance(given, list) else [given]:
            if isinstance(text, str) and _BUNDLE.match(text):
                said = f"has every worker fetch and import code without TLS ({key})"
                yield config_note(said, Severity.HIGH, "runtime-env", where, path=path)


def _kernel(key: str, value: str, where: str) -> Iterator[Note]:
    """An attention implementation that is a repository on the Hub: its compiled code is fetched and loaded."""
    match = _KERNEL.fullmatch(value.strip())
    if match is None:
        return
    own = match["from"] == "kernels-community"  # which transformers itself trusts
    said = f"has compiled code of the repository {visible(value, 60)} fetched and loaded ({visible(key, 40)})"
    yield config_note(said, Severity.LOW if own else Severity.HIGH, "kernel", where)

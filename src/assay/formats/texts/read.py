"""The reader of text around a model: decodes a document once and hands what it says to those who judge it."""

from __future__ import annotations

import json
import os
import re
from typing import IO

import msgspec

from assay.core.finding import Severity
from assay.formats.promise import suffix_of
from assay.formats.reading import Limits, Note, Reading, Topic
from assay.formats.texts.documents import Document, beyond, mappings, parse_ini, parse_json, parse_toml, parse_yaml
from assay.formats.texts.kinds import (
    BUILDS,
    CHUNKED,
    CODE_KEY,
    COMMANDS,
    COMMENTED,
    COMPOSE,
    INI,
    JSON,
    JSON_START,
    LANGUAGES,
    LFS_POINTER,
    MAKE_NAMES,
    MANIFESTS,
    PAGES,
    PROSE,
    PROSE_NAMES,
    SHEBANG,
    SHELL_NAMES,
    TAG_LINE,
    TEMPLATES,
    VOCABULARIES,
    XML,
    YAML,
    YAML_TAG,
    is_console_config,
    is_requirements,
    is_start_file,
    lists_packages,
)
from assay.formats.texts.prompt_files import is_prompt
from assay.formats.texts.source_code import is_source_code
from assay.formats.texts.yaml_tags import tag_gap

MOST_TEXT = 64 << 20


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read text from where `file` begins, under its name: scripts, configuration, templates, notebooks, prose.

    What it answers is in `asks`: REMOTE_CODE and SECRETS of every text, and what else the file's kind raises. At most
    MOST_TEXT bytes are read, else it is a gap. Raises OSError.
    """
    file.seek(0)
    most = min(MOST_TEXT, limits.max_bytes)
    data = file.read(most + 1)
    if len(data) > most:
        return Reading(gaps=(f"is text of more than {most >> 20} MB",))
    if data.startswith(LFS_POINTER):
        return Reading(gaps=("is a Git LFS pointer, not the file itself (`git lfs pull` fetches it)",))
    return _Text(data, name).read()


class _Text:
    """One text on its way through those who judge it."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name = data, name
        self.suffix = suffix_of(name)
        self.base = os.path.basename(name.replace("\\", "/")).rstrip(" .").lower()
        self.notes: list[Note] = []
        self.gaps: list[str] = []
        self.asks: set[Topic] = {Topic.REMOTE_CODE, Topic.SECRETS}
        listed = is_requirements(name)
        prose = (self.suffix in PROSE or self.base.startswith(PROSE_NAMES)) and not listed
        self.text = _decoded(data, prose=prose)
        self.listed = listed or (self.text is not None and lists_packages(name, self.text))

    def read(self) -> Reading:
        """Judge it as what its name, and then its content, say that it is."""
        if self.suffix == ".ipynb":
            self._notebook()
        elif self._is_code():
            self._code()
        else:
            if self.listed:
                self._requirements()
            else:
                self._document()
            self._prompts()
            self._pages()
            self._secrets()
        self._installs()
        self._starts()
        return Reading(
            notes=_once(self.notes),
            gaps=tuple(dict.fromkeys(self.gaps)),
            asks=frozenset(self.asks),
        )

    def _add(self, said: Reading) -> None:
        self.notes += said.notes
        self.gaps += said.gaps

    # Code

    def _is_code(self) -> bool:
        script = SHEBANG.match(self.data) is not None and self.suffix not in PROSE
        return script or is_source_code(self.name) or (self.suffix == ".pth" and self.text is not None)

    def _code(self) -> None:
        language = self._language()
        self.asks.add(Topic.SOURCE_CODE)
        if language in ("Python", "path file"):
            from assay.formats.texts.python_code import judge_path_file, judge_python

            if language == "Python":
                self._add(judge_python(self.data, installer=self.base == "setup.py", later=self.suffix == ".pyi"))
                self._started()
            else:
                self._add(judge_path_file(self.text or ""))
        elif self.text is None and language:
            self.gaps.append(f"is source code ({language}) in no encoding known here")
        elif language in ("shell", "Dockerfile"):
            from assay.formats.texts.shell_text import MOST_LINE, MOST_LINES, judge_dockerfile, judge_shell

            self._within_lines(MOST_LINES, MOST_LINE)
            self.notes += (judge_shell if language == "shell" else judge_dockerfile)(self.text or "")
        elif language in ("make", "commands"):
            from assay.formats.texts.shell_text import judge_commands

            self.notes += judge_commands(self.text or "")
        elif language == "Jinja":
            from assay.formats.texts.templates import read_template

            self.asks.add(Topic.TEMPLATE)
            self._add(read_template(self.text or ""))
        elif self.text is not None:
            from assay.formats.texts.handed_commands import judge_chunks, judge_handed

            self.notes += (judge_chunks if self.suffix in CHUNKED else judge_handed)(self.text)
        if language and language != "commands":
            said = f"is source code ({language}), judged by what it says"
            self.notes.append(_source(said, Severity.INFO))
        else:
            self.notes.append(_source("is source code, which runs when it is used and was not examined", Severity.LOW))
        self._secrets()

    def _language(self) -> str:
        """The language of code that is judged here; "" of others."""
        if self.base.partition(".")[0] in ("dockerfile", "containerfile", "earthfile") or self.suffix == ".dockerfile":
            return "Dockerfile"
        if self.suffix == ".pth":
            return "path file"
        if self.base in SHELL_NAMES:
            return "shell"
        if self.base.partition(".")[0] in MAKE_NAMES or self.suffix in (".mk", ".mak"):
            return "make"
        if self.suffix in COMMANDS:
            return "commands"
        if self.suffix in LANGUAGES:
            return LANGUAGES[self.suffix]
        shebang = SHEBANG.match(self.data)
        if shebang and not is_source_code(self.name):
            if re.search(rb"\bpython[\d.]*\b", shebang.group()):
                return "Python"
            return "shell" if re.search(rb"\b(?:ba|z|da|k)?sh\b", shebang.group()) else ""
        return ""

    def _started(self) -> None:
        if self.base in ("sitecustomize.py", "usercustomize.py"):
            said = "is run by Python at every start, once it lies on the import path"
            self.notes.append(
                Note(topic=Topic.REMOTE_CODE, message=said, severity=Severity.MEDIUM, key="python:customize")
            )

    def _starts(self) -> None:
        """What a tool, or an editor, runs for this file as soon as it starts beside it or opens it."""
        if self.text is None:
            return
        if any(mark in self.text for mark in ("vim:", "vi:", "ex:", "eval:")):
            from assay.formats.texts.start_files import judge_modelines

            self.notes += judge_modelines(self.text)
        if is_console_config(self.base):
            from assay.formats.texts.start_files import judge_console

            self.notes += judge_console(self.text)
        elif self._language() not in ("Python", "shell") and is_start_file(self.name):
            from assay.formats.texts.start_files import judge_start

            self.notes += judge_start(self.text, self.name)
        if self.suffix == ".ipy":
            from assay.formats.texts.notebooks import read_notebook

            self.asks |= {Topic.NOTEBOOK}
            self._add(read_notebook({"cells": [{"cell_type": "code", "source": self.text}]}))
        if self.suffix in BUILDS:
            from assay.formats.texts.start_files import judge_xml_commands

            self.notes += judge_xml_commands(self.text)

    # Documents

    def _document(self) -> None:
        document = self._parsed()
        if document is None:
            return
        if document.gap:
            self.gaps.append(document.gap)
        self._judge(document)

    def _parsed(self) -> Document | None:
        """The document by its name's grammar; None for prose, and for text of no grammar known."""
        if (
            self.suffix in YAML
            or self.data.startswith(b"#cloud-config")
            or self.base in ("mlmodel", "mlproject", ".condarc")
        ):
            return parse_yaml(self.data)
        if self.suffix in JSON or self.suffix == ".jsonl":
            said = parse_json(self.data, lines=self.suffix == ".jsonl")
            if said.gap and self._may_have_comments():
                return parse_json(self.data, comments=True)
            if said.gap and self.data.count(b"\n", 0, len(self.data) - 1):  # one text per line under a name in .json
                lines = parse_json(self.data, lines=True)
                return said if lines.gap else lines
            return said
        if YAML_TAG.search(self.data):
            return Document(tags=("tag:yaml.org,2002:python/",))
        if self.suffix == ".toml" or self.base in ("pipfile", ".replit", "poetry.lock", "uv.lock", "pdm.lock"):
            return parse_toml(self.data)
        if (
            self.suffix in INI
            or self.base in (".env", ".npmrc", ".pypirc", "setup.cfg", ".gitmodules", ".gitconfig")
            or self.base.startswith(".env.")
            or self.name.replace("\\", "/").endswith(".git/config")
        ):
            return parse_ini(self.text if self.text is not None else self.data.decode("latin-1"))
        return self._by_content()

    def _may_have_comments(self) -> bool:
        """Whether programs read JSON of this name with comments: editors' settings and agents' configurations."""
        folder = self.name.replace("\\", "/").lower()
        if self.suffix in JSON - {".json", ".webmanifest"} or "mcp" in self.base or self.base in COMMENTED:
            return True
        return any(
            f"{part}/" in folder for part in (".vscode", ".cursor", ".zed", ".devcontainer", ".claude")
        )  # fmt: skip

    def _by_content(self) -> Document | None:
        """Text whose name says nothing of its grammar: JSON where it is, else read as what it could be."""
        prose = self.suffix in PROSE or self.base.startswith(PROSE_NAMES)
        if self.data[:1] in (b"{", b"["):
            found = parse_json(self.data)
            if not found.gap or (not prose and JSON_START.match(self.data)):
                return found
        if self.suffix == ".gin" and self.text is not None:
            from assay.formats.texts.config_targets import judge_gin

            self.notes += judge_gin(self.text)
        if TAG_LINE.search(self.data):
            found = parse_yaml(self.data)
            return found if found.tags else Document(gap="redefines YAML's tags, and is not said to be YAML")
        if not prose and self.text is not None:
            from assay.formats.texts.handed_commands import judge_debugger, judge_handed

            self.notes += (judge_debugger if self.base == ".pdbrc" else judge_handed)(self.text)
        if not prose and CODE_KEY.search(self.data):
            self.gaps.append("spells out a key that names code, in text of no grammar that this version reads")
        return None

    def _judge(self, document: Document) -> None:
        from assay.formats.texts.automation import judge_automation
        from assay.formats.texts.evaluated import judge_evaluated
        from assay.formats.texts.remote_code import judge_config

        if beyond(*document.values):
            self.gaps.append("is nested too deep, or holds too much, to be judged to its end")
        self.notes += judge_config(document, self.base)
        self.notes += judge_automation(document, self.name)
        self.notes += (found := judge_evaluated(document, self.base))
        self.asks |= {note.topic for note in found}
        if (unknown := tag_gap(document.tags)) and not any(n.severity.rank >= Severity.MEDIUM.rank for n in self.notes):
            self.gaps.append(unknown)
        self._models(document)
        self._templates(document)
        if self.base in MANIFESTS or (self.base.startswith(("environment", "conda")) and self.suffix in YAML):
            from assay.formats.texts.requirements import judge_manifest

            self.asks.add(Topic.REQUIREMENTS)
            self.notes += judge_manifest(document, self.base)
            if self.base == "setup.cfg":
                from assay.formats.texts.requirements import judge_setup_cfg

                self.notes += judge_setup_cfg(self.text or "")
        if COMPOSE.fullmatch(self.base):
            from assay.formats.texts.shell_text import judge_compose

            self.notes += judge_compose(document.values[0] if document.values else None)
        from assay.formats.texts.agent_tools import is_agent_file, judge_agent

        if is_agent_file(self.name, document):
            self.asks.add(Topic.AGENT_TOOLS)
            self.notes += judge_agent(document, self.name)

    def _models(self, document: Document) -> None:
        """Keras' configuration and skops' schema are JSON, whatever they lie in and are called."""
        from assay.formats.models.keras import is_keras, judge_keras
        from assay.formats.models.skops import is_skops, judge_skops

        for value in document.values:
            if is_skops(value):
                self.asks.add(Topic.MODEL_CODE)
                self.notes += judge_skops(value, "")
            elif any(is_keras(mapping) for _, mapping in mappings(value)):
                self.asks.add(Topic.MODEL_CODE)
                self.notes += judge_keras(value, "")

    def _templates(self, document: Document) -> None:
        """Chat templates, wherever a configuration holds them."""
        for path, mapping in mappings(*document.values):
            held = next((mapping[key] for key in TEMPLATES if isinstance(mapping.get(key), (dict, list))), None)
            held = held or next((t for key in TEMPLATES if isinstance(t := mapping.get(key), str) and "{" in t), None)
            if held is None and self.base.startswith("tokenizer_config"):
                continue
            found = {"": held} if isinstance(held, str) else held if isinstance(held, dict) else {}
            if isinstance(held, list):
                found = {str(i.get("name", "")): i.get("template") for i in held if isinstance(i, dict)}
            for name, template in found.items():
                if isinstance(template, str):
                    from assay.formats.texts.templates import read_template

                    self.asks.add(Topic.TEMPLATE)
                    self._add(read_template(template, ".".join(filter(None, (path, "chat_template", str(name)[:60])))))

    def _requirements(self) -> None:
        from assay.formats.texts.requirements import MOST_LINE, MOST_LINES, judge_requirements

        self.asks.add(Topic.REQUIREMENTS)
        if self.text is None:
            self.gaps.append("is a list of requirements in no encoding known here")
        else:
            self._within_lines(MOST_LINES, MOST_LINE)
            self.notes += judge_requirements(self.text)

    def _notebook(self) -> None:
        from assay.formats.texts.notebooks import read_notebook

        self.asks |= {Topic.NOTEBOOK, Topic.SOURCE_CODE}
        document = parse_json(self.data)
        if document.gap:
            self.gaps.append(f"{document.gap}, though it should be a notebook")
            return
        said = read_notebook(document.values[0] if document.values else None)
        self._add(said)
        if said.notes and any(note.topic is Topic.REQUIREMENTS for note in said.notes):
            self.asks.add(Topic.REQUIREMENTS)
        self.notes.append(_source("is source code (a notebook), judged by what it says", Severity.INFO))

    def _prompts(self) -> None:
        if self.text is not None and is_prompt(self.name):
            from assay.formats.texts.agent_tools import judge_prompt
            from assay.formats.texts.instructions import MOST as MOST_SAID

            self.asks.add(Topic.AGENT_TOOLS)
            self._within(MOST_SAID)
            self.notes += judge_prompt(self.text)
        if self.suffix == ".prompty" and self.text is not None:
            self._prompty(self.text)
        elif self.base in (".gitmodules", ".gitconfig") or self.name.replace("\\", "/").endswith(".git/config"):
            from assay.formats.texts.handed_commands import judge_submodules

            self.notes += judge_submodules(self.text or "")

    def _prompty(self, text: str) -> None:
        """A prompt with its settings at its head (Prompty): what follows is a template of Jinja."""
        from assay.formats.texts.handed_commands import front_matter
        from assay.formats.texts.templates import read_template

        head, body = front_matter(text)
        self._judge(parse_yaml(head.encode()))
        said = read_template(body)
        self.asks.add(Topic.TEMPLATE)
        self.gaps += said.gaps
        self.notes += [note for note in said.notes if note.severity is Severity.CRITICAL]

    def _within(self, most: int) -> None:
        """Say so where a text is longer than those who judge it read."""
        if self.text is not None and len(self.text) > most:
            self.gaps.append(f"is longer than {most >> 10:,} KB, beyond which it was not judged")

    def _within_lines(self, most: int, longest: int) -> None:
        """Say so where a text has more lines, or longer ones, than its judges read."""
        lines = (self.text or "").splitlines()
        if len(lines) > most or any(len(line) > longest for line in lines):
            self.gaps.append(f"has over {most:,} lines, or one of over {longest:,} characters: not all judged")

    def _pages(self) -> None:
        """Pages and cards: what they say where nobody sees it. XML: what its parser fetches. Ollama's Modelfile."""
        if self.text is None:
            return
        if self.suffix in PAGES or (self.base.startswith("readme") and self.suffix not in JSON | YAML):
            from assay.formats.texts.hidden_markup import MOST_PAGE, judge_page

            self._within(MOST_PAGE)
            if found := judge_page(self.text):
                self.asks.add(Topic.AGENT_TOOLS)
                self.notes += found
        if self.suffix in XML or self.text[:200].lstrip().startswith("<?xml"):
            from assay.formats.texts.hidden_markup import MOST_PAGE, judge_xml

            self._within(MOST_PAGE)
            self.notes += judge_xml(self.text)
        if self.base == "modelfile" or self.base.startswith("modelfile.") or self.suffix == ".modelfile":
            from assay.formats.texts.modelfile import judge_modelfile

            self.asks.add(Topic.TEMPLATE)
            self.notes += judge_modelfile(self.text)

    def _installs(self) -> None:
        """Commands of scripts and images that install packages."""
        if self.text is None or not (
            self._is_code() and self._language() in ("shell", "Dockerfile", "make", "commands")
        ):
            return
        from assay.formats.texts.installs import judge_installs

        joined = re.sub(r"\\\r?\n", " ", self.text)
        if found := judge_installs(re.sub(r"(?im)^([ \t]*RUN)[ \t]+(?:--\S+[ \t]+)*", r"\1 ; ", joined)):
            self.asks.add(Topic.REQUIREMENTS)
            self.notes += found

    def _secrets(self) -> None:
        if self.text is None or VOCABULARIES.fullmatch(self.base):
            return
        from assay.formats.texts.secret_search import judge_secrets

        strict = self.suffix not in PROSE or self.base.startswith(".env")
        bare = not self._is_code() or self._language() in ("shell", "Dockerfile")
        self.notes += judge_secrets(self.text, strict=strict, bare=bare)


_MARKS = (b"\xff\xfe", b"\xfe\xff")


def _decoded(data: bytes, *, prose: bool = False) -> str | None:
    """The text, in UTF-8 or in what its mark, or its zero bytes, say; prose and tables in Latin-1 as the last resort,
    as what shows them takes them."""
    codec = "utf-8-sig" if b"\0" not in data[:64] and data[:2] not in _MARKS else json.detect_encoding(data[:64])
    try:
        return data.decode(codec).removeprefix("\ufeff")
    except ValueError:
        return data.decode("latin-1") if prose and b"\0" not in data[:4096] else None


def _source(said: str, severity: Severity) -> Note:
    fix = "read it, pin it by digest, and waive this finding with your reason; or ship data only"
    return Note(topic=Topic.SOURCE_CODE, message=said, severity=severity, key="code", fix=fix if severity.rank else "")


def _once(notes: list[Note]) -> tuple[Note, ...]:
    """One note of each kind and place, the gravest."""
    kept: dict[tuple[str, str, str], Note] = {}
    for note in notes:
        place = note.topic, note.key, note.where
        if place not in kept or kept[place].severity.rank < note.severity.rank:
            kept[place] = msgspec.structs.replace(note)
    return tuple(kept.values())

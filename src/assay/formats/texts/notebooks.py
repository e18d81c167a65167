"""Jupyter notebooks (nbformat 3 and 4): what their cells run, what their outputs run in a browser, and secrets."""

from __future__ import annotations

import ast
import base64
import re
import warnings
from typing import Any
from urllib.parse import unquote

import msgspec

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.reading import Note, Reading, Topic
from assay.formats.texts.automation import environment
from assay.formats.texts.installs import as_requirements
from assay.formats.texts.instructions import comment_instructions
from assay.formats.texts.notebook_commands import MOST_COMMANDS, PRINTED, Commands, completed, prints_keys, shown
from assay.formats.texts.python_code import judge_python
from assay.formats.texts.python_dangers import PERSISTENT, SENSITIVE
from assay.formats.texts.python_names import Names
from assay.formats.texts.requirements import judge_requirements
from assay.formats.texts.secret_search import judge_secrets
from assay.formats.texts.shell_text import judge_shell
from assay.formats.texts.shell_words import looks_like_shell
from assay.formats.texts.start_files import judge_start

MOST_CELLS = 10_000
MOST_OUTPUT = 8 << 20
_SHELL_CELLS = frozenset(
    {
        "bash",
        "sh",
        "script",
        "!",
        "!!",
        "sx",
        "system",
        "cmd",
        "zsh",
        "ruby",
        "perl",
        "fish",
        "ksh",
        "pwsh",
        "powershell",
    }
)
_OTHER_CELLS = frozenset(
    {"javascript", "js", "html", "svg", "latex", "markdown", "md", "writefile", "file", "sql", "bigquery", "r", "R"}
    | {"cython", "julia", "configure", "spark", "local", "cu", "cuda", "prun_file"}
)
_BANG = re.compile(r"^(?P<indent>\s*)(?P<set>[\w, ]+=\s*)?!{1,2}(?P<command>.*)$")
_MAGIC = re.compile(r"^(?P<indent>\s*)(?P<set>[\w, ]+=\s*)?%(?P<name>\w+)[ \t]*(?P<rest>.*)$")
_INSTALL = re.compile(r"^(?:(?:python\S*|\{sys\.executable\})\s+-m\s+)?(?:pip3?|uv pip|conda|mamba)\s+install\s+(.*)$")
# What ordinary libraries write into outputs; their scripts draw.
_LIBRARIES = re.compile(
    r"(?i)plotly|bokeh|vega|google\.colab|colab-df|shap|jupyter-widgets|widget-view|require\.(?:undef|config)|requirejs|leaflet"
    r"|folium|holoviews|pyvis|vis-network|mpld3|mpl\.figure|mpl_figure|itables|dataTables|MathJax|tensorboard|wandb\.ai"
    r"|d3js|d3\.v\d|ydata|pandas.profiling|kepler|pydeck|deck\.gl|echarts|highcharts|nglview|py3Dmol|3Dmol|threejs|k3d"
    r"|sk-container-id|sk-estimator|dask|great_tables|displacy|perspective|hvplot|sklearn|transformers-interpret|bertviz"
)
_SCRIPT = re.compile(r"(?is)<script\b([^<>]{0,5000})>(.*?)(?:</script\s*>|\Z)")
_HANDLER = re.compile(
    r"(?i)<(?:img|svg|body|input|video|audio|details|iframe)\b[^<>]{0,500}\son(?:error|load|toggle|start|focus)\s*="
)
_FRAME = re.compile(r"(?i)<(?:iframe|embed|object)\b[^<>]{0,2000}?(?:src|data)\s*=\s*[\"']?([^\"'\s>]{1,500})")
_PLAIN_FRAME = re.compile(
    r"(?i)^(?:https?:)?//(?:(?:www\.)?youtube(?:-nocookie)?\.com|player\.vimeo\.com|(?:app\.)?wandb\.ai|(?:localhost|127\.0\.0\.1|0\.0\.0\.0):\d{4,5}(?:[/?]|$)"
    r"|plotly\.com|plot\.ly|chart-studio\.plotly\.com|[\w.-]*huggingface\.co|[\w-]+\.hf\.space|[\w-]+\.gradio\.live"
    r"|(?:www\.)?google\.com/maps|docs\.google\.com|nbviewer\.(?:jupyter|org))|^(?!\w+:|//)|^about:blank"
    r"|^data:(?:text/html|image|video|audio|application/pdf)"
)
_FORM = re.compile(
    r"(?i)<form\b[^<>]{0,500}\baction\s*=\s*[\"']?https?:|<meta\b[^<>]{0,500}http-equiv\s*=\s*[\"']?refresh|<base\s+href|href\s*=\s*[\"']?\s*javascript:"
)
_ACTS = re.compile(
    r"document\.cookie|localStorage|sessionStorage|kernel\.execute|sendBeacon|eval\s*\(\s*atob|new\s+Image\(\)\.src"
    r"|/api/(?:contents|terminals|kernels)|XMLHttpRequest|\bfetch\s*\(\s*[\"'`]https?:|new\s+WebSocket\s*\(\s*[\"'`]wss?://"
)
_SMALL = 20_000
_RUNNING = frozenset({"time", "timeit", "prun", "capture"})


def read_notebook(value: Any, where: str = "") -> Reading:
    """Judge a notebook that was parsed. Notes of NOTEBOOK, SECRETS and REQUIREMENTS; `where` of a note names the cell.

    Nothing of a notebook runs when it is loaded, but for what its outputs hold once it is trusted: what its cells do
    is judged as code that somebody calls.
    """
    if not isinstance(value, dict):
        return Reading(gaps=("is no notebook: its JSON is no object",))
    cells = value.get("cells")
    if not isinstance(cells, list):
        sheets = value.get("worksheets")
        sheets = sheets if isinstance(sheets, list) else []
        cells = [c for s in sheets if isinstance(s, dict) and isinstance(s.get("cells"), list) for c in s["cells"]]
        if not sheets:
            return Reading(gaps=("is no notebook of format 3 or 4: it has no cells",))
    reader = _Reader(where)
    python = _language(value) in ("python", "")
    for number, cell in enumerate(cells[:MOST_CELLS], 1):
        if isinstance(cell, dict):
            reader.cell(cell, number, python)
    if len(cells) > MOST_CELLS:
        reader.gaps.append(f"has more than {MOST_CELLS:,} cells")
    reader.finish()
    return Reading(
        notes=tuple(reader.notes.values()), gaps=tuple(dict.fromkeys(reader.gaps)), measured={"cells": len(cells)}
    )


class _Reader:
    """What was seen of one notebook so far."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.notes: dict[tuple[str, str], Note] = {}
        self.gaps: list[str] = []
        self.lines: list[str] = []
        self.starts: list[tuple[int, int]] = []  # line of the joined code at which a cell begins
        self.commands = Commands()
        self.given: list[tuple[str, int]] = []  # every command, in order
        self.open: list[tuple[str, int]] = []  # commands with names in them, which the cells' code sets

    def add(self, note: Note, number: int) -> None:
        place = f"{self.where}!cell {number}" if self.where else f"cell {number}"
        held = self.notes.get((note.topic, note.key))
        if held is None or held.severity.rank < note.severity.rank:
            self.notes[note.topic, note.key] = msgspec.structs.replace(note, where=place)

    def say(self, kind: str, said: str, severity: Severity, number: int) -> None:
        self.add(Note(topic=Topic.NOTEBOOK, message=said, severity=severity, key=f"notebook:{kind}", fix=_FIX), number)

    def cell(self, cell: dict[str, Any], number: int, python: bool) -> None:
        kind = cell.get("cell_type")
        source = text_of(cell.get("source", cell.get("input")))
        for note in judge_secrets(source):
            self.add(note, number)
        if kind == "code":
            if python and str(cell.get("language") or "python").lower().startswith(("python", "ipython")):
                self._code(source, number)
            elif source.strip():
                said = "has cells in a language that this version does not judge"
                self.say("language", said, Severity.LOW, number)
            for output in cell.get("outputs") or () if isinstance(cell.get("outputs"), list) else ():
                if isinstance(output, dict):
                    self._output(output, number)
        elif kind in ("markdown", "html", "heading"):
            self._html(source, number, "text")
            for _, said, severity, _ in comment_instructions(source):
                self.say("hidden-order", f"{said}, in a comment of its text", severity, number)
        attachments = cell.get("attachments")
        for name, held in attachments.items() if isinstance(attachments, dict) else ():
            odd = (
                [m for m in held if not str(m).startswith(("image/", "text/plain", "application/pdf"))]
                if isinstance(held, dict)
                else []
            )
            for kind, given in held.items() if isinstance(held, dict) else ():
                if str(kind) == "image/svg+xml":
                    self._html(_unpacked(text_of(given)), number, "an attachment")
            if odd:
                said = f"has an attachment ({visible(str(name), 40)}) of the type {visible(str(odd[0]), 40)}"
                self.say("attachment", said, Severity.LOW, number)

    def _code(self, source: str, number: int) -> None:
        first, _, rest = source.lstrip().partition("\n")
        while first.startswith("%%"):
            name = (first[2:].split() or [""])[0]
            if name in _SHELL_CELLS:
                self._shell(first[2:].strip().removeprefix(name).strip(), number)
                self._shell(rest, number)
                return
            if name in _SPOKEN:
                for note in judge_start(rest, f".{name}"):
                    self.add(msgspec.structs.replace(note, topic=Topic.NOTEBOOK), number)
            if name in ("javascript", "js", "html", "svg"):
                self._html(rest if name in ("html", "svg") else f"<script>{rest}</script>", number, "a cell")
                return
            if name in ("writefile", "file"):
                self._writes(first, rest, number)
                return
            if name in ("python", "python3", "python2", "pypy") or name in _RUNNING:
                source = rest
            if name in _OTHER_CELLS:
                return
            source = rest
            first, _, rest = rest.lstrip().partition("\n")
        out: list[str] = []
        for line in _CONTINUED.sub(lambda m: m.group().replace("\\\n", " "), source).split("\n"):
            bang, magic = _BANG.match(line), _MAGIC.match(line)
            if bang:
                self._shell(bang["command"], number)
                known = _PRINTS_KEYS.search(bang["command"]) or prints_keys(bang["command"])
                value = _PRINTED if known else "None"
                out.append(f"{bang['indent']}{bang['set'] or ''}{value}")
            elif magic and not (out and out[-1].rstrip().endswith(("\\", "(", ",", "%"))):
                said = self._magic(magic["name"], magic["rest"], number)
                out.append(f"{magic['indent']}{magic['set'] or ''}{said}")
            elif line.rstrip().endswith("?") or line.lstrip().startswith("?"):
                out.append(f"{line[: len(line) - len(line.lstrip())]}None")
            else:
                out.append(line)
        if self._parses("\n".join(out), number):
            self.starts.append((len(self.lines) + 1, number))
            self.lines += out

    def _magic(self, name: str, rest: str, number: int) -> str:
        """What one line's magic does; the Python that stands for it."""
        if name in ("pip", "conda", "system", "sx", "sc"):
            self._shell(rest if name in ("system", "sx", "sc") else f"{name} {rest}", number)
        elif name in ("alias", "alias_magic", "bookmark"):
            self._shell(rest.partition(" ")[2], number)
        elif name in ("env", "set_env"):
            for note in environment([re.sub(r"^\s*(\w+)[ =]\s*", r"\1=", rest)]):
                self.add(msgspec.structs.replace(note, topic=Topic.NOTEBOOK), number)
        elif name in ("run", "load", "loadpy") and _UNKNOWN.search(rest):
            self.say("load", f"takes code from an address (%{name})", Severity.MEDIUM, number)
        elif name in ("load", "loadpy", "run", "pycat") and _FAR.search(rest):
            self.say("load", f"takes code from an address without TLS (%{name})", Severity.MEDIUM, number)
        elif name in ("time", "timeit", "prun", "capture") and rest.startswith("!"):
            self._shell(rest.lstrip("!"), number)
            return "None"
        timed = name in ("time", "timeit", "prun") and not rest.startswith("-")
        return (rest if timed else "") or "None"

    def _writes(self, first: str, rest: str, number: int) -> None:
        """A cell that is written to a file: where that runs by itself, or what it would do there."""
        words = [w.strip("\"'") for w in first.split()[1:] if w not in ("-a", "--append")]
        path = words[-1] if words else ""
        if PERSISTENT.search(path) or SENSITIVE.search(path):
            self.say("start-file", f"writes what runs at every start ({visible(path, 60)})", Severity.HIGH, number)
        if path.endswith((".sh", ".bash")) or (looks_like_shell(rest) and not path.endswith((".md", ".txt", ".py"))):
            self._shell(rest, number)
        elif path.endswith(".py") and "%" not in rest[:2]:
            for note in judge_python(rest, later=True).notes:
                if note.severity.rank > Severity.MEDIUM.rank:
                    self.add(msgspec.structs.replace(note, topic=Topic.NOTEBOOK), number)

    def _parses(self, source: str, number: int) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ast.parse(source)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                self.gaps.append(f"has a cell ({number}) that is no Python this version can parse")
                return False
        return True

    def _named_commands(self) -> None:
        """Commands that the cells' names and constants complete: `!{command}`, `get_ipython().run_cell_magic(…)`."""
        try:
            nodes = list(ast.walk(ast.parse("\n".join(self.lines))))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return
        names = Names(nodes)
        for command, number in self.open[:1_000]:
            if (whole := completed(command, names)) != command:
                self._shell(whole, number, named=True)
        self.commands.learn(names, nodes)
        for command, number in self.given:
            for kind, said, grave in self.commands.take(completed(command, names)):
                self.add(_command(kind, said, grave), number)
        for kind, text, row in shown(nodes, names):
            number = max((n for start, n in self.starts if start <= row), default=1)
            self._html(text if kind == "html" else f"<script>{text}</script>", number, "a cell")
        for node in nodes:
            called = names.of(node.func) if isinstance(node, ast.Call) else ""
            if not isinstance(node, ast.Call) or not called.startswith("IPython.get_ipython()."):
                continue
            given = [names.constant(argument) for argument in node.args[:3]]
            texts = [text for text in given if isinstance(text, str)]
            number = max((n for start, n in self.starts if start <= node.lineno), default=1)
            method = called.rpartition(".")[2]
            if method in ("run_cell_magic", "run_line_magic", "magic") and texts:
                first = texts[0].lstrip("%").split()[:1]
                if first and (first[0] in _SHELL_CELLS or first[0] in ("sx", "alias")):
                    self._shell("\n".join(texts[1:] if method != "magic" else texts), number, named=True)
            elif method in ("run_cell", "run_cell_async", "ex", "ev") and texts:
                for line in texts[0].split("\n")[:1_000]:
                    if bang := _BANG.match(line):
                        self._shell(bang["command"], number, named=True)
            elif method in ("system", "getoutput", "system_raw", "system_piped") and texts:
                self._shell(texts[0], number, named=True)

    def _shell(self, command: str, number: int, *, named: bool = False) -> None:
        if len(self.given) < MOST_COMMANDS and command.strip():
            self.given.append((command, number))
        if not named and ("{" in command or "$" in command):
            self.open.append((command, number))
        for note in judge_shell(command, topic=Topic.NOTEBOOK):
            self.add(note, number)
        for line in command.split("\n")[:1000]:
            if install := _INSTALL.match(line.strip()):
                for note in judge_requirements(as_requirements(install[1])):
                    if note.severity is not Severity.INFO:
                        self.add(note, number)

    def finish(self) -> None:
        """Judge the code of all cells as one module, for later cells use the names of earlier ones."""
        self._named_commands()
        said = judge_python("\n".join(self.lines), later=True)
        self.gaps += said.gaps
        for note in said.notes:
            number = max((n for start, n in self.starts if start <= (note.line or 1)), default=1)
            start = max((s for s, _ in self.starts if s <= (note.line or 1)), default=1)
            line = note.line - start + 1 if note.line else None
            message = note.message.replace(" in a function", " when it is run").replace(
                " when it is imported", " when it is run"
            )
            self.add(msgspec.structs.replace(note, topic=Topic.NOTEBOOK, message=message, line=line), number)

    def _output(self, output: dict[str, Any], number: int) -> None:
        data = output.get("data")
        if not isinstance(data, dict):
            data = {key: value for key, value in output.items() if key not in ("metadata", "output_type")}
        for kind, held in data.items():
            text = text_of(held)
            if not text or kind.startswith(
                ("image/png", "image/jpeg", "png", "jpeg", "application/vnd.plotly", "application/pdf")
            ):
                continue
            if len(text) > MOST_OUTPUT:
                self.gaps.append(f"has an output of more than {MOST_OUTPUT >> 20} MB (cell {number})")
                continue
            if len(text) < 1 << 20:
                for note in judge_secrets(text):
                    self.add(note, number)
            if kind in ("application/javascript", "text/javascript", "javascript"):
                self._script(text, number, "an output")
            elif kind in ("text/html", "html", "image/svg+xml", "svg", "text/markdown"):
                self._html(text, number, "an output")

    def _html(self, text: str, number: int, part: str) -> None:
        if "<" not in text:
            return
        for match in _SCRIPT.finditer(text):
            source = re.search(r"src\s*=\s*[\"']?([^\"'\s>]+)", match[1])
            if re.search(
                r"type\s*=\s*[\"']?(?:application/(?:json|vnd)|text/(?:x-)?(?:template|mathjax)|math/)", match[1]
            ):
                continue
            self._script(f"{source[1] if source else ''} {match[2]}", number, part, around=text)
        if _HANDLER.search(text) and not _LIBRARIES.search(text):
            self.say(
                "handler", f"has a script in an attribute of {part}, which runs when it is shown", Severity.HIGH, number
            )
        if _FORM.search(text):
            self.say("form", f"sends the reader elsewhere from {part}", Severity.MEDIUM, number)
        for frame in _FRAME.finditer(text):
            held = _DATA_PAGE.match(text, frame.start(1))
            inner = _unpacked(held[0].partition(",")[2]) if held else ""
            if "data:text/html" not in inner:  # a page in a page in a page is not followed
                self._html(inner, number, part)
            if not _PLAIN_FRAME.match(frame[1]):
                self.say("frame", f"embeds {visible(frame[1], 60)} in {part}", Severity.MEDIUM, number)

    def _script(self, text: str, number: int, part: str, around: str = "") -> None:
        known = _LIBRARIES.search(text) or _LIBRARIES.search(around[:200_000])
        acts = _ACTS.search(text) if len(text) < _SMALL or not known else None
        if acts and (not known or re.search(r"cookie|sendBeacon|atob|/api/|Image\(\)", acts.group())):
            said = f"has a script in {part} that reaches beyond the page ({visible(acts.group(), 30)})"
            self.say("script-acts", said, Severity.HIGH, number)
        elif known:
            self.say("script-library", f"has scripts of a plotting or widget library in {part}", Severity.INFO, number)
        else:
            self.say(
                "script", f"has a script in {part}, which runs when it is shown as trusted", Severity.MEDIUM, number
            )


def _unpacked(text: str) -> str:
    """What base64 or percent signs of a data address stand for; the text itself where it is neither."""
    plain = re.sub(r"\s+", "", text)
    if re.fullmatch(r"[A-Za-z0-9+/]{8,}={0,2}", plain):
        try:
            return base64.b64decode(plain + "=" * (-len(plain) % 4)).decode("utf-8", "replace")
        except ValueError:
            return text
    return unquote(text)


# Commands that print keys or tokens, and what their result is taken for.
_PRINTS_KEYS = re.compile(
    r"\bgcloud\s+auth\s+(?:\S+\s+)*print-|\bgh\s+auth\s+token|\baws\s+configure\s+(?:get|export)|\baz\s+account\s+get-access-token"
    r"|\bkubectl\s+config\s+view\s+.*--raw|(?:^|[;&|]\s*)(?:env|printenv)\b|\bcat\s+\S*(?:\.aws/|\.ssh/|\.netrc|\.git-credentials|\.kube/|huggingface/token)"
)
_PRINTED = f"__import__('os').environ['{PRINTED}']"
_FAR = re.compile(r"(?i)(?:^|\s)(?:http|ftp)://(?!localhost[:/]|127\.)")
# An address of which nobody knows what lies there: not where projects keep their own files.
_UNKNOWN = re.compile(
    r"(?i)https://(?!(?:[\w-]+\.)*(?:github\.com|githubusercontent\.com|gitlab\.com|bitbucket\.org|python\.org|matplotlib\.org"
    r"|scikit-learn\.org|scipy\.org|readthedocs\.io|readthedocs\.org|github\.io|huggingface\.co|googleapis\.com)[/:])"
)
_CONTINUED = re.compile(r"^[ \t]*+(?:[\w, ]+=[ \t]*)?[!%][^\n]*\\\n(?:[^\n]*\\\n)*", re.MULTILINE)
_SPOKEN = frozenset({"R", "r", "julia", "ruby", "perl", "lua", "javascript", "js", "octave", "matlab"})
_DATA_PAGE = re.compile(
    r"(?i)data:(?:text/html|image/svg\+xml|application/xhtml\+xml)[^,\"'<>]{0,100},[^\"'<>]{1,2000000}"
)
_FIX = "clear the outputs (`jupyter nbconvert --clear-output`) and read the cells before they run"


def _command(kind: str, said: str, severity: Severity) -> Note:
    return Note(
        topic=Topic.NOTEBOOK, message=f"{said} (shell)", severity=severity, key=f"shell:{kind}",
        fix="pin what is fetched by digest and run nothing that was not reviewed",
    )  # fmt: skip


def text_of(value: Any) -> str:
    """A cell's text, which notebooks hold as one text or as a list of lines."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _language(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        held = metadata.get(key) if isinstance(metadata, dict) else None
        if isinstance(held, dict) and isinstance(held.get(name), str):
            return "python" if held[name].lower().startswith(("python", "ipython")) else held[name].lower()
    return ""

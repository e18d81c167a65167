"""Packages that a command installs: `pip install …` in scripts, images, notebooks and workflows, as a list of them."""

from __future__ import annotations

import re

from assay.core.finding import Severity
from assay.formats.reading import Note
from assay.formats.texts.requirements import judge_requirements

_INSTALL = re.compile(
    r"(?:^|[;&|(]|\bsudo\s|\bthen\s|\bdo\s|\"|')[ \t]{0,40}"
    r"(?:[\w./-]{0,200}python[\d.]{0,8}|\{sys\.executable\}|uv)?[ \t]{0,40}(?:-m[ \t]{1,40})?"
    r"(?:[\w./-]{0,200}pip[\d.]{0,8}|conda|mamba)[ \t]{1,40}(?:-\S{1,200}[ \t]{1,40}){0,20}install[ \t]{1,40}"
    r"([^;&|\n]*)",
    re.MULTILINE,
)
_WITH_VALUE = frozenset(
    ["-i", "-f", "-r", "-c", "-e", "-t", "--editable", "--find-links", "--trusted-host", "--target"]
    + [f"--{kind}-url" for kind in ("index", "extra" + "-index")]
)
# What no honest command does, whatever surrounds it; a second index or a host that is trusted can be a company's own.
_SURE = ("requirements:plain-", "requirements:malicious")
_MOST = 200


def judge_installs(text: str, where: str = "") -> list[Note]:
    """What the commands of a script install from where nobody can be sure of, or that is known to do harm."""
    found: list[Note] = []
    for count, match in enumerate(_INSTALL.finditer(text)):
        if count >= _MOST:
            break
        for note in judge_requirements(as_requirements(match[1]), where):
            if note.severity.rank >= Severity.MEDIUM.rank and note.key.startswith(_SURE):
                found.append(note)
    return found


def as_requirements(arguments: str) -> str:
    """The arguments of `pip install` as the lines of a requirements file."""
    lines: list[str] = []
    for word in arguments.split(";")[0].split("&&")[0].split(" #")[0].split()[:500]:
        word = word.strip("\"'")
        if lines and lines[-1] in _WITH_VALUE:
            lines[-1] += f" {word}"
        elif not word.startswith(("$", "{", ".", "/", ">", "|")):
            lines.append(word)
    return "\n".join(lines)

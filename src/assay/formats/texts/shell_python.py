"""Python that a shell's line hands to an interpreter (`python3 -c "…"`), in the words of what shell lines do."""

from __future__ import annotations

from assay.core.finding import Severity
from assay.formats.texts.python_code import judge_python

_MOST = 20_000
# What Python does, by the kind of its note, that is as bad in a shell's line as where the shell does it itself.
_KINDS = {
    "fetched": ("download-run", "fetches a program and runs it unseen"),
    "unpickle-hidden": ("download-run", "fetches or decodes a pickle and loads it"),
    "code_object-hidden": ("decode-run", "decodes a program and runs it"),
    "decoded": ("decode-run", "decodes a program and runs it"),
    "steal": ("send-secrets", "sends keys or the environment to another machine"),
    "send": ("send-secrets", "sends keys or the environment to another machine"),
    "persist": ("persistence", "makes something run at every login or start"),
}


def python_told(text: str) -> list[tuple[str, str, Severity]]:
    """What Python source does that no honest command line does: its kind, in words, and how grave it is."""
    found = []
    for note in judge_python(text[:_MOST]).notes:
        kind = note.key.split(":")[1] if note.key.startswith("python:") else ""
        if kind in _KINDS:
            found.append((*_KINDS[kind], Severity.HIGH))
        elif kind == "shell" and note.severity.rank >= Severity.HIGH.rank:
            found.append(("python-shell", note.message.partition(" with a command")[0], Severity.HIGH))
    return list(dict.fromkeys(found))

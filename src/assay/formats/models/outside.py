"""Paths that a model file names: whether they lead out of its folder, and what lies there."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import IO

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,20}://")
_PATH = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{1,20}:/)?(?:~|\.\.|[A-Za-z]:)?(?:[/\\][\w.@+-]+){2,}[/\\]?\Z|\.\.[/\\]")


def folder_of(file: IO[bytes]) -> Path | None:
    """The folder in which an open file lies; None for a member of an archive or a stream."""
    name = getattr(file, "name", None)
    return Path(name).parent if isinstance(name, str) and name and os.path.isfile(name) else None


def leads_outside(location: str) -> str:
    """Why a path relative to the model's folder leaves it, in words, on any system; "" if it stays.

    Both slashes count: what is a name on one system is a path on the other.
    """
    if "\0" in location:
        return "has a NUL byte in it"
    if _SCHEME.match(location):
        return "is a URL"
    if location[:1] in ("/", "\\") or (location[1:2] == ":" and location[:1].isalpha()):
        return "is absolute"
    if location.startswith("~"):
        return "names a home folder"
    depth = 0
    for part in re.split(r"[/\\]", location):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            return "leads out of the model's folder"
    return ""


def is_path_outside(text: str) -> bool:
    """Whether a text of unknown purpose reads as a path that leads out of a folder."""
    return _PATH.match(text) is not None and bool(leads_outside(text))


def linked_outside(folder: Path, location: str, model: Path) -> bool:
    """Whether symbolic links lead what `location` names out of the folder, and out of where the model itself lies.

    A download cache links every file of a model into one store: there both lie side by side.
    """
    real = (folder / location).resolve()
    return not any(real.is_relative_to(place) for place in (folder.resolve(), model.resolve().parent))


def size_beside(folder: Path, location: str) -> int | None:
    """The size of the regular file that `location` names, in bytes; None where there is none."""
    try:
        found = os.stat(folder / location)
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None

"""What may be wrong with a member's name: where it would be written, and who would read it differently."""

from __future__ import annotations

import unicodedata

from assay.core.finding import Severity
from assay.formats.archives.member import NoteBook

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+ ()[]@=,")
_PLAIN_PATH = _PLAIN | {"/"}


def check_name(book: NoteBook, name: str) -> None:
    """Note a name that leads out of the archive's folder, or that systems read differently."""
    if _PLAIN_PATH.issuperset(name) and ".." not in name and name[:1] != "/":
        return
    if leaves(name):
        book.add("traversal", f"names a member {name!r}, which leads out of the folder it is unpacked to",
                 Severity.HIGH, name)  # fmt: skip
    if "\0" in name:
        book.add("nul", f"names a member {name!r}: readers cut the name off at its NUL", Severity.HIGH, name)
    elif any(_hidden(letter) for letter in name):
        book.add("control", f"names a member {name!r}, with characters that are not shown", Severity.MEDIUM, name)
    if "\\" in name:
        book.add("backslash", f"names a member {name!r}: on some systems its backslash is a folder's",
                 Severity.LOW, name)  # fmt: skip


def leaves(path: str, base: str = "") -> bool:
    """Whether a path inside an archive, seen from the folder `base` in it, is absolute or leads above the archive."""
    path = path.replace("\\", "/")
    if path.startswith("/") or (path[1:3] == ":/" and path[0].isalpha()):
        return True
    depth = 0
    for part in [*base.split("/"), *path.split("/")]:
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            return True
    return False


def _hidden(letter: str) -> bool:
    return not letter.isprintable() and unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp")

"""The judge's benign shapes: files and folders as real people have them, in which a scanner must find nothing.

Half were written by the real libraries (judge_stored_*.py), half are texts, configuration and repositories.
`shapes()` maps `class--shape` to {path: bytes}.
"""

from __future__ import annotations

import judge_hub
import judge_projects
import judge_stored_1
import judge_stored_2
import judge_stored_3
import judge_stored_4
import judge_stored_5
import judge_workplace
from judge_kit import stored

STORED = (judge_stored_1, judge_stored_2, judge_stored_3, judge_stored_4, judge_stored_5)


def shapes() -> dict[str, dict[str, bytes]]:
    """Every benign shape."""
    made: dict[str, dict[str, bytes]] = {**judge_hub.shapes()}
    for part in STORED:
        for path, data in stored(part.PACKED).items():
            shape, inner = path.split("/", 1)
            made.setdefault(shape, {})[inner] = data
    found = {**judge_projects.shapes(), **judge_workplace.shapes()}
    assert not made.keys() & found.keys(), "two shapes have one name"
    return made | found

"""What names and packages are judged by beyond the tables of this version: the threat pack in force, if any.

As with decimal's context, the pack is in force for one `with` block, in one thread; nothing is set for longer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from assay.core.threats import Threats

_SEPARATORS = re.compile(r"[-_.]+")


class Known:
    """A threat pack as it is looked up in. Two of the same pack are different keys, so one is kept for each `with`."""

    def __init__(self, threats: Threats | None = None, name: str = "") -> None:
        self.name = name
        self._dangerous: dict[str, str] = dict(threats.names.dangerous) if threats else {}
        rows = threats.names.safe if threats else {}
        self._safe = {module: frozenset(names) for module, names in rows.items()}
        packages = threats.packages if threats else None
        self.popular = frozenset(map(normal, packages.popular)) if packages else frozenset()
        self.real = frozenset(map(normal, packages.real)) if packages else frozenset()
        self.advisories = threats.advisories if threats else ()
        self.malicious = {normal(name): why for name, why in packages.malicious.items()} if packages else {}

    def danger(self, module: str, name: str) -> str:
        """Why the pack refuses a name, or a package or class above it; "" where it says nothing."""
        path = f"{module}.{name}"
        while self._dangerous and path:
            if path in self._dangerous:
                return f"{self._dangerous[path]} (threat pack {self.name})"
            path = path.rpartition(".")[0]
        return ""

    def safe(self, module: str, name: str) -> bool:
        """Whether the pack lists a name as safe."""
        return name in self._safe.get(module, ())


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


NOTHING = Known()
_CURRENT: ContextVar[Known] = ContextVar("known", default=NOTHING)


def current() -> Known:
    """What is in force here."""
    return _CURRENT.get()


@contextmanager
def judged_by(known: Known) -> Iterator[None]:
    """Put a pack in force for the block."""
    token = _CURRENT.set(known)
    try:
        yield
    finally:
        _CURRENT.reset(token)

"""Assay decides whether a model may ship, and shows the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.flow.api import run, scan, to_onnx

from assay.core.version import __version__

__all__ = ["__version__", "run", "scan", "to_onnx"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """The API is imported when it is first used, so that `import assay` stays instant."""
    if name in __all__:
        from assay.flow import api

        return getattr(api, name)
    raise AttributeError(f"module 'assay' has no attribute {name!r}")

"""Assay decides whether a model may ship, and shows the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.flow.api import run, scan, to_onnx
    from assay.flow.api_models import attack, harden_model
    from assay.flow.api_tables import check_table, watch

from assay.core.version import __version__

__all__ = ["__version__", "attack", "check_table", "harden_model", "run", "scan", "to_onnx", "watch"]
_ROOMS = {"attack": "api_models", "harden_model": "api_models", "check_table": "api_tables", "watch": "api_tables"}
"""What needs the `ml` extra, and where it is."""


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """The API is imported when it is first used, so that `import assay` stays instant."""
    if name in __all__:
        if name in _ROOMS:
            from importlib import import_module

            from assay.adapters.extras import library

            for needed in ("numpy", "scipy", "duckdb", "pyarrow"):
                library(needed)  # said in one line, with the command that installs it
            return getattr(import_module(f"assay.flow.{_ROOMS[name]}"), name)
        from assay.flow import api

        return getattr(api, name)
    raise AttributeError(f"module 'assay' has no attribute {name!r}")

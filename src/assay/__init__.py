"""Assay decides whether a model may ship, and shows the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.flow.api import run, scan, to_onnx
    from assay.flow.api_tables import check_table, watch

from assay.core.version import __version__

__all__ = ["__version__", "check_table", "run", "scan", "to_onnx", "watch"]
_TABLES = ("check_table", "watch")


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """The API is imported when it is first used, so that `import assay` stays instant."""
    if name in __all__:
        if name in _TABLES:
            from assay.adapters.extras import library

            for needed in ("numpy", "scipy", "duckdb", "pyarrow"):
                library(needed)  # said in one line, with the command that installs it
            from assay.flow import api_tables

            return getattr(api_tables, name)
        from assay.flow import api

        return getattr(api, name)
    raise AttributeError(f"module 'assay' has no attribute {name!r}")

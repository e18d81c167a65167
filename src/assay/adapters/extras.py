"""One door to the optional libraries: a missing one is `MissingExtra` with the exact pip line, never an ImportError."""

from __future__ import annotations

import importlib
import os
from typing import Any

from assay.core.errors import MissingExtra

SILENCED = {"onnxruntime": "ORT_DISABLE_TELEMETRY"}
"""Libraries that would tell their maker of their use, and what keeps them from it; it must be set before they load."""


def library(module: str, extra: str = "ml") -> Any:
    """The imported module. Raises MissingExtra naming the distribution to install."""
    if module in SILENCED:
        os.environ[SILENCED[module]] = "1"
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(package(module.partition(".")[0]), extra) from error


def package(module: str) -> str:
    """The distribution that brings a top-level module."""
    return {"sklearn": "scikit-learn"}.get(module, module)

"""One door to the optional libraries: a missing one is `MissingExtra` with the exact pip line, never an ImportError."""

from __future__ import annotations

import importlib
from typing import Any

from assay.core.errors import MissingExtra


def library(module: str, extra: str = "ml") -> Any:
    """The imported module. Raises MissingExtra naming the distribution to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        root = module.partition(".")[0]
        name = {"sklearn": "scikit-learn"}.get(root, root)
        raise MissingExtra(name, extra) from error

"""The Python API: the same calls and the same structs as the command line."""

from __future__ import annotations

from pathlib import Path

from assay.core.dossier import Dossier
from assay.core.report import Report
from assay.engine.plan import Settings
from assay.flow import examine, project


def scan(*paths: str | Path, only: tuple[str, ...] = (), seed: int = 0) -> Report:
    """Examine files and folders without loading them. A file that cannot be read is an open outcome.

    Raises UsageError when nothing is named.
    """
    return examine.scan([Path(p) for p in paths], Settings(only=only, seed=seed))


def run(
    where: str | Path = ".", *, only: tuple[str, ...] = (), skip: tuple[str, ...] = (), seed: int = 0, jobs: int = 0
) -> Dossier:
    """Examine the project at `where` and decide by its policy (a preview, as `assay run` shows it).

    Raises InputError or UsageError for what the manifest gets wrong.
    """
    settings = Settings(only=only, skip=skip, seed=seed, jobs=jobs or examine.default_jobs())
    return project.run_project(Path(where), settings).dossier

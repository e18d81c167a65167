"""The Python API: the same calls and the same structs as the command line."""

from __future__ import annotations

from html import escape
from pathlib import Path

from msgspec.structs import asdict

from assay.core.dossier import Dossier
from assay.core.report import Report
from assay.engine.plan import Settings
from assay.flow import examine, project


class ShownReport(Report, frozen=True, kw_only=True):
    """A report that a notebook shows as its page."""

    def _repr_html_(self) -> str:
        return _framed(Dossier(report=self))


class ShownDossier(Dossier, frozen=True, kw_only=True):
    """A dossier that a notebook shows as its page."""

    def _repr_html_(self) -> str:
        return _framed(self)


def _framed(dossier: Dossier) -> str:
    """The offline page in a frame of its own, so that neither page nor notebook restyles the other."""
    from assay.render.html import render_html

    style = "width: 100%; height: 60em; border: 0"
    return f'<iframe title="Assay" sandbox srcdoc="{escape(render_html(dossier))}" style="{style}"></iframe>'


def scan(*paths: str | Path, only: tuple[str, ...] = (), seed: int = 0) -> Report:
    """Examine files and folders without loading them. A file that cannot be read is an open outcome.

    Raises UsageError when nothing is named.
    """
    report = examine.scan([Path(p) for p in paths], Settings(only=only, seed=seed))
    return ShownReport(**asdict(report))


def run(
    where: str | Path = ".", *, only: tuple[str, ...] = (), skip: tuple[str, ...] = (), seed: int = 0, jobs: int = 0
) -> Dossier:
    """Examine the project at `where` and decide by its policy (a preview, as `assay run` shows it).

    Raises InputError or UsageError for what the manifest gets wrong.
    """
    settings = Settings(only=only, skip=skip, seed=seed, jobs=jobs or examine.default_jobs())
    return ShownDossier(**asdict(project.run_project(Path(where), settings).dossier))

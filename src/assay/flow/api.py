"""The Python API: the same calls and the same structs as the command line."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from assay.adapters.frames import written
from assay.core.dossier import Dossier
from assay.core.errors import UsageError
from assay.core.finding import Json, Measure
from assay.core.report import Report
from assay.core.subject import Kind, Subject
from assay.core.text import visible
from assay.engine.plan import Settings
from assay.flow import examine, project

if TYPE_CHECKING:
    from assay.adapters.convert import Parity


class ShownReport(Report, frozen=True, kw_only=True):
    """A report that a notebook shows as its page."""

    def measure(self, name: str, subject: str = "") -> Measure:
        """The one figure of that name, of `subject` where several have it. Raises UsageError for none or several."""
        told = [(o.subject, m) for o in self.body.outcomes for m in o.measures if m.name == name]
        found = [m for whose, m in told if subject in ("", whose)]
        if len(found) == 1:
            return found[0]
        if found:
            which = ", ".join(visible(whose, 60) for whose, _ in told)
            raise UsageError(f"several have {name}", where="Report.measure", fix=f"say of which subject: {which}")
        names = sorted({m.name for o in self.body.outcomes for m in o.measures})
        raise UsageError(
            f"the report has no {visible(name, 80)}", where="Report.measure", fix=f"it has {', '.join(names) or 'none'}"
        )

    def _repr_html_(self) -> str:
        return framed(Dossier(report=self))


class ShownDossier(Dossier, frozen=True, kw_only=True):
    """A dossier that a notebook shows as its page."""

    def _repr_html_(self) -> str:
        return framed(self)


def framed(dossier: Dossier) -> str:
    """The offline page in a frame of its own, so that neither page nor notebook restyles the other."""
    from assay.render.html import render_html

    style = "width: 100%; height: 60em; border: 0"
    return f'<iframe title="Assay" sandbox srcdoc="{escape(render_html(dossier))}" style="{style}"></iframe>'


def on_disk(rows: Any, role: str, folder: Path) -> Path:
    """Where rows are: a path that was given, in full, or a frame as a Parquet file in `folder`, which is its name."""
    if isinstance(rows, (str, Path)):
        return Path(rows).absolute()
    written(rows, folder / f"{role}.parquet")
    return Path(f"{role}.parquet")


def scan(*paths: str | Path, only: tuple[str, ...] = (), full: bool = False, seed: int = 0) -> ShownReport:
    """Examine files, folders and addresses (https://, hf://, mlflow:) without loading them.

    A file that cannot be read is an open outcome.

    `full` also hashes every file and compares every checksum. Raises UsageError when nothing is named.
    """
    report = examine.scan(paths, Settings(only=only, seed=seed), full=full)
    return ShownReport(**asdict(report))


def run(
    where: str | Path = ".", *, only: tuple[str, ...] = (), skip: tuple[str, ...] = (), seed: int = 0, jobs: int = 0
) -> Dossier:
    """Examine the project at `where` and decide by its policy (a preview, as `assay run` shows it).

    Raises InputError or UsageError for what the manifest gets wrong.
    """
    settings = Settings(only=only, skip=skip, seed=seed, jobs=jobs or examine.default_jobs())
    return ShownDossier(**asdict(project.run_project(Path(where), settings).dossier))


def to_onnx(
    model: Any,
    rows: str | Path,
    out: str | Path,
    *,
    label: str,
    drop: tuple[str, ...] = (),
    threshold: float = 0.5,
    positive: Any = None,
) -> Parity:
    """Write a scikit-learn classifier that you trained, or a LightGBM booster (object or text file), as ONNX to `out`.

    `rows` is a table (CSV, Parquet, Arrow) of real rows; its columns but `label` and `drop` are the inputs. Raises
    InputError, and writes nothing, where the conversion scores a row differently or flips a decision at `threshold`.
    """
    from assay.adapters.convert import to_onnx as convert
    from assay.adapters.tables import open_dataset

    options: dict[str, Json] = {"label": label, "drop": list(drop)}
    data = open_dataset(Subject(name="rows", kind=Kind.DATASET, uri=str(rows), options=options), Path())
    try:
        columns = tuple(data.column(name) for name in data.features)
        sample = data.table(data.features)
        return convert(model, columns, sample, Path(out), threshold=threshold, positive=positive)
    finally:
        data.close()

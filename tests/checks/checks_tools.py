"""What the checks' tests share: a folder of subjects, and a check asked of one of them as the engine asks it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from assay.core.finding import Finding, Measure, Outcome
from assay.core.subject import Contract, Feature, Kind, Subject
from assay.engine.inline import InlineExecutor
from assay.engine.task import Task

Columns = Mapping[str, Any]


class Bench:
    """Subjects in a folder: tables, models and artifacts are added, then checks are asked of them by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.subjects: dict[str, Subject] = {}
        self.contract = Contract()

    def features(self, *constraints: str, **features: dict[str, Any]) -> None:
        """The feature contract."""
        self.contract = Contract(
            features={n: msgspec.convert(f, Feature) for n, f in features.items()}, constraints=constraints
        )

    def table(
        self, content: Columns | str | bytes, name: str = "t", *, holdout_of: str = "", file: str = "", **options: Any
    ) -> str:
        """A CSV from columns or text, or any bytes, as a dataset subject. Gives its name."""
        uri = file or f"{name}.csv"
        if isinstance(content, str | bytes):
            (self.folder / uri).write_bytes(content.encode() if isinstance(content, str) else content)
        else:
            write_columns(content, self.folder / uri)
        reads = {"holdout_of": holdout_of} if holdout_of else {}
        self.subjects[name] = Subject(name=name, kind=Kind.DATASET, uri=uri, options=options, reads=reads)
        return name

    def model(self, uri: str, name: str = "model", *, reads: Mapping[str, str], **options: Any) -> str:
        """A model file that lies in the folder, as a model subject."""
        self.subjects[name] = Subject(name=name, kind=Kind.MODEL, uri=uri, options=options, reads=dict(reads))
        return name

    def artifact(self, uri: str, content: bytes | None = None) -> str:
        """A file or folder as an artifact subject."""
        if content is not None:
            (self.folder / uri).write_bytes(content)
        self.subjects[uri] = Subject(name=uri, kind=Kind.ARTIFACT, uri=uri)
        return uri

    def ask(self, check: str, subject: str, *, seed: int = 0, **parameters: Any) -> Outcome:
        """The outcome of one check; a check that breaks fails the test, for it must never."""
        task = Task(
            check=check,
            subject=subject,
            root=str(self.folder),
            subjects=self.subjects,
            contract=self.contract,
            parameters=parameters,
            seed=seed,
        )
        ((_, outcome, _),) = InlineExecutor().run([msgspec.json.encode(task)])
        assert "the check broke" not in outcome.reason, outcome.reason
        return outcome


def write_columns(columns: Columns, path: Path) -> None:
    """Columns as CSV; None is an empty cell."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(list(c) for c in columns.values()), strict=True))


def said(outcome: Outcome) -> list[tuple[str, str]]:
    """(severity, message) of each finding."""
    return [(str(f.severity), f.message) for f in outcome.findings]


def finding(outcome: Outcome, text: str) -> Finding:
    """The one finding whose message holds `text`."""
    found = [f for f in outcome.findings if text in f.message]
    assert len(found) == 1, (text, said(outcome), outcome.reason)
    return found[0]


def measure(outcome: Outcome, name: str, versus: str = "") -> Measure:
    """The one measure of that name."""
    (found,) = [m for m in outcome.measures if m.name == name and (m.versus or "") == versus]
    return found

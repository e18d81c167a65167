"""Files and small helpers that the adapters' tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.core.subject import Contract, Kind, Subject

Open = Callable[..., Any]


@pytest.fixture
def dataset(tmp_path: Path) -> Iterator[Open]:
    """Write bytes or text as a file in tmp_path and open it as a dataset; everything is closed at the end."""
    pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    from assay.adapters.tables import open_dataset

    opened = []

    def make(content: bytes | str | None, name: str = "t.csv", contract: Contract | None = None, **options: Any) -> Any:
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            (tmp_path / name).write_bytes(data)
        subject = Subject(name="t", kind=Kind.DATASET, uri=name, options=options)
        opened.append(open_dataset(subject, tmp_path, contract))
        return opened[-1]

    yield make
    for item in opened:
        item.close()


@pytest.fixture
def predictor(tmp_path: Path) -> Iterator[Open]:
    """Open a model file of tmp_path as a predictor; everything is closed at the end."""
    from assay.adapters.predictors import open_predictor

    opened = []

    def make(name: str, data: Any = None, **options: Any) -> Any:
        subject = Subject(name="m", kind=Kind.MODEL, uri=name, options=options)
        opened.append(open_predictor(subject, tmp_path, data=data))
        return opened[-1]

    yield make
    for item in opened:
        item.close()

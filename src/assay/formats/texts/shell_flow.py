"""What flows through a shell script: fetched or decoded text into what runs it, keys and tokens to other machines.

Told by where things come from and go to, over pipes, variables, files and substitutions, not by how a line is written.
"""

from __future__ import annotations

import re
from itertools import pairwise

import msgspec

from assay.core.finding import Severity
from assay.formats.texts.python_dangers import SENSITIVE
from assay.formats.texts.shell_words import Command, Pipe, Word, pipes

_H, _C = Severity.HIGH, Severity.CRITICAL
_MOST_DEPTH = 6
_MOST_VALUE = 4_096
_MOST_NAMES = 2_000
_ASSIGN = re.compile(r"([A-Za-z_]\w*)\+?=(.*)", re.DOTALL)
_NAME = re.compile(r"\$\{?([A-Za-z_]\w*|[@*1-9])\}?")
_PREFIXES = frozenset(
    {
        "sudo",
        "doas",
        "env",
        "nohup",
        "time",
        "exec",
        "command",
        "builtin",
        "timeout",
        "nice",
        "ionice",
        "setsid",
        "stdbuf",
    }
    | {"if", "then", "else", "elif", "do", "while", "until", "!", "{", "busybox", "run", "-", "@", "RUN", "&"}
)
_FETCHES = frozenset({"curl", "wget", "fetch", "aria2c", "lynx", "w3m", "http", "https", "xh", "httpie", "wget2"})
_RUNS = re.compile(
    r"(?:ba|z|da|k|c|tc|fi|a)?sh|python[\d.]*|pypy3?|perl|ruby|node|deno|bun|php|lua|pwsh|osascript|Rscript|julia"
)
_CONNECTS = frozenset(
    {"nc", "ncat", "netcat", "socat", "telnet", "openssl", "ssh", "mail", "sendmail", "mailx", "mutt"}
)
_COPIES = frozenset({"scp", "rsync", "sftp", "ftp", "rclone", "gsutil", "aws", "gcloud", "gh", "az", "mc"})
_ASKS_NAMES = frozenset({"dig", "nslookup", "host", "drill", "kdig", "ping"})
_DECODES = re.compile(r"base64|base32|xxd|uudecode|rev|tr|gunzip|zcat|bzcat|xzcat|gzip|openssl|sed|cut|printf|awk")
_PASSES = frozenset(
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
_PRINTS = re.compile(
    r"gcloud\s+(?:\S+\s+){0,4}print-\S*token|gh\s+auth\s+token|aws\s+(?:configure\s+(?:get|export-credentials)|sts\s+get-\S+token)"
    r"|az\s+account\s+get-access-token"
    r"|kubectl\s+(?:\S+\s+)*(?:config\s+view\s.*--raw|get\s+secrets\b.*(?:\s-A\b|--all-namespaces))|oc\s+whoami\s+(?:-t|--show-token)|git\s+credential\s+fill"
    r"|security\s+(?:find|dump)-\S*(?:password|keychain)|vault\s+print\s+token"
    r"|docker-credential-\S+\s+get|databricks\s+auth\s+token|heroku\s+auth:token|doctl\s+auth\s+token|glab\s+auth\s+(?:token|status\s+-t)"
    r"|npm\s+token\s+\S+|secret-tool\s+lookup|ssh-add\s+-L|gpg\s+(?:\S+\s+)*--export-secret|huggingface-cli\s+token|printenv\s*$|env\s*(?:-0)?$|set\s*$"
    r"|export\s*(?:-p)?$|declare\s+-\w*x\w*$|compgen\s+-e$"
)
_METADATA = re.compile(
    r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google\.internal|fd00:ec2::254|100\.100\.100\.200"
)
_KEYS_OF = re.compile(
    r"\$\{?((AWS)_(?:SECRET_ACCESS_KEY|SESSION_TOKEN)|(HF|HUGGING\w*|GITHUB|GH|GITLAB|OPENAI|ANTHROPIC|NPM|PYPI|TWINE|SLACK|WANDB|COHERE"
    r"|MISTRAL|GOOGLE|GEMINI|AZURE|DATABRICKS|REPLICATE)\w*_(?:TOKEN|KEY|SECRET|PASSWORD))\b"
)
_BRANDS = {"hf": "huggingface", "gh": "github", "hugging_face": "huggingface", "aws": "amazonaws", "twine": "pypi",
           "google": "googleapis", "gemini": "googleapis"}  # fmt: skip
_DATA = re.compile(
    r"-d|--data(?:-\w+)*|--json|-F|--form(?:-string)?|-T|--upload-file|--post-(?:data|file)|--body-(?:data|file)"
)
_JOINED_DATA = re.compile(
    r"(?:-[dFT](?=\S)|--(?:data(?:-\w+)*|json|form|upload-file|post-(?:data|file)|body-(?:data|file))=)(.*)", re.DOTALL
)
_ADDRESS = re.compile(r"(?i)^(?:https?|ftp)://|^[\w-]+(?:\.[\w-]+)+[/:?]")
_ESCAPES = re.compile(r"(?:\\x[0-9a-fA-F]{2}|\\[0-7]{3}){4}")
# Where tokens are exchanged for others.
_EXCHANGES = re.compile(
    r"(?i)^https://(?:(?:iamcredentials|sts|oauth2)\.googleapis\.com|login\.microsoftonline\.com|sts\.\S*amazonaws\.com)/"
)
_LOCAL = re.compile(r"(?i)^(?:https?://)?(?:localhost|127\.|0\.0\.0\.0|\[::1\]|host\.docker\.internal)")
# Places from which programs are fetched and run by their makers' own instructions, under names that nobody else has.
_SETTLED = re.compile(
    r"(?i)^https://(?:(?:[\w-]+\.)*(?:github\.com|githubusercontent\.com|gitlab\.com|anaconda\.(?:com|org)|continuum\.io|pypa\.io|nvidia\.com"
    r"|googleapis\.com|google\.com|microsoft\.com|amazonaws\.com|apache\.org|python\.org|nodejs\.org|golang\.org|go\.dev|rust-lang\.org"
    r"|rustup\.rs|docker\.com|k8s\.io|kubernetes\.io|helm\.sh|hashicorp\.com|debian\.org|ubuntu\.com|gnu\.org|huggingface\.co|pytorch\.org"
    r"|julialang\.org|r-project\.org|rstudio\.com|cloudflare\.com|astral\.sh|yarnpkg\.com|npmjs\.org|sourceforge\.net|kernel\.org|llvm\.org"
    r"|codecov\.io|sonarsource\.com|gradle\.org|maven\.org|jetbrains\.com|oracle\.com|intel\.com|redhat\.com|fedoraproject\.org|mise\.jdx\.dev"
    r"|cmake\.org|dask\.org|conda-forge\.org|ollama\.com|min\.io|brew\.sh|archlinux\.org|alpinelinux\.org))(?:[:/]|$)"
)
_CHECKS = re.compile(
    r"\b(?:sha\d*sum|shasum|md5sum|b2sum|cosign|minisign|gpgv?)\b.*(?:-c\b|--check|--verify|verify)|\bGet-FileHash\b"
)
_CONNECTING_CODE = re.compile(r"(?i)\bsockets?\b|TCPSocket|fsockopen|IO::Socket|net\.connect|TcpClient|inet/tcp")
_SHELL_CODE = re.compile(
    r"(?i)dup2|/bin/(?:ba|z|da)?sh|\bcmd(?:\.exe)?\b|pty\b|exec[lv]?p?\b|spawn|popen|system\b|subprocess"
)
_READS_CODE = re.compile(r"(?i)\b(?:exec|eval|system|popen)\b[^\n]{0,80}(?:stdin|<>|\$_|ARGF|fs\.readFileSync\(0)")
_KEYS_HOME = re.compile(r"(?:~|\$\{?HOME\}?|/root|/home/[\w$]+)/\.(?:ssh|aws|gnupg|config/gcloud|azure)/?$")

Found = tuple[str, str, Severity]
_RUN: Found = ("download-run", "fetches a program and runs it unseen", _H)
_DECODED: Found = ("decode-run", "decodes a program and runs it", _H)
_SENT: Found = ("send-secrets", "sends keys or the environment to another machine", _H)
_BACK: Found = ("reverse-shell", "opens a shell to another machine", _C)


class Stuff(msgspec.Struct, frozen=True):
    """What a value is made of: where it was fetched, whether it was decoded, whether it holds keys."""

    fetched: bool = False
    settled: bool = False  # fetched from where programs are commonly had
    decoded: bool = False
    secret: bool = False

    def __or__(self, other: Stuff) -> Stuff:
        fetched = self.fetched or other.fetched
        settled = all(s.settled for s in (self, other) if s.fetched) and fetched
        return Stuff(fetched, settled, self.decoded or other.decoded, self.secret or other.secret)


_NOTHING = Stuff()


class Flow:
    """One script, line by line."""

    def __init__(self) -> None:
        self.names: dict[str, Stuff] = {}
        self.values: dict[str, str] = {}
        self.files: dict[str, Stuff] = {}
        self.found: list[Found] = []

    def line(self, text: str) -> list[Found]:
        """What a line (continued lines joined) does, knowing those before it."""
        self.found = []
        if _CHECKS.search(text):  # what was fetched is compared with what is known of it
            self.files = {p: msgspec.structs.replace(s, settled=True) for p, s in self.files.items()}
        self._pipes(text, 0)
        return list(dict.fromkeys(self.found))

    def writes(self, text: str) -> Stuff:
        """What the output of a command is made of."""
        return self._pipes(text, 0)

    def _pipes(self, text: str, depth: int) -> Stuff:
        """All commands of a text; what the last ones write."""
        out = _NOTHING
        if depth < _MOST_DEPTH:
            for pipe in pipes(text):
                out |= self._pipe(pipe, depth)
        return out

    def _pipe(self, pipe: Pipe, depth: int) -> Stuff:
        into = _NOTHING
        for command in pipe:
            into = self._command(command, into, depth, len(pipe) > 1)
        return into

    # Words

    def _text(self, word: Word) -> str:
        """A word with the names in it that are known."""
        if "$" not in word.text:
            return word.text
        text = re.sub(r"\$\{?IFS[^}\s]{0,10}\}?", " ", word.text)
        return _NAME.sub(lambda m: self.values.get(m[1], m.group()), text)[:_MOST_VALUE]

    def _stuff(self, word: Word, depth: int) -> Stuff:
        """What a word's value is made of."""
        made = _NOTHING
        for inner in word.inner:
            made |= self._pipes(inner, depth + 1)
        for name in _NAME.findall(word.text) if "$" in word.text else ():
            made |= self.names.get(name, _NOTHING)
        return made

    def _command(self, command: Command, into: Stuff, depth: int, piped: bool) -> Stuff:
        command = self._bound(command, depth)
        if not command:
            return _NOTHING
        plain: list[Word] = []
        target, at = "", 0
        while at < len(command):
            sign = command[at]
            if sign.text in (">", ">>", ">|") and not sign.quoted and at + 1 < len(command):
                target, at = self._text(command[at + 1]), at + 2
            elif sign.text in ("<", "<<<") and not sign.quoted and at + 1 < len(command):
                given = command[at + 1]
                into |= self._stuff(given, depth)
                if sign.text == "<":
                    into |= self._of_file(self._text(given))
                at += 2
            else:
                plain.append(sign)
                at += 1
        if not plain:
            return into
        words = [self._text(word) for word in plain]
        if len(plain[0].text) > 1 and plain[0].text.startswith("$") and " " in words[0]:  # a command in a name
            words = [*words[0].split(), *words[1:]]
            plain = [*(Word(w) for w in words[: len(words) - len(plain) + 1]), *plain[1:]]
        out = self._does(plain, words, into, depth, piped)
        if target.startswith(("/dev/tcp/", "/dev/udp/")) and (out | into).secret:
            self.found.append(_SENT)
        elif target and not target.startswith("/dev/"):
            self._keep(target, out)
        return _NOTHING if target else out

    def _bound(self, command: Command, depth: int) -> Command:
        """A command without its assignments and what stands before it (sudo, env, then)."""
        at = 0
        while at < len(command):
            word = command[at]
            match = _ASSIGN.fullmatch(word.text)
            if match:
                self._set(match[1], Word(match[2], word.inner), depth)
            elif word.text in ("export", "local", "declare", "readonly", "typeset") and at + 1 < len(command):
                if command[at + 1].text.startswith("-") and at + 2 >= len(command):
                    break
            elif word.text == "for" and len(command) > at + 3:
                made = _NOTHING
                for each in command[at + 3 :]:
                    made |= self._stuff(each, depth) | Stuff(secret=_secret(self._text(each)))
                self.names[command[at + 1].text] = made
                return ()
            elif word.text in _PREFIXES and (
                word.text != "env" or (at + 1 < len(command) and command[at + 1].text not in (">", ">>", "-0"))
            ):
                while at + 1 < len(command) and command[at + 1].text.startswith("-") and len(command) > at + 2:
                    at += 1
                if word.text == "timeout":
                    at += 1
            else:
                break
            at += 1
        return command[at:]

    def _set(self, name: str, word: Word, depth: int) -> None:
        if len(self.names) < _MOST_NAMES:
            text = self._text(word)
            self.names[name] = self._stuff(word, depth)
            if not word.inner and "$" not in text:
                self.values[name] = text[:_MOST_VALUE]
            else:
                self.values.pop(name, None)

    def _keep(self, path: str, stuff: Stuff) -> None:
        if len(self.files) < _MOST_NAMES:
            self.files[_plain(path)] = stuff

    def _of_file(self, path: str) -> Stuff:
        return self.files.get(_plain(path), _NOTHING) | Stuff(secret=_secret(path))

    # Commands

    def _does(self, plain: list[Word], words: list[str], into: Stuff, depth: int, piped: bool) -> Stuff:
        name = words[0].rpartition("/")[2]
        given = into
        each = [self._stuff(word, depth) for word in plain]
        for stuff in each[1:]:
            given |= stuff
        whole = " ".join(words)
        if _plain(words[0]) in self.files and ("/" in words[0] or name not in _FETCHES):
            self._run(self.files[_plain(words[0])], of_file=True)
        if plain[0].text.startswith("$"):
            self._run(each[0])
        if name == "xargs":
            return self._xargs(plain, words, into, depth)
        if name in _FETCHES:
            return self._fetch(plain, words, each, into)
        if name in ("eval", "source", ".") or _RUNS.fullmatch(name):
            return self._runner(name, plain, words, each, into)
        if name in _CONNECTS and (name != "openssl" or "s_client" in words):
            if into.secret or (name in ("mail", "mutt") and given.secret):
                self.found.append(_SENT)
            return Stuff(fetched=name != "ssh", secret=False) if piped else _NOTHING
        if name in _COPIES and self._copies(name, words):
            self.found.append(_SENT)
        if name in _ASKS_NAMES and any(stuff.secret for stuff in each[1:]):
            self.found.append(_SENT)
        if _PRINTS.match(whole):
            return Stuff(secret=True)
        if name in ("mv", "cp", "install", "ln") and len(words) > 2:
            self._keep(words[-1], self._of_file(words[-2]))
            return _NOTHING
        if name == "tee":
            for path in words[1:]:
                self._keep(path, into)
            return into
        if name in ("echo", "printf"):
            return given | Stuff(decoded=_ESCAPES.search(whole) is not None)
        if name in _PASSES:
            for path in words[1:]:
                given |= self._of_file(path.removeprefix("if="))
            if name in ("tar", "zip", "7z", "gpg"):
                for path in words[1:]:
                    if re.search(r"\.(?:t?gz|tar|zip|7z|gpg|bz2|xz|asc|enc)$", path):
                        self._keep(path, given)
            if _DECODES.fullmatch(name) and self._decodes(name, words):
                given |= Stuff(decoded=True)
            return given
        return _NOTHING

    def _decodes(self, name: str, words: list[str]) -> bool:
        if name == "tr":
            return not any(word.startswith("-") and "d" in word for word in words[1:])
        if name in ("base64", "base32", "gzip", "openssl"):
            return any(re.fullmatch(r"-d\w*|-D|--decode|-\wd|--decompress", word) for word in words[1:])
        if name == "xxd":
            return any("r" in word for word in words[1:] if word.startswith("-"))
        return name in ("rev", "uudecode", "gunzip", "zcat", "bzcat", "xzcat")

    def _xargs(self, plain: list[Word], words: list[str], into: Stuff, depth: int) -> Stuff:
        at = 1
        while at < len(words) and (words[at].startswith("-") or words[at - 1] in ("-I", "-n", "-P", "-d", "-L")):
            at += 1
        rest = words[at:]
        name = rest[0].rpartition("/")[2] if rest else ""
        if (
            _RUNS.fullmatch(name)
            and name not in ("node", "deno", "bun")
            and "-c" in rest
            and rest[-1] in ("-c", "{}", "%", "@")
        ):
            self._run(into)
        elif name in _FETCHES | _CONNECTS | _ASKS_NAMES and into.secret:
            self.found.append(_SENT)
        return self._command(tuple(plain[at:]), into, depth, True) if rest else _NOTHING

    def _runner(self, name: str, plain: list[Word], words: list[str], each: list[Stuff], into: Stuff) -> Stuff:
        options = [w for w in words[1:] if w.startswith("-")]
        code = next((i + 1 for i, w in enumerate(words[:-1]) if i and re.fullmatch(r"-\w*[cer]|--eval|-Command", w)), 0)
        if name == "eval":
            for stuff in each[1:]:
                self._run(stuff)
            return self._pipes(" ".join(words[1:]), 3)
        if name in ("source", "."):
            for word, stuff in zip(words[1:2], each[1:2], strict=True):
                self._run(stuff | self.files.get(_plain(word), _NOTHING), of_file=not stuff.fetched)
            return _NOTHING
        if code:
            self._run(each[code])
            said = words[code]
            if _CONNECTING_CODE.search(said) and _SHELL_CODE.search(said):
                self.found.append(_BACK)
            if _READS_CODE.search(said):
                self._run(into)
            return self._pipes(said, 3) if name.endswith("sh") else into
        scripts = [i for i in range(1, len(words)) if not words[i].startswith("-")]
        if not scripts or "-s" in options:
            if name not in ("node", "python", "python3") or "-m" not in options:
                self._run(into)
        else:
            first = scripts[0]
            self._run(each[first] | self.files.get(_plain(words[first]), _NOTHING), of_file=not each[first].fetched)
        return _NOTHING

    def _run(self, stuff: Stuff, *, of_file: bool = False) -> None:
        """Something is run that is made of this."""
        if stuff.decoded and not (of_file and stuff.settled):
            self.found.append(_DECODED)
        elif stuff.fetched and not stuff.settled:
            self.found.append(_RUN)

    def _fetch(self, plain: list[Word], words: list[str], each: list[Stuff], into: Stuff) -> Stuff:
        """curl, wget and their kin: what is sent along, and where what comes is written."""
        addresses = [w for w in words[1:] if _ADDRESS.match(w)]
        target, kept = "", words[0].rpartition("/")[2] == "wget"
        local = bool(addresses) and all(_LOCAL.match(a) or _EXCHANGES.match(a) for a in addresses)
        settled = bool(addresses) and all(_SETTLED.match(a) or _LOCAL.match(a) for a in addresses)
        for at in range(1, len(words)):
            word, before = words[at], words[at - 1]
            joined = _JOINED_DATA.fullmatch(word)
            sends = _DATA.fullmatch(before) is not None or joined is not None
            said = joined[1] if joined else word
            place = said.rpartition("@")[2].rpartition("<")[2].split(";")[0]
            stuff = each[at]
            if sends and ("@" in said or "<" in said or "-T" in (before, word[:2]) or "file" in before + word):
                stuff |= into if place in ("-", "/dev/stdin", ".") else self._of_file(place)
            head = before in ("-H", "--header") and not re.match(
                r"(?i)(?:authorization|x-api-key|private-token)\s*:", word
            )
            if (
                (sends or head or _ADDRESS.match(word))
                and not local
                and (stuff.secret or self._strange(plain[at], addresses))
            ):
                self.found.append(_SENT)
            if re.fullmatch(r"-\w*o|--output(?:-document)?|-\w*O", before) and (
                word == "-" or not word.startswith("-")
            ):
                target = "" if before.endswith("O") and not kept else word
        if any(re.fullmatch(r"-(?!-)\w*O|--remote-name", w) for w in words) and not kept:
            kept = True
        elif any(re.fullmatch(r"-\w*O-|--output-document=-", w) for w in words) or target == "-":
            kept, target = False, ""
        out = Stuff(fetched=bool(addresses) or "$" in " ".join(words), settled=settled)
        if any(map(_METADATA.search, addresses)):
            out |= Stuff(secret=True)
        if target or kept:
            name = target or (addresses[-1].split("?")[0].rstrip("/").rpartition("/")[2] if addresses else "")
            if name and addresses:
                self._keep(name, out)
            return _NOTHING
        return out

    def _strange(self, word: Word, addresses: list[str]) -> bool:
        """Whether a token of one service goes to another's address."""
        match = _KEYS_OF.search(word.text)
        if match is None or not addresses:
            return False
        brand = (match[2] or match[3]).lower()
        brand = _BRANDS.get(brand, brand)
        hosts = [re.sub(r"^\w+://(?:[^@/]*@)?", "", a).split("/")[0].lower() for a in addresses]
        return all(re.fullmatch(r"[\w.-]+(?::\d+)?", h) and brand not in h for h in hosts)

    def _copies(self, name: str, words: list[str]) -> bool:
        """Whether files of keys are copied to another machine."""
        if name in ("aws", "gcloud", "az", "gh") and not {"s3", "storage", "gist", "s3api"} & set(words):
            return False
        far = [w for w in words[1:] if re.match(r"(?:[\w.-]+@)?[\w.-]+:(?!\\)|s3://|gs://|\w+://", w)]
        given = [
            w for before, w in pairwise(words)
            if before not in ("-i", "-e", "-o", "-F", "-S", "-J", "-P") and not w.startswith("-") and w not in far
        ]  # fmt: skip
        leaves = bool(far) or name == "gh"
        return leaves and any(
            _secret(w) and not re.search(r"\.kube/|\.docker/|known_hosts|/\.ssh/config$", w) for w in given
        )


def _secret(path: str) -> bool:
    sensitive = len(path) < 500 and (SENSITIVE.search(path) or _KEYS_HOME.search(path))
    return bool(sensitive) and not path.endswith((".pub", "/etc/passwd"))


def _plain(path: str) -> str:
    return path.removeprefix("./")

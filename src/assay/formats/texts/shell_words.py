"""A shell's line cut into commands, pipes and words, quotes taken off; nothing is expanded (POSIX shell, ch. 2)."""

from __future__ import annotations

import re

import msgspec

from assay.formats.texts.python_dangers import words

_MOST_COMMANDS = 2_000
_MOST_IN_ARRAY = 20
_NO_PARAMETERS = re.compile(r"[ \t]*\)")
# Without one of these nothing is sent, fetched or decoded.
GATE = re.compile(
    r"(?i)curl|wget|fetch|\bn(?:et)?c(?:at)?\b|socat|telnet|s_client|base64|base32|xxd|\brev\b|\btr\b|printf|\\x|gunzip|zcat|gzip"
    r"|\bscp\b|rsync|\bs?ftp\b|\bssh\b|\bdig\b|nslookup|\bhost\b|/dev/(?:tcp|udp)|aria2c|https?\b|xh\b|\bs3\b|rclone|mail\b|gist\b|socket"
    r"|\bgsutil\b|\bgcloud\b|\bgit\b[^\n]{0,80}\bclone\b|\bperl\b|\bruby\b|\bphp\b|\bftp\b|\$\{?IFS"
)
# What opens a quotation, a substitution or an escape, what ends a word or a command, or a run of plain signs.
_PART = re.compile(
    r"(?P<single>\$?'(?:[^']*)')|(?P<escape>\\.)|(?P<open>[$<>]\()|(?P<tick>`)|(?P<double>\$?\")"
    r"|(?P<here><<<|<<-?)|(?P<redirect>\d?&?>{1,2}(?:&\d?)?\|?|\d?<&?)|(?P<pipe>\|&?(?!\|))|(?P<end>\|\||&&|;{1,2}|[\n&])"
    r"|(?P<blank>[ \t\r]+)|(?P<group>[()])|(?P<plain>[^\s'\"\\$`|&;()<>]+|.)",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))")
_SIGNS = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b"}


class Word(msgspec.Struct, frozen=True):
    """A word as it reaches a command, and the commands whose output stands in it (`$(…)`, backticks, `<(…)`)."""

    text: str
    inner: tuple[str, ...] = ()
    quoted: bool = False
    sign: bool = False  # a redirection, a parenthesis or a function's name, and not what is given to a command


Command = tuple[Word, ...]
Pipe = tuple[Command, ...]


def pipes(text: str) -> list[Pipe]:
    """The commands of a line or script in their order, each with what it is piped into. Redirections are words of
    their own (`>`, `>>`, `<`, `<<<`), and so are the parentheses of a subshell; `f()` is one word, an array's items
    (`a=(…)`) belong to its assignment."""
    return _Cutter(text).whole()


class _Cutter:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.found: list[Pipe] = []
        self.pipe: list[Command] = []
        self.command: list[Word] = []
        self.clear()

    def clear(self) -> None:
        self.word: list[str] = []
        self.inner: list[str] = []
        self.quoted = self.begun = False

    def end_word(self) -> None:
        if self.begun:
            self.command.append(Word("".join(self.word), tuple(self.inner), self.quoted))
        self.clear()

    def end_command(self) -> None:
        self.end_word()
        if self.command:
            self.pipe.append(tuple(self.command))
        self.command = []

    def end_pipe(self) -> None:
        self.end_command()
        if self.pipe:
            self.found.append(tuple(self.pipe))
        self.pipe = []

    def whole(self) -> list[Pipe]:
        while self.at < len(self.text) and len(self.found) < _MOST_COMMANDS:
            match = _PART.match(self.text, self.at)
            if match is None:  # every sign is one of these
                break
            self.at = match.end()
            self._part(str(match.lastgroup), match.group())
        self.end_pipe()
        return self.found

    def _part(self, kind: str, said: str) -> None:
        if kind == "blank":
            self.end_word()
        elif kind == "end":
            self.end_pipe()
        elif kind == "group":
            self._group(said)
        elif kind == "pipe":
            self.end_command()
        elif kind in ("redirect", "here"):
            self.end_word()
            self.command.append(Word(said.lstrip("0123456789&") if kind == "redirect" else said, sign=True))
        else:
            self.begun = True
            if kind == "single":
                self.quoted = True
                self.word.append(unescaped(said[2:-1]) if said[0] == "$" else said[1:-1])
            elif kind == "escape":
                self.word.append(said[1].replace("\n", ""))
            elif kind == "open":
                self._substitution(said)
            elif kind == "tick":
                end = self.text.find("`", self.at)
                self._inner(self.text[self.at : end if end >= 0 else len(self.text)])
                self.at = end + 1 if end >= 0 else len(self.text)
            elif kind == "double":
                self._quotation()
            elif said[0] == "#" and not self.word and not self.quoted:  # a comment, to the line's end
                end = self.text.find("\n", self.at)
                self.at = end if end >= 0 else len(self.text)
                self.begun = False
            else:
                self.word.append(said)

    def _group(self, said: str) -> None:
        """A parenthesis: of an array, of a function's name, or of a subshell."""
        if said == "(" and self.word and self.word[-1].endswith("=") and not self.quoted:
            end = closing(self.text, self.at)
            held = self.text[self.at : end]
            self.word.append(held)
            self.inner += [held[m.end() : closing(held, m.end())] for m in re.finditer(r"\$\(", held)][:_MOST_IN_ARRAY]
            self.at = end + 1
            return
        if said == "(" and (called := _NO_PARAMETERS.match(self.text, self.at)):
            name = "".join(self.word) if self.begun else self.command[-1].text if self.command else ""
            if name and not self.begun:
                self.command.pop()
            self.clear()
            self.command.append(Word(f"{name}()", sign=True))
            self.at = called.end()
            return
        if said == "(":
            self.end_word()
        else:
            self.end_pipe()
        self.command.append(Word(said, sign=True))

    def _inner(self, said: str) -> None:
        self.inner.append(said)
        self.word.append(f"$({said})")

    def _substitution(self, sign: str) -> None:
        end = closing(self.text, self.at)
        self._inner(self.text[self.at : end])
        self.at = end + 1

    def _quotation(self) -> None:
        self.quoted = True
        text = self.text
        while self.at < len(text) and text[self.at] != '"':
            sign = text[self.at]
            if sign == "\\" and self.at + 1 < len(text):
                follows = text[self.at + 1]
                self.word.append(follows if follows in '"\\$`\n' else sign + follows)
                self.at += 2
            elif text.startswith("$(", self.at):
                self.at += 2
                self._substitution("$(")
            elif sign == "`":
                end = text.find("`", self.at + 1)
                end = end if end >= 0 else len(text)
                self._inner(text[self.at + 1 : end])
                self.at = end + 1
            else:
                self.word.append(sign)
                self.at += 1
        self.at += 1


def closing(text: str, at: int) -> int:
    """Where the substitution ends that begins at `at`; the text's end where it does not."""
    depth, quote = 1, ""
    while at < len(text):
        sign = text[at]
        if sign == "\\":
            at += 1
        elif quote == "'" and sign != "'":
            pass
        elif sign in "'\"":
            quote = "" if quote == sign else quote or sign
        elif sign == "(" and (not quote or text[at - 1] == "$"):
            depth += 1
        elif sign == ")" and not (quote and depth == 1 and quote == "'"):
            depth -= 1
            if not depth:
                return at
        at += 1
    return len(text)


def unescaped(text: str) -> str:
    """What `$'…'` and printf make of escapes."""

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return chr(int(match[2], 8) & 0xFF) if match[2] else _SIGNS.get(match[3], match[3])

    return _ESCAPED.sub(one, text)


_PROGRAMS = words(
    """
    curl wget sh bash zsh dash sudo python python3 pip pip3 npm npx yarn node apt-get apt yum dnf apk brew echo
    printf cd export set mkdir rm cp mv chmod chown git docker kubectl cat tar unzip nohup crontab base64 eval
    source nc ncat netcat socat ssh scp rsync tee env exec if then fi for do done while case esac else touch ls sed
    awk grep make go cargo uv conda mamba aws gcloud az gsutil helm terraform systemctl service useradd sleep test [
    [[ perl ruby php powershell pwsh iex openssl dd find xargs trap ulimit umask pwd kill pkill mount install ln
    date true false exit return local read timeout .
    """
)
_STARTS_LINE = re.compile(
    r"[ \t]*[-@+]?[ \t]*(?:(?P<set>[A-Za-z_]\w*\+?=)|(?P<path>\.{0,2}/[\w./-]+)|(?P<word>[\w.\[-]+)"
    r"|(?P<sign>[#}{()|&;$\"]))"
)
_MOST_LINES = 400
_SHARE = 0.6


def looks_like_shell(text: str) -> bool:
    """Whether most lines of a text begin as commands do: with a program, an assignment, a path, a word of the shell."""
    if text.startswith("#!"):
        return "sh" in text.partition("\n")[0]
    seen = good = 0
    goes_on = False
    for line in text.splitlines()[:_MOST_LINES]:
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        match = _STARTS_LINE.match(line)
        seen += 1
        good += goes_on or (match is not None and (match["word"] is None or match["word"] in _PROGRAMS))
        goes_on = bare.endswith(("\\", "|", "&&", "||"))
    return seen > 0 and good / seen >= _SHARE

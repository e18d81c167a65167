"""What flows through a shell script: fetched or decoded text into what runs it, keys and tokens to other machines.

Told by where things come from and go to, over pipes, variables, files and substitutions, not by how a line is written.
"""

from __future__ import annotations

import re
from itertools import pairwise

import msgspec

from assay.core.finding import Severity
from assay.formats.texts import shell_names as known
from assay.formats.texts.python_dangers import PERSISTENT
from assay.formats.texts.shell_blocks import CLOSES, GIVEN, NOTHING, OPENS, Block, Blocks, Stuff
from assay.formats.texts.shell_programs import (
    MOST_VALUE,
    bare_path,
    cloned,
    commonly_had,
    copies,
    decodes,
    of_keys,
    printed,
    prints,
    runs_lines,
    strange,
    wrapped,
)
from assay.formats.texts.shell_words import Command, Pipe, Word, pipes

_H, _C = Severity.HIGH, Severity.CRITICAL
_MOST_DEPTH = 6
_MOST_NAMES = 2_000
Found = tuple[str, str, Severity]
_RUN: Found = ("download-run", "fetches a program and runs it unseen", _H)
_DECODED: Found = ("decode-run", "decodes a program and runs it", _H)
_SENT: Found = ("send-secrets", "sends keys or the environment to another machine", _H)
_LASTS: Found = ("persistence", "makes something run at every login or start", _H)
_BACK: Found = ("reverse-shell", "opens a shell to another machine", _C)


class Flow:
    """One script, line by line."""

    def __init__(self) -> None:
        self.names: dict[str, Stuff] = {}
        self.values: dict[str, str] = {"SHELL": "/bin/sh", "BASH": "bash", "0": "sh"}
        self.files: dict[str, Stuff] = {}
        self.found: list[Found] = []
        self.blocks = Blocks()
        self.here = NOTHING  # what lies in the folder that commands are at
        self._until = ""  # the line that ends a here-document
        self._outside: list[Block] = []
        self._deep = 0

    def line(self, text: str) -> list[Found]:
        """What a line (continued lines joined) does, knowing those before it."""
        self.found = []
        if self._until and text.strip() == self._until:  # the document's own groups are no others'
            self._until, self.blocks.open = "", self._outside
            return []
        if known.CHECKS.search(text):  # what was fetched is compared with what is known of it
            self.files = {p: msgspec.structs.replace(s, settled=True) for p, s in self.files.items()}
        until = self._until
        for pipe in pipes(text):
            self._pipe(pipe, 0)
        self.blocks.open[0].out = NOTHING
        if self._until and not until:
            self._outside, self.blocks.open = self.blocks.open, [Block()]
        return list(dict.fromkeys(self.found))

    def writes(self, text: str) -> Stuff:
        """What the output of a command is made of."""
        return self._pipes(text, 0)

    def _pipes(self, text: str, depth: int, stdin: Stuff | None = None) -> Stuff:
        """All commands of a text; what they write."""
        if depth >= _MOST_DEPTH or self._deep >= _MOST_DEPTH:
            return NOTHING
        outside = self.blocks.open
        base = Block(stdin=outside[-1].inside() if stdin is None else stdin)
        self.blocks.open = [base]
        self._deep += 1
        try:
            for pipe in pipes(text):
                self._pipe(pipe, depth)
            for left in self.blocks.open[1:]:
                base.out |= left.out.of(left.stdin)
                base.runs |= left.runs
                base.sends |= left.sends
        finally:
            self._deep -= 1
            self.blocks.open = outside
        outside[-1].runs |= base.runs
        outside[-1].sends |= base.sends
        return base.out

    def _pipe(self, pipe: Pipe, depth: int) -> Stuff:
        into = self.blocks.inner.inside()
        for command in pipe:
            into = self._command(command, into, depth, len(pipe) > 1)
        self.blocks.inner.out |= into
        return into

    # Words

    def _text(self, word: Word) -> str:
        """A word with the names in it that are known."""
        if "$" not in word.text:
            return word.text
        text = re.sub(r"\$\{?IFS[^}\s]{0,10}\}?", " ", word.text)
        return known.NAME.sub(lambda m: self.values.get(m[1] or m[2], m.group()), text)[:MOST_VALUE]

    def _stuff(self, word: Word, depth: int) -> Stuff:
        """What a word's value is made of."""
        made = NOTHING
        for inner in word.inner:
            made |= self._pipes(inner, depth + 1)
        for match in known.NAME.finditer(word.text) if "$" in word.text else ():
            name = match[1] or match[2]
            made |= self.names.get(name, NOTHING)
            if name in ("@", "*") or name.isdigit():
                made |= GIVEN if self.blocks.in_function else NOTHING
        return made

    def _command(self, command: Command, into: Stuff, depth: int, piped: bool) -> Stuff:
        if command and command[0].text == "coproc" and not command[0].quoted:
            self.names["COPROC"] = self._command(command[1:], into, depth, piped)
            return NOTHING
        command, into, closed = self._bound(command, into, depth)
        if not command and closed is None:
            return NOTHING
        plain, target, redirected = self._redirected(command, depth)
        if redirected is not None:
            into = redirected
        if closed is not None:
            out = self._closed(closed, closed.stdin if redirected is None else redirected)
        elif not plain:
            return into
        else:
            words = [self._text(word) for word in plain]
            held = plain[0].text.startswith("$") and not plain[0].inner
            if held and len(plain[0].text) > 1 and " " in words[0]:  # a command in a name
                words = [*words[0].split(), *words[1:]]
                plain = [*(Word(w) for w in words[: len(words) - len(plain) + 1]), *plain[1:]]
            out = self._does(plain, words, into, depth, piped)
        if target.startswith(("/dev/tcp/", "/dev/udp/")) and (out | into).secret:
            self.found.append(_SENT)
        elif target and not target.startswith("/dev/"):
            self._keep(target, out)
        return NOTHING if target else out

    def _redirected(self, command: Command, depth: int) -> tuple[list[Word], str, Stuff | None]:
        """A command's words without redirections, the file that it writes, what it is given instead of the pipe."""
        plain: list[Word] = []
        target, given, at = "", None, 0
        while at < len(command):
            sign = command[at]
            follows = command[at + 1] if at + 1 < len(command) else None
            if not sign.sign or sign.text[:1] not in "<>":
                plain.append(sign)
            elif sign.text[-1:].isdigit() or follows is None:  # `2>&1`
                pass
            elif sign.text.startswith(">"):
                target, at = self._text(follows), at + 1
            else:
                at += 1
                given = (given or NOTHING) | self._stuff(follows, depth)
                if sign.text == "<":
                    given |= self._of_file(self._text(follows))
                elif sign.text == "<<<":
                    given |= Stuff(text=self._text(follows))
                elif sign.text.startswith("<<"):
                    self._until = self._until or follows.text
            at += 1
        return plain, target, given

    def _closed(self, block: Block, given: Stuff) -> Stuff:
        """What a group writes, and what it does with what it was given."""
        if block.name:
            return NOTHING
        if block.runs:
            self._run(given)
        if block.sends:
            self._send(given)
        return block.out.of(given)

    def _bound(self, command: Command, into: Stuff, depth: int) -> tuple[Command, Stuff, Block | None]:
        """A command without its assignments and what stands before it (sudo, env, then); its input; the group that it
        ends."""
        at = 0
        while at < len(command):
            word = command[at]
            text = word.text
            match = known.ASSIGN.fullmatch(text) if not word.sign else None
            if match:
                value = match[2][1:] if match[2].startswith("(") and not word.quoted else match[2]
                self._set(match[1], Word(value, word.inner), depth)
            elif word.quoted:
                break
            elif word.sign and text.endswith("()"):
                self.blocks.named = text[:-2]
            elif text == "function" and at + 1 < len(command):
                self.blocks.named = command[at + 1].text.removesuffix("()")
                at += 1
            elif text in CLOSES:
                closed = self.blocks.closes(text)
                if closed is not None:
                    return command[at + 1 :], into, closed
            elif text in OPENS:
                into = self.blocks.opens(text, into)
                if text in ("for", "select", "case"):
                    self._loop(command[at:], depth)
                    return (), into, None
            elif text in ("export", "local", "declare", "readonly", "typeset") and at + 1 < len(command):
                if command[at + 1].text.startswith("-") and at + 2 >= len(command):
                    break
            elif (name := text.rpartition("/")[2]) in known.WRAPPERS and not prints(command[at:]):
                at = wrapped(command, at, name)
                if at >= len(command) and name in ("sudo", "doas"):  # a shell of another user
                    return (Word("sh"),), into, None
                continue
            else:
                break
            at += 1
        if at < len(command):
            self.blocks.named = ""
        return command[at:], into, None

    def _loop(self, command: Command, depth: int) -> None:
        """`for name in …`: what the name stands for."""
        if command[0].text != "case" and len(command) > 3:
            made = NOTHING
            for each in command[3:]:
                made |= self._stuff(each, depth) | Stuff(secret=of_keys(self._text(each)))
            self.names[command[1].text] = made

    def _set(self, name: str, word: Word, depth: int) -> None:
        if len(self.names) < _MOST_NAMES:
            text = self._text(word)
            self.names[name] = self._stuff(word, depth)
            if not word.inner and "$" not in text:
                self.values[name] = text[:MOST_VALUE]
            else:
                self.values.pop(name, None)

    def _keep(self, path: str, stuff: Stuff) -> None:
        if len(self.files) < _MOST_NAMES:
            self.files[bare_path(path)] = stuff
        if stuff.fetched and not stuff.settled and len(path) < 500 and PERSISTENT.search(path):
            self.found.append(_LASTS)

    def _of_file(self, path: str) -> Stuff:
        return self._held(path) | Stuff(secret=of_keys(path))

    def _held(self, path: str) -> Stuff:
        """What a file was made of by commands before."""
        path = bare_path(path)
        held = self.files.get(path)
        if held is None and "/" in path:
            held = self.files.get(f"{path.partition('/')[0]}/")  # of a folder that was cloned
        if held is None and not path.startswith(("/", "~", "$", "..")):
            held = self.here
        return held or NOTHING

    # Commands

    def _does(self, plain: list[Word], words: list[str], into: Stuff, depth: int, piped: bool) -> Stuff:
        name = words[0].rpartition("/")[2]
        each = [self._stuff(word, depth) for word in plain]
        given = into
        for stuff in each[1:]:
            given |= stuff
        self._starts(plain, words, each)
        if words[0] in self.blocks.functions:
            return self._function(self.blocks.functions[words[0]], plain, given, into, depth)
        if plain[0].text in ("$@", "$*", "$1", "${@}") and self.blocks.in_function:
            self.blocks.inner.calls = True
        if name == "xargs":
            return self._xargs(plain, words, into, depth)
        if name in known.FETCHES:
            return self._fetch(plain, words, each, into)
        if name in ("eval", "source", ".") or known.RUNS.fullmatch(name):
            return self._runner(name, plain, words, each, into)
        if name in known.CONNECTS and (name != "openssl" or "s_client" in words):
            if name in ("mail", "mutt"):
                self._send(given)
            self._send(into)
            return Stuff(fetched=name != "ssh", secret=False) if piped else NOTHING
        if name in known.COPIES and copies(name, words):
            self.found.append(_SENT)
        if name in known.ASKS_NAMES:
            for stuff in each[1:]:
                self._send(stuff)
            return Stuff(fetched=name != "ping")
        if known.PRINTS.match(" ".join(words)):
            return Stuff(secret=True)
        return self._moves(name, words, each, into, given)

    def _starts(self, plain: list[Word], words: list[str], each: list[Stuff]) -> None:
        """What a command's first word names: a file that was fetched, or a value."""
        name = words[0].rpartition("/")[2]
        if "/" in words[0]:
            self._run(self._held(words[0]), of_file=True)
        elif words[0] in self.files and name not in known.FETCHES:
            self._run(self.files[words[0]], of_file=True)
        if plain[0].text.startswith("$"):
            self._run(each[0])
        if name in known.RUN_FILES:
            for before, word, stuff in zip(words, words[1:], each[1:], strict=False):
                if before == known.RUN_FILES[name]:
                    self._run(stuff | self._held(word), of_file=not stuff.fetched)
        if name in known.RUN_ADDRESSES:
            for address in (w.removeprefix("git+") for w in words[1:]):
                if re.match(r"https?://", address) and not (commonly_had(address) or known.LOCAL.match(address)):
                    self.found.append(_RUN)

    def _function(self, block: Block, plain: list[Word], given: Stuff, into: Stuff, depth: int) -> Stuff:
        """A call of one of the script's own functions."""
        out = block.out.of(given)
        if block.runs:
            self._run(given)
        if block.sends:
            self._send(given)
        if block.calls and len(plain) > 1:
            out |= self._command(tuple(plain[1:]), into, depth, True)
        return out

    def _moves(self, name: str, words: list[str], each: list[Stuff], into: Stuff, given: Stuff) -> Stuff:
        """Commands that put what they are given elsewhere: names, files, their output."""
        if name in ("read", "mapfile", "readarray"):
            for word in words[1:] or ("REPLY",):
                if re.fullmatch(r"\w+", word) and len(self.names) < _MOST_NAMES:
                    self.names[word] = msgspec.structs.replace(into, text="")
                    self.values.pop(word, None)
            return NOTHING
        if name == "set" and words[1:2] == ["--"]:
            self.names["@"] = self.names["*"] = given
            self.values["@"] = self.values["*"] = " ".join(words[2:])[:MOST_VALUE]
            return NOTHING
        if name in ("cd", "pushd") and len(words) > 1:
            self.here = self.files.get(bare_path(words[-1]).rstrip("/") + "/", NOTHING)
            return NOTHING
        if name == "git":
            for folder, stuff in cloned(words):
                self._keep(folder, stuff)
            return NOTHING
        if name in ("mv", "cp", "install", "ln") and len(words) > 2:
            self._keep(words[-1], into if words[-2] in known.INPUT else self._of_file(words[-2]))
            return NOTHING
        if name == "tee":
            for path in words[1:]:
                self._keep(path, into)
            return into
        if name in ("echo", "printf"):
            return given | Stuff(decoded=known.ESCAPES.search(" ".join(words)) is not None, text=printed(name, words))
        if name not in known.PASSES:
            return NOTHING
        given = msgspec.structs.replace(given, text=given.text if name == "cat" else "")
        for path in words[1:]:
            given |= self._of_file(path.removeprefix("if="))
            if name == "cat" and path == "/etc/passwd":
                given |= Stuff(secret=True)
            if name == "sed" and runs_lines(path):
                self._run(into)
        if name in ("tar", "zip", "7z", "gpg"):
            for path in words[1:]:
                if re.search(r"\.(?:t?gz|tar|zip|7z|gpg|bz2|xz|asc|enc)$", path):
                    self._keep(path, given)
        return given | Stuff(decoded=known.DECODES.fullmatch(name) is not None and decodes(name, words))

    def _xargs(self, plain: list[Word], words: list[str], into: Stuff, depth: int) -> Stuff:
        at = 1
        while at < len(words) and (words[at].startswith("-") or words[at - 1] in ("-I", "-n", "-P", "-d", "-L")):
            at += 1
        rest = words[at:]
        name = rest[0].rpartition("/")[2] if rest else ""
        if (
            known.RUNS.fullmatch(name)
            and name not in ("node", "deno", "bun")
            and "-c" in rest
            and rest[-1] in ("-c", "{}", "%", "@")
        ):
            self._run(into)
        elif name in known.FETCHES | known.CONNECTS | known.ASKS_NAMES and into.secret:
            self.found.append(_SENT)
        return self._command(tuple(plain[at:]), into, depth, True) if rest else NOTHING

    def _runner(self, name: str, plain: list[Word], words: list[str], each: list[Stuff], into: Stuff) -> Stuff:
        options = [w for w in words[1:] if w.startswith("-")]
        code = next((i + 1 for i, w in enumerate(words[:-1]) if i and re.fullmatch(r"-\w*[cer]|--eval|-Command", w)), 0)
        if name == "eval":
            for stuff in each[1:]:
                self._run(stuff)
            return self._pipes(" ".join(words[1:]), 3, into)
        if name in ("source", "."):
            for word, stuff in zip(words[1:2], each[1:2], strict=True):
                held = into if word in known.INPUT else self._held(word)
                self._run(stuff | held, of_file=not (stuff | held).fetched)
            return NOTHING
        if code:
            self._run(each[code])
            return self._code(name, words[code], into)
        scripts = [i for i in range(1, len(words)) if not words[i].startswith("-") and words[i] not in known.INPUT]
        if not scripts or "-s" in options:
            if name not in ("node", "python", "python3") or "-m" not in options:
                self._run(into)
        else:
            first = scripts[0]
            self._run(each[first] | self._held(words[first]), of_file=not each[first].fetched)
        return NOTHING

    def _code(self, name: str, said: str, into: Stuff) -> Stuff:
        """A text that a shell or an interpreter is given as an option; gives what it writes."""
        if known.CONNECTING_CODE.search(said) and known.SHELL_CODE.search(said):
            self.found.append(_BACK)
        if known.READS_CODE.search(said):
            self._run(into)
        if name.endswith("sh"):
            return self._pipes(said, 3, into)
        if known.SENDING_CODE.search(said):
            self.found.append(_SENT)
        if known.FETCHING_CODE.search(said) and known.RUNNING_CODE.search(said):
            self.found.append(_RUN)
        return into

    def _send(self, stuff: Stuff) -> None:
        """Something is sent to another machine that is made of this."""
        if stuff.secret:
            self.found.append(_SENT)
        if stuff.given:
            self.blocks.inner.sends = True

    def _run(self, stuff: Stuff, *, of_file: bool = False) -> None:
        """Something is run that is made of this."""
        if stuff.given:
            self.blocks.inner.runs = True
        if stuff.text and not of_file:
            self._pipes(stuff.text, 3, NOTHING)
        if stuff.decoded and not (of_file and stuff.settled):
            self.found.append(_DECODED)
        elif stuff.fetched and not stuff.settled:
            self.found.append(_RUN)

    def _fetch(self, plain: list[Word], words: list[str], each: list[Stuff], into: Stuff) -> Stuff:
        """curl, wget and their kin: what is sent along, and where what comes is written."""
        addresses = [w for w in words[1:] if known.ADDRESS.match(w)]
        target, kept = "", words[0].rpartition("/")[2] in ("wget", "wget2", "aria2c")
        local = bool(addresses) and all(known.LOCAL.match(a) or known.EXCHANGES.match(a) for a in addresses)
        settled = bool(addresses) and all(commonly_had(a) or known.LOCAL.match(a) for a in addresses)
        for at in range(1, len(words)):
            word, before = words[at], words[at - 1]
            joined = known.JOINED_DATA.fullmatch(word)
            sends = known.DATA.fullmatch(before) is not None or joined is not None
            said = joined[1] if joined else word
            place = said.rpartition("@")[2].rpartition("<")[2].split(";")[0]
            stuff = each[at]
            if sends and ("@" in said or "<" in said or "-T" in (before, word[:2]) or "file" in before + word):
                stuff |= into if place in ("-", "/dev/stdin", ".") else self._of_file(place)
                stuff |= Stuff(secret=place == "/etc/passwd")
            head = before in ("-H", "--header") and not re.match(
                r"(?i)(?:authorization|x-api-key|private-token)\s*:", word
            )
            if (sends or head or known.ADDRESS.match(word)) and not local:
                self._send(stuff | Stuff(secret=strange(plain[at], addresses)))
            if re.fullmatch(r"-\w*o|--output(?:-document)?|-\w*O", before) and (
                word == "-" or not word.startswith("-")
            ):
                target = "" if before.endswith("O") and not kept else word
        if any(re.fullmatch(r"-(?!-)\w*O|--remote-name", w) for w in words) and not kept:
            kept = True
        elif any(re.fullmatch(r"-\w*O-|--output-document=-", w) for w in words) or target == "-":
            kept, target = False, ""
        out = Stuff(fetched=bool(addresses) or "$" in " ".join(words), settled=settled)
        if any(map(known.METADATA.search, addresses)):
            out |= Stuff(secret=True)
        if target or kept:
            if known.GERRIT.search("".join(addresses)):
                out = msgspec.structs.replace(out, settled=True)
            name = target or (addresses[-1].split("?")[0].rstrip("/").rpartition("/")[2] if addresses else "")
            folder = next(
                (w for before, w in pairwise(words) if before in ("-P", "--directory-prefix", "--output-dir", "-d")), ""
            )
            if name and addresses:
                self._keep(name, out)
                if folder and "://" not in folder and (kept or "--output-dir" in words):
                    self._keep(f"{folder.rstrip('/')}/{name}", out)
            return NOTHING
        return out

"""What the words of single programs say: where keys leave, what is decoded, what another program is given to run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from assay.formats.texts.python_dangers import SENSITIVE
from assay.formats.texts.shell_blocks import Stuff
from assay.formats.texts.shell_names import BRANDS, CLONE, FORGES, KEYS_HOME, KEYS_OF, LOCAL, SETTLED, WRAPPERS
from assay.formats.texts.shell_words import Command, Word, unescaped

MOST_VALUE = 4_096


def prints(command: Command) -> bool:
    """Whether `env` lists the environment."""
    return command[0].text == "env" and (len(command) < 2 or command[1].sign or command[1].text == "-0")


def wrapped(command: Command, at: int, name: str) -> int:
    """Where the command begins that another one runs."""
    valued, more = WRAPPERS[name]
    at += 1
    while at < len(command) and command[at].text.startswith("-") and len(command[at].text) > 1:
        at += 2 if command[at].text in valued else 1
    return at + more


def decodes(name: str, words: list[str]) -> bool:
    """Whether a program undoes an encoding."""
    if name == "tr":
        return not any(word.startswith("-") and "d" in word for word in words[1:])
    if name in ("base64", "base32", "gzip", "openssl"):
        return any(re.fullmatch(r"-d\w*|-D|--decode|-\wd|--decompress", word) for word in words[1:])
    if name == "xxd":
        return any("r" in word for word in words[1:] if word.startswith("-"))
    return name in ("rev", "uudecode", "gunzip", "zcat", "bzcat", "xzcat")


def strange(word: Word, addresses: list[str]) -> bool:
    """Whether a token of one service goes to another's address."""
    match = KEYS_OF.search(word.text)
    if match is None or not addresses:
        return False
    brand = (match[2] or match[3]).lower()
    brand = BRANDS.get(brand, brand)
    hosts = [re.sub(r"^\w+://(?:[^@/]*@)?", "", a).split("/")[0].lower() for a in addresses]
    return all(re.fullmatch(r"[\w.-]+(?::\d+)?", h) and brand not in h for h in hosts)


def copies(name: str, words: list[str]) -> bool:
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
        of_keys(w) and not re.search(r"\.kube/|\.docker/|known_hosts|/\.ssh/config$", w) for w in given
    )


def of_keys(path: str) -> bool:
    """Whether a path is that of a file in which keys are kept."""
    sensitive = len(path) < 500 and (SENSITIVE.search(path) or KEYS_HOME.search(path))
    return bool(sensitive) and not path.endswith((".pub", "/etc/passwd"))


def commonly_had(address: str) -> bool:
    """Whether programs are fetched from there by their makers' own instructions."""
    return SETTLED.match(address) is not None


def printed(name: str, words: list[str]) -> str:
    """What echo or printf writes."""
    options = next((i for i, w in enumerate(words[1:], 1) if not re.fullmatch(r"-[neE]+|--", w)), len(words))
    rest = words[options:]
    if name == "echo":
        said = " ".join(rest)
        return unescaped(said) if any("e" in w for w in words[1:options]) else said
    given = iter(rest[1:])
    return re.sub(r"%[sbq]", lambda _: next(given, ""), unescaped(rest[0]))[:MOST_VALUE] if rest else ""


def runs_lines(script: str) -> bool:
    """Whether a script of sed runs what it makes of a line: `s/a/b/e`."""
    between = script[1:2]
    return (
        script[:1] == "s" and script.count(between) > 2 and "e" in script.rpartition(between)[2] if between else False
    )


def bare_path(path: str) -> str:
    """A path as others name the same file."""
    return path.removeprefix("./")


def cloned(words: list[str]) -> Iterator[tuple[str, Stuff]]:
    """The folder that a repository is cloned to, with where it came from."""
    at = next((i for i, w in enumerate(words) if re.match(r"(?:https?|git|ssh)://", w)), 0)
    if at and CLONE.match(" ".join(words)):
        address = words[at]
        folder = words[at + 1] if at + 1 < len(words) else address.rstrip("/").rpartition("/")[2]
        usual = commonly_had(address) or any(kind.match(address) for kind in (LOCAL, FORGES))
        yield bare_path(folder).removesuffix(".git").rstrip("/") + "/", Stuff(fetched=True, settled=usual)

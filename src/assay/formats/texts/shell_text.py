"""Shell scripts, commands, Dockerfiles and compose files: what they fetch and run, judged line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.reading import Note, Topic
from assay.formats.texts.shell_words import GATE

if TYPE_CHECKING:
    from assay.formats.texts.shell_flow import Flow

MOST_LINES = 200_000
MOST_LINE = 20_000
_SHORTEST = 6  # of lines that do anything alone

_FETCH = r"(?:curl|wget|fetch|aria2c|lynx|Invoke-WebRequest|iwr|irm|Invoke-RestMethod)\b"
_RUNNER = (
    r"(?:sudo\s+(?:-\S+\s+)*)?(?:/(?:usr/)?bin/(?:env\s+)?)?(?:ba|z|da|k|c|fi|a)?sh\b"
    r"|(?:sudo\s+)?(?:/\S*/)?(?:env\s+)?(?:python[\d.]*|perl|ruby|node|php|lua|pwsh|powershell|iex|Invoke-Expression)\b(?!\s+-\w*[mcepn]\b)"
)
_DECODE = (
    r"(?:base64\s+(?:-d|-D|--decode|-di)\b|openssl\s+(?:enc|base64)\b[^|;&]*\s-d\b|xxd\s+-r|base32\s+-d|uudecode|rev\b)"
)
# What a pipe or a substitution may hold between the two, without crossing to the next command.
_SAME = r"[^\n;]{0,400}?"

_SHELL: tuple[tuple[str, str, Severity, re.Pattern[str]], ...] = tuple(
    (kind, said, severity, re.compile(pattern, re.IGNORECASE))
    for kind, said, severity, pattern in (
        (
            "download-run", "fetches a program and runs it unseen", Severity.HIGH,
            (rf"\b{_FETCH}{_SAME}\|\s*(?:tee\s+\S+\s*\|\s*)?(?:{_RUNNER})"
            rf"|(?:(?:ba|z|da|k)?sh\s+-\w*c\s+|\beval\s+|\bsource\s+|(?:^|\s)\.\s+)"
            rf"[\"']?(?:\$\(|`|<\()\s*{_FETCH}"
            rf"|(?:ba|z)?sh\s+<\(\s*{_FETCH}|\b(?:IEX|Invoke-Expression)\b{_SAME}(?:DownloadString|DownloadData|\bi(?:wr|rm)\b"
            rf"|Invoke-(?:WebRequest|RestMethod))|\bmshta(?:\.exe)?\s+[\"']?(?:https?:|vbscript:|javascript:)"
            rf"|\bregsvr32(?:\.exe)?\s{_SAME}/i:https?:|\brundll32(?:\.exe)?\s{_SAME}javascript:"
            rf"|\bmsiexec(?:\.exe)?\s{_SAME}https?://|\bcertutil(?:\.exe)?\s{_SAME}-urlcache\b{_SAME}https?://"
            rf"|\bbitsadmin(?:\.exe)?\s{_SAME}/transfer\b|\bpython[\d.]*\s+-c\s+[\"']{_SAME}(?:urlopen|requests\.get|urlretrieve)"
            rf"{_SAME}\bexec\b|\bpython[\d.]*\s+-c\s+[\"']{_SAME}\bexec\s*\({_SAME}(?:urlopen|requests\.get)"
            rf"|\b(?:Start-BitsTransfer|DownloadFile)\b{_SAME}\.(?:exe|ps1|bat|dll|scr)\b"),
        ),
        (
            "download-run", "fetches a program and runs it unseen", Severity.HIGH,
            (r"\b(?:curl|wget)\b[^\n|]{0,300}?\s-[oO]\s*(\S+)[^\n]{0,200}?(?:&&|;)\s*(?:chmod\s+\S*[+7]\S*\s+\1"
            r"|(?:sudo\s+)?(?:(?:ba|z|da)?sh|source|\.|python[\d.]*)\s+\1|(?:\./)?\1(?:\s|$))"),
        ),
        (
            "decode-run", "decodes a program and runs it", Severity.HIGH,
            (rf"\b{_DECODE}{_SAME}\|\s*(?:\S+\s+-d\S*\s*\|\s*)?(?:{_RUNNER})|\beval\s+[\"']?(?:\$\(|`){_SAME}{_DECODE}"
            rf"|(?:ba|z|da)?sh\s+-\w*c\s+[\"']?(?:\$\(|`){_SAME}{_DECODE}"
            r"|powershell(?:\.exe)?\s[^\n]{0,200}?-e(?:nc|ncodedcommand)?\s+[A-Za-z0-9+/=]{16,}"),
        ),
        (
            "reverse-shell", "opens a shell to another machine", Severity.CRITICAL,
            (r"/dev/(?:tcp|udp)/[\w.$\{]|\b(?:nc|ncat|netcat)\b[^\n;|]{0,80}?\s-\w*[ec]\w*\s+\S*(?:sh|cmd)\b"
            r"|mkfifo\s[^\n]{0,200}?\b(?:nc|ncat|netcat|openssl\s+s_client)\b|socat\s[^\n]{0,200}?exec:"
            r"|pty\.spawn\(|\bbash\s+-i\s*>&"),
        ),
        (
            "send-secrets", "sends keys or the environment to another machine", Severity.HIGH,
            (r"(?:cat|tar|base64|zip)\s[^\n|;]{0,200}(?:\.ssh\b|id_rsa|\.aws\b|\.netrc|/etc/shadow|\.gnupg|\.kube/)"
            rf"{_SAME}\|\s*{_SAME}(?:curl|wget|nc|ncat|netcat|ssh)\b"
            r"|\b(?:env|printenv|set)\s*\|\s*(?:base64[^|]{0,40}\|\s*)?(?:curl|wget|nc|ncat|netcat)\b"
            r"|\bcurl\b[^\n;|]{0,300}?(?:-d|--data\S*|-F|-T|--upload-file|--form)\s*\S{0,40}"
            r"(?:\.ssh/|id_rsa|\.aws/|\.netrc|/etc/shadow|\$\((?:env|printenv)\))"),
        ),
        (
            "persistence", "makes something run at every login or start", Severity.HIGH,
            r"\|\s*crontab\s+-|/etc/ld\.so\.preload|>>?\s*\S*(?:authorized_keys|/etc/cron\S+)"
        ),
        (
            "destroy", "deletes what is not its own", Severity.HIGH,
            (r"\brm\s+-\w*[rf]\w*\s+(?:-\S+\s+)*(?:/|~/?|\$HOME/?|/\*|\$HOME/\*|~/\*)(?:\s|$|;|&)"
            r"|\bdd\s[^\n]{0,100}\bof=/dev/(?:sd|nvme|hd)|\bmkfs\.\w+\s+/dev/|:\(\)\s*\{\s*:\|:&\s*\};:"),
        ),
    )
)  # fmt: skip
# By their own documentation, `curl … | sh` of these is how they are installed.
_INSTALLERS = re.compile(
    r"https://(?:astral\.sh/(?:uv|ruff)/|sh\.rustup\.rs/?$|install\.python-poetry\.org/?$|get\.docker\.com/?$|bun\.sh/install$"
    r"|deno\.land/install\.sh$|get\.pnpm\.io/install\.sh$|ollama\.com/install\.sh$|deb\.nodesource\.com/setup_|pyenv\.run/?$"
    r"|raw\.githubusercontent\.com/(?:nvm-sh/nvm|Homebrew/install|helm/helm|pyenv/pyenv-installer|aquasecurity/trivy|anchore/syft"
    r"|anchore/grype|golangci/golangci-lint|rhysd/actionlint)/|get\.helm\.sh/|pixi\.sh/install\.sh$|mise\.(?:run|jdx\.dev)"
    r"|uploader\.codecov\.io/|cli\.codecov\.io/|starship\.rs/install\.sh$|get\.k3s\.io/?$|micro\.mamba\.pm/install\.sh$"
    r"|packagecloud\.io/install/repositories/github/git-lfs/|packages\.(?:microsoft|cloud\.google)\.com/|bootstrap\.pypa\.io/)"
)
_TOPIC = Topic.REMOTE_CODE


def command_kinds(command: str) -> list[tuple[str, str, Severity]]:
    """What one command line does that no honest installation does: its kind, in words, and how grave it is."""
    text = command[:MOST_LINE]
    found = [*_by_line(text), *(_flow().line(text) if GATE.search(text) else ())]
    found = list({kind: (kind, said, severity) for kind, said, severity in reversed(found)}.values())[::-1]
    return _settled(found, text)


def _flow() -> Flow:
    from assay.formats.texts.shell_flow import Flow  # whose patterns few scripts need

    return Flow()


def _by_line(text: str) -> list[tuple[str, str, Severity]]:
    return [(kind, said, severity) for kind, said, severity, pattern in _SHELL if pattern.search(text)]


def _settled(found: list[tuple[str, str, Severity]], text: str) -> list[tuple[str, str, Severity]]:
    """What was found, but for installers of well-known projects that a command runs."""
    if any(kind == "download-run" for kind, *_ in found) and _only_installers(text):
        said = "runs the installer that a well-known project serves"
        found = [f for f in found if f[0] != "download-run"] + [("installer", said, Severity.INFO)]
    return found


def _only_installers(text: str) -> bool:
    """Whether all addresses of a command are those that well-known projects give for their installation."""
    addresses = re.findall(r"(?i)\b(?:https?|ftp)://[^\s\"'|)<>;]+", text)
    return bool(addresses) and all(map(_INSTALLERS.match, addresses)) and "$" not in "".join(addresses)


def judge_shell(text: str, where: str = "", *, topic: Topic = _TOPIC) -> list[Note]:
    """Judge a shell script: continued lines are joined, comments left aside. Bounded to MOST_LINES lines."""
    notes: dict[str, Note] = {}
    flow = _flow() if GATE.search(text) else None
    for number, line in _lines(text):
        found = flow.line(line) if flow else []
        if len(line) >= _SHORTEST:
            found = _by_line(line) + found
        for kind, said, severity in _settled(found, line) if found else ():
            notes.setdefault(
                kind,
                Note(
                    topic=topic, message=f"{said} (shell)", severity=severity, key=f"shell:{kind}",
                    where=where, line=number,
                    fix="pin what is fetched by digest and run nothing that was not reviewed",
                ),
            )  # fmt: skip
    return list(notes.values())


def judge_commands(text: str, where: str = "") -> list[Note]:
    """Judge recipes of make, just and Procfile, and scripts of other shells, by what their lines fetch and run."""
    plain = re.sub(
        r"^[ \t]*(?:[@+-]{1,3}(?=[^\s-])|[\w.-]+:[ \t]+(?=\w))", "", text.replace("$$", "$"), flags=re.MULTILINE
    )
    return judge_shell(re.sub(r"\$\(shell\s+", "$(", plain), where)


_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_ADD = re.compile(r"ADD\s+(?:--\S+\s+)*(https?://\S+|\[?\s*\"https?://)", re.IGNORECASE)
_CHECKSUM = re.compile(r"--checksum=", re.IGNORECASE)
_RUN = re.compile(r"(?:RUN|CMD|ENTRYPOINT|HEALTHCHECK|ONBUILD|SHELL|LOCALLY)\s+(?:--\S+\s+)*(.*)", re.IGNORECASE)


_HEREDOC = re.compile(r"[ \t]*(?:RUN|COPY|ADD)\b[^\n]*?<<-?[ \t]*[\"']?(?P<end>\w+)", re.IGNORECASE)


def judge_dockerfile(text: str, where: str = "") -> list[Note]:
    """Judge a Dockerfile: images that are not pinned, files added from addresses, and its shell lines."""
    stages: set[str] = set()
    loose: dict[str, int] = {}
    notes: dict[str, Note] = {}
    for before, body in _heredocs(text):
        for note in judge_shell(body, where):
            notes.setdefault(note.key, _at(note, before + (note.line or 1)))
    for number, line in _lines(text):
        if image := _FROM.match(line):
            if image[1].lower() not in stages and _floats(image[1]):
                loose.setdefault(image[1], number)
            stages.add((image[2] or "").lower())
        elif _ADD.match(line) and not _CHECKSUM.search(line):
            plain = "http://" in line
            notes.setdefault("add", _docker(
                "adds a file from an address without a checksum", Severity.MEDIUM if plain else Severity.LOW,
                "add", where, number, fix="give --checksum=sha256:… and https",
            ))  # fmt: skip
        elif run := _RUN.match(line):
            for note in judge_shell(run[1], where):
                notes.setdefault(note.key, _at(note, number))
    if loose:
        first = next(iter(loose))
        notes["from"] = _docker(
            f"builds on images whose content can change ({visible(first, 60)}{_more(len(loose))})", Severity.LOW,
            "from", where, loose[first], fix="pin the image by tag and digest (name:tag@sha256:…)",
        )  # fmt: skip
    return list(notes.values())


def _heredocs(text: str) -> Iterator[tuple[int, str]]:
    """Scripts that stand below their RUN, each with the number of the line before it (Dockerfile, here-documents)."""
    end, first = "", 0
    body: list[str] = []
    for number, line in enumerate(text.splitlines()[:MOST_LINES], 1):
        if not end:
            opened = _HEREDOC.match(line)
            end, first, body = (opened["end"], number, []) if opened else ("", 0, [])
        elif line.strip() == end:
            yield first, "\n".join(body)
            end = ""
        else:
            body.append(line)
    if end:
        yield first, "\n".join(body)


def judge_compose(document: Any, where: str = "") -> list[Note]:
    """Judge a compose file that was parsed: privileged services, the host's root or Docker socket mounted, commands."""
    services = document.get("services") if isinstance(document, dict) else None
    notes: dict[str, Note] = {}
    for service in list(services.values())[:1000] if isinstance(services, dict) else ():
        if not isinstance(service, dict):
            continue
        if str(service.get("privileged", "")).lower() == "true":
            notes.setdefault("privileged", _docker(
                "runs a container with all rights of the host", Severity.MEDIUM, "privileged", where, None
            ))  # fmt: skip
        volumes = service.get("volumes")
        for volume in volumes if isinstance(volumes, list) else ():
            source = volume.get("source", "") if isinstance(volume, dict) else str(volume).split(":")[0]
            if source in ("/", "/root", "/etc", "/var/run/docker.sock", "/run/docker.sock"):
                notes.setdefault("mount", _docker(
                    f"mounts {visible(str(source), 40)} of the host into a container", Severity.MEDIUM, "mount", where,
                    None,
                ))  # fmt: skip
        for key in ("command", "entrypoint"):
            given = service.get(key)
            words = " ".join(map(str, given)) if isinstance(given, list) else str(given or "")
            for note in judge_shell(words, where):
                notes.setdefault(note.key, _at(note, None))
    return list(notes.values())


def _floats(image: str) -> bool:
    """Whether an image's name leaves open which one it is."""
    if image.startswith("$") or image.lower() == "scratch" or "@sha256:" in image or "$" in image:
        return False
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag in ("", "latest")


def _docker(said: str, severity: Severity, kind: str, where: str, line: int | None, fix: str = "") -> Note:
    return Note(
        topic=_TOPIC, message=said, severity=severity, key=f"docker:{kind}", where=where, line=line, fix=fix
    )  # fmt: skip


def _at(note: Note, line: int | None) -> Note:
    return msgspec.structs.replace(note, line=line)


def _more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, those that go on joined, with the number of their first."""
    held: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines()[:MOST_LINES], 1):
        bare = line.strip()
        if bare.startswith("#") and not held:
            continue
        if not held:
            first = number
        if bare.endswith(("\\", "`")) and len(held) < 500:
            held.append(bare[:-1])
            continue
        held.append(bare)
        yield first, " ".join(held)[:MOST_LINE]
        held = []
    if held:
        yield first, " ".join(held)[:MOST_LINE]

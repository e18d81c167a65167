"""What runs by itself around a project: CI workflows, editors' tasks and settings, containers' and agents' hooks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.reading import Note, Topic
from assay.formats.texts.documents import Document, mappings
from assay.formats.texts.evaluated import DATA, EXAMPLES
from assay.formats.texts.installs import judge_installs
from assay.formats.texts.python_dangers import words
from assay.formats.texts.shell_text import command_kinds, judge_shell
from assay.formats.texts.shell_words import GATE, looks_like_shell

_H, _M, _L = Severity.HIGH, Severity.MEDIUM, Severity.LOW
# Keys of CI files, editors, containers, DVC, MLproject, package.json and their kin whose value a shell is given.
_COMMANDS = words(
    """run script before_script after_script bash sh pwsh powershell cmd command commands entrypoint args exec shell
    postCreateCommand postStartCommand postAttachCommand onCreateCommand updateContentCommand initializeCommand
    apiKeyHelper awsAuthRefresh awsCredentialExport preinstall install postinstall prepare prepublish prestart start
    pretest test build init_script initScript setup_commands setup pre_start post_start startup_script
    before_install after_install after_success after_failure before_deploy after_deploy entry job arguments cmds raw
    initialization_commands head_setup_commands worker_setup_commands user_data UserData cloud_init onStart on_start"""
)
# What such a key ends with, whatever stands before it and however it is written (onBoot, test-cmd, _tasks).
_ENDS = (
    "cmd", "command", "commands", "script", "scripts", "exec", "hook", "hooks", "runner", "wrapper", "tasks", "argv",
    "args", "cmds", "shell", "onboot", "fsmonitor", "pager", "editor", "textconv", "migrations", "entrypoint",
)  # fmt: skip
# Keys of rules about attacks, of what was once said or written, and of what is compared.
_TOLD = re.compile(
    r"(?i)(?:^|[.\]_-])(?:rules?|signatures?|detections?|threats?|indicators?|history|logs?|std(?:out|err)|queries|query|texts?|titles?"
    r"|allow(?:ed|list)?|permissions|match(?:es)?|contains|vocab|tokens?|inputs?|outputs?|hints?|usage)(?=$|[.\[_-])"
)
_FORBIDDEN = re.compile(
    r"(?i)(?:^|[._-])(?:deny|denied|block(?:ed|list)?|forbid(?:den)?|ban(?:ned)?|blacklist(?:ed)?|disallow(?:ed)?|dangerous)(?=$|[._-])"
)
_JOBS = re.compile(r"(?:^|\.)(?:lint|tests?)(?=\.)")  # which are also what jobs are called
_PIPED = re.compile(r"lookup\(\s*['\"]pipe['\"]\s*,\s*(['\"])([^\n]{1,1000}?)\1\s*\)")
_OF_SCRIPTS = re.compile(r"(?:^|\.)(?:scripts|tasks|hooks|env_vars)(?:$|[.\[])")
_BY_ITSELF = words("pull_request_target workflow_run issue_comment issues discussion discussion_comment fork watch")
# What strangers write and GitHub pastes into a script before the shell sees it (script injection).
_PASTED = re.compile(
    r"\$\{\{[^}]*\b(?:github\.head_ref|github\.event\.(?:issue|pull_request|comment|review|review_comment|discussion|pages"
    r"|commits|head_commit|workflow_run)[\w.*\[\]']*\.(?:title|body|ref|label|message|email|name|page_name|default_branch"
    r"|head_branch|display_title))\b"
)
_HEAD = re.compile(
    r"github\.(?:event\.pull_request\.(?:head\.(?:sha|ref|repo)|merge_commit_sha)|head_ref|event\.workflow_run\.head)"
    r"|refs/pull/|event\.(?:issue\.)?number"
)
_ALL_SECRETS = re.compile(r"(?i)toJSON\(\s*secrets\s*\)")
_SENDS = re.compile(r"(?i)\b(?:curl|wget|nc|ncat|netcat|iwr|irm|invoke-\w+|requests\.|urlopen|fetch\()|/dev/tcp/")
_LOADED_ENV = {
    "LD_PRELOAD": r"^"
    r"(?!\S*lib(?:jemalloc|tcmalloc\w*|mimalloc|iomp5|gomp|stdc\+\+|gcc_s|asan|cuda\w*)[\w.-]*\.so[\d.]*\s*$).",
    "LD_AUDIT": r".", "DYLD_INSERT_LIBRARIES": r".", "PYTHONSTARTUP": r".", "BASH_ENV": r".",
    "NODE_OPTIONS": r"(?:^|\s)(?:--require|-r|--import|--(?:experimental-)?loader|--inspect\S*0\.0\.0\.0)",
    "PERL5OPT": r"-M|-I", "PERL5DB": r".", "RUBYOPT": r"-r|-I", "ZDOTDIR": r".",
    "PROMPT_COMMAND": r".", "PYTHONHOME": r".",
    "JAVA_TOOL_OPTIONS": r"-javaagent|-agentpath|-Xbootclasspath", "_JAVA_OPTIONS": r"-javaagent|-agentpath",
    "JDK_JAVA_OPTIONS": r"-javaagent|-agentpath", "GIT_SSH_COMMAND": r"\s*(?!ssh\b)\S", "GIT_EXTERNAL_DIFF": r".",
    "GIT_PAGER": r"[|;&$]", "PAGER": r"[|;&$]", "EDITOR": r"[|;&$]", "BROWSER": r"[|;&$]|^\.",
    "PYTHONBREAKPOINT": r"\S{2,}",
    "PYTHONWARNINGS": r"::.*\.", "DOTNET_STARTUP_HOOKS": r".", "COR_PROFILER_PATH": r".", "LESSOPEN": r"\|",
}  # fmt: skip
_WIDENED_ENV = {
    "PYTHONPATH": r"^(?!(?:\$\{?workspace\w*\}?/?|\./)?(?:src|lib|app)?/?$|/(?:app|opt|usr|home|Users|workspace)/)",
    "NODE_PATH": r"^(?!/usr/)", "PATH": r"(?:^|[:;])(?:\.|/tmp|/var/tmp|/dev/shm)(?:[/:;]|$)",
    "LD_LIBRARY_PATH": r"(?:^|:)(?:\.|/tmp|/dev/shm)", "NODE_EXTRA_CA_CERTS": r".", "SSLKEYLOGFILE": r".",
}  # fmt: skip
_UNSAFE_ENV = {
    "NODE_TLS_REJECT_UNAUTHORIZED": r"^0$", "PYTHONHTTPSVERIFY": r"^0$", "GIT_SSL_NO_VERIFY": r"(?i)^(?:1|true)$",
    "PIP_INDEX_URL": r"^http://", "PIP_EXTRA_INDEX_URL": r"^http://", "UV_INDEX_URL": r"^http://",
    "UV_DEFAULT_INDEX": r"^http://", "NPM_CONFIG_REGISTRY": r"^http://", "HF_ENDPOINT": r"^http://",
    "ANTHROPIC_BASE_URL": r"^(?!https://api\.anthropic\.com|https?://(?:localhost|127\.0\.0\.1)(?:[:/]|$)|\$)",
    "OPENAI_BASE_URL": r"^http://(?!localhost|127\.)", "OPENAI_API_BASE": r"^http://(?!localhost|127\.)",
}  # fmt: skip
# Settings of an editor by which a folder that is opened runs what it likes.
_EDITOR = (
    (r"security\.workspace\.trust\.enabled", (False,), "switches off the trust of a workspace", _M),
    (r"task\.allowAutomaticTasks", ("on", True, "auto"), "lets tasks run as soon as the folder is opened", _M),
    (r"chat\.tools\.(?:auto[aA]pprove|global\.autoApprove)", (True,), "lets the agent act without being asked", _H),
    (r"chat\.(?:agent\.)?tools?\.terminal\.autoApprove", (True,), "lets the agent act without being asked", _H),
    (r"(?:git|typescript|python)\.(?:enabledPlugins|allowUnsafe\w*)", (True,), "allows what is said to be unsafe", _M),
    (r"http\.proxyStrictSSL", (False,), "takes any certificate", _M),
    (r"(?:cline|roo-cline|cursor|windsurf)\.\w*(?:autoApprove|yolo|autoRun)\w*", (True,),
     "lets the agent act without being asked", _H),
)  # fmt: skip
_PROGRAMS = re.compile(
    r"(?:^git\.path|\.(?:executablePath|serverPath|languageServerPath|runtimeExecutable|interpreterPath|pylintPath|flake8Path"
    r"|mypyPath|blackPath|ruffPath|condaPath|pipenvPath|poetryPath|cmakePath|executable|nodePath|shell\.(?:linux|osx|windows)))$"
)
_BESIDE = re.compile(r"\.{1,2}/|/tmp/|//|https?:|~")
_OWN_TOOLS = re.compile(
    r"(?:^|/)(?:\.?venv|env|node_modules|\.conda|\.tox|\.pixi|Scripts|target)/|^[\w.-]+$|^/(?:usr|opt|bin)/"
)


def judge_automation(document: Document, name: str, where: str = "") -> list[Note]:
    """What a parsed configuration has a machine run by itself; `name` is the file's path. Topic REMOTE_CODE."""
    notes: dict[str, Note] = {}
    path = f"/{name}".replace("\\", "/").lower()
    base = path.rpartition("/")[2]
    value = document.values[0] if document.values else None
    for note in _all(document, path, base, value, where):
        held = notes.get(note.key)
        if held is None or held.severity.rank < note.severity.rank:
            notes[note.key] = note
    return list(notes.values())


def _all(document: Document, path: str, base: str, value: Any, where: str) -> Iterator[Note]:
    if not base.endswith(".jsonl"):
        for place, mapping in mappings(*document.values):
            yield from _commands(place, mapping, where)
            if isinstance(value, dict):
                yield from _scripts(place, mapping, where)
            for key in ("env", "environment", "containerEnv", "remoteEnv", "variables"):
                yield from environment(mapping.get(key), where)
            if isinstance(mapping.get("name"), str) and "value" in mapping:
                yield from environment({mapping["name"]: mapping["value"]}, where)
    if not isinstance(value, dict):
        return
    if isinstance(value.get("jobs"), dict) and (value.keys() & {"on", "True", "name"}):
        yield from _workflow(value, where)
    if base == "tasks.json" or base.endswith(".code-workspace"):
        for _, mapping in mappings(value):
            if str(mapping.get("runOn", "")).lower() == "folderopen":
                yield _note("runs a task as soon as its folder is opened", _M, "folder-open", where)
    if (
        "/.vscode/" in path
        or base.endswith(".code-workspace")
        or any(k.startswith("security.workspace") for k in value)
    ):
        held = value.get("settings")
        yield from _settings(held if isinstance(held, dict) else value, where)
    if base.startswith(".yarnrc"):
        for _, mapping in mappings(value):
            if str(mapping.get("npmRegistryServer", "")).startswith("http://"):
                yield _note("takes packages from a registry without TLS (npmRegistryServer)", _M, "registry", where)
    if base == ".gitlab-ci.yml":
        for _, mapping in mappings(value):
            if str(mapping.get("remote", "")).startswith("http://"):
                yield _note("includes a pipeline from an address without TLS", _H, "include", where)


def _commands(place: str, mapping: dict[str, Any], where: str) -> Iterator[Note]:
    of_scripts = _OF_SCRIPTS.search(place) is not None
    if isinstance(mapping.get("command"), str) and isinstance(mapping.get("args"), list):
        given = [mapping["command"], *map(str, mapping["args"][:200])]
        yield from _command("command", " ".join(given), where)
    for key, value in mapping.items():
        if (key not in _COMMANDS and not of_scripts and not _runs(key)) or _FORBIDDEN.search(key):
            continue
        texts = (
            [value]
            if isinstance(value, str)
            else [t for v in value[:500] for t in _listed(v)]
            if isinstance(value, list)
            else []
        )
        if isinstance(value, dict):
            texts = [v for v in value.values() if isinstance(v, str)]
        for text in [*texts, " ".join(texts)] if len(texts) > 1 else texts:
            yield from _command(key, text, where)


def _listed(value: Any) -> list[str]:
    """A command of a list: a text, or a list of its words."""
    if isinstance(value, list):
        given = [str(v) for v in value[:200] if isinstance(v, (str, int))]
        return [*given, " ".join(given)] if given else []
    return [value] if isinstance(value, str) else []


def _scripts(place: str, mapping: dict[str, Any], where: str) -> Iterator[Note]:
    """Texts that are commands or scripts by what they say, whatever their key: what is run is not always named so."""
    for key, value in mapping.items():
        for text in value[:200] if isinstance(value, list) else (value,):
            if not isinstance(text, str) or len(text) < 12 or not GATE.search(text):
                continue
            path = f"{place}.{key}"
            file = key in ("content", "contents") and isinstance(mapping.get("path", mapping.get("dest")), str)
            if piped := _PIPED.search(text):
                text = piped[2]
            elif not file and (EXAMPLES.search(_JOBS.sub("", path)) or DATA.search(path) or _TOLD.search(path)):
                continue
            if not (piped or file or looks_like_shell(text) or key.endswith((".sh", ".bash", ".service"))):
                continue
            yield from (note for note in _command(key, text, where) if note.severity is not Severity.INFO)


def _runs(key: str) -> bool:
    """Whether a key says that what it names is run."""
    plain = re.sub(r"[^a-z]", "", key[:100].lower())
    return plain.endswith(_ENDS) or plain.startswith("exec")


def _command(key: str, text: str, where: str) -> Iterator[Note]:
    for note in judge_installs(text[:100_000], where):
        yield msgspec.structs.replace(note, line=None)
    for note in judge_shell(text[:100_000], where):
        said = f"has {visible(key, 40)} run a command that {note.message.removesuffix(' (shell)')}"
        yield msgspec.structs.replace(note, message=said, key=f"automation:{note.key}", line=None)


def environment(held: Any, where: str = "", *, of_tool: bool = False) -> Iterator[Note]:
    """Variables of an environment (a mapping, or `NAME=value` lines) by which a program that is started loads code
    that its caller did not name. `of_tool`: also those that are ordinary but around an agent's tool."""
    if isinstance(held, list):
        held = dict(item.partition("=")[::2] for item in held[:1_000] if isinstance(item, str))
    for name, given in held.items() if isinstance(held, dict) else ():
        text = str(given)
        for table, grave in ((_LOADED_ENV, _H), (_UNSAFE_ENV, _M), (_WIDENED_ENV if of_tool else {}, _M)):
            pattern = table.get(str(name).upper())
            if pattern and text.strip() and re.search(pattern, text):
                said = f"has programs load what {name.upper()} names" if grave is _H else f"sets {name.upper()}"
                said += f" ({visible(re.sub(r'//[^/@ ]*@', '//', text), 60)})"
                yield _note(said, grave, f"env:{name.upper()}", where)


def hooks(value: Any, where: str = "") -> Iterator[Note]:
    """Commands that an agent's settings run by themselves (hooks of Claude Code, Cursor and their kin)."""
    held = value.get("hooks") if isinstance(value, dict) else None
    for _, mapping in mappings(held):
        command = mapping.get("command") or mapping.get("bash") or mapping.get("run")
        if not isinstance(command, str):
            continue
        for kind, said, severity in command_kinds(command):
            yield _note(f"has an agent's hook run a command that {said}", severity, f"hook:{kind}", where)
        if re.search(
            r"\b(?:curl|wget|nc|ncat|iwr|Invoke-WebRequest|base64|scp|ssh)\b|https?://(?!localhost|127\.)", command
        ):
            yield _note("has an agent's hook reach the network or decode what it runs", _M, "hook:network", where)
        elif re.search(r"\b(?:python\d?|node|perl|ruby|bash|sh)\s+-(?:c|e)\b", command):
            yield _note("has an agent's hook run code in its command", _M, "hook:inline", where)
        else:
            yield _note("has an agent run commands by itself (hooks)", _L, "hook", where)


def _workflow(value: dict[str, Any], where: str) -> Iterator[Note]:
    """A workflow of GitHub Actions: what strangers can reach in it."""
    on = value.get("on", value.get("True"))
    triggers = {on} if isinstance(on, str) else set(map(str, on)) if isinstance(on, (list, dict)) else set()
    strangers = triggers & _BY_ITSELF
    for _, mapping in mappings(value.get("jobs")):
        given = mapping.get("with")
        uses = str(mapping.get("uses") or "")
        script = mapping.get("run") or (given.get("script") if isinstance(given, dict) else None)
        if isinstance(script, str) and _PASTED.search(script):
            said = "pastes what strangers write into a script of its workflow"
            yield _note(said, _H if strangers else _M, "pasted", where)
        if isinstance(script, str) and _ALL_SECRETS.search(script) and _SENDS.search(script):
            yield _note("sends all secrets of its repository to another machine", _H, "all-secrets", where)
        taken = [str(given.get(k) or "") for k in ("ref", "repository")] if isinstance(given, dict) else []
        if "checkout" in uses and strangers and any(map(_HEAD.search, taken)):
            said = f"checks out what strangers propose, with its secrets at hand ({min(strangers)})"
            yield _note(said, _H, "pull-request-target", where)
        if (
            isinstance(script, str)
            and strangers
            and re.search(r"\bgh pr checkout\b|git (?:fetch|checkout)[^\n]*pull/", script)
        ):
            yield _note("checks out what strangers propose, with its secrets at hand", _H, "pull-request-target", where)


def _settings(value: dict[str, Any], where: str) -> Iterator[Note]:
    """Settings of VS Code and editors made of it."""
    for key, given in value.items():
        for pattern, bad, said, grave in _EDITOR:
            if re.fullmatch(pattern, key) and any(given is b or (isinstance(b, str) and given == b) for b in bad):
                yield _note(f"{said} ({visible(key, 60)})", grave, f"editor:{key[:60]}", where)
        if isinstance(given, dict) and key.startswith("terminal.integrated.env"):
            yield from environment(given, where)
        if isinstance(given, dict) and key.startswith(
            ("terminal.integrated.profiles", "terminal.integrated.automation")
        ):
            for _, profile in mappings({"profile": given}):
                line = " ".join([str(profile.get("path", "")), *map(str, profile.get("args") or ())])
                for kind, said, severity in command_kinds(line):
                    yield _note(
                        f"has the editor's terminal run a command that {said}", severity, f"editor:{kind}", where
                    )
        if isinstance(given, str) and _PROGRAMS.search(key):
            plain = given.replace("\\", "/").replace("${workspaceFolder}", ".").replace("${workspaceRoot}", ".")
            if not _OWN_TOOLS.search(plain) and _BESIDE.match(plain):
                said = f"has the editor run a program that lies beside it ({visible(key, 40)}: {visible(given, 50)})"
                yield _note(said, _M, "editor:program", where)


def _note(said: str, severity: Severity, kind: str, where: str) -> Note:
    return Note(
        topic=Topic.REMOTE_CODE, message=said, severity=severity, key=f"automation:{kind}", where=where,
        fix="read what it runs; give it only what it needs, and pin what it fetches",
    )  # fmt: skip

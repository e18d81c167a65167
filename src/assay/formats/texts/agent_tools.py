"""What an agent is given to use: MCP servers, tool manifests, plug-ins, agent cards, and prompt files of skills."""

from __future__ import annotations

import re
from typing import Any

from assay.core.finding import Confidence, Severity
from assay.core.text import visible
from assay.formats.known import normal
from assay.formats.reading import Note, Topic
from assay.formats.texts.automation import environment, hooks
from assay.formats.texts.documents import Document, mappings
from assay.formats.texts.handed_commands import front_matter
from assay.formats.texts.hidden_text import hidden, unhidden
from assay.formats.texts.instructions import MOST, comment_instructions, instructions
from assay.formats.texts.malicious_packages import why_malicious
from assay.formats.texts.package_names import looks_like, looks_like_server
from assay.formats.texts.python_code import judge_python
from assay.formats.texts.python_dangers import words
from assay.formats.texts.shell_text import command_kinds

SERVER_KEYS = frozenset({"mcpServers", "mcp_servers", "context_servers"})
_FIXED = re.compile(r"@v?\d[\w.+-]*$|==\s*v?\d|#[0-9a-f]{40}$|@[0-9a-f]{40}$|@sha256:[0-9a-f]{64}$")
_RUNNERS = frozenset({"npx", "bunx", "pnpx", "uvx", "pipx", "pnpm", "yarn", "bun", "deno", "uv", "npm"})
_SHELLS = frozenset({"bash", "sh", "zsh", "cmd", "powershell", "pwsh", "dash", "fish", "ksh", "csh"})
_TAKES_VALUE = frozenset(
    ["--from", "--with", "-p", "--package", "--python", "--registry", "--directory", "--project", "--cache"]
    + [f"--{kind}-url" for kind in ("index", "extra" + "-index")]
)
_OF_DOCKER = words(
    """-e --env -v --volume --mount -p --publish --name --network -w --workdir -u --user --env-file --entrypoint
    --platform -l --label --memory --cpus --add-host"""
)
_RUN_WORDS = words("tool run exec dlx x start -q --quiet -A --yes -y")
_WIDE = re.compile(
    r"(?i)^--?(?:allow-all|allow-all-tools|dangerously[\w-]*|no-sandbox|unrestricted|yolo|skip-permissions|allow-write=?/?|privileged"
    r"|full-access|disable-security|no-auth|trust-all-tools|allow-dangerous[\w-]*|-A)$|^-A$"
)
_WHOLE = re.compile(
    r"^(?:/|~/?|\$\{?HOME\}?/?|[A-Za-z]:[\\/]?|/home/?|/Users/?|/root/?|/etc/?|%USERPROFILE%[\\/]?|\$\{?userHome\}?)$"
)
_KEYS_FOLDER = re.compile(r"(?:^|/)\.(?:ssh|aws|gnupg|kube|docker)(?:/|$)")
_PLAIN_URL = re.compile(
    r"(?i)^(?:http|ws)://(?!(?:localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0|host\.docker\.internal)(?:[:/]|$))"
)
_TEXT_KEYS = frozenset(
    {
        "description",
        "description_for_model",
        "instructions",
        "prompt",
        "system_prompt",
        "systemPrompt",
        "title",
        "summary",
    }
)
_TOOL_KEYS = frozenset({"inputSchema", "input_schema", "parameters", "outputSchema", "annotations"})


_TAKES_KEYS = re.compile(
    r"(?:content|text|data|dump|output|value)s?_(?:of_|from_|in_)(?:\w+_)?(?:ssh|id_rsa|env|environ\w*|secrets?|passw\w+|credentials?"
    r"|keys?|private\w*|conversation|system_prompt|history|files?_?system|etc)(?:_|$)|id_rsa|(?:^|_)(?:etc_)?(?:passwd|shadow)(?:_|$)"
    r"|ssh_(?:private_)?key_content|(?:system|developer)_prompt_(?:text|content|verbatim)|(?:^|_)(?:all|whole|full|entire)_(?:\w+_)?"
    r"(?:conversation|chat_history|system_prompt|environment|env_vars?|secrets?|credentials?|passwords?)(?:_|$)"
    r"|(?:^|_)(?:dot_?env|aws_credentials|netrc)_(?:content|file|text)"
)


_ALLOWED = re.compile(r"(?im)^allowed[-_]tools\s*:\s*([^\n]*(?:\n\s+-[^\n]*)*)")
_EVERY_COMMAND = re.compile(r"\bBash\(\s*:?\*\s*\)|(?:^|[\s,\[-])[\"']?\*[\"']?(?:$|[\s,\]])")


def is_agent_file(name: str, document: Document) -> bool:
    """Whether a configuration is one of an agent's tools, by its name or its keys."""
    path = name.replace("\\", "/").lower()
    base = path.rpartition("/")[2]
    if base in (
        "mcp.json",
        ".mcp.json",
        "claude_desktop_config.json",
        "mcp_config.json",
        "ai-plugin.json",
        "agent.json",
        "agent-card.json",
        "hooks.json",
        "settings.local.json",
        "server.json",
    ) or any(
        f"{folder}/settings" in f"/{path}" for folder in ("/.claude", "/.gemini", "/.cursor", "/.codex", "/.qwen")
    ):
        return True
    value = document.values[0] if document.values else None
    if isinstance(value, list):
        value = {"tools": value}
    if not isinstance(value, dict):
        return False
    if SERVER_KEYS & value.keys() or isinstance(value.get("mcp"), dict) or "name_for_model" in value:
        return True
    if ("openapi" in value or "swagger" in value) and ("info" in value or "paths" in value):
        return True
    if isinstance(value.get("hooks"), dict) and any(isinstance(v, list) for v in value["hooks"].values()):
        return True
    if any(isinstance(v, dict) and "role" in v and ("goal" in v or "backstory" in v) for v in value.values()):
        return True  # CrewAI
    if str(value.get("component_type", "")) in ("agent", "team", "workbench") and "provider" in value:
        return True  # AutoGen
    held = value.get("result")
    value = held if isinstance(held, dict) and "tools" in held else value  # what a server answers to tools/list
    tools = value.get("tools") or value.get("functions") or value.get("prompts") or value.get("resources")
    card = "skills" in value and ("url" in value or "capabilities" in value)  # A2A
    return card or _are_tools(tools)


def judge_agent(document: Document, name: str = "", where: str = "") -> list[Note]:
    """Judge a parsed configuration of an agent's servers and tools. Topic AGENT_TOOLS."""
    judge = _Judge(where)
    value = document.values[0] if document.values else None
    if isinstance(value, list):
        value = {"tools": value}
    base = name.replace("\\", "/").rpartition("/")[2].lower()
    for _path, mapping in mappings(value):
        for key in SERVER_KEYS | (
            {"servers"} if "mcp" in base or ("servers" in mapping and base == "settings.json") else set()
        ):
            servers = mapping.get(key)
            for server, given in servers.items() if isinstance(servers, dict) else ():
                if isinstance(given, dict):
                    judge.server(str(server), given)
        for key in ("tools", "functions", "skills"):
            if _are_tools(mapping.get(key)):
                judge.tools(mapping[key])
    judge.texts(value, published=isinstance(value, dict) and ("openapi" in value or "swagger" in value))
    judge.permissions(value)
    for note in hooks(value, where):
        judge.take(note)
    if isinstance(value, dict) and not SERVER_KEYS & value.keys():
        for note in environment(value.get("env"), where, of_tool=True):
            judge.take(note)
    return list(judge.notes.values())


def judge_prompt(text: str, where: str = "") -> list[Note]:
    """Judge a prompt file that an agent follows (SKILL.md, AGENTS.md, rules of an editor). Topic AGENT_TOOLS."""
    judge = _Judge(where)
    judge.text(text, "its text")
    head, _ = front_matter(text)
    if (tools := _ALLOWED.search(head)) and _EVERY_COMMAND.search(tools[1]):
        judge.note("wildcard", "allows every command without asking (allowed-tools)", Severity.MEDIUM)
    for kind, said, severity, line in comment_instructions(text):
        judge.note(f"comment:{kind}", f"{said}, in a comment", severity, line=line)
    for number, row in enumerate(text.splitlines()[:50_000], 1):
        for kind, said, severity in command_kinds(row):
            judge.note(f"shell:{kind}", f"has the agent run a command that {said}", severity, line=number)
    return list(judge.notes.values())


class _Judge:
    def __init__(self, where: str) -> None:
        self.where = where
        self.notes: dict[str, Note] = {}

    def note(
        self, kind: str, said: str, severity: Severity, *, line: int | None = None, sure: Confidence = Confidence.HIGH
    ) -> None:  # fmt: skip
        key = f"agent:{kind}"
        held = self.notes.get(key)
        if held is None or held.severity.rank < severity.rank:
            self.notes[key] = Note(
                topic=Topic.AGENT_TOOLS, message=said, severity=severity, key=key, where=self.where, line=line,
                confidence=sure, fix="pin servers by version, give them the least they need, and read what tools say",
            )  # fmt: skip

    def take(self, note: Note, said: str = "") -> None:
        """A note of another judge, as one of this."""
        self.note(note.key, f"{said}{note.message}", note.severity)

    def server(self, name: str, given: dict[str, Any]) -> None:
        """One MCP server: a command with arguments, or an address."""
        shown = visible(name, 40)
        command = given.get("command")
        if isinstance(command, dict):  # Zed: {"path": …, "args": […]}
            given = {**given, **command}
            command = command.get("path")
        arguments = given.get("args")
        words = [str(a) for a in arguments if isinstance(a, (str, int))] if isinstance(arguments, list) else []
        first = list(map(str, command)) if isinstance(command, list) else str(command or "").split()
        if first or words:
            self._command(shown, [*first, *words])
        for key in ("url", "serverUrl", "httpUrl", "endpoint"):
            address = given.get(key)
            if isinstance(address, str) and _PLAIN_URL.match(address):
                self.note(f"plain:{name[:60]}", f"speaks to the server {shown} without TLS", Severity.MEDIUM)
        for note in environment(given.get("env"), of_tool=True):
            self.take(note, f"starts the server {shown} with an environment that ")
        allowed = [given.get(k) for k in ("autoApprove", "alwaysAllow", "allowedTools")]
        if given.get("trust") is True or any(a == "*" or (isinstance(a, list) and "*" in a) for a in allowed):
            self.note(f"approve:{name[:60]}", f"lets the server {shown} act without being asked", Severity.MEDIUM)

    def _command(self, shown: str, words: list[str]) -> None:
        program = words[0].replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe").removesuffix(".cmd")
        text = " ".join(words)
        kinds = command_kinds(text)
        for kind, said, severity in kinds:
            self.note(f"shell:{kind}:{shown}", f"starts the server {shown} by a command that {said}", severity)
        if program in ("sudo", "doas", "su", "runas"):
            self.note(f"root:{shown}", f"starts the server {shown} with all rights", Severity.HIGH)
            words = words[1:] or words
            program = words[0].rpartition("/")[2].lower()
        if program in _SHELLS and any(
            w in ("-c", "/c", "-Command", "-lc", "/C", "-command", "-e", "-enc") for w in words[1:]
        ):
            inner = words[-1].split() or [""]
            harmless = (
                program == "cmd" and len(words) > 2 and words[2].lower() in ("npx", "uvx", "node", "python", "bunx")
            )
            if harmless:
                self._command(shown, words[2:])
            else:
                self.note(
                    f"shell:{shown}",
                    f"starts the server {shown} through a shell ({visible(inner[0], 30)})",
                    Severity.HIGH,
                )
        elif program.startswith(("python", "node")) and any(w in ("-c", "-e", "--eval") for w in words[1:]):
            inside = judge_python(words[-1]) if program.startswith("python") else None
            grave = (
                max((n.severity for n in inside.notes), key=lambda s: s.rank, default=Severity.MEDIUM)
                if inside
                else Severity.MEDIUM
            )
            if grave.rank < Severity.MEDIUM.rank:
                grave = Severity.MEDIUM
            self.note(f"inline:{shown}", f"starts the server {shown} from code in its command", grave)
        elif program in _RUNNERS:
            self._runner(shown, program, words[1:])
        elif program in ("docker", "podman"):
            self._container(shown, words[1:])
        self._reach(shown, words[1:])

    def _runner(self, shown: str, program: str, words: list[str]) -> None:
        package, at = "", 0
        if program in ("uv", "npm", "pnpm", "yarn", "bun", "pipx", "deno"):
            while at < len(words) and words[at] in _RUN_WORDS:
                at += 1
            if program == "uv" and "run" in words and not any(w.startswith(("--with", "--from")) for w in words):
                return  # a script of its own project
            own = program in ("uv", "npm", "pnpm", "yarn", "bun") and at and words[at - 1] in ("run", "start")
            if own and "--with" not in words:
                return  # a script of its own project
        named = [
            words[i + 1]
            for i, w in enumerate(words[:-1])
            if w in ("--from", "--package", "-p", "--with") and i + 1 < len(words)
        ]
        named += [w.partition("=")[2] for w in words if w.startswith(("--from=", "--package=", "--with="))]
        if not named:
            while at < len(words) and words[at].startswith("-"):
                at += 2 if words[at] in _TAKES_VALUE else 1
            named = [words[at]] if at < len(words) else []
        if any(_PLAIN_URL.match(word) for word in words if word not in named):
            self.note(f"plain:{shown}", f"speaks to the server {shown} without TLS", Severity.MEDIUM)
        for package in named:
            if package.startswith((".", "/", "~", "$", "file:")) or package.endswith((".py", ".js", ".ts")):
                continue
            fixed = _FIXED.search(package)
            elsewhere = re.match(r"(?i)(?:git\+|github:|https?://|[\w-]+/[\w-]+$)", package) and not package.startswith(
                "@"
            )
            if not fixed:
                said = f"starts the server {shown} from {visible(package, 60)}, whatever version that is then"
                self.note(f"unpinned:{shown}", said, Severity.MEDIUM)
            elif elsewhere and "http://" in package:
                self.note(
                    f"unpinned:{shown}",
                    f"starts the server {shown} from {visible(package, 60)} without TLS",
                    Severity.HIGH,
                )
            name = re.split(r"(?<=.)[@=\[]", package)[0]
            if why := why_malicious(name):
                said = f"starts {visible(package, 40)}, which is malicious: {visible(why, 200)}"
                self.note(f"malicious:{normal(name)}", said, Severity.CRITICAL)
            near, how = looks_like(name) if program in ("uvx", "uv", "pipx") else looks_like_server(name)
            if near and how:
                self.note(
                    f"look-alike:{near}",
                    f"starts {visible(package, 40)}, which can be taken for {near}",
                    Severity.MEDIUM,
                )

    def _container(self, shown: str, words: list[str]) -> None:
        if any(w == "--privileged" or w.endswith("docker.sock") or "docker.sock:" in w for w in words):
            self.note(f"privileged:{shown}", f"gives the server {shown} all rights of the machine", Severity.HIGH)
        if any(
            re.match(r"(?:--volume=|-v=?|--mount=)?(?:type=bind,(?:src|source)=)?(?:/|~|\$HOME|\$\{HOME\})(?::|,)", w)
            for w in words
        ):
            self.note(f"whole:{shown}", f"gives the server {shown} a whole disk or home folder", Severity.HIGH)
        at, images = words.index("run") + 1 if "run" in words else len(words), list[str]()
        while at < len(words) and not images:
            if words[at].startswith("-"):
                at += 2 if words[at] in _OF_DOCKER else 1
            else:
                images.append(words[at])
        for image in images:
            tag = image.rpartition("/")[2].partition(":")[2]
            if "@sha256:" not in image and tag in ("", "latest", "main", "master", "edge", "nightly"):
                self.note(
                    f"unpinned:{shown}",
                    f"starts the server {shown} from the image {visible(image, 60)}, whatever that is then",
                    Severity.MEDIUM,
                )

    def _reach(self, shown: str, words: list[str]) -> None:
        for word in words:
            if _WIDE.match(word):
                self.note(
                    f"wide:{shown}",
                    f"gives the server {shown} more than it needs ({visible(word, 40)})",
                    Severity.MEDIUM,
                )
            elif _WHOLE.match(word):
                self.note(
                    f"whole:{shown}",
                    f"gives the server {shown} a whole disk or home folder ({visible(word, 30)})",
                    Severity.HIGH,
                )
            elif _KEYS_FOLDER.search(word):
                self.note(f"keys:{shown}", f"gives the server {shown} a folder of keys", Severity.HIGH)

    def tools(self, tools: list[Any]) -> None:
        """A list of tools: names given twice, or that look alike."""
        names: dict[str, str] = {}
        for tool in tools:
            inner = tool.get("function") if isinstance(tool.get("function"), dict) else tool
            name = inner.get("name") if isinstance(inner, dict) else None
            if not isinstance(name, str):
                continue
            plain = re.sub(r"[\s_.-]+", "", unhidden(name)).lower()
            if plain in names:
                same = names[plain] == name
                said = f"has {'two tools of the name' if same else 'tools with names alike:'} {visible(name, 40)}"
                self.note(f"twice:{visible(plain, 60)}", said, Severity.MEDIUM if same else Severity.LOW)
            names.setdefault(plain, name)
            if not name.isascii() and (not re.fullmatch(r"[\w .-]+", name) or _mixed(name)):
                self.note("name", f"has a tool whose name hides signs ({visible(name, 40)})", Severity.HIGH)

    def texts(self, value: Any, *, published: bool = False) -> None:
        """Every text that a model reads: of tools, their parameters and defaults, servers and skills. Of what is
        `published` for people too (OpenAPI), only what is said against them."""
        for path, mapping in mappings(value):
            if path.endswith(("properties", "patternProperties")):
                for name in mapping:
                    self.parameter(str(name))
            for key, text in mapping.items():
                listed = [t for t in text if isinstance(t, str)] if isinstance(text, list) else []
                if listed and key not in ("args", "command"):
                    text = "\n".join(listed)
                if isinstance(text, str) and (key in _TEXT_KEYS or len(text) > 24):
                    self.text(text, f"{path}.{key}" if path else str(key), published=published)

    def parameter(self, name: str) -> None:
        """A parameter that is named for what the model shall put into it."""
        plain = re.sub(r"(?<=[a-z])(?=[A-Z])|[-. ]", "_", name).lower()
        if _TAKES_KEYS.search(plain):
            self.note("parameter", f"asks the model for keys or private files by a parameter's name "
                      f"({visible(name, 60)})", Severity.HIGH, sure=Confidence.MEDIUM)  # fmt: skip

    def text(self, text: str, place: str, *, published: bool = False) -> None:
        if len(text) > MOST:
            said = f"has a text of {len(text) >> 10:,} KB for a model, not judged to its end ({visible(place, 80)})"
            self.note("long", said, Severity.MEDIUM)
        if kinds := hidden(text):
            self.note("hidden", f"hides text with {' and '.join(kinds)} ({visible(place, 80)})", Severity.HIGH)
        for kind, said, severity, line in instructions(unhidden(text)):
            if not published or kind in ("override", "conceal", "weaken", "authority"):
                self.note(kind, f"{said} ({visible(place, 80)})", severity, line=line if "\n" in text else None)
        if re.search(r"(?:(?<![ \t])[ \t]{120,}+|(?<!\n)\n{30,}+)\S", text):
            self.note("off-screen", f"has text far beyond what is shown ({visible(place, 80)})", Severity.MEDIUM)

    def permissions(self, value: Any) -> None:
        """Permissions that allow all there is."""
        for _path, mapping in mappings(value):
            if mapping.get("defaultMode") == "bypassPermissions":
                self.note("bypass", "lets the agent act without being asked", Severity.HIGH)
            if mapping.get("enableAllProjectMcpServers") is True or mapping.get("yolo") is True:
                self.note("approve-all", "takes any server of the project without asking", Severity.MEDIUM)
            for key in ("permissions", "scopes", "allow", "allowed_tools", "allowedTools"):
                held = mapping.get(key)
                listed = held if isinstance(held, list) else [held] if isinstance(held, str) else []
                if any(
                    item
                    in (
                        "*",
                        "*:*",
                        "**",
                        "all",
                        "Bash(*)",
                        "Bash(:*)",
                        "Bash",
                        "Write",
                        "Write(*)",
                        "Edit(*)",
                        "WebFetch(*)",
                        "Bash(curl:*)",
                        "Bash(curl *)",
                        "Bash(bash:*)",
                        "Bash(sh:*)",
                        "Bash(sudo:*)",
                        "Bash(eval:*)",
                        "Bash(ssh:*)",
                        "mcp__*",
                        "Read(//**)",
                        "filesystem:*",
                        "admin:*",
                        "admin:org",
                        "delete_repo",
                        "https://mail.google.com/",
                        "https://www.googleapis.com/auth/cloud-platform",
                    )
                    for item in listed
                    if isinstance(item, str)
                ):
                    self.note("wildcard", f"allows everything ({visible(key, 30)})", Severity.MEDIUM)


def _mixed(name: str) -> bool:
    """Whether a name mixes Latin letters with such of other scripts that look like them."""
    latin = any(c.isascii() and c.isalpha() for c in name)
    return latin and any(
        "\u0370" <= c <= "\u058f" or "\uff00" <= c <= "\uffef" or "\u13a0" <= c <= "\u13ff" for c in name
    )


def _are_tools(value: Any) -> bool:
    """Whether it is a list of tools: mappings with a name and a description or a schema."""
    if not isinstance(value, list) or not value or not all(isinstance(tool, dict) for tool in value[:50]):
        return False
    return any(
        "name" in inner and ("description" in inner or _TOOL_KEYS & inner.keys())
        for tool in value[:50]
        for inner in (tool, tool.get("function"))
        if isinstance(inner, dict)
    )

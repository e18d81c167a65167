"""Which kind of text a file is by its name, and by what stands in it: tables that the reader of texts asks."""

from __future__ import annotations

import re

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
SHEBANG = re.compile(rb"\A(?:\xef\xbb\xbf)?#![^\r\n]*")
YAML_TAG = re.compile(rb"!!python/|tag:yaml\.org,2002:python/")
# A key that names code, spelled out in text of no grammar.
CODE_KEY = re.compile(
    rb"(?<![A-Za-z0-9_])(?:_target_|auto_map|custom_pipelines|loader_module|trust_remote_code)(?![A-Za-z0-9_])",
    re.IGNORECASE,
)
TAG_LINE = re.compile(rb"(?:\A|[\r\n])(?:\xef\xbb\xbf)?%TAG\b")
JSON_START = re.compile(rb"\{\s*[\"}]|\[\s*(?:[\"{\[\]]|-?\d)")
PYTHON = frozenset({".py", ".pyw", ".pyi"})
SHELL = frozenset({".sh", ".bash", ".zsh", ".ksh", ".command"})
MAKE_NAMES = frozenset({"makefile", "gnumakefile", "justfile", "procfile"})
# Shells of which only what their lines fetch and run is told.
COMMANDS = frozenset({".ps1", ".psm1", ".bat", ".cmd", ".fish", ".csh"})
SHELL_NAMES = frozenset(
    (
        *(".bashrc", ".bash_profile", ".profile", ".zshrc", ".envrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout"),
        *(
            ".bash_login",
            ".bash_logout",
            ".bash_aliases",
            ".kshrc",
            ".xinitrc",
            ".xprofile",
            ".xsessionrc",
            ".lessfilter",
        ),
    )
)
JINJA = frozenset({".jinja", ".jinja2", ".j2"})
YAML, JSON = (
    frozenset({".yaml", ".yml", ".cwl"}),
    frozenset({".json", ".webmanifest", ".jsonc", ".json5", ".code-workspace"})
    | {".sublime-project", ".sublime-build", ".sublime-settings", ".sublime-commands", ".code-snippets"},
)
INI = frozenset(
    {".ini", ".cfg", ".conf", ".properties", ".env", ".service", ".timer", ".socket", ".desktop", ".gitconfig"}
)
CHUNKED = frozenset({".qmd", ".rmd"})
# Prose and tables: a key that names code is only a word there.
PROSE = frozenset(
    (
        *(".md", ".rst", ".txt", ".csv", ".tsv", ".html", ".htm", ".xml", ".pmml", ".pbtxt", ".log", ".tex", ".bib"),
        *(".svg", ".css", ".license", ".po", ".vocab", ".mdc"),
    )
)
PROSE_NAMES = ("readme", "license", "licence", "notice", "authors", "changelog", "copying", "citation", ".gitignore")
_REQUIREMENTS = re.compile(
    r"(?:.*/)?(?:[\w.-]*[-_.])?(?:requirements?|constraints?)(?:[-_.][\w.-]*)?\.(?:txt|in|pip)"
    r"|(?:.*/)?(?:[\w-]*[-_])?(?:requirements?|requires|reqs|constraints)/[^/]+\.(?:txt|in|pip)"
)
_WANTED = re.compile(
    r"[A-Za-z0-9][\w.-]*\s*(?:\[[\w,\s.-]*\])?\s*(?:(?:===?|~=|!=|[<>]=?)\s*\S.*|@\s*\S+://\S.*|;.*)"
    r"|-(?:e|r|c|i|f)\s+\S.*|--(?:editable|requirement|constraint|(?:extra-)?index-url|find-links|trusted-host|no-\w+"
    r"|pre|prefer-binary|hash|only-binary)\b.*|(?:git|hg|svn|bzr)\+\S+://\S.*"
)
_BARE = re.compile(r"[A-Za-z0-9][\w.-]*(?:\[[\w,\s.-]*\])?")
_MOST_WANTED = 2_000
MANIFESTS = frozenset(
    (
        *("pyproject.toml", "pipfile", "poetry.lock", "uv.lock", "pdm.lock", "pylock.toml", "conda.yaml", "conda.yml"),
        *(
            "environment.yaml",
            "environment.yml",
            "python_env.yaml",
            "pip.conf",
            "pip.ini",
            "uv.toml",
            ".condarc",
            ".npmrc",
            "setup.cfg",
        ),
        *("package-lock.json", "npm-shrinkwrap.json", ".package-lock.json"),
    )
)
COMPOSE = re.compile(r"(?:docker-)?compose(?:[.-][\w.-]*)?\.ya?ml")
# Vocabularies: their words look like anything.
VOCABULARIES = re.compile(
    r"(?:tokenizer|vocab(?:ulary)?|merges|added_tokens|special_tokens_map|[\w.-]*\.index)\.(?:json|txt)|.*\.(?:vocab|bpe|tiktoken)"
)
LANGUAGES = dict.fromkeys(PYTHON, "Python") | dict.fromkeys(SHELL, "shell") | dict.fromkeys(JINJA, "Jinja")

PAGES = frozenset({".md", ".markdown", ".mdx", ".html", ".htm", ".xhtml", ".rst"})
XML = frozenset({".xml", ".pmml", ".xmi", ".xsl", ".xslt", ".rdf", ".owl", ".arxml", ".xhtml", ".dmn", ".bpmn", ".svg"})
BUILDS = frozenset({".xml", ".iml", ".csproj", ".vcxproj", ".vbproj", ".fsproj", ".props", ".targets", ".proj"})
TEMPLATES = ("chat_template", "chat_templates", "chat_template_jinja", "default_chat_template", "custom_chat_template")
COMMENTED = frozenset({"settings.json", "claude_desktop_config.json", "tsconfig.json", "devcontainer.json"})
# A name that begins with a point, or that ends as settings that are obeyed do; suffixes of data and prose are others'.
_START = re.compile(
    r"[._][\w-]+(?:[.-][\w-]+)*|[\w.-]*(?:rc|init|profile)(?:\.(?:el|lua|vim|local|site|jl|conf|cfg))?|startup\.(?:jl|m)|init\.\w+"
    r"|tox\.ini|.*\.(?:vim|exrc|gdb|lldb|gdbinit|tmux|psqlrc)|.*_startup\.\w+"
)
_OTHERS = re.compile(
    r"(?i).*\.(?:json\w*|ya?ml|toml|md\w*|txt|csv|tsv|xml|svg|html?|css|lock|ipynb|pyi?|pyw|sh|bash|zsh|parquet|npy|log|rst|db|keep)"
    r"|\.env(?:\..*)?|\.git(?:ignore|attributes|modules|keep)|\.\w*ignore|\.ds_store"
)


def is_requirements(name: str) -> bool:
    """Whether pip's lists of packages are called so, or lie in folders that are."""
    return _REQUIREMENTS.fullmatch(name.replace("\\", "/").rstrip(" .").lower()) is not None


def lists_packages(name: str, text: str) -> bool:
    """Whether a plain text under another name is such a list: every line asks for a package, half of them by more than
    a word."""
    if not name.lower().endswith((".txt", ".in", ".pip")) or len(text) > _MOST_WANTED * 100:
        return False
    lines = [line for raw in text.splitlines() if (line := re.sub(r"(?:^|\s)#.*$", "", raw).strip())]
    asking = [line for line in lines if _WANTED.fullmatch(line)]
    return (
        0 < len(lines) <= _MOST_WANTED
        and 2 * len(asking) >= len(lines)
        and all(_BARE.fullmatch(line) for line in lines if line not in set(asking))
    )


def is_start_file(name: str) -> bool:
    """Whether a file of this name is obeyed by a tool that starts beside it, and is of no grammar judged elsewhere."""
    base = name.replace("\\", "/").rstrip(" .").rpartition("/")[2].lower()
    return len(base) > 1 and _OTHERS.fullmatch(base) is None and _START.fullmatch(base) is not None


def is_console_config(base: str) -> bool:
    """Whether a Python file is a configuration of IPython's or Jupyter's."""
    return re.fullmatch(r"(?:ipython|jupyter)_?\w*_?config\.py", base) is not None

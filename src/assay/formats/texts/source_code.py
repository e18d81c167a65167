"""Which files are source code by their name: what they hold runs as soon as it is used."""

from __future__ import annotations

import os

from assay.formats.promise import suffix_of

# Of languages that run from their source, that are built from it, and of templates, which can run code.
CODE_SUFFIXES = frozenset(
    (
        *(".py", ".pyw", ".pyi", ".pyx", ".pxd", ".ipynb", ".sh", ".bash", ".zsh", ".fish", ".ksh", ".csh", ".ps1"),
        *(".psm1", ".bat", ".cmd", ".vbs", ".awk", ".tcl", ".sed", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx"),
        *(".mts", ".cts", ".rb", ".erb", ".pl", ".pm", ".php", ".phtml", ".lua", ".r", ".rmd", ".qmd", ".jl"),
        *(".groovy", ".gradle", ".java", ".jsp", ".kt", ".kts", ".scala", ".cs", ".fs", ".vb", ".go", ".rs", ".swift"),
        *(".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".cu", ".cuh", ".m", ".mm", ".hs", ".ml", ".erl"),
        *(".ex", ".exs", ".clj", ".lisp", ".el", ".scm", ".dart", ".zig", ".nim", ".sql", ".mk", ".mak", ".cmake"),
        *(".dockerfile", ".jinja", ".jinja2", ".j2", ".mako", ".tmpl"),
    )
)
_CODE_NAMES = frozenset(
    (
        *(
            "makefile",
            "gnumakefile",
            "dockerfile",
            "containerfile",
            "jenkinsfile",
            "rakefile",
            "gemfile",
            "snakefile",
            "vagrantfile",
            "justfile",
            "procfile",
            "cmakelists.txt",
            "earthfile",
            "tiltfile",
            "brewfile",
            "guardfile",
            "capfile",
            "fastfile",
            "thorfile",
            "podfile",
            "dangerfile",
            ".bashrc",
        ),
        *(".bash_profile", ".profile", ".zshrc", ".envrc", ".pythonrc"),
        *(".zshenv", ".zprofile", ".zlogin", ".zlogout", ".bash_login", ".bash_logout", ".bash_aliases", ".kshrc"),
        *(".xinitrc", ".xprofile", ".xsessionrc", ".lessfilter"),
    )
)


def is_source_code(name: str) -> bool:
    """Whether a file of that name (its folder is left aside) is source code."""
    base = os.path.basename(name).rstrip(" .").lower()
    return (
        base in _CODE_NAMES or base.partition(".")[0] in ("makefile", "dockerfile") or suffix_of(name) in CODE_SUFFIXES
    )

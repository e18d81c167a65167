"""Which files an agent takes its orders from, by name and folder: rules, skills, commands, sub-agents, prompts."""

from __future__ import annotations

import re

_NAMES = frozenset(
    (
        *("skill.md", "agents.md", "agent.md", "claude.md", "gemini.md", "copilot-instructions.md", ".cursorrules"),
        *(".windsurfrules", ".clinerules", "system_prompt.txt", "system-prompt.txt", "system_prompt.md", "prompt.md"),
        *(".goosehints", "prompt.txt", "system.md", "agents.override.md", "claude.local.md", "qwen.md", "warp.md"),
        *(".roorules", "crush.md", "llms.txt", "llms-full.txt", "llms-ctx.txt", "conventions.md", ".aider.prompt.md"),
    )
)
_SUFFIXES = (".mdc", ".prompty", ".prompt.md", ".instructions.md", ".chatmode.md", ".agent.md", ".prompt")
# Folders of agents of which every text is read as an order.
_FOLDERS = re.compile(
    r"(?:^|/)(?:\.claude/(?:commands|agents|skills|rules|output-styles)|\.cursor/(?:rules|commands|agents)"
    r"|\.github/(?:prompts|instructions|chatmodes|agents)|\.clinerules|\.(?:windsurf|codeium)/(?:rules|workflows)"
    r"|\.roo/(?:rules|commands)[\w-]*|\.continue/(?:rules|prompts)|\.amazonq/(?:rules|prompts)|\.kiro/(?:steering|specs)"
    r"|\.junie|\.codex/(?:prompts|skills)|\.opencode/(?:agents?|commands?)|\.gemini/(?:commands|agents)|\.augment/rules"
    r"|\.trae/rules|\.qwen/(?:commands|agents)|\.factory/(?:droids|commands)|\.agents?/(?:skills|rules|workflows|commands))/"
)
# Folders and names by which people call what they give a model to obey, whatever the tool.
_PROMPTS = re.compile(
    r"(?:^|/)(?:[\w-]*[_-])?(?:prompts?|personas?|sys(?:tem)?[_-]?(?:prompts?|messages?)|instructions?)/"
)
_PROMPT = re.compile(
    r"(?:.*[._-])?(?:prompts?|persona|system[_-]?message|(?:agent|model|bot)[_-]?instructions?)(?:[._-].*)?"
)
_TEXTS = (".md", ".txt", ".mdc", ".markdown", ".prompt")


def is_prompt(name: str) -> bool:
    """Whether a text of this name is read by an agent as what it is to do."""
    path = name.replace("\\", "/").lower()
    base = path.rpartition("/")[2]
    if base in _NAMES or path.endswith(_SUFFIXES):
        return True
    told = _FOLDERS.search(path) or _PROMPTS.search(path) or _PROMPT.fullmatch(base.rpartition(".")[0])
    return path.endswith(_TEXTS) and told is not None

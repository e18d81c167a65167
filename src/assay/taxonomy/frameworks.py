"""Frameworks as data: what a tag such as `atlas:AML.T0020` names, and which entries a check gives evidence for."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from assay.core.report import TagInfo


@cache
def _data(name: str) -> dict[str, Any]:
    path = Path(__file__).with_name("data") / f"{name}.json"  # importlib.resources costs 5 ms at start-up
    loaded: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return loaded


@cache
def _items(prefix: str) -> dict[str, tuple[str, bool]]:
    return {i: (name, ok) for i, name, ok in _data("frameworks")[prefix]["items"]}


def resolve(tag: str) -> TagInfo | None:
    """What a tag `prefix:id` names, or None when no such entry exists."""
    prefix, _, entry = tag.partition(":")
    framework = _data("frameworks").get(prefix)
    if framework is None or entry not in _items(prefix):
        return None
    name, verified = _items(prefix)[entry]
    return TagInfo(
        tag=tag,
        framework=framework["name"],
        edition=framework["edition"],
        id=entry,
        name=name,
        url=framework["url"],
        verified=framework["verified"] and verified,
    )


MITIGATION = "atlas:AML.M"
MITIGATIONS = {
    "artifact.pickle-code": (f"{MITIGATION}0016",),
    "data.label-flips": (f"{MITIGATION}0007",),
    "robustness.evasion": (f"{MITIGATION}0008",),
}
"""What a check really does of a mitigation (scan, sanitise, validate). A topic names mitigations too, but to measure an
attack is no evidence that something was done against it, so those of the topics are left out."""

TOO_MUCH = frozenset(
    {
        ("gate.approvals", "eu-ai-act:Art.14"),  # oversight of the system in use, not of its release
        ("gate.evidence", "eu-ai-act:Art.19"),  # logs that the system itself makes in use
        ("gate.evidence", "iso-42001:A.6.2.8"),
        ("explanation.counterfactual", "owasp-llm-2025:LLM09"),  # nor does what a person could change in a row
        ("explanation.counterfactual", "owasp-agentic-2026:ASI09"),
        ("explanation.counterfactual", "cosai:riskInsecureModelOutput"),
        ("explanation.importance", "owasp-llm-2025:LLM09"),  # which inputs count says nothing of a language model
        ("explanation.importance", "owasp-agentic-2026:ASI09"),
        ("explanation.importance", "cosai:riskInsecureModelOutput"),
        ("fairness.groups", "cosai:riskInferredSensitiveData"),  # nothing is inferred of a person here
        ("manifest.system", "eu-ai-act:Art.49"),  # a line in a manifest registers nothing in the EU's database
        ("robustness.backdoor", "owasp-llm-2025:LLM04"),  # values of columns are looked for, not prompts or agents
        ("robustness.backdoor", "owasp-agentic-2026:ASI04"),
    }
)
"""Entries that a topic names and that what we do of it is no evidence for."""


def crosswalk(subject: str) -> tuple[str, ...]:
    """Tags of every framework entry that a check id (or `gate.approvals` and the like) gives evidence for."""
    topics = _data("topics")
    named = (tag for topic in _data("crosswalk").get(subject, ()) for tag in topics[topic]["tags"])
    tags = (tag for tag in named if not tag.startswith(MITIGATION) and (subject, tag) not in TOO_MUCH)
    return tuple(dict.fromkeys((*tags, *MITIGATIONS.get(subject, ()))))


def crosswalk_subjects() -> tuple[str, ...]:
    """Every check id, gate rule and part of the manifest that the crosswalk speaks of."""
    return tuple(_data("crosswalk"))


class Framework(msgspec.Struct, frozen=True, kw_only=True):
    """A framework: its tag prefix, and its entries as (id, short name) in its own order."""

    prefix: str
    name: str
    edition: str
    url: str
    verified: bool
    entries: tuple[tuple[str, str], ...]


def frameworks() -> tuple[Framework, ...]:
    """Every framework that tags can name."""
    return tuple(
        Framework(
            prefix=prefix,
            name=f["name"],
            edition=f["edition"],
            url=f["url"],
            verified=f["verified"],
            entries=tuple((i, name) for i, name, _ in f["items"]),
        )
        for prefix, f in _data("frameworks").items()
    )

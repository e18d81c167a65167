"""supply.secrets: passwords, keys and tokens that ship with a model"""

from __future__ import annotations

from collections.abc import Iterator

from assay.checks.noted import report
from assay.core.artifact import Artifact
from assay.core.check import check
from assay.core.finding import Finding, Severity
from assay.core.subject import Kind, Stage
from assay.formats.reading import Topic


@check(
    "supply.secrets",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.CRITICAL,
    cost="instant",
    tags=("atlas:AML.T0055", "owasp-llm-2025:LLM02"),
)
def secrets(artifact: Artifact) -> Iterator[Finding]:
    """Passwords, keys and tokens that ship with a model.

    Why: a token in a notebook's output or a configuration gives whoever downloads the model its author's rights, to the
    registry the model itself comes from among others.

    How it decides: text, configuration, notebooks and prompts are searched for tokens of known providers by their
    structure, private keys, passwords in addresses, and values of high entropy under names that announce a secret.
    Placeholders, references to the environment, digests and a tokenizer's own tokens are left aside. What was found is
    never shown, only where it stands and how long it is.

    Fix: revoke the secret first, then remove it, from the history too.

    References: MITRE ATLAS AML.T0055; OWASP LLM02:2025; CWE-798.
    """
    yield from report(artifact, Topic.SECRETS, "no text in it")

"""supply.chat-template: chat templates that run code or speak to the model behind the user's back"""

from __future__ import annotations

from collections.abc import Iterator

from assay.checks.noted import report
from assay.core.artifact import Artifact
from assay.core.check import check
from assay.core.finding import Finding, Severity
from assay.core.subject import Kind, Stage
from assay.formats.reading import Topic


@check(
    "supply.chat-template",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.CRITICAL,
    cost="instant",
    tags=("atlas:AML.T0018", "owasp-llm-2025:LLM03"),
)
def chat_template(artifact: Artifact) -> Iterator[Finding]:
    """A chat template that runs code, or says to the model what the user never sees.

    Why: a chat template is a Jinja program inside a tokenizer's configuration or a GGUF file. It runs at every message,
    outside a sandbox in some servers, and it decides what the model is told. A template that answers to a hidden word,
    or that slips in an instruction, is a backdoor without a changed weight.

    How it decides: templates are split into Jinja's own tokens; reaching for Python's inner names (by attribute, by
    filter, or by a name put together from pieces) is critical, loading other templates and conditions on what the user
    said are findings, so are instructions, addresses, markup and invisible signs in what it says. Templates in the
    shape of the well-known chat formats give nothing.

    Fix: take the template of the model's original publisher, and pin it.

    References: Jinja's sandbox documentation; MITRE ATLAS AML.T0018; OWASP LLM03:2025.
    """
    yield from report(artifact, Topic.TEMPLATE, "no chat template in it")

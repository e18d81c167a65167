"""supply.remote-code: code beside a model, and configuration that has it imported"""

from __future__ import annotations

from collections.abc import Iterator

from assay.checks.noted import report
from assay.core.artifact import Artifact
from assay.core.check import check
from assay.core.finding import Finding, Severity
from assay.core.subject import Kind, Stage
from assay.formats.reading import Topic


@check(
    "supply.remote-code",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.CRITICAL,
    cost="instant",
    tags=("atlas:AML.T0010.001", "owasp-llm-2025:LLM03"),
)
def remote_code(artifact: Artifact) -> Iterator[Finding]:
    """Code that a repository brings along, and configuration that has a loader import it.

    Why: with `trust_remote_code` a loader imports Python files from the model's repository; Hydra and PEFT
    configurations name any callable as `_target_`; an MLflow model names its own loader module. Whoever can write that
    text runs code wherever the model is loaded.

    How it decides: configuration is decoded (JSON, YAML with its tags, TOML, INI) and every key that names code is
    followed: `auto_map`, `custom_pipelines`, `_target_`, `loader_module` and the like, by a written list of ordinary
    targets. Python sources, notebooks' cells apart, are parsed with `ast` and judged by what they do when they are
    imported and what they can do later: run commands, evaluate text, unpickle, open connections, hide what they say.
    Nothing is imported or run.

    Fix: read the named code, pin the repository's revision, keep `trust_remote_code` off, or ship weights only.

    References: Hugging Face transformers, custom models; Hydra `_target_`; MITRE ATLAS AML.T0010.001; OWASP LLM03:2025.
    """
    yield from report(artifact, Topic.REMOTE_CODE, "no configuration and no source code in it")

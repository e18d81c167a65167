"""supply.requirements: what a model's environment would install"""

from __future__ import annotations

from collections.abc import Iterator

from assay.checks.noted import report
from assay.core.artifact import Artifact
from assay.core.check import check
from assay.core.finding import Finding, Severity
from assay.core.subject import Kind, Stage
from assay.formats.reading import Topic


@check(
    "supply.requirements",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.CRITICAL,
    cost="instant",
    tags=("atlas:AML.T0011.001", "owasp-llm-2025:LLM03"),
    version=2,
)
def requirements(artifact: Artifact) -> Iterator[Finding]:
    """Requirements that would install something else than was meant.

    Why: loading a model begins with installing its requirements. A name one letter off a popular package, an address
    instead of a name, a second index or a version left open each let somebody else choose the code.

    How it decides: requirements and constraints files, conda and MLflow environments, pyproject.toml, setup.cfg,
    Pipfile and lock files are parsed; addresses, extra indexes, switched-off verification, versions left open and names
    that look like a well-known package but are not it are findings. No index is asked.

    Fix: name each package with its version and hash, from one index that you trust.

    References: PEP 508; pip's requirements file format; MITRE ATLAS AML.T0011.001; OWASP LLM03:2025.
    """
    yield from report(artifact, Topic.REQUIREMENTS, "no list of requirements in it")

"""supply.notebook: what a notebook's cells would run and what its outputs carry"""

from __future__ import annotations

from collections.abc import Iterator

from assay.checks.noted import report
from assay.core.artifact import Artifact
from assay.core.check import check
from assay.core.finding import Finding, Severity
from assay.core.subject import Kind, Stage
from assay.formats.reading import Topic


@check(
    "supply.notebook",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.CRITICAL,
    cost="instant",
    tags=("atlas:AML.T0010.001", "owasp-llm-2025:LLM03"),
)
def notebook(artifact: Artifact) -> Iterator[Finding]:
    """A notebook whose cells or outputs do what a reader would not expect.

    Why: notebooks travel with models and are run by people who trust them. A cell can fetch and run a script; an output
    saved by somebody else can carry a script that runs when the page is shown.

    How it decides: the JSON is decoded, code cells are parsed as Python with their magics and shell lines told apart,
    and judged as source code is; saved outputs are looked through for scripts and frames that ordinary plotting
    libraries do not write. Nothing is run.

    Fix: read the cell, clear the outputs (`jupyter nbconvert --clear-output`), and run it where nothing can be lost.

    References: nbformat 4.5; MITRE ATLAS AML.T0010.001; OWASP LLM03:2025.
    """
    yield from report(artifact, Topic.NOTEBOOK, "no notebook in it")

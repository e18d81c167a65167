"""supply.agent-tools: MCP servers and agent tools that carry hidden instructions or too many rights"""

from __future__ import annotations

from collections.abc import Iterator

from assay.checks.noted import report
from assay.core.artifact import Artifact
from assay.core.check import check
from assay.core.finding import Finding, Severity
from assay.core.subject import Kind, Stage
from assay.formats.reading import Topic


@check(
    "supply.agent-tools",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.CRITICAL,
    cost="instant",
    tags=("atlas:AML.T0110", "owasp-agentic-2026:ASI04"),
    version=2,
)
def agent_tools(artifact: Artifact) -> Iterator[Finding]:
    """MCP servers and agent tools that hide instructions, change under way or may do too much.

    Why: an agent reads a tool's description as part of its prompt, and starts the servers a manifest names. An
    instruction hidden in a description is obeyed; a server without a version is whatever its author publishes next; a
    tool with a whole disk or every permission turns a small mistake into a large one.

    How it decides: manifests of MCP servers, lists of tools, plug-in manifests, agent cards and instruction files are
    parsed; descriptions are read for orders to the model, invisible signs and addresses; servers for missing versions,
    shells, downloads, plain HTTP and rights beyond a folder.

    Fix: pin the server, narrow its scope, and read the description as the model would.

    References: Model Context Protocol; OWASP ASI04; MITRE ATLAS AML.T0110.
    """
    yield from report(artifact, Topic.AGENT_TOOLS, "no manifest of servers, tools or agents in it")

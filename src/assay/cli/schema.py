"""`assay schema`: the JSON Schema of what Assay reads and writes."""

from __future__ import annotations

import click

NAMES = (
    "manifest",
    "policy",
    "roster",
    "report",
    "evidence",
    "decision",
    "approval",
    "waiver",
    "dataset",
    "model",
    "threats",
)


@click.command("schema")
@click.argument("name", type=click.Choice(NAMES), default="report")
def command(name: str) -> None:
    """Print the JSON Schema of NAME (default: the JSON report)."""
    import msgspec

    from assay.config.manifest import DatasetEntry, Manifest, ModelEntry
    from assay.config.policy_file import PolicyFile
    from assay.core.decision import Approval, Decision, Roster, Waiver
    from assay.core.report import Report
    from assay.core.threats import Threats
    from assay.render.structured import JsonReport

    types = {
        "manifest": Manifest,
        "policy": PolicyFile,
        "roster": Roster,
        "report": JsonReport,
        "evidence": Report,
        "decision": Decision,
        "approval": Approval,
        "waiver": Waiver,
        "dataset": DatasetEntry,
        "model": ModelEntry,
        "threats": Threats,
    }
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(types[name])}
    click.echo(msgspec.json.format(msgspec.json.encode(schema), indent=2).decode())

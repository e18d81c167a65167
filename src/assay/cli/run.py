"""`assay run`: the main job. Examine a project, decide by its policy, leave signed evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.common import (
    FILE,
    asking_options,
    emit,
    must,
    output_options,
    private_key,
    progress_bar,
    refuse_nowhere,
    report_code,
    save,
    settings_from,
)
from assay.core.finding import Status

if TYPE_CHECKING:
    from assay.core.dossier import Dossier


@click.command("run")
@click.argument("project", default=".", type=FILE)
@asking_options
@click.option("--policy", type=FILE, help="Decide by this policy instead of the manifest's.")
@click.option("--evidence-out", type=FILE, help="Write the outcomes, signed, for `assay gate`.")
@click.option("--key", type=FILE, help="Your signing key (for --evidence-out).")
@click.option("--no-cache", is_flag=True, help="Ask everything anew.")
@click.option("--weak-sandbox", is_flag=True, help="Load a pickled model even if isolation is partial; recorded.")
@output_options
def command(
    project: Path,
    policy: Path | None,
    evidence_out: Path | None,
    key: Path | None,
    no_cache: bool,
    weak_sandbox: bool,
    format_: str,
    output: Path | None,
    fail_level: str,
    **options: Any,
) -> None:
    """Examine PROJECT (a folder with assay.yaml), decide by its policy, and leave evidence.

    The decision shown is a preview: it rests on this run alone. `assay gate` decides for good, on signed evidence.
    """
    from assay.flow.project import run_project

    for path in (output, evidence_out):
        refuse_nowhere(path)
    signer = private_key(must(key, "--key", "to sign evidence")) if evidence_out is not None else None
    settings = settings_from(weak_sandbox=weak_sandbox, **options)
    with progress_bar() as progress:
        ran = run_project(project, settings, policy=policy, signer=signer, remember=not no_cache, progress=progress)
    if evidence_out is not None:
        save(evidence_out, ran.evidence)
        click.echo(f"wrote {evidence_out}", err=True)
    emit(ran.dossier, format_, output)
    raise click.exceptions.Exit(_code(ran.dossier, fail_level))


def _code(dossier: Dossier, fail_level: str) -> int:
    """1 over 3 over 0. Without a policy the findings decide; an ALLOW with something still open is 3."""
    decision = dossier.decision
    if decision is None:
        return report_code(dossier.report, fail_level)
    if decision.mode == "observe":
        return 0
    if decision.verdict.value == "allow":
        return 3 if any(o.status is Status.OPEN for o in dossier.report.body.outcomes) else 0
    return 1 if decision.verdict.value == "deny" else 3

"""`assay run`: the main job. Examine a project, decide by its policy, leave signed evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from assay.cli.common import (
    FILE,
    asking_options,
    emit,
    must,
    output_options,
    private_key,
    progress_bar,
    report_code,
    save,
    settings_from,
)


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

    signer = private_key(must(key, "--key", "to sign evidence")) if evidence_out is not None else None
    settings = settings_from(weak_sandbox=weak_sandbox, **options)
    with progress_bar() as progress:
        ran = run_project(project, settings, policy=policy, signer=signer, remember=not no_cache, progress=progress)
    if evidence_out is not None:
        save(evidence_out, ran.evidence)
        click.echo(f"wrote {evidence_out}", err=True)
    emit(ran.dossier, format_, output)
    decision = ran.dossier.decision
    if decision is None:
        code = report_code(ran.dossier.report, fail_level)
    elif decision.mode == "observe":
        code = 0
    else:
        code = {"deny": 1, "indeterminate": 3, "allow": 0}[decision.verdict.value]
    raise click.exceptions.Exit(code)

"""`assay harden`: a pickle as safetensors, skops or ONNX, proved to be the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.common import FILE, Number, must, progress_bar, public_key

if TYPE_CHECKING:
    from assay.harden.result import Hardened, Proof

_MOST_LISTED = 20


@click.command("harden")
@click.argument("file", type=FILE)
@click.option(
    "--to",
    type=click.Choice(["safetensors", "skops", "onnx"]),
    help="The format to make  [default: safetensors for tensors, skops for an estimator].",
)
@click.option("--output", "-o", type=FILE, help="Where it goes  [default: beside FILE, under its format's suffix].")
@click.option("--force", is_flag=True, help="Replace a file that is there already (never FILE itself).")
@click.option("--rows", type=FILE, help="Real rows to compare on (CSV, Parquet or Arrow); ONNX needs them.")
@click.option("--label", default="", help="The column of --rows that is no input: the label.")
@click.option("--drop", multiple=True, metavar="COLUMN", help="Another column of --rows that is no input (may repeat).")
@click.option("--threshold", type=Number(), default=0.5, show_default=True, help="ONNX: the score from which it flags.")
@click.option("--positive", help="ONNX: the class that is flagged  [default: the second of two].")
@click.option("--tensors-only", is_flag=True, help="Leave out, and list, what safetensors cannot hold.")
@click.option("--allow", multiple=True, metavar="MODULE.NAME", help="Load this name that no list knows (may repeat).")
@click.option("--modules", type=FILE, help="The folder that allowed names are imported from, inside the sandbox.")
@click.option("--threats", type=FILE, help="A threat pack to judge by too; its signature lies beside it.")
@click.option("--threats-key", type=FILE, help="Public key of its publisher.")
@click.option("--weak-sandbox", is_flag=True, help="Accept less than full isolation; the result says so.")
@click.option("--format", "-f", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    file: Path,
    to: str | None,
    output: Path | None,
    force: bool,
    rows: Path | None,
    label: str,
    drop: tuple[str, ...],
    threshold: float,
    positive: str | None,
    tensors_only: bool,
    allow: tuple[str, ...],
    modules: Path | None,
    threats: Path | None,
    threats_key: Path | None,
    weak_sandbox: bool,
    format_: str,
) -> None:
    """Convert FILE (pickle, joblib, torch, npz) to a format that cannot run code: safetensors, skops or ONNX.

    FILE is scanned first, and refused where anything in it is not known to be data; it is opened only inside the
    sandbox. The result is compared with it, and written only if it is the same. Exit code 0: written and proved; 1:
    refused; 2: wrong use, or no file for this; 3: the sandbox could not look.
    """
    from assay.core.errors import UsageError
    from assay.flow.harden import Asked, Rows, harden

    if rows is None and (label or drop):
        raise UsageError("--label and --drop are columns of --rows", where=str(file), fix="add --rows TABLE")
    pack = None
    if threats is not None:
        from assay.flow.papers import trusted_threats

        pack = trusted_threats(threats, public_key(must(threats_key, "--threats-key", "to trust a threat pack")))
    asked = Asked(
        to=to,  # type: ignore[arg-type]
        output=output,
        rows=Rows(path=rows, label=label, drop=drop) if rows is not None else None,
        threshold=threshold,
        positive=positive,
        tensors_only=tensors_only,
        allow=allow,
        modules=modules,
        weak=weak_sandbox,
        force=force,
        threats=pack,
    )
    with progress_bar() as progress:
        done = harden(file, asked, progress=progress)
    if format_ == "json":
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(done), indent=2).decode())
        return
    click.echo("\n".join(_lines(done)))


def _lines(done: Hardened) -> list[str]:
    from assay.core.canonical import short
    from assay.core.text import visible

    made = done.made
    lines = [
        f"{label:<8} {visible(part.path)}  {part.format}, {part.size:,} bytes, sha256 {short(part.digest, 12)}…"
        for label, part in (("source", done.source), ("result", done.result))
    ]
    lines.append(f"proved   {_proof(made.proof)}")
    lines.append(f"sandbox  {done.isolation}")
    if done.threats is not None:
        lines.append(f"judged   by threat pack {visible(str(done.threats), 100)} too")
    if made.values:
        lines.append(f"kept     {made.values} numbers and texts, as JSON in the metadata `values`")
    for names in made.shared[:_MOST_LISTED]:
        lines.append(f"shared   {visible(', '.join(names), 200)}: one storage, written once for each name")
    for item in made.left_out[:_MOST_LISTED]:
        lines.append(f"left out {visible(item.name or 'the whole', 100)}: {visible(item.why, 150)}")
    if len(made.left_out) > _MOST_LISTED:
        lines.append(f"left out {len(made.left_out) - _MOST_LISTED} more (--format json lists them)")
    if made.trusted:
        lines.append(f"load     skops.io.load(…, trusted={visible(str(list(made.trusted)), 400)})")
    lines += [f"note     {visible(note, 200)}" for note in made.notes]
    lines.append(f"next     {done.next}")
    return lines


def _proof(proof: Proof) -> str:
    if proof.kind == "bytes":
        tensors = "1 tensor has" if proof.tensors == 1 else f"each of {proof.tensors} tensors has"
        return f"{tensors} the bytes that it had in the source (SHA-256, read back)"
    if proof.kind == "answers":
        rows = f"{proof.rows:,} {'generated' if proof.generated else 'given'} rows"
        return f"{', '.join(proof.methods)} answer bit for bit the same on {rows}"
    if proof.kind == "state":
        return f"no predictor to ask; read back and written again, all {proof.nodes} nodes of its state are the same"
    return (
        f"scores differ by at most {proof.max_difference:.2g} on {proof.rows:,} given and recombined rows; "
        f"{proof.flips} decisions flip at {proof.threshold:g} ({proof.precision} inputs)"
    )

"""`assay harden`: a pickle as a format that runs no code, a poisoned table as a sane one, a model that stands."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from assay.cli.common import FILE, Finite, Number, must, progress_bar, public_key, stoppable
from assay.core.errors import UsageError
from assay.core.subject import Access, Norm

if TYPE_CHECKING:
    from assay.harden.result import Hardened, Proof

_MOST_LISTED = 20
_TABLES = frozenset({".csv", ".tsv", ".tab", ".psv", ".txt", ".parquet", ".pq", ".arrow", ".feather", ".ipc"})
_MAGIC = (b"PAR1", b"ARROW1", b"FEA1")
_BOTH = frozenset({"file", "output", "force", "label", "positive", "drop", "format_"})
_MODELS = frozenset(
    {"to", "rows", "threshold", "tensors_only", "allow", "modules", "threats", "threats_key", "weak_sandbox"}
)

HARDENING = frozenset({"train", "against", "norm", "budget", "access", "fpr", "margin", "try_", "attacked", "queries"})
_TO_HARDEN = frozenset({"holdout", "threat", "seed", "entity", "weak_sandbox"})


def _data_options(function: Any) -> Any:
    """The options of a table."""
    options = (
        click.option("--action", type=click.Choice(["auto", "remove", "relabel", "down-weight"]), default="auto",
                     show_default=True, help="TABLE: what is done with flagged rows; auto goes by the check."),
        click.option("--trusted", type=FILE, help="TABLE: rows known to be good; they are never changed."),
        click.option("--holdout", type=FILE, help="Untouched rows that the model is measured on."),
        click.option("--suspects", type=FILE, help="TABLE: take what `assay data check --suspects` wrote of it."),
        click.option("--strongest", multiple=True, metavar="CHECK=N",
                     help="TABLE: down-weight the N rows that CHECK ranks highest, flagged or not (may repeat)."),
        click.option("--patch", type=FILE, help="TABLE: where the patch goes  [default: DATA.patch.json]."),
        click.option("--apply", "apply_", type=FILE, metavar="PATCH", help="TABLE: do again what PATCH did."),
        click.option("--revert", type=FILE, metavar="PATCH", help="TABLE: give the source of PATCH again."),
        click.option("--no-rows", is_flag=True, help="TABLE: keep removed rows out of the patch; no --revert then."),
        click.option("--most", type=Finite(0, 1), default=0.2, show_default=True,
                     help="TABLE: the largest share of rows that may be changed."),
        click.option("--down-to", type=Finite(0, 1, min_open=True, max_open=True), default=0.1, show_default=True,
                     help="TABLE: what a down-weighted row still counts."),
        click.option("--aside", type=Finite(0, 0.5), default=0.2, show_default=True,
                     help="TABLE: the share set aside, unseen, to measure on where no --holdout is given; 0: none."),
        click.option("--id", "id_", help="TABLE: the column that names a row."),
        click.option("--time", "time_", help="TABLE: the column of time."),
        click.option("--source", help="TABLE: the column of the upload or source."),
        click.option("--entity", help="The column that says whom a row is about."),
        click.option("--annotator", help="TABLE: the column that says who labelled."),
        click.option("--weight", help="TABLE: the column of how much a row counts."),
        click.option("--threat", type=FILE, help="A YAML file with `features:`, or an assay.yaml."),
        click.option("--only", multiple=True, metavar="CHECK", help="TABLE: ask only these checks (may repeat)."),
        click.option("--skip", multiple=True, metavar="CHECK", help="TABLE: do not ask these (may repeat)."),
        click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0,
                     help="Seed of all that is random  [default: 0]."),
        click.option("--jobs", "-j", type=click.IntRange(1, 256), help="TABLE: workers  [default: one a core]."),
        click.option("--timeout", type=Finite(0.1), default=600.0, help="TABLE: seconds a check may take."),
        click.option("--memory", type=click.IntRange(64), default=6144, help="TABLE: megabytes a check may take."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def _hardening_options(function: Any) -> Any:
    """The options of a model that is made to stand attacks."""
    options = (
        click.option("--train", type=FILE, help="MODEL: its training rows: harden it against attacks, do not convert."),
        click.option("--against", type=click.Choice(["evasion", "membership", "theft"]), default="evasion",
                     show_default=True, help="MODEL: the attack that it is hardened against."),
        click.option("--norm", type=click.Choice(get_args(Norm)),
                     help="MODEL: how far a change is  [default: cost, by --threat]."),
        click.option("--budget", type=Finite(0, min_open=True),
                     help="MODEL: how far an attacker goes  [default: --threat's; of cost 3]."),
        click.option("--access", type=click.Choice(get_args(Access)),
                     help="MODEL: what an attacker sees while options are compared  [default: whitebox]."),
        click.option("--fpr", type=Finite(0, 0.5, min_open=True), default=0.01, show_default=True,
                     help="MODEL: the share of false alarms at which all are compared."),
        click.option("--margin", type=Finite(0, 1), default=0.01, show_default=True,
                     help="MODEL: the clean recall that may be lost."),
        click.option("--try", "try_", multiple=True, metavar="OPTION", help="MODEL: try only these (may repeat)."),
        click.option("--attacked", type=click.IntRange(50),
                     help="MODEL: positive rows that are attacked to confirm  [default: 300]."),
        click.option("--queries", type=click.IntRange(10),
                     help="MODEL: queries a row may ask  [default: 600], or a thief  [default: 1000]."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@click.command("harden")
@click.argument("file", type=FILE)
@click.option(
    "--to",
    type=click.Choice(["safetensors", "skops", "onnx"]),
    help="The format to make  [default: safetensors for tensors, skops for an estimator].",
)
@click.option("--output", "-o", type=FILE, help="Where it goes  [default: beside FILE, under another suffix].")
@click.option("--force", is_flag=True, help="Replace a file that is there already (never FILE itself).")
@click.option("--rows", type=FILE, help="Real rows to compare on (CSV, Parquet or Arrow); ONNX needs them.")
@click.option("--label", default="", help="The label column: of the table, or of --rows, where it is no input.")
@click.option("--drop", multiple=True, metavar="COLUMN", help="Another column that is no input (may repeat).")
@click.option("--threshold", type=Number(), default=0.5, show_default=True, help="ONNX: the score from which it flags.")
@click.option("--positive", help="The class that is flagged  [default: 1 of a table, else the second of two].")
@click.option("--tensors-only", is_flag=True, help="Leave out, and list, what safetensors cannot hold.")
@click.option("--allow", multiple=True, metavar="MODULE.NAME", help="Load this name that no list knows (may repeat).")
@click.option("--modules", type=FILE, help="The folder that allowed names are imported from, inside the sandbox.")
@click.option("--threats", type=FILE, help="A threat pack to judge by too; its signature lies beside it.")
@click.option("--threats-key", type=FILE, help="Public key of its publisher.")
@click.option("--weak-sandbox", is_flag=True, help="Accept less than full isolation; the result says so.")
@_data_options
@_hardening_options
@click.option("--format", "-f", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(file: Path, format_: str, **options: Any) -> None:
    """Convert FILE to a format that cannot run code, harden it with --train, or sanitise it if it is a table.

    A model (pickle, joblib, torch, npz) becomes safetensors, skops or ONNX. It is scanned first, and refused where
    anything in it is not known to be data; it is opened only inside the sandbox. The result is compared with it, and
    written only if it is the same.

    A table is asked what `assay data check` asks. Rows that checks flag are removed, relabelled or down-weighted in a
    copy; the patch beside it says why, row by row, and gives the source again (--revert). The same learner is measured
    before and after on rows that nothing looked at. The patch holds removed rows: keep it like the data.

    A model with --train, --holdout and --label is trained again in ways that may stand attacks, beside controls
    (retrained, oversampled, noise). All are attacked on the same rows at the same rate of false alarms; the best is
    attacked again in every way, on rows of its own, and written only where it surely helps. --against membership and
    --against theft compare milder recipes, rounded scores and decisions alone by what they leak, or how well a copy
    agrees.

    Exit code 0: written and proved (what helps by serving otherwise, as decisions alone do, is told and not written);
    1: refused, or nothing helps; 2: wrong use, or no file for this; 3: something could not look, or cannot be told.
    """
    context = click.get_current_context()
    table = is_table(file)
    if options["train"] is not None:
        from assay.cli.harden_model import harden_attacked

        _refuse(context, file, HARDENING | _TO_HARDEN | _BOTH, "does nothing beside --train")
        with stoppable() as still:
            text = harden_attacked(context, file, format_, options, still)
        click.echo(text)
        raise click.exceptions.Exit(int(context.meta["assay.code"]))
    _refuse(context, file, frozenset(str(p.name) for p in context.command.params) - HARDENING, "is for --train")
    _of_its_kind(context, file, table=table)
    with stoppable() as still:
        if table:
            from assay.cli.harden_data import sanitise_table

            text = sanitise_table(context, file, format_, options, still)
        else:
            mine = (*_MODELS, "output", "force", "label", "drop", "positive")
            text = _model(file, format_, {k: options[k] for k in mine})
    click.echo(text)
    if table:
        raise click.exceptions.Exit(int(context.meta.get("assay.code", 0)))


def is_table(path: Path) -> bool:
    """Whether a file is taken for a table: by what it begins with, else by its suffix."""
    from assay.formats.models.boosters import looks_like_lightgbm

    head = b""
    with suppress(OSError):
        if path.is_file():  # a pipe would be waited for
            with path.open("rb") as stream:
                head = stream.read(64)
    if looks_like_lightgbm(head):
        return False  # a model, though its name ends as a table's does
    return head.startswith(_MAGIC) or head[8:12] == b"DUCK" or path.suffix.lower() in _TABLES


def _refuse(context: click.Context, file: Path, known: frozenset[str], what: str) -> None:
    """Refuse options that would do nothing. Raises UsageError."""
    for option in context.command.params:
        source = context.get_parameter_source(str(option.name))
        if option.name not in known and source is click.core.ParameterSource.COMMANDLINE:
            fix = "leave it out" if "beside" in what else "add --train, --holdout and --label to harden a model"
            raise UsageError(f"{option.opts[0]} {what}", where=str(file), fix=fix)


def _of_its_kind(context: click.Context, file: Path, *, table: bool) -> None:
    """Refuse options of the other kind: nobody should believe that they did something. Raises UsageError."""
    given = [
        p
        for p in context.command.params
        if p.name and context.get_parameter_source(p.name) is click.core.ParameterSource.COMMANDLINE
    ]
    for option in given:
        if option.name in _BOTH or (option.name in _MODELS) != table:
            continue
        kind, other = ("a table", "models") if table else ("no table", "tables")
        what = f"{option.opts[0]} is for {other}, and this is taken for {kind}"
        raise UsageError(what, where=str(file), fix=f"leave it out, or name a file that is one of the {other}")


def _model(file: Path, format_: str, options: dict[str, Any]) -> str:
    from assay.flow.harden import Asked, Rows, harden

    rows, label, drop = options.pop("rows"), options.pop("label"), options.pop("drop")
    threats, threats_key = options.pop("threats"), options.pop("threats_key")
    if rows is None and (label or drop):
        raise UsageError("--label and --drop are columns of --rows", where=str(file), fix="add --rows TABLE")
    pack = None
    if threats is not None:
        from assay.flow.papers import trusted_threats

        pack = trusted_threats(threats, public_key(must(threats_key, "--threats-key", "to trust a threat pack")))
    asked = Asked(
        rows=Rows(path=rows, label=label, drop=drop) if rows is not None else None,
        weak=options.pop("weak_sandbox"),
        threats=pack,
        **options,
    )
    with progress_bar() as progress:
        done = harden(file, asked, progress=progress)
    if format_ == "json":
        import msgspec

        return msgspec.json.format(msgspec.json.encode(done), indent=2).decode()
    return "\n".join(_lines(done))


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

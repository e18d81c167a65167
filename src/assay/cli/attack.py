"""`assay attack`: try to slip rows past a model under real constraints."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from assay.cli.common import (
    FILE,
    Finite,
    Number,
    asking_options,
    emit,
    must,
    output_options,
    progress_bar,
    refuse_examples,
    report_code,
    settings_from,
)
from assay.config.address import is_address
from assay.core.finding import Status
from assay.core.subject import Access, Norm

if TYPE_CHECKING:
    from assay.core.report import Report
    from assay.flow.recourse import RowNotice


class _Model(click.Path):
    """A path, or the address of a served model as it was typed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The address as text, everything else as `Path`."""
        return value if isinstance(value, str) and is_address(value) else FILE.convert(value, param, ctx)


class _OfGroup(click.Command):
    """The command that the group asks where none is named: its errors say `assay attack`, as it was typed."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the command, in the group's place."""
        if parent is not None:
            info_name, parent = parent.info_name, parent.parent
        return super().make_context(info_name, args, parent, **extra)


class Attack(click.Group):
    """`assay attack MODEL …`; what is no command of its own is a model."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options before the model are the model's; the group has none but help."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["model", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, `model` where none is named."""
        if args[0] not in self.commands:
            args = ["model", *args]
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help of `attack MODEL`, and what else there is."""
        model = self.commands["model"]
        model.format_help(click.Context(model, info_name="attack", parent=ctx.parent), formatter)
        with formatter.section("Or"):
            others = [c for name, c in self.commands.items() if name != "model"]
            formatter.write_dl([(f"attack {c.name}", c.get_short_help_str(80)) for c in others])


@click.group("attack", cls=Attack)
def command() -> None:
    """Attack a model."""


@command.command("model", cls=_OfGroup)
@click.argument("model", type=_Model())
@click.option("--data", type=FILE, help="Rows the model has not seen (CSV, Parquet or Arrow).")
@click.option("--label", help="The label column of the data.")
@click.option(
    "--positive", default="1", show_default=True, help="The label's positive value: what the model should flag."
)
@click.option("--threshold", type=Number(), help="The score from which the model flags  [default: 0.5].")
@click.option(
    "--threat",
    type=FILE,
    help="What an attacker can change: assay.yaml, or a YAML file with its `features:` and `constraints:`.",
)
@click.option("--train", type=FILE, help="The training data, for the scale of each feature  [default: --data].")
@click.option("--cost", type=Finite(0, min_open=True), help="The budget of --norm cost  [default: 3].")
@click.option(
    "--norm",
    type=click.Choice(get_args(Norm)),
    help="How far a change is: the largest, the Euclidean length, the sum, or what the threat model prices  "
    "[default: cost].",
)
@click.option("--budget", type=Finite(0, min_open=True), help="The budget of the other norms  [default: no limit].")
@click.option(
    "--access",
    type=click.Choice(get_args(Access)),
    help="What the attacker sees: decisions, scores, or the model itself  [default: label].",
)
@click.option(
    "--method",
    type=click.Choice(["search", "transfer"]),
    help="Ask the model about every step, or train copies on its answers and attack those  [default: search].",
)
@click.option(
    "--endpoint",
    multiple=True,
    metavar="KEY=VALUE",
    help="How a model at an address is asked (may repeat): protocol (oip, mlflow), output, inputs (a,b,c), token_env "
    "(the variable that holds a token), rate (requests a second), batch (rows a request), timeout, wait (seconds).",
)
@click.option("--rows", type=click.IntRange(10), default=300, show_default=True, help="Positive rows to try.")
@click.option("--queries", type=click.IntRange(10), help="Queries a row may ask  [default: 600].")
@click.option("--protected", multiple=True, help="A column of a protected attribute (may repeat).")
@click.option(
    "--favourable",
    type=click.Choice(["passed", "flagged"]),
    help="What is better for a person, for fairness.*: to pass, or to be flagged (a loan that is granted)  "
    "[default: passed].",
)
@click.option("--drop", multiple=True, help="A column that is no input of the model (may repeat).")
@click.option("--examples", type=FILE, help="Write the attacked rows here: Parquet (.parquet), or CSV (.csv).")
@asking_options
@output_options
def attack(
    model: Path | str,
    data: Path | None,
    label: str | None,
    positive: str,
    threshold: float | None,
    threat: Path | None,
    train: Path | None,
    cost: float | None,
    norm: str | None,
    budget: float | None,
    access: str | None,
    method: str | None,
    endpoint: tuple[str, ...],
    rows: int,
    queries: int | None,
    protected: tuple[str, ...],
    favourable: str | None,
    drop: tuple[str, ...],
    examples: Path | None,
    format_: str,
    output: Path | None,
    fail_level: str,
    **options: Any,
) -> None:
    """Attack MODEL: a model file or the address of a served one with --data and --label, or a project folder with
    assay.yaml.

    An address (http:// or https://) ends with /v2/models/NAME (Open Inference Protocol: KServe, Triton, MLServer) or
    /invocations (MLflow scoring). The rows of --data are sent there and nowhere else; every row is counted, and answers
    are kept, so that a run that was cut off asks only the rest.

    For a project the manifest's own data, threat and budget are used. A threat model says of every input of the model
    whether and how an attacker can change it, one a line: `Sex: {mutable: false}`, `Amount: {min: 0, max: 500, cost:
    2}`, `Day: {categories: [Mon, Tue]}`; `assay attack init` drafts it. Without one everything may change,
    columns that are stored as whole numbers by whole numbers.
    """
    from assay.core.dossier import Dossier

    refuse_examples(examples, output)
    wanted = options.pop("only") or ("data.schema", "robustness.evasion")
    unwritten: Exception | None = None
    with progress_bar() as progress:
        if isinstance(model, Path) and model.is_dir():
            from assay.flow.project import examine_only

            _refuse_ignored()
            report = examine_only(model, settings_from(only=wanted, **options), progress=progress)
        else:
            from assay.flow.attack import Attack, NothingWrittenError, attack_model

            what = Attack(
                model=model,
                data=must(data, "--data", "to attack a model file"),
                label=must(label, "--label", "to know what should be flagged"),
                positive=positive,
                threshold=threshold,
                threat=threat,
                train=train,
                protected=protected,
                drop=drop,
                endpoint=endpoint,
            )
            given = {"cost": cost, "norm": norm, "budget": budget, "access": access, "rows": rows, "queries": queries}
            parameters = _parameters({**given, "method": method}, favourable)
            settings = settings_from(only=wanted, parameters=parameters, **options)
            try:
                report = attack_model(what, settings, examples=examples, progress=progress)
            except NothingWrittenError as error:
                report, unwritten = error.report, error
    emit(Dossier(report=report), format_, output)
    _end(_code(report, fail_level), unwritten)


def _parameters(attack: dict[str, Any], favourable: str | None) -> dict[str, dict[str, Any]]:
    """What was given, by the check that it is for."""
    told = {"robustness.evasion": {name: value for name, value in attack.items() if value is not None}}
    return told if favourable is None else {**told, "fairness.groups": {"favourable": favourable}}


def _code(report: Report, fail_level: str) -> int:
    """As of any report, but 3 where nothing that was asked applies: nothing was judged."""
    applied = any(o.status is not Status.NOT_APPLICABLE for o in report.body.outcomes)
    return report_code(report, fail_level) or (0 if applied else 3)


def _end(code: int, unwritten: Exception | None) -> None:
    """Exit; that no rows were written is said, and is the error where the report has none."""
    if unwritten is not None and not code:
        raise unwritten
    if unwritten is not None:
        click.echo(f"assay: {unwritten}", err=True)
    raise click.exceptions.Exit(code)


@command.command("init")
@click.argument("table", type=FILE)
@click.option("--label", help="The label column.")
@click.option("--drop", multiple=True, help="A column that is no input of the model (may repeat).")
@click.option("--output", "-o", type=FILE, help="Write the draft here, where nothing lies yet  [default: stdout].")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything that is random.")
def init(table: Path, label: str | None, drop: tuple[str, ...], output: Path | None, seed: int) -> None:
    """Draft a threat model from the rows of TABLE: what may change, within which bounds, and what must hold.

    Nothing is overwritten. `assay attack MODEL --threat DRAFT` then attacks within it, and says which rows break it.
    """
    from assay.flow.infer import write_new_draft
    from assay.flow.threat_draft import draft_threat

    facts: dict[str, Any] = {k: v for k, v in {"label": label, "drop": list(drop)}.items() if v}
    if output is not None and output.exists():
        write_new_draft("", output)  # says so before the work, not after it
    with progress_bar() as progress:
        text = draft_threat(table, facts, seed=seed, progress=progress)
    if label is None:
        what = "no --label is named: a label among the columns is drafted as an input that an attacker may change"
        click.echo(f"assay: {what}", err=True)
    if output is None:
        click.echo(text, nl=False)
        return
    write_new_draft(text, output)
    left_out = "".join(f" --drop {shlex.quote(name)}" for name in drop)
    then = f"assay attack MODEL --data UNSEEN_ROWS --label {label or 'COLUMN'}{left_out} --threat {output}"
    click.echo(f"wrote {output}; read every line, then: {then}")


@command.command("notice")
@click.argument("model", type=FILE)
@click.option("--data", type=FILE, required=True, help="The rows (CSV, Parquet or Arrow).")
@click.option("--label", required=True, help="The label column of the data.")
@click.option("--row", "rows", type=click.IntRange(0), multiple=True, required=True, help="A row, counted from 0.")
@click.option(
    "--threat",
    type=FILE,
    help="What people can change: a YAML file with `features:`, each with its `person:`.  [required]",
)
@click.option("--positive", default="1", show_default=True, help="The label's positive value.")
@click.option("--threshold", type=Number(), help="The score from which the model flags  [default: 0.5].")
@click.option("--train", type=FILE, help="The training data, for the scale of each feature  [default: --data].")
@click.option("--drop", multiple=True, help="A column that is no input of the model (may repeat).")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything that is random.")
@click.option("--format", "-f", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def notice(threat: Path | None, format_: str, seed: int, **what: Any) -> None:
    """Tell the person of a ROW, in plain language, what they could change so that the decision of MODEL would differ.

    It holds the person's own values, and goes to stdout alone. `person:` below a column of `features:` says what an
    honest person can change in it; other columns stay as they are. The exit code is 3 where of some ROW nothing could
    be told.
    """
    import msgspec

    from assay.flow.recourse import Asked, write_notices

    threat = must(threat, "--threat", "to know what a person can change")
    with progress_bar() as progress:
        told = write_notices(Asked(threat=threat, **what), seed=seed, progress=progress)
    if format_ == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
    else:
        for one in told.rows:
            click.echo("\n  ".join((_of_row(one), *one.text)))
        for text in told.about:
            click.echo(f"note: {text}")
    if any(one.error for one in told.rows):
        raise click.exceptions.Exit(3)


def _of_row(one: RowNotice) -> str:
    """The first line of a row's notice."""
    if one.error:
        return f"row {one.row}: could not be told: {one.error}"
    state = "flagged" if one.flagged else "not flagged"
    return f"row {one.row}: {state}, score {one.score:.3g}, flagged from {one.threshold:g}"


def _refuse_ignored() -> None:
    """Options that a project answers itself must not be given, and then be ignored. Raises UsageError."""
    from assay.core.errors import UsageError

    context = click.get_current_context()
    given = click.core.ParameterSource.COMMANDLINE
    for name in ("data", "label", "positive", "threshold", "threat", "train", "cost", "norm", "budget",
                 "access", "method", "endpoint", "rows", "queries", "examples", "protected", "favourable",
                 "drop"):  # fmt: skip
        if context.get_parameter_source(name) is given:
            raise UsageError(f"--{name} is for a model file", where="assay attack", fix="set it in assay.yaml")

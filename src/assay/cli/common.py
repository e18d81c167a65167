"""What several verbs share: output, progress, keys, the clock's moment and the exit code of a report."""

from __future__ import annotations

import errno
import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.core.errors import InputError, UsageError, os_words
from assay.core.files import write_whole
from assay.core.finding import Severity, Status
from assay.core.protocols import Progress, silent
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.attest.keys import PrivateKey, PublicKey
    from assay.attest.remembered import Remembered
    from assay.core.dossier import Dossier
    from assay.core.report import Report
    from assay.engine.plan import Settings

_SYSTEM = frozenset({errno.EFBIG, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
FORMATS = ("text", "json", "sarif", "html")
_PACE = 600.0
"""Seconds whose pace tells the time that is left: a part of hardening takes minutes."""
PASSPHRASE = "ASSAY_KEY_PASSPHRASE"  # noqa: S105 - the variable's name


class _File(click.Path):
    """A path; an empty one (a variable that is not set) is refused, where pathlib would take it for the folder here."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path as `Path`."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


class Number(click.types.FloatParamType):
    """A number that is neither infinite nor NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number as float."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number


class Finite(Number, click.FloatRange):
    """A finite number in a range."""


FILE = _File(readable=False, path_type=Path)  # what cannot be read is told by who reads it
F = Callable[..., Any]


_REPORTS = {"json": b'{"schema"', "sarif": b'{"$schema"', "html": b"<", "text": b""}
"""How a report of each format begins; a text as it likes."""


def output_options(function: F) -> F:
    """`--format` and `--output`; what may not be written over is said before the work."""

    @wraps(function)
    def checked(*args: Any, **named: Any) -> Any:
        output, begins = named["output"], _REPORTS.get(named["format_"])
        if output is not None and begins is not None:
            refuse_other(output, begins)
        return function(*args, **named)

    told = click.option(
        "--output", "-o", type=FILE, help="Write the format to this file; the text still goes to the terminal."
    )(checked)
    return click.option(
        "--format",
        "-f",
        "format_",
        type=click.Choice(FORMATS),
        default="text",
        show_default=True,
        help="What to write.",
    )(told)


def asking_options(function: F) -> F:
    """Options that say how checks are asked."""
    options = (
        click.option("--only", multiple=True, metavar="CHECK", help="Ask only these checks (patterns such as data.*)."),
        click.option("--skip", multiple=True, metavar="CHECK", help="Do not ask these."),
        click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything that is random."),
        click.option("--jobs", "-j", type=click.IntRange(1, 256), help="Workers  [default: one a core]."),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="Where the work is done: here, or on the Ray cluster at RAY_ADDRESS (else one of its own).",
        ),
        click.option("--timeout", type=Finite(0.1), default=600.0, help="Seconds a check, or a part of one, may take."),
        click.option("--memory", type=click.IntRange(64), default=6144, help="Megabytes a check may take."),
        click.option(
            "--fail-level",
            type=click.Choice([s.value for s in Severity]),
            default="medium",
            show_default=True,
            help="Exit 1 at findings of this severity or above, where no policy decides.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def access_options(function: F) -> F:
    """What may be done to read from elsewhere."""
    function = click.option(
        "--redirect-to",
        multiple=True,
        metavar="HOST",
        help="A host that answers may lead to (may repeat).",
    )(function)
    return click.option(
        "--private-addresses", is_flag=True, help="Allow addresses that are not public, and plain http to them."
    )(function)


def settings_from(
    only: tuple[str, ...],
    skip: tuple[str, ...],
    seed: int,
    jobs: int | None,
    timeout: float,
    memory: int,
    **more: Any,
) -> Settings:
    """Engine settings from the options above."""
    from assay.engine.plan import Settings
    from assay.engine.task import Limits
    from assay.flow.examine import default_jobs

    limits = Limits(seconds=timeout, bytes=memory * 1024**2)
    return Settings(only=only, skip=skip, seed=seed, jobs=jobs or default_jobs(), limits=limits, **more)


def render(dossier: Dossier, format_: str) -> str:
    """The dossier in a format, as text."""
    if format_ == "json":
        from assay.render.structured import render_json

        return render_json(dossier)
    if format_ == "sarif":
        from assay.render.sarif import render_sarif

        return render_sarif(dossier)
    if format_ == "html":
        from assay.render.html import render_html

        return render_html(dossier)
    from assay.render.text import render_text

    return render_text(dossier, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ)


def emit(dossier: Dossier, format_: str, output: Path | None) -> None:
    """Write the format to `output` and the text to stdout, or the format to stdout alone."""
    if output is None:
        click.echo(render(dossier, format_), nl=False)
        return
    save(output, render(dossier, format_).encode("utf-8", "backslashreplace"))
    click.echo(render(dossier, "text"), nl=False)
    click.echo(f"wrote {visible(str(output))}", err=True)


def save(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; a device or a pipe (/dev/stdout, /dev/null) is written to, never replaced.

    Raises UsageError rather than write over what the command reads, or over a file of another kind.
    """
    refuse_other(path, data)
    if not path.exists() or path.is_file():
        write_whole(path, data)
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InputError(f"cannot be written: {os_words(error)}", where=str(path), fix="name a file") from None


def refuse_other(path: Path, data: bytes) -> None:
    """Raise UsageError rather than write over what the command reads, or over a file of another kind than `data`."""
    if path.is_file() and (why := _not_ours(path, data)):
        raise UsageError(why, where=str(path), fix="name another file, or move this one away")


def _not_ours(path: Path, data: bytes) -> str:
    """Why a file that is there must not be written over; "" where it is empty or begins as what is written now."""
    context = click.get_current_context(silent=True)
    given = [v for v in context.params.values() if v is not None] if context is not None else []
    named = [p for v in given for p in (v if isinstance(v, tuple) else (v,)) if isinstance(p, (str, Path))]
    if path in named:
        named.remove(path)  # the option that names it as an output
    with suppress(OSError, ValueError):
        if any(os.path.samefile(path, other) for other in named if os.path.exists(other)):
            return "is what this command reads, and would be written over"
    with suppress(OSError), path.open("rb") as stream:
        head = stream.read(512)
        before, now = _begins(head), _begins(data[:512])
        stream.seek(max(0, path.stat().st_size - 4096))
        known = before == now
        if now[:1] not in (b"{", b"<", b"P"):  # a report's text begins as it likes, and other texts are nobody's
            known = (bool(data) and not _TALLY.search(data)) or bool(_TALLY.search(stream.read()))
        if before and not known:
            return "is there and is something else"
    return ""


_EXAMPLES = re.compile(rb'"(assay_)*row","(assay_)*status","(assay_)*distance",')
"""How rows that were attacked begin, as CSV."""
_TALLY = re.compile(rb"\d checks? \xc2\xb7 ")
"""How a report's text ends."""


def _begins(head: bytes) -> bytes:
    """What tells one kind of file from another: the first letter, of a JSON object its first key too."""
    key = re.match(rb'\s*\{\s*"([^"]*)"', head)
    return b'{"' + key[1] if key else head.lstrip()[:1]


def refuse_nowhere(path: Path | None) -> None:
    """Raise UsageError, before the work, where a report could not be written at `path`: its folder is not there."""
    if path is not None and not path.parent.is_dir():
        raise UsageError("its folder is not there", where=str(path), fix="choose a folder that is")


def refuse_examples(path: Path | None, report: Path | None = None) -> None:
    """As `refuse_table`, of a table whose suffix says whether it is Parquet or CSV."""
    from assay.adapters.examples import CSV, SUFFIXES

    csv = path is not None and path.suffix.lower() == CSV
    refuse_table(path, report, b'"row"' if csv else b"PAR1")
    if path is not None and path.suffix.lower() not in SUFFIXES:
        fix = f"let its name end in one of {', '.join(SUFFIXES)}"
        raise UsageError("its name does not say whether Parquet or CSV is to be written", where=str(path), fix=fix)
    if path is None or not csv or not path.is_file():
        return
    with path.open("rb") as stream:
        head = stream.read(512)
    if head and not _EXAMPLES.match(head):
        raise UsageError("is there and is something else", where=str(path), fix="name another file, or move it away")


def refuse_table(path: Path | None, report: Path | None = None, begins: bytes = b"PAR1") -> None:
    """Raise UsageError, before the work, where a Parquet file of rows could not be written at `path`, or over another
    kind of file, or over what the command reads; or `report` nowhere."""
    refuse_nowhere(report)
    if path is None:
        return
    if path.exists() and not path.is_file():
        raise UsageError("is no regular file", where=str(path), fix="name a file")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError("its folder is not there, or not writable", where=str(path), fix="choose a writable place")
    refuse_other(path, begins)


def report_code(report: Report, fail_level: str) -> int:
    """1 for findings at or above the level, else 3 for anything open, else 0."""
    least = Severity(fail_level).rank
    findings = [f for o in report.body.outcomes for f in o.findings]
    if any((f.severity or Severity.CRITICAL).rank >= least for f in findings):
        return 1
    if any(o.status is Status.OPEN or not o.complete for o in report.body.outcomes):
        return 3
    if any((f.severity or Severity.CRITICAL).rank for f in findings):
        click.echo(f"exit 0: nothing found is {fail_level} or worse (--fail-level)", err=True)
    return 0


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """SIGTERM is like Ctrl-C in the block, so that copies of the customer's rows are deleted; neither is ever lost.

    A library may swallow the exception or make another of it: what is yielded raises it again, and so does the end of
    the block. A full disk, and a limit on the size of files, are the system's: InputError.
    """
    came: list[int] = []

    def stop(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    def still() -> None:
        if came:
            raise KeyboardInterrupt

    usual = (signal.SIG_DFL, signal.default_int_handler)
    before = {n: h for n in (signal.SIGINT, signal.SIGTERM) if (h := signal.getsignal(n)) in usual}
    if threading.current_thread() is not threading.main_thread():
        before = {}
    try:
        for number in before:
            signal.signal(number, stop)
        yield still
        still()
    except BaseException as error:
        if came:
            raise KeyboardInterrupt from None
        if isinstance(error, OSError) and error.errno in _SYSTEM:
            fix = "make room, raise the limit (ulimit -f), or name another place (TMPDIR, --output)"
            raise InputError(f"cannot be written: {os_words(error)}", where=_place_of(error), fix=fix) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _place_of(error: OSError) -> str:
    return str(error.filename or "a file in the temporary folder")


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on stderr where that is a terminal; silence elsewhere."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description:<34}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    how: dict[str, Any] = {"console": Console(stderr=True), "transient": True, "speed_estimate_period": _PACE}
    with Bar(*columns, TimeRemainingColumn(), **how) as bar:
        task = bar.add_task("", total=1.0)
        last = [0.0]

        def show(done: float, total: float, what: str = "") -> None:
            now = time.monotonic()
            if now - last[0] > 0.05:
                last[0] = now
                # The total stays 1: another one would make the bar forget its pace, and so the time that is left.
                bar.update(task, completed=done / (total or 1.0), description=visible(what, 34))

        yield show


def private_key(path: Path) -> PrivateKey:
    """A signing key from a file; its passphrase from the environment, or asked on a terminal."""
    from assay.attest.keys import EncryptedKeyError, load_private

    given = os.environ.get(PASSPHRASE)
    if given is not None:
        return load_private(path, given.encode())
    try:
        return load_private(path)
    except EncryptedKeyError:
        if not sys.stdin.isatty():
            raise
        return load_private(path, click.prompt("Passphrase", hide_input=True, err=True).encode())


def public_key(path: Path) -> PublicKey:
    """A public key from a file, PEM or one line `ed25519:…` or `p256:…`."""
    from assay.attest.keys import KINDS, PublicKey, load_public

    try:
        text = path.read_bytes()[:4096]
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=str(path), fix="check the path") from None
    if text.partition(b":")[0].decode("ascii", "replace") in KINDS:
        return PublicKey.from_text(text.decode("ascii", "replace").strip())
    return load_public(path)


def remembered(model: Path, *, trust: bool) -> Remembered | None:
    """The digests remembered of a model's files, sealed with this user's secret; None where none can be kept."""
    from assay.attest.remembered import Remembered
    from assay.flow.workspace import cache_secret

    secret = cache_secret()
    return Remembered(model, secret, trust=trust) if secret is not None else None


def must(value: Any, option: str, why: str) -> Any:
    """The value of an option that this use needs. Raises UsageError."""
    if value is None:
        raise UsageError(f"{option} is needed {why}", fix=f"add {option}")
    return value

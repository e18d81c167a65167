"""The command line: lazy verbs in four groups, one line for every error, and exit codes that mean one thing each.

0 nothing at or above the fail level, or allowed · 1 findings, denied or refused · 2 usage or configuration ·
3 something asked for stayed open or indeterminate · 70 a defect of Assay itself · 130 interrupted ·
141 whoever read stdout left early.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from importlib import import_module

import click

from assay.core.errors import AssayError, CouldNotLook, os_words
from assay.core.text import nearest, visible
from assay.core.version import __version__

GROUPS: dict[str, dict[str, str]] = {
    "Build": {
        "init": "Draft assay.yaml and a release policy for this project.",
        "run": "Examine a project, decide by its policy, leave evidence.",
        "data": "Check a table: schema, poison, leakage, labels, personal data.",
        "report": "Show a report or evidence again, in another format.",
        "demo": "Play the whole story on simulated card payments.",
    },
    "Secure": {
        "scan": "Say what code a model file would run, without loading it.",
        "harden": "Make a pickle a format that runs no code; sanitise a table.",
        "rescan": "Examine again what an older threat pack has judged.",
        "threats": "Show and update what was learned of threats since.",
        "attack": "Try to slip rows past a model under real constraints.",
        "sign": "Sign a model, a policy or a roster.",
        "verify": "Check a verdict or a signature against the files here.",
        "bom": "List what a model is made of (CycloneDX), or what changed.",
    },
    "Account": {
        "gate": "Join evidence, decide on the Release, sign the verdict.",
        "approve": "Sign your word on a Release.",
        "waive": "Sign a reasoned, expiring acceptance of one finding.",
        "key": "Make and show signing keys.",
        "log": "Verify, prove and export the ledger.",
    },
    "Operate": {
        "watch": "Say whether rows still look like the reference.",
        "explain": "Say what a check or a word means.",
        "schema": "Print the JSON Schema of a file format.",
    },
}
VERBS = {verb: text for verbs in GROUPS.values() for verb, text in verbs.items()}
DEFECT, INTERRUPTED, CLOSED = 70, 130, 141
_SYSTEM = frozenset({errno.EFBIG, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE})


class _Interrupted(BaseException):
    """Ctrl-C while a verb ran; its text is the verb."""


class Verbs(click.Group):
    """Imports a verb only when it is used, and names the nearest one to a typo."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb, in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, imported now."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"assay.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Like click's own, but Ctrl-C stays what it is: click would print an empty line first."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _Interrupted(ctx.invoked_subcommand or "") from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's own, with a suggestion."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            guess = nearest(args[0], tuple(VERBS))
            hint = f" Did you mean {guess}?" if guess else " `assay --help` lists the verbs."
            raise click.UsageError(f"there is no verb {visible(args[0])!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs by group, without importing any."""
        for group, verbs in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl(list(verbs.items()))


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine or allowed · 1 findings, denied or refused · 2 usage · 3 open or indeterminate.",
)
@click.version_option(__version__, prog_name="assay", message="%(prog)s %(version)s")
def assay() -> None:
    """Assay decides whether a model may ship, and shows the evidence."""


def main() -> None:
    """Run the command line; every failure becomes one line and a defined exit code."""
    _open_streams()
    try:
        code = assay.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt, _Interrupted) as stop:
        _interrupted(str(stop))
        code = INTERRUPTED
    except AssayError as error:
        _say(str(error))
        code = error.exit_code
    except CouldNotLook as error:
        _say(str(error))
        code = 3
    except (BrokenPipeError, SystemExit):  # click turns a closed pipe into its own exit
        _quieten()
        code = CLOSED
    except Exception as error:
        if os.environ.get("ASSAY_DEBUG"):
            raise
        code = _unexpected(error)
    sys.exit(code if isinstance(code, int) else 0)


def _open_streams() -> None:
    """Give closed standard streams a place to go, so that no file or socket is taken for one of them."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows no ✓ gets an escape, not a crash
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _interrupted(verb: str) -> None:
    """One line that promises only what is so: files are written whole or not at all, and `run` remembers outcomes."""
    with suppress(OSError):
        if sys.stderr.isatty():
            click.echo(err=True)  # after the terminal's own ^C
    remembers = verb == "run" and "--no-cache" not in sys.argv
    kept = "interrupted; parts that were done are kept, run the same command again to go on"
    saved = "interrupted; what was finished is saved, run again to go on"
    parts = verb == "attack" and not {"init", "notice"} & set(sys.argv[2:3])
    _say(saved if remembers else kept if parts else "interrupted")


def _unexpected(error: Exception) -> int:
    """One line for what nobody foresaw. A full or failing disk is the system's; anything else is our defect."""
    if isinstance(error, OSError) and error.errno in _SYSTEM:
        place = f"{error.filename}: " if error.filename else ""
        _say(f"{place}{os_words(error)} (make room, or choose another place)")
        _quieten()
        return AssayError.exit_code
    _say(f"a defect of Assay: {type(error).__name__}; run again with ASSAY_DEBUG=1 and report it")
    return DEFECT


def _quieten() -> None:
    """Send what is still buffered for stdout nowhere, so that it cannot raise again while Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _say(text: str) -> None:
    with suppress(OSError):  # nobody can be told; the exit code still says it
        click.echo(f"assay: {visible(text, 2000)}", err=True)


if __name__ == "__main__":
    main()

"""The errors that a user may meet: one line each, saying what, where and what to do next."""

from __future__ import annotations


class AssayError(Exception):
    """Something went wrong that the user can mend. Shown as one line; the exit code is 2.

    `what` says what is wrong, `where` names the file, line or subject, `fix` the next step.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.fix})" if self.fix else text


class UsageError(AssayError):
    """The command, the manifest or a policy asks for something that cannot be done."""


class InputError(AssayError):
    """A file that was named is absent, unreadable, too large or not what it should be."""


class VerificationError(AssayError):
    """A signature, digest, expiry or log proof does not hold. Refusals are exceptions, never a False to overlook."""

    exit_code = 1


class StorageError(AssayError):
    """The ledger could not be read or written; nothing that was acknowledged is lost."""


class CouldNotLook(Exception):  # noqa: N818 - it is an outcome, not a failure of the program
    """Raised by a check that could not examine its subject: the outcome is `open`, never `pass`."""


class NotApplicable(Exception):  # noqa: N818
    """Raised by a check whose question makes no sense for this subject."""


class MissingExtra(CouldNotLook):
    """A library of an extra is not installed; the message holds the exact pip line."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; pip install 'assay[{extra}]'")
        self.library, self.extra = library, extra


def os_words(error: OSError) -> str:
    """What the system said, as part of our line: `permission denied`."""
    return (error.strerror or "input or output failed").lower()

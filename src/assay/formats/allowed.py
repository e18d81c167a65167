"""Names in a pickle that the manifest allows, for one subject and until a day."""

from __future__ import annotations

from datetime import date

from assay.core.errors import CouldNotLook
from assay.core.subject import Subject


def allowed(subject: Subject, today: date) -> tuple[frozenset[str], tuple[str, ...]]:
    """(globals that the manifest allows today, what to say of those that it does not any more). Raises CouldNotLook."""
    names = subject.options.get("allow") or []
    until = subject.options.get("allow_until")
    if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
        raise CouldNotLook(f"{subject.uri}: `allow` is not a list of module.Name")
    if not names:
        return frozenset(), ()
    try:
        end = date.fromisoformat(str(until)[:10])
    except ValueError:
        raise CouldNotLook(f"{subject.uri}: `allow` needs `allow_until:` with a date like 2027-01-31") from None
    if today > end:
        return frozenset(), (f"allowed names ignored: allow_until {end} has passed",)
    return frozenset(str(n) for n in names), ()

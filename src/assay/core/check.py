"""How a check is declared: one decorator, one function, whose docstring is its documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import msgspec

from assay.core.adversaries import Adversaries
from assay.core.exhibit import Exhibit
from assay.core.finding import Finding, Measure, Severity
from assay.core.share import Piece
from assay.core.subject import Kind, Stage
from assay.core.suspects import Suspects

Yielded = Finding | Measure | Exhibit
CheckFunction = Callable[..., Iterator[Yielded | Suspects | Adversaries | Piece]]
F = TypeVar("F", bound=CheckFunction)
Cost = Literal["instant", "seconds", "minutes"]


class CheckSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A documented, versioned question asked of one kind of subject.

    `needs` is the extra to install; `cost` "instant" may run in the caller's process (its parser bounds itself), others
    run in a worker that is killed at its limits; `version` rises when the same input may get another answer.
    `reads` are the roles (data, holdout, champion, reference) whose subjects it looks at besides its own, `may_read`
    those that it takes where they are declared (else it is given None); `wants` are facts that its subject must declare
    for the question to make sense at all, so that others are not opened for it; `measures`
    are the keys (see `Measure.key`) of every measure that it may give, so that a missing one can be told from a typo;
    `parts` names the parameter that says how many rows it works on, where workers can share them (`core.share`).
    """

    id: str
    kind: Kind
    stage: Stage
    severity: Severity
    tags: tuple[str, ...] = ()
    needs: str = ""
    cost: Cost = "seconds"
    version: int = 1
    cacheable: bool = True
    reads: tuple[str, ...] = ()
    may_read: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    parts: str = ""


def check(
    id: str,
    *,
    on: Kind,
    stage: Stage,
    severity: Severity,
    tags: tuple[str, ...] = (),
    needs: str = "",
    cost: Cost = "seconds",
    version: int = 1,
    cacheable: bool = True,
    reads: tuple[str, ...] = (),
    may_read: tuple[str, ...] = (),
    wants: tuple[str, ...] = (),
    libraries: tuple[str, ...] = (),
    measures: tuple[str, ...] = (),
    parts: str = "",
) -> Callable[[F], F]:
    """Declare a check. The function takes its subject, then typed keyword parameters, and yields what it finds.

    It raises CouldNotLook(why) when it could not examine the subject and NotApplicable(why) when the question makes no
    sense there. A parameter `seed` receives the check's own seed.
    """
    spec = CheckSpec(
        id=id,
        kind=on,
        stage=stage,
        severity=severity,
        tags=tags,
        needs=needs,
        cost=cost,
        version=version,
        cacheable=cacheable,
        reads=reads,
        may_read=may_read,
        wants=wants,
        libraries=libraries,
        measures=measures,
        parts=parts,
    )

    def declare(function: F) -> F:
        function.__assay_check__ = spec  # type: ignore[attr-defined]
        return function

    return declare


def spec_of(function: Any) -> CheckSpec:
    """The declaration of a check function. Raises TypeError for anything else."""
    spec = getattr(function, "__assay_check__", None)
    if not isinstance(spec, CheckSpec):
        raise TypeError(f"{function!r} is not declared with @check")
    return spec

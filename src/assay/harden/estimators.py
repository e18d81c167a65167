"""An estimator as skops: written in one sandbox, scanned, read back in another, and asked the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

import msgspec

from assay.adapters.sandbox import Limits, ModelFacts, Sandbox
from assay.adapters.sandboxed import unknown_types
from assay.core.errors import CouldNotLook, VerificationError
from assay.core.finding import Severity
from assay.core.protocols import ArrowTable
from assay.core.text import visible
from assay.formats.artifact import examine
from assay.harden.result import Made, Proof
from assay.harden.rows import compare, generated, require_answer
from assay.harden.source import Source, no_room, temporary
from assay.harden.state import state_of

MOST_SKOPS = 8 << 30


def write_skops(
    source: Source,
    sandbox: Sandbox,
    facts: ModelFacts,
    out: BinaryIO,
    rows: ArrowTable | None,
    *,
    modules: Path | None = None,
    weak: bool = False,
    limits: Limits | None = None,
) -> Made:
    """Write the estimator that `sandbox` holds to the draft `out`, and prove it there on `rows` (None: generated).

    Raises VerificationError where the result needs types that no list knows or answers otherwise, CouldNotLook.
    """
    asked = _askable(source.where, sandbox, facts, rows)
    _kept(sandbox, out)
    _scanned(source, out)
    with open(out.name, "rb") as result:
        second = Sandbox(result, source.where, limits=limits, modules=modules, weak=weak)
        try:
            trusted = _trusted(source, tuple(second.ask(b"U", b"", b"U", list[str], "reading the result")))
            again = second.load(trusted)
            if (again.module, again.type) != (facts.module, facts.type):
                raise VerificationError("refused: the result is of another type", where=source.where)
            return Made(proof=_proof(source.where, sandbox, second, asked, result), trusted=trusted)
        finally:
            second.close()


class _Askable(msgspec.Struct, frozen=True):
    """Rows that the original answers, by which methods; `generated` where none were given."""

    rows: ArrowTable
    methods: tuple[str, ...]
    generated: bool


def _askable(where: str, first: Sandbox, facts: ModelFacts, rows: ArrowTable | None) -> _Askable | None:
    """What can be asked of the original; None for what has no predictor, and cannot answer generated rows."""
    try:
        sample = generated(where, facts) if rows is None else rows
        return _Askable(sample, require_answer(first, facts, sample, where), rows is None)
    except CouldNotLook:
        if facts.methods or rows is not None:
            raise
        return None


def _proof(where: str, first: Sandbox, second: Sandbox, asked: _Askable | None, result: BinaryIO) -> Proof:
    """Both answer the same; what could not be asked has the same state."""
    if asked is None:
        return _same_state(where, second, result)
    answers = compare(first, second, asked.rows, asked.methods)
    if answers.differ:
        what = f"refused: the result answers {answers.differ} times otherwise over {answers.rows} rows"
        raise VerificationError(f"{what}, by up to {answers.max_difference:.2g}", where=where)
    return Proof(
        kind="answers",
        rows=answers.rows,
        generated=asked.generated,
        methods=answers.methods,
        max_difference=answers.max_difference,
        flips=0,
    )


def _same_state(where: str, second: Sandbox, result: BinaryIO) -> Proof:
    """The result, read back and written once more, holds what it held."""
    try:
        with temporary(where) as again:
            _kept(second, again)
            again.seek(0)
            result.seek(0)
            (state, nodes), (other, _) = state_of(result), state_of(again)
    except OSError as error:
        raise no_room(where, error) from None
    if state != other:
        raise VerificationError("refused: the result, read back, holds something else", where=where)
    return Proof(kind="state", nodes=nodes)


def _kept(sandbox: Sandbox, out: BinaryIO) -> None:
    """Write the sandbox's estimator as skops."""
    last = b""
    for block in sandbox.stream(b"K", json.dumps({"as": "skops"}).encode(), MOST_SKOPS, "converting"):
        out.write(last)  # one behind: the last one is the digest
        last = block
    out.flush()


def _scanned(source: Source, out: BinaryIO) -> None:
    """Refuse a result in which our own reader sees more than ordinary types. Raises VerificationError."""
    facts = examine(out.name, name="result.skops")
    reasons = [gap.reason for gap in facts.gaps]
    reasons += [note.message for note in facts.notes if note.severity is not Severity.INFO]
    if "schema.json" not in facts.members:
        reasons.append("is no skops file")
    if reasons:
        raise VerificationError(f"refused: the result {visible('; '.join(reasons[:3]), 300)}", where=source.where)


def _trusted(source: Source, types: tuple[str, ...]) -> tuple[str, ...]:
    """The types that skops asks about, all of which must be known-safe or allowed. Raises VerificationError."""
    for name in unknown_types(types, source.allow):
        what = f"refused: the result needs {visible(name, 120)}, which is not known to be safe"
        raise VerificationError(what, where=source.where, fix=f"--allow {visible(name, 120)}, if you know it")
    return types

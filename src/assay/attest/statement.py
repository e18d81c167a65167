"""In-toto statements (version 1): what is said (predicate) of which bytes (subjects), signed as one DSSE envelope.

The predicate type is part of the signed bytes and is always demanded by the reader, so that a document of one type can
never verify as another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from assay.attest import dsse
from assay.attest.keys import PrivateKey, PublicKey
from assay.core import strict_json
from assay.core.errors import VerificationError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

EVIDENCE = "urn:assay:evidence:v1"
POLICY = "urn:assay:policy:v1"
ROSTER = "urn:assay:roster:v1"
APPROVAL = "urn:assay:approval:v1"
THREATS = "urn:assay:threats:v1"
WAIVER = "urn:assay:waiver:v1"
SIGNATURE = "https://model_signing/signature/v1.0"
SIGNATURE_OLD = "https://model_signing/Digests/v0.1"
VERDICT = "https://slsa.dev/verification_summary/v1"

MAX_SUBJECTS = 200_000
_SHA256 = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")


class Subject(msgspec.Struct, frozen=True):
    """A named thing and its digests, algorithm → hex; `sha256` where there is one is 64 lower-case digits."""

    name: str
    digest: dict[str, str]


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An in-toto statement; the predicate stays raw JSON until `read` gives it a type."""

    statement_type: str = msgspec.field(name="_type")
    subject: tuple[Subject, ...]
    predicate_type: str
    predicate: msgspec.Raw

    def read(self, kind: type[T], *, where: str = "") -> T:
        """The predicate as `kind`. Raises VerificationError if it has another shape."""
        return decode(bytes(self.predicate), kind, "predicate", where)


class Signed(msgspec.Struct, frozen=True):
    """A statement whose signature holds, and the distinct ids of the trusted keys that signed it."""

    statement: Statement
    key_ids: tuple[str, ...]
    payload: bytes


def make(predicate_type: str, subjects: Iterable[Subject], predicate: object) -> bytes:
    """The statement's bytes: JSON with sorted keys, so the same content gives the same bytes."""
    statement = Statement(
        statement_type=STATEMENT_TYPE,
        subject=tuple(subjects),
        predicate_type=predicate_type,
        predicate=msgspec.Raw(msgspec.json.encode(predicate, order="sorted")),
    )
    _check(statement, predicate_type, "")
    return msgspec.json.encode(statement, order="sorted")


def parse(payload: bytes, predicate_type: str, *, where: str = "") -> Statement:
    """The statement in `payload`. Raises VerificationError if malformed or of another predicate type."""
    statement = decode(payload, Statement, "in-toto statement", where)
    _check(statement, predicate_type, where)
    return statement


def sign(predicate_type: str, subjects: Iterable[Subject], predicate: object, keys: Sequence[PrivateKey]) -> bytes:
    """The DSSE envelope of a statement signed by `keys`."""
    return dsse.sign(PAYLOAD_TYPE, make(predicate_type, subjects, predicate), keys)


def verify(envelope: bytes, keys: Iterable[PublicKey], predicate_type: str, *, where: str = "") -> Signed:
    """The statement in `envelope`, once one of `keys` signed it and it is of `predicate_type`.

    Raises VerificationError otherwise; `where` names the file in the message.
    """
    verified = dsse.verify(envelope, keys, PAYLOAD_TYPE, where=where)
    return Signed(parse(verified.payload, predicate_type, where=where), verified.key_ids, verified.payload)


def claimed(envelope: bytes, *, where: str = "") -> Statement:
    """What an envelope claims to say, before any signature is checked. Raises VerificationError if malformed."""
    statement = decode(dsse.unverified(envelope, where=where), Statement, "in-toto statement", where)
    _check(statement, statement.predicate_type, where)
    return statement


def decode(data: bytes, kind: type[T], what: str, where: str = "") -> T:
    """JSON as `kind`; every way to be malformed becomes one VerificationError line."""
    try:
        decoded: T = strict_json.decode(data, kind)
        return decoded
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise VerificationError(f"malformed {what}: {dsse.one_line(error)}", where=where) from None


def is_sha256(text: str) -> bool:
    """Whether `text` is a SHA-256 in lower-case hex."""
    return _SHA256.fullmatch(text) is not None


def utc(moment: datetime) -> datetime:
    """`moment` in UTC. A time without a zone is the caller's mistake, not the user's: ValueError."""
    if moment.tzinfo is None:
        raise ValueError("times carry a zone here; this one has none")
    return moment.astimezone(UTC)


def _check(statement: Statement, predicate_type: str, where: str) -> None:
    if statement.statement_type != STATEMENT_TYPE:
        raise VerificationError(f"not an in-toto statement v1 but {statement.statement_type[:80]!r}", where=where)
    if statement.predicate_type != predicate_type:
        raise VerificationError(
            f"this is a {statement.predicate_type[:80]!r}, not a {predicate_type!r}",
            where=where,
            fix="give the right file",
        )
    if not 1 <= len(statement.subject) <= MAX_SUBJECTS:
        raise VerificationError(f"a statement has 1 to {MAX_SUBJECTS} subjects", where=where)
    if len({subject.name for subject in statement.subject}) != len(statement.subject):
        raise VerificationError("two subjects of one name", where=where)
    for subject in statement.subject:
        good = subject.digest and all(subject.digest.values()) and is_sha256(subject.digest.get("sha256", "0" * 64))
        if not subject.name or not good:
            raise VerificationError(f"subject {subject.name[:80]!r} has no name or no proper digest", where=where)

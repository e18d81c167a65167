"""What a ledger remembers between decisions: policies, rosters, people's words, and how late it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from assay.attest import bundle, dsse
from assay.attest.keys import PublicKey
from assay.attest.statement import APPROVAL, SIGNATURE
from assay.config.policy_file import Policy
from assay.core.canonical import digest_of, short
from assay.core.decision import Decision, Roster
from assay.core.errors import AssayError, UsageError, VerificationError
from assay.core.finding import Status
from assay.core.protocols import Log
from assay.core.report import Body
from assay.core.text import visible
from assay.core.threats import FoundWanting, Line, PackRef, Packs, Superseded, ThreatPack
from assay.flow.notices import NOTICE, Notice
from assay.flow.papers import Paper, People, paper_from
from assay.ledger.entry import Entry, ErasedPayload
from assay.ledger.log import Ledger
from assay.policy.people import SKEW

REMEMBERED = {APPROVAL: "approval", SIGNATURE: "signature"}
"""The papers that a ledger keeps counting, with the kind of their entries."""
DOCUMENTS = ("policy", "roster", "threats")
RESCAN = "rescan"


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, roster or threat pack by which a ledger's Releases were decided, as its entry holds it.

    No one's name is in it.
    """

    name: str
    version: int
    digest: str
    signed_by: str
    text: str = ""


class Recalled(msgspec.Struct, frozen=True):
    """The papers of a Release that a ledger was handed, by digest, and the entries of those that were erased."""

    papers: dict[str, Paper] = {}
    erased: tuple[str, ...] = ()


def documents_of(
    policy: Policy,
    policy_owner: PublicKey,
    roster: Roster,
    roster_owner: PublicKey,
    threats: ThreatPack | None = None,
    publisher: PublicKey | None = None,
) -> dict[str, Document]:
    """Policy, roster and threat pack by kind. Of the roster only the digest is kept: it names people."""
    file = policy.file
    found = {
        "policy": Document(
            name=file.policy, version=file.version, digest=policy.digest, signed_by=policy_owner.id, text=policy.text
        ),
        "roster": Document(
            name=roster.roster, version=roster.version, digest=digest_of(roster), signed_by=roster_owner.id
        ),
    }
    if threats is not None and publisher is not None:
        found["threats"] = Document(
            name=threats.content.threats, version=threats.content.version, digest=threats.digest,
            signed_by=publisher.id, text=msgspec.json.encode(threats.content.supersedes).decode(),
        )  # fmt: skip
    return found


def packs_of(log: Log) -> Packs:
    """Every threat pack that a ledger was given, what the newest of each line supersedes, and what rescans found.

    All of it holds for every gate on the ledger from then on, be a pack given again or not. Raises VerificationError.
    """
    documents = [document for _, document in _documents(log, "threats")]
    newest = {d.name: d for d in sorted(documents, key=lambda document: document.version)}
    return Packs(
        known={d.digest: _ref(d) for d in documents},
        lines=tuple(Line(_ref(d), msgspec.json.decode(d.text, type=tuple[Superseded, ...])) for d in newest.values()),
        wanting=tuple(_found_wanting(log)),
    )


def _ref(document: Document) -> PackRef:
    return PackRef(name=document.name, version=document.version, digest=document.digest)


def _found_wanting(log: Log) -> Iterator[FoundWanting]:
    """What rescans said against artifacts. One that cannot be read any more says nothing against any."""
    for entry in log.read(kind=RESCAN):
        with suppress(ErasedPayload, msgspec.DecodeError):
            for outcome in msgspec.json.decode(log.payload(entry), type=Body).outcomes:
                if outcome.threats is not None and outcome.status is Status.FAIL:
                    yield FoundWanting(outcome.check, outcome.subject_digest, outcome.threats)


def refuse_going_back(log: Log, documents: dict[str, Document], now: datetime) -> dict[str, Document]:
    """Those of the documents that a ledger does not know yet.

    Raises VerificationError for a policy or roster that is older than another of its name there or shares its version,
    and for a clock that stands before the newest entry.
    """
    newest = next(iter(log.read(log.size - 2)), None)
    if newest is not None and datetime.fromisoformat(newest.at) > now + SKEW:
        what = f"the clock says {now:%d %b %Y %H:%M} UTC, before the newest entry of the ledger ({newest.at[:16]})"
        raise VerificationError(what, where=f"ledger entry {newest.index}", fix="set the clock, then ask again")
    return {kind: document for kind, document in documents.items() if _is_new(log, kind, document)}


def write_documents(log: Log, documents: dict[str, Document], now: datetime) -> None:
    """Append what a ledger does not know yet, and look again: another gate may have written at the same time.

    Raises VerificationError as refuse_going_back.
    """
    for kind, document in refuse_going_back(log, documents, now).items():
        log.append(kind, document.digest, msgspec.json.encode(document), document.signed_by)
    refuse_going_back(log, documents, now)


def _is_new(log: Log, kind: str, document: Document) -> bool:
    new = True
    for where, known in _documents(log, kind):
        if known.digest == document.digest:
            new = False
        elif known.name == document.name and known.version >= document.version:
            other = "another than the" if known.version == document.version else "older than"
            mine = f"{kind} {document.name} version {document.version}"
            fix = "raise its `version:` and have its owner sign it again"
            what = f"{mine} is {other} version {known.version} of this ledger"
            raise VerificationError(what, where=f"{where}, {short(known.digest)}", fix=fix)
    return new


def _documents(log: Log, kind: str) -> Iterator[tuple[str, Document]]:
    """The documents of a kind with where they stand, in order. Raises VerificationError for one that does not read."""
    for entry in log.read(kind=kind):
        where = f"ledger entry {entry.index}"
        try:
            yield where, msgspec.json.decode(log.payload(entry), type=Document)
        except ErasedPayload:
            what, fix = f"the {kind} by which this ledger decided was erased", "restore the ledger from a backup"
            raise VerificationError(what, where=where, fix=fix) from None
        except msgspec.DecodeError:
            raise VerificationError(f"holds no {kind}", where=where, fix="find out who wrote it") from None


def recall(log: Log, release: str, people: People) -> Recalled:
    """The approvals, refusals and model signatures of a Release that this ledger was handed before.

    One whose signer the roster no longer admits is passed over. Raises VerificationError for one that was edited in the
    ledger: nobody drops a refusal that way.
    """
    found: dict[str, Paper] = {}
    erased: list[str] = []
    for kind in REMEMBERED.values():
        for entry in log.read(kind=kind):
            if entry.subject_digest != release:
                continue
            try:
                envelope = log.payload(entry)
            except ErasedPayload:
                erased.append(f"ledger entry {entry.index} ({kind})")
                continue
            with suppress(VerificationError):
                paper = paper_from(envelope, f"ledger entry {entry.index}", people)
                found[paper.digest] = paper
    return Recalled(found, tuple(erased))


def erase(book: Ledger, index: int, reason: str, actor: str) -> Entry:
    """Erase a payload on request. Raises UsageError for a document: those hold back older ones."""
    kind = book.entry(index).kind
    if kind in DOCUMENTS or kind == RESCAN:
        raise UsageError(f"is a {kind}, which names nobody and is not erased", where=f"ledger entry {index}")
    return book.erase(index, reason, actor)


def said_in(book: Ledger, entry: Entry) -> str:
    """What an entry says in a few words: which policy or roster, what was decided; "" for other kinds."""
    try:
        if entry.kind in DOCUMENTS:
            document = msgspec.json.decode(book.payload(entry), type=Document)
            return f"{visible(document.name, 60)} version {document.version}"
        if entry.kind == "decision":
            decision = msgspec.json.decode(book.payload(entry), type=Decision)
            would, policy = "would " if decision.mode == "observe" else "", decision.policy
            return f"{would}{decision.verdict.upper()} by {visible(policy.name, 60)} version {policy.version}"
        if entry.kind == NOTICE:
            return msgspec.json.decode(book.payload(entry), type=Notice).line
    except ErasedPayload:
        return "its payload was erased"
    except (AssayError, msgspec.DecodeError):
        return "its payload does not read: assay log verify"
    return ""


def opened(book: Ledger, entry: Entry) -> Any:
    """What an entry holds, as plain values: a signed paper's statement, other JSON as it is, anything else as text.

    No signature is checked: the gate did, before it was written. Raises VerificationError or ErasedPayload.
    """
    payload = book.payload(entry)
    with suppress(VerificationError):
        reader = bundle if bundle.is_bundle(payload) else dsse
        payload = reader.unverified(payload, where=f"ledger entry {entry.index}")
    with suppress(msgspec.DecodeError, ValueError, RecursionError):
        return msgspec.json.decode(payload)
    return payload.decode("utf-8", "backslashreplace")

"""Proofs that travel: of an entry, or that a log only grew, with its signed checkpoint; a public key checks them."""

from __future__ import annotations

import msgspec

from assay.attest.note import Checkpoint, open_checkpoint, parse_vkey
from assay.core import strict_json
from assay.core.errors import UsageError, VerificationError
from assay.ledger.entry import Entry, leaf_bytes
from assay.ledger.log import Ledger
from assay.ledger.merkle import ConsistencyProof, InclusionProof, leaf_hash

MAX_PROOF = 256 * 1024
"""Bytes of the largest proof that is read: an entry is at most a few kilobytes, a path at most 64 hashes."""


class EntryProof(msgspec.Struct, frozen=True, kw_only=True, tag="inclusion", tag_field="proof"):
    """That `entry` is in the log of `checkpoint`. `inclusion` is RFC 9162's proof; hashes are base64 in JSON."""

    entry: Entry
    inclusion: InclusionProof
    checkpoint: str


class GrowthProof(msgspec.Struct, frozen=True, kw_only=True, tag="consistency", tag_field="proof"):
    """That the log of `checkpoint` begins with the log of an older checkpoint, which its reader holds."""

    consistency: ConsistencyProof
    checkpoint: str


class ProofView(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof that holds says: the newer checkpoint, and the entry or the older checkpoint that it covers."""

    checkpoint: Checkpoint
    entry: Entry | None = None
    since: Checkpoint | None = None


def prove_entry(ledger: Ledger, index: int) -> EntryProof:
    """That entry `index` is in the log as it is now. Raises UsageError where there is no such entry."""
    entry = ledger.entry(index)
    note, size = _now(ledger)
    return EntryProof(entry=entry, inclusion=ledger.prove(index, size), checkpoint=note)


def prove_since(ledger: Ledger, old: str, *, where: str = "") -> GrowthProof:
    """That the log as it is now begins with the log of the checkpoint `old`.

    Raises VerificationError where it does not: `old` is of another log, or what it covers was altered or cut off.
    """
    before = open_checkpoint(old, parse_vkey(ledger.vkey), where=where)
    note, size = _now(ledger)
    if before.size > size:
        what = f"the log was rolled back: {before.size} entries were signed, {size} are left"
        raise VerificationError(what, where=where, fix="restore it from a backup")
    proof = ledger.prove_consistency(before.size, size)
    proof.verify(before.root, open_checkpoint(note, parse_vkey(ledger.vkey)).root)
    return GrowthProof(consistency=proof, checkpoint=note)


def _now(ledger: Ledger) -> tuple[str, int]:
    note = ledger.checkpoint()
    return note, open_checkpoint(note, parse_vkey(ledger.vkey)).size


def check_proof(data: bytes, vkey: str, *, against: str | None = None, where: str = "") -> ProofView:
    """Check a proof with the log's verifier key alone; a consistency proof also needs the older checkpoint, `against`.

    Raises VerificationError for one that is malformed or does not hold, UsageError where the older checkpoint
    is missing, or given for a proof of an entry, which says nothing of it.
    """
    key = parse_vkey(vkey)
    try:
        proof: EntryProof | GrowthProof = strict_json.decode(data, EntryProof | GrowthProof)
        whole = msgspec.json.decode(msgspec.json.encode(proof)) == msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        whole = False
    if not whole:  # torn, a field given twice, or fields beside those that are proven
        raise VerificationError("not a proof of a log", where=where, fix="make it anew: assay log prove")
    now = open_checkpoint(proof.checkpoint, key, where=where)
    if isinstance(proof, EntryProof):
        leaf = leaf_hash(leaf_bytes(proof.entry))
        if leaf != proof.inclusion.leaf or proof.entry.index != proof.inclusion.index:
            raise VerificationError(f"the proof is not of this entry {proof.entry.index}", where=where)
        _same_size(proof.inclusion.size, now, where)
        proof.inclusion.verify(now.root)
        if against is not None:  # what was asked for was not checked, and must not look as if it were
            fix = "leave --against out, or check a proof of: assay log prove --since CHECKPOINT"
            raise UsageError("a proof of an entry is not checked against an older checkpoint", where=where, fix=fix)
        return ProofView(checkpoint=now, entry=proof.entry)
    if against is None:
        fix = "add --against CHECKPOINT, the one that you kept"
        raise UsageError("a consistency proof is checked against an older checkpoint", where=where, fix=fix)
    before = open_checkpoint(against, key, where="the checkpoint given")
    _same_size(proof.consistency.new, now, where)
    if proof.consistency.old != before.size:
        what = f"the proof starts from {proof.consistency.old} entries, the checkpoint given covers {before.size}"
        raise VerificationError(what, where=where)
    proof.consistency.verify(before.root, now.root)
    return ProofView(checkpoint=now, since=before)


def _same_size(size: int, now: Checkpoint, where: str) -> None:
    if size != now.size:
        what = f"the proof is of a log of {size} entries, its checkpoint covers {now.size}"
        raise VerificationError(what, where=where)

"""Threat packs on disk: which one a project holds, and taking a newer one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from assay.attest.keys import PublicKey
from assay.attest.signature import signature_path
from assay.config.manifest import NAME, load_project
from assay.config.strict_yaml import MAX_BYTES, read_text
from assay.config.threats_file import threats_from
from assay.core.errors import InputError, UsageError, VerificationError
from assay.core.files import write_whole
from assay.core.threats import ThreatPack
from assay.flow.papers import read_paper, threats_in, trusted_threats


class Place(msgspec.Struct, frozen=True):
    """Where a project keeps its threat pack, and whose signature it must bear."""

    path: Path
    publisher: PublicKey


class Updated(msgspec.Struct, frozen=True):
    """The pack that is held now, and the one that was held before (None for none)."""

    pack: ThreatPack
    before: ThreatPack | None


def place_of(project: Path) -> Place:
    """What the manifest says under `threats:`. Raises UsageError where it says nothing."""
    found = load_project(project)
    entry = found.manifest.threats
    if entry is None:
        fix = "add `threats: {pack: threats.yaml, key: …}` (assay key show prints the key)"
        raise UsageError("names no threat pack", where=str(found.root / NAME), fix=fix)
    return Place(found.path(entry.pack), PublicKey.from_text(entry.key))


def update(place: Place, data: bytes, envelope: bytes, source: str) -> Updated:
    """Take a pack that its publisher signed, if it is newer than the one held.

    Raises VerificationError for a signature that does not hold, for another line of packs, an older version, or other
    content under the same version; nothing is written then.
    """
    pack = threats_in(data, envelope, place.publisher, source)
    held = _held(place) if place.path.exists() else None
    if held is not None:
        _refuse_older(pack, held)
        if pack.digest == held.digest and _signed_there(place):
            return Updated(held, held)
    if not place.path.parent.is_dir():
        raise InputError("its folder does not exist", where=str(place.path), fix="make it first")
    write_whole(signature_path(place.path), envelope)
    write_whole(place.path, data)
    return Updated(pack, held)


def _signed_there(place: Place) -> bool:
    try:
        trusted_threats(place.path, place.publisher)
    except VerificationError:
        return False
    return True


def _held(place: Place) -> ThreatPack:
    """The pack that lies there; after an update that was cut off its signature is another's, its version counts."""
    try:
        return trusted_threats(place.path, place.publisher)
    except VerificationError:
        return threats_from(read_text(place.path), str(place.path))


def _refuse_older(pack: ThreatPack, held: ThreatPack) -> None:
    new, old = pack.ref, held.ref
    if new.name != old.name:
        what = f"is of the line {new.name}, the one held is of {old.name}"
        raise VerificationError(what, where=pack.uri, fix="remove the one held if the line is meant to change")
    if new.version < old.version or (new.version == old.version and new.digest != old.digest):
        other = "older than" if new.version < old.version else "another than"
        what = f"is version {new.version}, {other} version {old.version}, which is held"
        raise VerificationError(what, where=pack.uri, fix="ask its publisher for a newer one")


def read_pack(source: Path) -> tuple[bytes, bytes]:
    """A pack's bytes and those of its signature beside it. Raises InputError."""
    return read_paper(source, MAX_BYTES), read_paper(signature_path(source))

"""A threat pack: what was learned since this version of Assay was made, as its publisher signs it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import msgspec

Version = Annotated[int, msgspec.Meta(ge=1)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class PackRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which pack an outcome was judged by; `digest` is that of its bytes."""

    name: str
    version: int
    digest: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class NamesKnown(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Names that models import. `dangerous`: a module (with all below it) or `module.Name`, and why. `safe`: by module,
    names that were unknown so far; what is dangerous stays so, whatever a pack says."""

    dangerous: dict[Word, Word] = {}
    safe: dict[Word, tuple[Word, ...]] = {}


class PackagesKnown(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Packages: `popular` ones that others imitate, `real` ones that only look like them, `malicious` ones and why."""

    popular: tuple[Word, ...] = ()
    real: tuple[Word, ...] = ()
    malicious: dict[Word, Word] = {}


class Superseded(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Outcomes of a check (or of those that a pattern names) made before version `since` of the pack are stale."""

    check: Word
    since: Version
    why: Word


class Threats(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A pack as written. A version holds everything of those before it; `advisories` are OSV records."""

    schema: str = "assay/1"
    threats: Word
    version: Version
    issued: date
    names: NamesKnown = NamesKnown()
    packages: PackagesKnown = PackagesKnown()
    advisories: tuple[dict[str, Any], ...] = ()
    supersedes: tuple[Superseded, ...] = ()


class Line(msgspec.Struct, frozen=True):
    """The newest pack of one name that a gate was given, and what it supersedes."""

    newest: PackRef
    supersedes: tuple[Superseded, ...] = ()


class FoundWanting(msgspec.Struct, frozen=True):
    """That a rescan by a pack found something, or could not look, where a check is asked of these bytes."""

    check: str
    digest: str
    pack: PackRef


class Packs(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate holds of threat packs: every one it was given by digest, the newest of each line, and what rescans
    found by them."""

    known: dict[str, PackRef] = {}
    lines: tuple[Line, ...] = ()
    wanting: tuple[FoundWanting, ...] = ()


class ThreatPack(msgspec.Struct, frozen=True, kw_only=True):
    """A pack with the digest of its bytes and where they lie."""

    content: Threats
    digest: str
    uri: str

    @property
    def alone(self) -> Packs:
        """What one holds who was given this pack and no other."""
        return Packs(known={self.digest: self.ref}, lines=(Line(self.ref, self.content.supersedes),))

    @property
    def ref(self) -> PackRef:
        """What an outcome says of it."""
        return PackRef(name=self.content.threats, version=self.content.version, digest=self.digest)

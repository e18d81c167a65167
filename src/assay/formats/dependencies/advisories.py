"""What a database's records say of one package at one version: each vulnerability once, however many ids it has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

import msgspec

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.dependencies.cvss import base_score, severity_of
from assay.formats.dependencies.osv import ECOSYSTEM, Affected, Database, Record
from assay.formats.dependencies.requirement import Package
from assay.formats.dependencies.versions import ORDERED, affected, parsed
from assay.formats.known import normal

_WORDS = {
    "LOW": Severity.LOW,
    "MODERATE": Severity.MEDIUM,
    "MEDIUM": Severity.MEDIUM,
    "HIGH": Severity.HIGH,
    "CRITICAL": Severity.CRITICAL,
}
_ID = re.compile(r"[A-Za-z][\w.:-]{1,99}")


class Advisory(msgspec.Struct, frozen=True, kw_only=True):
    """One vulnerability of a package at a version. `id` is the CVE where it has one, `aliases` its other ids, `fixed`
    the versions that mend it; `score` and `vector` are CVSS 3's where given, `rated` says whether anything rated it."""

    id: str
    package: str
    version: str
    severity: Severity
    aliases: tuple[str, ...] = ()
    score: float | None = None
    vector: str = ""
    rated: bool = True
    summary: str = ""
    fixed: tuple[str, ...] = ()
    published: datetime | None = None
    modified: datetime | None = None


class Judged(msgspec.Struct, frozen=True):
    """The vulnerabilities of a package, and what could not be told."""

    advisories: tuple[Advisory, ...] = ()
    gaps: tuple[str, ...] = ()


def judge(package: Package, database: Database) -> Judged:
    """Everything that the database says of a package.

    Without a fixed version that is a gap, and only what is malicious in every version is told. A package of conda is
    looked up under the same name; where the database does not know that name it is a gap, for conda also ships what is
    not on PyPI.
    """
    records = database.records.get(package.name, ())
    if not package.version:
        always = [(r, e) for r in records if (e := _malicious_throughout(package, r))]
        return Judged(tuple(_advisory(package, g) for g in _grouped(always)), (f"{package.name} {package.problem}",))
    if package.ecosystem != "pypi" and not records:
        return Judged(gaps=(f"{package.name} comes from conda, and the database does not name it",))
    hit: list[tuple[Record, tuple[Affected, ...]]] = []
    gaps: list[str] = []
    for record in records:
        if record.withdrawn is not None:
            continue
        entries = _entries(package, record)
        told = [affected(package.version, a.ranges or (), a.versions or ()) for a in entries]
        if any(told):
            hit.append((record, tuple(a for a, yes in zip(entries, told, strict=True) if yes)))
        elif None in told:
            gaps.append(f"whether {_shown(record.id)} concerns {package.name} {package.version} cannot be told")
    found = [_advisory(package, group) for group in _grouped(hit)]
    return Judged(tuple(sorted(found, key=lambda a: (-a.severity.rank, a.id))), tuple(gaps))


def _entries(package: Package, record: Record) -> tuple[Affected, ...]:
    """What a record says of this package."""
    return tuple(
        entry
        for entry in record.affected or ()
        if entry.package is not None
        and entry.package.ecosystem.partition(":")[0] == ECOSYSTEM
        and normal(entry.package.name) == package.name
    )


def _malicious_throughout(package: Package, record: Record) -> tuple[Affected, ...]:
    """The entries of a record that calls every version of the package malicious."""
    if not record.id.startswith("MAL-") or record.withdrawn is not None:
        return ()
    from_the_first = {"introduced": "0"}
    return tuple(e for e in _entries(package, record) if any(r.events == (from_the_first,) for r in e.ranges or ()))


def _grouped(hit: list[tuple[Record, tuple[Affected, ...]]]) -> list[list[tuple[Record, tuple[Affected, ...]]]]:
    """Records that name each other as aliases, or a common one, together."""
    groups: list[tuple[set[str], list[tuple[Record, tuple[Affected, ...]]]]] = []
    for item in sorted(hit, key=lambda pair: pair[0].id):
        ids = {item[0].id, *(item[0].aliases or ())}
        members = [item]
        for known in [g for g in groups if g[0] & ids]:
            groups.remove(known)
            ids |= known[0]
            members = known[1] + members
        groups.append((ids, members))
    return [members for _, members in groups]


def _advisory(package: Package, group: list[tuple[Record, tuple[Affected, ...]]]) -> Advisory:
    records = [record for record, _ in group]
    ids = sorted({_shown(i) for record in records for i in (record.id, *(record.aliases or ()))})
    first = next((i for i in ids if i.startswith("CVE-")), min(_shown(r.id) for r in records))
    malicious = any(record.id.startswith("MAL-") for record in records)
    score, vector = _scored(group)
    words = [w for record in records if (w := _worded(record)) is not None]
    if malicious:
        severity = Severity.CRITICAL
    elif score is not None:
        severity = severity_of(score)
    else:
        severity = max(words, key=lambda s: s.rank, default=Severity.MEDIUM)
    return Advisory(
        id=first,
        package=package.name,
        version=package.version,
        severity=severity,
        aliases=tuple(i for i in ids if i != first),
        score=score,
        vector=vector,
        rated=malicious or score is not None or bool(words),
        summary=visible(next((r.summary for r in records if r.summary), ""), 300),
        fixed=_fixed(package.version, (entry for _, entries in group for entry in entries)),
        published=min((r.published for r in records if r.published), default=None),
        modified=max(r.modified for r in records),
    )


def _scored(group: list[tuple[Record, tuple[Affected, ...]]]) -> tuple[float | None, str]:
    """The highest CVSS 3 score of a group, with its vector."""
    best: tuple[float, str] | None = None
    for record, entries in group:
        own = [s for entry in entries for s in entry.severity or ()]
        for score in own or record.severity or ():
            value = base_score(score.score)
            if value is not None and (best is None or (value, score.score) > best):
                best = value, score.score
    return best or (None, "")


def _worded(record: Record) -> Severity | None:
    said = (record.database_specific or {}).get("severity")
    return _WORDS.get(said.upper()) if isinstance(said, str) else None


def _fixed(version: str, entries: Iterable[Affected]) -> tuple[str, ...]:
    """Versions above this one in which it is mended, in order."""
    own = parsed(version)
    found = {}
    for entry in entries:
        for item in entry.ranges or ():
            for event in item.events if item.type in ORDERED else ():
                at = parsed(event["fixed"]) if "fixed" in event else None
                if at is not None and own is not None and at > own:
                    found[str(at)] = at
    return tuple(sorted(found, key=lambda text: found[text]))


def _shown(id_: str) -> str:
    return id_ if _ID.fullmatch(id_) else visible(id_, 60)

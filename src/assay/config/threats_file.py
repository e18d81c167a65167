"""A threat pack's file: YAML, read strictly."""

from __future__ import annotations

from pathlib import Path

from assay.config.strict_yaml import convert, parse, read_text
from assay.core.canonical import digest_bytes
from assay.core.errors import InputError
from assay.core.threats import ThreatPack, Threats


def threats_from(data: bytes, name: str) -> ThreatPack:
    """Parse a pack's bytes. Raises UsageError with file and line."""
    document = parse(data, name)
    content = convert(document, Threats)
    if content.schema != "assay/1":
        raise document.error("$.schema", f"{content.schema!r} is not known", "this version reads assay/1")
    for index, row in enumerate(content.supersedes):
        if row.since > content.version:
            what = f"is version {row.since}, and this pack is version {content.version}"
            raise document.error(f"$.supersedes[{index}].since", what, "name this version, or an earlier one")
    for index, record in enumerate(content.advisories):
        if not isinstance(record.get("id"), str) or not isinstance(record.get("affected"), list):
            what = "is no OSV record (id, modified, affected)"
            raise document.error(f"$.advisories[{index}]", what, "copy it from an OSV database")
    return ThreatPack(content=content, digest=digest_bytes(data), uri=name)


def threats_at(path: str, digest: str) -> ThreatPack:
    """The pack at a path, which must have that digest still. Raises InputError where it was changed or is gone."""
    data = read_text(Path(path))
    if digest_bytes(data) != digest:
        raise InputError("changed since its signature was checked", where=path, fix="run again")
    return threats_from(data, path)

"""The `vulnerabilities` of a BOM: what a database says of its packages, with the analysis that a VEX file gives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from assay.attest.bom.vex import Statement
from assay.core.text import visible
from assay.formats.dependencies.advisories import Advisory

_SOURCES = {
    "CVE": ("NVD", "https://nvd.nist.gov/vuln/detail/{}"),
    "GHSA": ("GitHub Advisories", "https://github.com/advisories/{}"),
    "PYSEC": ("OSV", "https://osv.dev/vulnerability/{}"),
    "MAL": ("OSV", "https://osv.dev/vulnerability/{}"),
}


def vulnerabilities(found: dict[str, tuple[Advisory, ...]], statements: tuple[Statement, ...]) -> list[dict[str, Any]]:
    """CycloneDX's `vulnerabilities` for advisories by the package URL they affect, sorted by id.

    Of several statements on one package the last counts. Packages whose analysis differs get entries of their own.
    """
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for purl, advisories in sorted(found.items()):
        for advisory in advisories:
            said = [s for s in statements if s.speaks_of(advisory, purl)]
            analysis = said[-1].analysis() if said else {}
            key = advisory.id, repr(sorted(analysis.items()))
            entry = entries.setdefault(key, _entry(advisory, analysis))
            versions = [{"version": advisory.version, "status": "affected"}] if advisory.version else []
            entry["affects"].append({"ref": purl, **({"versions": versions} if versions else {})})
    listed = [entries[key] for key in sorted(entries)]
    for number, entry in enumerate(listed):
        same = sum(other["id"] == entry["id"] for other in listed[:number])
        entry["bom-ref"] = f"vulnerability:{entry['id']}" + (f"#{same + 1}" if same else "")
    return listed


def _entry(advisory: Advisory, analysis: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"bom-ref": "", "id": advisory.id, "source": _source(advisory.id)}
    if advisory.aliases:
        entry["references"] = [{"id": name, "source": _source(name)} for name in advisory.aliases]
    rating: dict[str, Any] = {"severity": advisory.severity.value if advisory.rated else "unknown"}
    if advisory.score is not None:
        rating |= {"score": advisory.score, "vector": visible(advisory.vector, 200)}
        rating["method"] = "CVSSv31" if advisory.vector.startswith("CVSS:3.1") else "CVSSv3"
    entry["ratings"] = [rating]
    if advisory.summary:
        entry["description"] = advisory.summary
    if advisory.fixed:
        entry["recommendation"] = f"take {advisory.package} {visible(advisory.fixed[0], 40)} or later"
    for key, moment in (("published", advisory.published), ("updated", advisory.modified)):
        if moment is not None:
            entry[key] = stamp(moment)
    if analysis:
        entry["analysis"] = analysis
    entry["affects"] = []
    return entry


def _source(name: str) -> dict[str, str]:
    told, address = _SOURCES.get(name.partition("-")[0], _SOURCES["PYSEC"])
    return {"name": told, "url": address.format(name)} if name.replace("-", "").isalnum() else {"name": told}


def stamp(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

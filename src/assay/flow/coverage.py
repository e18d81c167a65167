"""Coverage: for each framework, which entries this release has evidence for, and which are missing."""

from __future__ import annotations

from assay.core.decision import Decision, Verdict
from assay.core.dossier import Coverage, Entry
from assay.core.finding import Status
from assay.core.report import Report
from assay.taxonomy.frameworks import crosswalk, crosswalk_subjects, frameworks, resolve

SHOWN = ("eu-ai-act", "nist-ai-rmf", "iso-42001", "atlas", "owasp-ml-2023", "nist-aml")
"""The frameworks a page shows first; every other one is in the data."""


def coverage_of(report: Report, decision: Decision | None) -> tuple[Coverage, ...]:
    """Entries that Assay's checks can give evidence for: evidenced where one looked, missing where none did.

    An entry that no check of this version speaks of is outside, and only counted. A check that found something wrong
    still is evidence: someone looked.
    """
    looked = {o.check for o in report.body.outcomes if o.status in (Status.PASS, Status.FAIL) and o.complete}
    if decision is not None and not decision.preview:
        looked |= _gate_evidence(decision)
    by_tag: dict[str, list[str]] = {}
    for source in crosswalk_subjects():
        for tag in crosswalk(source):
            by_tag.setdefault(tag, []).append(source)
    names = {prefix: (name, edition, url) for prefix, name, edition, url, _ in frameworks()}
    result = []
    for prefix in SHOWN:
        name, edition, url = names[prefix]
        entries = [
            _entry(tag, sources, looked) for tag, sources in sorted(by_tag.items()) if tag.startswith(f"{prefix}:")
        ]
        verified = all(info.verified for tag in by_tag if tag.startswith(f"{prefix}:") and (info := resolve(tag)))
        result.append(
            Coverage(framework=name, edition=edition, url=url, verified=verified, entries=tuple(e for e in entries))
        )
    return tuple(result)


def _entry(tag: str, sources: list[str], looked: set[str]) -> Entry:
    info = resolve(tag)
    assert info is not None
    found = tuple(s for s in sources if s in looked)
    return Entry(id=info.id, name=info.name, state="evidenced" if found else "missing", checks=found or tuple(sources))


def _gate_evidence(decision: Decision) -> set[str]:
    found = {"gate.evidence"}
    if any(t.asks == "approvals" and t.verdict is Verdict.ALLOW for t in decision.trace):
        found.add("gate.approvals")
    if any(t.waived for t in decision.trace):
        found.add("gate.waivers")
    return found

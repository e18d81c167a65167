"""Coverage: for each framework, which entries this release has evidence for, and which are missing."""

from __future__ import annotations

from assay.core.decision import Decision, Verdict
from assay.core.dossier import Coverage, Entry, State
from assay.core.finding import Status
from assay.core.report import Report
from assay.engine.registry import check_ids, load
from assay.taxonomy.frameworks import Framework, crosswalk, crosswalk_subjects, frameworks

SHOWN = ("eu-ai-act", "nist-ai-rmf", "iso-42001", "atlas", "owasp-ml-2023", "nist-aml")
"""The frameworks a page shows first; every other one is in the data."""


def coverage_of(report: Report, decision: Decision | None) -> tuple[Coverage, ...]:
    """Every entry of the frameworks: evidenced where a check looked, declared where only the manifest speaks of it.

    A check that could not look at one of its subjects counts for none, nor does one whose outcomes a decision set
    aside. An entry that something could speak of and nothing did is missing; one that nothing in this version speaks of
    is outside. A check that found something wrong still is evidence: someone looked.
    """
    blind = {o.check for o in report.body.outcomes if o.status is Status.OPEN or not o.complete}
    looked = {o.check for o in report.body.outcomes if o.status in (Status.PASS, Status.FAIL)} - blind
    if decision is not None:
        looked &= set(decision.counted)
        looked |= set() if decision.preview else _gate_evidence(decision)
    declared, sources = _declared(report), sources_by_tag()
    known = {f.prefix: f for f in frameworks()}
    return tuple(_coverage(known[prefix], sources, looked, declared) for prefix in SHOWN)


def sources_by_tag() -> dict[str, tuple[str, ...]]:
    """For each tag, what can give evidence for it: check ids, rules of the gate, parts of the manifest."""
    sources: dict[str, tuple[str, ...]] = {}
    for source in crosswalk_subjects():
        own = load(source).spec.tags if source in check_ids() else ()
        for tag in dict.fromkeys((*own, *crosswalk(source))):
            sources[tag] = (*sources.get(tag, ()), source)
    return sources


def _coverage(one: Framework, sources: dict[str, tuple[str, ...]], looked: set[str], declared: set[str]) -> Coverage:
    entries = []
    for id_, name in one.entries:
        named = sources.get(f"{one.prefix}:{id_}", ())
        found = tuple(s for s in named if s in looked)
        said = tuple(s for s in named if s in declared)
        state: State = "evidenced" if found else "declared" if said else "missing" if named else "outside"
        entries.append(Entry(id=id_, name=name, state=state, checks=found or said or named))
    return Coverage(framework=one.name, edition=one.edition, url=one.url, verified=one.verified, entries=tuple(entries))


def _declared(report: Report) -> set[str]:
    """The parts of the manifest that say something."""
    system, release = report.body.system, report.body.release
    found = set()
    if system is not None and system.owner and system.purpose and system.risk:
        found.add("manifest.system")
    if release is not None and release.terms.contract.features:
        found.add("manifest.features")
    if release is not None and release.code:
        found.add("manifest.training")
    return found


def _gate_evidence(decision: Decision) -> set[str]:
    found = (
        {"gate.evidence"} if all(t.verdict is Verdict.ALLOW for t in decision.trace if t.asks == "evidence") else set()
    )
    if any(t.asks == "approvals" and t.verdict is Verdict.ALLOW for t in decision.trace):
        found.add("gate.approvals")
    if any(t.waived for t in decision.trace):
        found.add("gate.waivers")
    return found

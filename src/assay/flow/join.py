"""Join: papers from machines that share nothing become the facts that the gate reads; whatever disagrees is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from assay.attest import statement as st
from assay.attest.files import FileDigest, root_digest
from assay.attest.signature import ALONE, GIT_PATHS, Claim, claim_of
from assay.core.canonical import short
from assay.core.decision import Approval, ApprovalFact, Facts, OutcomeFact, Signer, Waiver, WaiverFact
from assay.core.dossier import SignedMaterial, Vouch
from assay.core.errors import VerificationError
from assay.core.finding import Outcome, Status
from assay.core.release import SHIPPED, Material, Release, Role, differences, paths_of
from assay.core.report import Report
from assay.core.subject import Kind
from assay.core.threats import Packs
from assay.engine.registry import check_ids, load, resolve_parameters
from assay.flow.papers import Paper

T = TypeVar("T", Approval, Waiver)

KINDS = {
    Role.MODEL: (Kind.ARTIFACT, Kind.MODEL),
    Role.PREPROCESSING: (Kind.ARTIFACT,),
    Role.GUARD_RULES: (Kind.ARTIFACT,),
    Role.CODE: (Kind.ARTIFACT,),
    Role.ARTIFACT: (Kind.ARTIFACT,),
    Role.TRAINING_DATA: (Kind.DATASET,),
    Role.HOLDOUT: (Kind.DATASET,),
    Role.CHAMPION: (Kind.ARTIFACT,),
    Role.ENVIRONMENT: (),
}


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """One evidence bundle, opened."""

    uri: str
    digest: str
    signer: Signer
    report: Report


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was given, as facts, with the Release they speak of."""

    release: Release
    facts: Facts
    bundles: tuple[Bundle, ...]
    signatures: tuple[SignedMaterial, ...]
    vouches: tuple[Vouch, ...]


def expected_for(release: Release, reports: Iterable[Report] = ()) -> dict[str, tuple[str, ...]]:
    """For each check that applies to the release, the subjects it must have been asked of.

    The tables that the model's outcomes in `reports` rest on (its holdout) must have been examined as well.
    """
    asked = {(m.name, kind) for m in release.materials for kind in KINDS[m.role]}
    for body in (r.body for r in reports):
        read = {name for o in body.outcomes if o.check in check_ids(Kind.MODEL) for name in o.reads}
        asked |= {(s.name, s.kind) for s in body.subjects if s.kind is Kind.DATASET and s.name in read}
    wanted: dict[str, list[str]] = {}
    for name, kind in sorted(asked):
        for check_id in check_ids(kind):
            wanted.setdefault(check_id, []).append(name)
    return {check: tuple(names) for check, names in wanted.items()}


def facts_of(
    release: Release,
    outcomes: tuple[OutcomeFact, ...],
    reports: Iterable[Report],
    packs: Packs = Packs(),  # noqa: B008
) -> Facts:
    """What the gate reads of outcomes on a release, with what this version of Assay knows of every check."""
    checks = {i: load(i) for i in check_ids()}
    return Facts(
        release=release.digest,
        terms=release.terms,
        materials=_judging(release),
        outcomes=outcomes,
        expected=expected_for(release, reports),
        gives={i: check.spec.measures for i, check in checks.items()},
        versions={i: check.spec.version for i, check in checks.items()},
        severities={i: check.spec.severity for i, check in checks.items()},
        defaults={i: resolve_parameters(check, {}) for i, check in checks.items()},
        packs=packs,
    )


def _judging(release: Release) -> dict[str, tuple[str, ...]]:
    """The digests of what does not ship but judges what does, by role; a champion comes with its preprocessing."""
    found: dict[str, tuple[str, ...]] = {}
    for material in release.materials:
        if material.role not in SHIPPED:
            found[material.role.value] = (*found.get(material.role.value, ()), material.digest)
    return found


def join(papers: Iterable[Paper], erased: tuple[str, ...] = (), packs: Packs = Packs()) -> Joined:  # noqa: B008
    """Facts from verified papers. Raises VerificationError where there is no evidence at all, or one is malformed."""
    papers = tuple(papers)
    bundles = tuple(_bundle(p) for p in papers if p.kind == st.EVIDENCE)
    if not bundles:
        raise VerificationError(
            "no evidence was given", fix="add --evidence FILE, written by `assay run --evidence-out`"
        )
    release = bundles[0].report.body.release
    assert release is not None
    vouched = tuple(_vouched(bundles))
    signed = tuple((p, claim_of(p.statement, where=p.uri)) for p in papers if p.kind == st.SIGNATURE)
    signatures = tuple(_signatures(signed, release))
    model = tuple(m for m in release.materials if m.role is Role.MODEL)
    authors = {p.signer.key: p.signer for p, claim in signed if any(_covers(claim, m) for m in model)}
    facts = replace(
        facts_of(release, vouched, (b.report for b in bundles), packs),
        approvals=tuple(
            ApprovalFact(approval=_word(p, Approval), signer=p.signer) for p in papers if p.kind == st.APPROVAL
        ),
        waivers=tuple(WaiverFact(waiver=_word(p, Waiver), signer=p.signer) for p in papers if p.kind == st.WAIVER),
        authors=tuple(authors.values()),
        conflicts=tuple(_conflicts(bundles, release)),
        erased=erased,
    )
    return Joined(release=release, facts=facts, bundles=bundles, signatures=signatures, vouches=vouches_of(vouched))


def vouches_of(facts: Iterable[OutcomeFact]) -> tuple[Vouch, ...]:
    """Who stands for each outcome, as a renderer reads it."""
    return tuple(
        Vouch(
            check=f.outcome.check,
            subject=f.outcome.subject,
            person=f.signer.person,
            key=f.signer.key,
            at=f.at,
            bundle=f.bundle,
        )
        for f in facts
    )


def _bundle(paper: Paper) -> Bundle:
    report = paper.statement.read(Report, where=paper.uri)
    release = report.body.release
    named = {s.name: s.digest.get("sha256", "") for s in paper.statement.subject}
    if release is None or f"sha256:{named.get('urn:assay:release')}" != release.digest:
        raise VerificationError("the evidence is not about the Release it names", where=paper.uri)
    why = contradiction(release) or _beyond(report)
    if why:
        raise VerificationError(why, where=paper.uri, fix="have it made again with the version of Assay that gates")
    return Bundle(uri=paper.uri, digest=paper.digest, signer=paper.signer, report=report)


def contradiction(release: Release) -> str:
    """Why no manifest describes such a Release, or "": what is checked must be what ships."""
    if not any(m.role is Role.MODEL for m in release.materials):
        return "the Release names no model"
    if len({m.name for m in release.materials}) < len(release.materials):
        return "the Release names a material twice"
    for material in release.materials:
        inside = [FileDigest(name, hex_) for name, hex_ in material.files.items()]
        if inside and material.digest != f"sha256:{root_digest(inside)}":
            return f"the files of {material.name} are not those of its digest"
    paths = [path for m in release.materials if m.role in SHIPPED for path in paths_of(m)]
    return "the Release names a file twice" if len(set(paths)) < len(paths) else ""


def _beyond(report: Report) -> str:
    """Why this version cannot judge the report: a check, or a version of one, that it does not know."""
    for outcome in report.body.outcomes:
        if outcome.check not in check_ids():
            return f"holds an outcome of {outcome.check[:80]!r}, a check that is not known here"
        if outcome.version > load(outcome.check).spec.version:
            return f"holds {outcome.check} in version {outcome.version}, which is not known here"
    return ""


def _word(paper: Paper, kind: type[T]) -> T:
    word = paper.statement.read(kind, where=paper.uri)
    named = {s.digest.get("sha256", "") for s in paper.statement.subject}
    if named != {word.release.removeprefix("sha256:")}:
        raise VerificationError("speaks of another Release than it is bound to", where=paper.uri)
    return word


def _vouched(bundles: tuple[Bundle, ...]) -> Iterable[OutcomeFact]:
    for bundle in bundles:
        for outcome in bundle.report.body.outcomes:
            at = bundle.report.run.started
            yield OutcomeFact(outcome=outcome, signer=bundle.signer, at=at, bundle=bundle.digest)


def _signatures(signed: Iterable[tuple[Paper, Claim]], release: Release) -> Iterable[SignedMaterial]:
    """Who signed which material, and when; another tool's signature says no time, and is not listed."""
    for paper, claim in signed:
        for material in release.materials:
            if claim.signed_at is not None and _covers(claim, material):
                yield SignedMaterial(
                    material=material.name, person=paper.signer.person, key=paper.signer.key, at=claim.signed_at
                )


def _covers(claim: Claim, material: Material) -> bool:
    """Whether every file of a material was signed, by its name inside a folder; git's own files never are."""
    if not material.files:
        return material.digest.removeprefix("sha256:") in {f.sha256 for f in claim.files}
    inside = {n: hex_ for n, hex_ in material.files.items() if n.split("/")[0] not in GIT_PATHS}
    signed = {f.name: f.sha256 for f in claim.files if f.name != ALONE}
    return bool(inside) and inside.items() <= signed.items()


def _conflicts(bundles: tuple[Bundle, ...], release: Release) -> Iterable[str]:
    digests: dict[str, tuple[str, str]] = {m.name: (m.digest, "the Release") for m in release.materials}
    said: dict[tuple[str, str, int, bytes], tuple[Outcome, str]] = {}
    for bundle in bundles:
        who = f"{bundle.signer.person}'s evidence"
        other = bundle.report.body.release
        if other is not None and other.digest != release.digest:
            why = "; ".join(differences(release, other)) or "other facts"
            yield f"{who} speaks of Release {short(other.digest)}, not {short(release.digest)}: {why}"
        for outcome in bundle.report.body.outcomes:
            for name, digest in {**outcome.reads, outcome.subject: outcome.subject_digest}.items():
                known, source = digests.setdefault(name, (digest, who))
                if known != digest:
                    yield f"{name} is {short(known)} in {source} and {short(digest)} in {who}"
            key = (
                outcome.check,
                outcome.subject,
                outcome.version,
                msgspec.json.encode(outcome.parameters, order="sorted"),
            )
            first, source = said.setdefault(key, (outcome, who))
            both = {first.status, outcome.status}
            if len(both) > 1 and Status.OPEN not in both and first.seed == outcome.seed:
                what = f"{outcome.check} on {outcome.subject}"
                yield f"{what} is {first.status} in {source} and {outcome.status} in {who}"

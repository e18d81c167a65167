"""supply.vulnerabilities: packages that a model asks for and that an OSV database knows to be vulnerable"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import msgspec

from assay.checks.noted import MOST_FINDINGS, settle
from assay.core.artifact import Artifact
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.exhibit import Table
from assay.core.finding import Confidence, Finding, Json, Location, Severity
from assay.core.protocols import system_clock
from assay.core.subject import Kind, Stage
from assay.core.text import visible
from assay.formats.known import current

if TYPE_CHECKING:
    from assay.formats.dependencies.advisories import Advisory
    from assay.formats.dependencies.gathered import Listed
    from assay.formats.dependencies.osv import Database

_NOT_NAMED = "no vulnerability database was named; --database FILE asks"
Days = Annotated[float, msgspec.Meta(gt=0, le=36_500)]


@check(
    "supply.vulnerabilities",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.CRITICAL,
    cost="instant",
    cacheable=False,
    tags=("atlas:AML.T0010.001", "atlas:AML.T0011.001", "owasp-llm-2025:LLM03"),
)
def vulnerabilities(
    artifact: Artifact, *, database: str = "", max_age_days: Days = 14.0, required: bool = False
) -> Iterator[Finding | Table]:
    """Packages with known vulnerabilities among those that a model's files list.

    Why: a model is loaded together with the packages that its requirements, lock or environment names, and a hole in
    one of them is a hole in the model's service, whatever the weights are.

    How it decides: requirements, lock files, conda and MLflow environments, pyproject.toml, Pipfile and setup.cfg are
    read, and each package with a fixed version is looked up in an OSV database (`database`: a zip, a folder or a file,
    relative to the project). Names are compared by PEP 503, versions by PEP 440 without local labels; withdrawn records
    count for nothing, and records that are aliases of each other count once. Severity is CVSS 3's base score, else the
    database's own word, else medium; a package recorded as malicious is critical. A package of conda is looked up under
    its name on PyPI. The question stays open, whatever else was found, for a database that is missing, torn, without
    records on PyPI, or whose newest record is older than `max_age_days` (the file's own date says nothing), and for
    each package whose version nothing fixes, or whose list was not read. Without `database` the question is not asked:
    no database is carried along that would be stale tomorrow, and none is fetched, so that a plain scan says "not
    applicable" (with `required`, or where a scan asks this check by name, it stays open) and a policy that requires
    this check still does not pass; advisories of the threat pack in force are looked up in any case.

    Fix: take a version in which it is mended, or waive the finding with the reason why it cannot be reached here.

    References: OSV schema; PEP 440; PEP 503; CVSS v3.1; MITRE ATLAS AML.T0010.001; OWASP LLM03:2025.
    """
    pack = current()
    if not database and not pack.advisories:
        raise (CouldNotLook if required else NotApplicable)(_NOT_NAMED)
    from assay.formats.dependencies.gathered import gather  # a scan that does not ask need not load these
    from assay.formats.dependencies.osv import open_database, pack_database, stale

    place = _root(artifact) / database
    if database and not place.exists():
        raise CouldNotLook(f"the vulnerability database {visible(database, 100)} is not there")
    listed = gather(artifact)
    if not listed.asked:
        raise NotApplicable("no list of packages in it")
    now = system_clock()
    names = {item.package.name for item in listed.packages}
    sources: list[Database] = []
    gaps = list(listed.gaps)
    if database:
        sources.append(known := open_database(place, names, now))
        yield _table(known, sum(bool(item.package.version) for item in listed.packages))
        gaps[:0] = filter(None, [stale(known, now, timedelta(days=max_age_days))])
    if pack.advisories:
        sources.append(pack_database(pack.advisories, f"threat pack {pack.name}", names, now))
    count = 0
    for finding in _looked_up(listed.packages, sources, gaps):
        count += 1
        if count <= MOST_FINDINGS:
            yield finding
    if count > MOST_FINDINGS:
        gaps.append(f"{count - MOST_FINDINGS} further findings are not listed")
    if not database:
        raise (CouldNotLook if required else NotApplicable)(
            f"{_NOT_NAMED}; only the advisories of {sources[0].name} were looked up"
        )
    settle(gaps, True, "")


def _looked_up(packages: Iterable[Listed], sources: list[Database], gaps: list[str]) -> Iterator[Finding]:
    """What each package is known for; of two sources, the first to name an advisory tells it."""
    from assay.formats.dependencies.advisories import judge

    for known in sources:
        if known.unread:
            gaps.append(f"{len(known.unread)} records of {known.name} cannot be read ({known.unread[0]})")
    for item in packages:
        told: set[str] = set()
        for known in sources:
            judged = judge(item.package, known)
            gaps += [gap for gap in (f"{item.uri}: {gap}" for gap in judged.gaps) if gap not in gaps]
            for advisory in judged.advisories:
                ids = {advisory.id, *advisory.aliases}
                if not ids & told:
                    yield _finding(item, advisory, known)
                told |= ids


def _root(artifact: Artifact) -> Path:
    """The folder that the artifact's uri is relative to: the project, or where the scan was started."""
    uri = PurePath(artifact.uri)
    if uri.is_absolute() or artifact.source is not None:
        return Path()
    return artifact.path if not uri.parts else artifact.path.parents[len(uri.parts) - 1]


def _table(known: Database, packages: int) -> Table:
    """What was asked, so that "nothing found" says of what, and as of when."""
    return Table(
        name="supply.vulnerabilities.database",
        title="Vulnerability database",
        subtitle="what the packages were looked up in",
        columns=("database", "newest record", "records on PyPI", "packages looked up"),
        rows=((known.name, f"{known.newest:%Y-%m-%d}", known.count, packages),),
    )


def _finding(item: Listed, advisory: Advisory, known: Database) -> Finding:
    package = item.package
    evidence: dict[str, Json] = {
        "package": package.name,
        "version": package.version,
        "ids": [advisory.id, *advisory.aliases[:20]],
        "database": f"{known.name}, newest record {known.newest:%Y-%m-%d}",
    }
    if advisory.vector:
        evidence |= {"cvss": advisory.score, "vector": visible(advisory.vector, 120)}
    if advisory.fixed:
        evidence["fixed"] = [visible(version, 40) for version in advisory.fixed[:10]]
    if item.also:
        evidence["also_in"] = list(item.also[:20])
    told = f": {advisory.summary}" if advisory.summary else ""
    malicious = any(name.startswith("MAL-") for name in (advisory.id, *advisory.aliases))
    what = "is known to be malicious" if malicious else "is known to be vulnerable"
    mended = f"take {package.name} {visible(advisory.fixed[0], 40)} or later" if advisory.fixed else ""
    return Finding(
        message=f"asks for {f'{package.name} {package.version}'.strip()}, which {what} ({advisory.id}{told})",
        location=Location(uri=item.uri, line=package.line),
        key=f"{package.name}:{package.version}:{advisory.id}",
        severity=advisory.severity,
        confidence=Confidence.HIGH if advisory.rated else Confidence.MEDIUM,
        evidence=evidence,
        fix="remove the package, and look for what it did" if malicious else mended or "no mended version is recorded",
    )

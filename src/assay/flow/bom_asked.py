"""What a BOM holds besides its files when it is asked for: vulnerabilities of its packages, measures of a report."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from assay.attest.bom.environment import Environment
from assay.attest.bom.parts import Model, Whole
from assay.attest.bom.words import package_url
from assay.core.errors import CouldNotLook, InputError
from assay.core.finding import Measure
from assay.core.report import Report
from assay.core.text import visible
from assay.formats.dependencies.advisories import Advisory, judge
from assay.formats.dependencies.gathered import Listed
from assay.formats.dependencies.osv import open_database, stale
from assay.formats.dependencies.requirement import Package


def with_advisories(whole: Whole, database: Path, max_age: timedelta, now: datetime) -> Whole:
    """The whole with what a database says; a database that cannot say it is a gap, not an absence."""
    asked = _packages(whole.packages, whole.environment)
    gaps = list(whole.gaps)
    try:
        if not database.exists():
            raise CouldNotLook(f"the vulnerability database {visible(database.name, 100)} is not there")
        known = open_database(database, {package.name for package, _ in asked}, now)
    except CouldNotLook as why:
        return replace(whole, gaps=(*gaps, str(why)))
    if old := stale(known, now, max_age):
        gaps.append(old)
    if known.unread:
        gaps.append(f"{len(known.unread)} records of {known.name} cannot be read ({known.unread[0]})")
    found: dict[str, tuple[Advisory, ...]] = {}
    for package, uri in asked:
        judged = judge(package, known)
        gaps += [f"{uri}: {gap}" if uri else gap for gap in judged.gaps]
        if judged.advisories:
            found[package_url(package.ecosystem, package.name, package.version)] = judged.advisories
    measured = {
        **whole.measured,
        "vulnerability-database": f"{known.name}: {known.count} records, newest {known.newest:%Y-%m-%d}",
        "packages-looked-up": sum(bool(package.version) for package, _ in asked),
    }
    return replace(whole, advisories=found, measured=measured, gaps=tuple(dict.fromkeys(gaps)))


def _packages(listed: tuple[Listed, ...], installed: Environment | None) -> list[tuple[Package, str]]:
    """Every package once, with the file that lists it; what is installed answers a list that fixes no version."""
    here = {item.name: item.version for item in installed.packages} if installed is not None else {}
    found: dict[tuple[str, str, str], tuple[Package, str]] = {}
    for item in listed:
        package = item.package
        if not package.version and package.name in here:
            continue
        key = package.ecosystem, package.name, package.version or package.asked
        found.setdefault(key, (package, item.uri))
    for name, version in here.items():
        found.setdefault(("pypi", name, version), (Package(name=name, version=version), ""))
    return [found[key] for key in sorted(found)]


def with_measures(whole: Whole, path: Path) -> Whole:
    """The whole with the measures that a report gives of exactly these bytes. Raises InputError where it has none."""
    from assay.flow.saved import read_dossier

    report: Report = read_dossier(path).report
    models = tuple(replace(model, measures=_measures(model, report)) for model in whole.models)
    if not any(model.measures for model in models):
        fix = "give the report of a run on these very files"
        raise InputError("holds no measure of a model with these digests", where=visible(str(path)), fix=fix)
    return replace(whole, models=models)


def _measures(model: Model, report: Report) -> tuple[Measure, ...]:
    if not model.digest:
        return ()
    found = [m for o in report.body.outcomes if o.subject_digest == model.digest for m in o.measures]
    return tuple(sorted(found, key=lambda m: m.key))

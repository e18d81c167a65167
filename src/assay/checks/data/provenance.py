"""data.provenance: whether the data are the files that their manifest names, and what allows their use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from assay.adapters.tables import Dataset
from assay.attest.files import hash_named
from assay.config.dataset_manifest import DatasetManifest, load_dataset_manifest
from assay.core.check import check
from assay.core.errors import NotApplicable
from assay.core.finding import Finding, Location, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage
from assay.core.text import visible

MOST_NAMED = 50
_FACTS = (
    ("source", "where the data are from", Severity.MEDIUM),
    ("licence", "under which licence or contract they are used", Severity.MEDIUM),
    ("consent", "on what ground people's data are used, or that none are people's", Severity.MEDIUM),
    ("collected", "when they were collected", Severity.LOW),
    ("collected_by", "who collected them", Severity.LOW),
)


@check(
    "data.provenance",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.CRITICAL,
    needs="ml",
    cacheable=False,
    wants=("provenance",),
    tags=("atlas:AML.T0019", "owasp-ml-2023:ML02", "eu-ai-act:Art.10"),
    libraries=("duckdb",),
)
def provenance(data: Dataset, *, progress: Progress = silent) -> Iterator[Finding]:
    """Whether the data are the files that their manifest names, and what allows their use.

    Why: whoever can change a file between collection and training needs no other attack. And data without a source, a
    licence or a consent may have to be taken out again, with every model that was trained on them.

    How it decides: `provenance:` of the dataset names a manifest (YAML, `assay data manifest` writes it) with the
    SHA-256 of each file, paths counted from the manifest's folder. Every file is hashed anew. Another digest is a
    critical finding, a file that is not there a high one, and so is a table that its own manifest does not name. No
    source, licence or ground of consent is a medium finding each, no period of collection and nobody who collected a
    low one. Without a manifest the question is not asked; a manifest that cannot be read leaves it open.

    The manifest says what its author says: facts are read and not examined, and whoever can change file and manifest
    alike is not seen. Sign it (`assay sign`) and keep it apart from the data.

    Fix: restore the files that the manifest names; where the change was meant, write the manifest anew and say why.

    References: MITRE ATLAS AML.T0019; EU AI Act Art. 10(2)(b); Gebru et al. 2021 (datasheets); RFC 6234 (SHA-256).
    """
    if not data.provenance:
        raise NotApplicable("no dataset manifest is declared (`provenance:`)")
    path = data.root / data.provenance
    manifest = load_dataset_manifest(path)
    folder = Path(os.path.realpath(path)).parent
    yield from _files(data, manifest, folder, progress)
    if data.path not in {Path(os.path.realpath(folder / name)) for name in manifest.files}:
        yield _finding(data, "unlisted", "its manifest does not name this table: nothing vouches for it", Severity.HIGH)
    for name, words, severity in _FACTS:
        value = getattr(manifest, name)
        if value is None or (isinstance(value, str) and not value.strip()):
            yield _finding(data, f"fact:{name}", f"its manifest does not say {words} (`{name}:`)", severity)


def _files(data: Dataset, manifest: DatasetManifest, folder: Path, progress: Progress) -> Iterator[Finding]:
    found = {f.name: f for f in hash_named(folder, manifest.files, progress=progress)}
    changed = [n for n, entry in manifest.files.items() if n in found and found[n].sha256 != entry.sha256]
    missing = [n for n in manifest.files if n not in found]
    for key, names, severity, words in (
        ("changed", changed, Severity.CRITICAL, "is not the file that its manifest names: its SHA-256 is another"),
        ("missing", missing, Severity.HIGH, "is named by the manifest and is not there"),
    ):
        for name in names[:MOST_NAMED]:
            yield _finding(data, f"{key}:{name}", f"{visible(name, 120)} {words}", severity, name)
        if len(names) > MOST_NAMED:
            yield _finding(data, f"{key}:more", f"{len(names) - MOST_NAMED} more files: each {words}", severity)


def _finding(data: Dataset, key: str, message: str, severity: Severity, member: str = "") -> Finding:
    return Finding(
        message=message,
        location=Location(uri=data.provenance, member=member),
        key=key,
        severity=severity,
        fix="restore the file, or write the manifest anew and say why (`assay data manifest`)"
        if not key.startswith("fact") else "write it into the manifest",
    )  # fmt: skip

"""artifact.archive: whether an archive is the same for every program that opens it"""

from __future__ import annotations

from collections.abc import Iterator

from assay.checks.noted import report
from assay.core.artifact import Artifact
from assay.core.check import check
from assay.core.finding import Finding, Severity
from assay.core.subject import Kind, Stage
from assay.formats.reading import Topic


@check(
    "artifact.archive",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.CRITICAL,
    cost="instant",
    tags=("owasp-ml-2023:ML06", "atlas:AML.T0011.000"),
)
def archive(artifact: Artifact) -> Iterator[Finding]:
    """An archive that is not the same for every program that opens it.

    Why: a zip says twice what it holds, beside each file and in a list at its end. A scanner that believes one and a
    loader that believes the other see different files; so do those that differ on a wrong checksum, a second list, a
    name given twice, or bytes before and behind the archive. Names that climb out of the folder overwrite files where
    the archive is unpacked, and a bomb fills the disk.

    How it decides: zip archives (torch, npz, Keras, skops and MLflow packages among them) are read by both lists and
    by walking from file to file, and every disagreement is a finding; what only one way of reading shows is scanned
    all the same. Tar archives are read for names and links that leave the folder, names given twice and headers that
    contradict each other; compressed files for what follows their end. In `assay scan` the checksum of what was
    interpreted is compared; `assay run` and `assay scan --full` compare every one.

    Fix: make the archive again with an ordinary tool from files you trust; do not load this one.

    References: PKWARE APPNOTE 6.3.10; POSIX.1-2017 pax; MITRE ATLAS AML.T0011.000; OWASP ML06:2023.
    """
    yield from report(artifact, Topic.ARCHIVE, "no archive in it")

"""artifact.unsafe-format: whether a shipped file is of a kind that can run code when it is opened."""

from __future__ import annotations

from collections.abc import Iterator

from assay.checks.noted import MOST_FINDINGS, finding_of, settle, words
from assay.core.artifact import Artifact, File
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.exhibit import MAX_POINTS, Exhibit, Table
from assay.core.finding import Finding, Location, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible
from assay.formats.artifact import ArtifactFacts
from assay.formats.promise import broken_promise
from assay.formats.reading import Topic
from assay.formats.survey import Seen, survey

SAFER = {
    "pickle": "convert it with `assay harden`: safetensors for tensors, skops or ONNX for estimators",
    "torch-zip": "convert it with `assay harden` (a .pt2 program: torch.onnx.export), or ship safetensors or ONNX",
    "npy-objects": "save plain arrays (allow_pickle=False)",
    "npz": "save plain arrays (allow_pickle=False)",
    "hdf5": "ship ONNX or safetensors instead; a Keras file can hold Lambda layers",
    "python-bytecode": "ship the source, or the model alone",
    "native": "ship the model, and let its users take libraries from where they trust them",
    "r-data": "ship ONNX, PMML or a table; R runs what a saved promise holds",
    "keras-zip": "ship ONNX or safetensors instead; a Keras file can hold Lambda layers",
}
MOST_LIGHTGBM = 1 << 30
_Row = tuple[str, str, int | None, int | None, str]


@check(
    "artifact.unsafe-format",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.MEDIUM,
    cost="instant",
    version=4,
    tags=("owasp-ml-2023:ML06", "atlas:AML.T0011.000"),
)
def unsafe_format(artifact: Artifact) -> Iterator[Finding | Exhibit]:
    """A file of a format that can run code when it is opened.

    Why: even a clean pickle must be read again at every release, and whoever can replace it can run code wherever it
    is loaded. A format that holds only numbers and a graph closes that door.

    How it decides: by content first and the name last. Pickle, joblib, torch archives, numpy object arrays, HDF5 and
    Keras models can run code; so does source code, in archives too, and configuration that names code to load. ONNX
    (standard operators, no file outside itself), LightGBM text, safetensors, plain numpy arrays and plain text pass
    once they were read to their end. A format that this version only recognises (native code, R data) stays
    open, and so does a file that is not what its name says (a page of text called `model.onnx`): nobody can tell what
    a loader would make of it. What can run code under a name that promises another format is of medium severity.

    Fix: convert it (`assay harden FILE`: ONNX, skops or safetensors), and sign the result. A team that must keep a
    pickle can waive this finding, with a reason and an end date.

    References: OWASP ML06:2023; MITRE ATLAS AML.T0011.000.
    """
    gaps: list[str] = []
    unknown: dict[str, str] = {}
    companions: set[str] = set()
    count = told = 0
    files: list[_Row] = []
    more: dict[Severity, int] = {}
    for count, seen in enumerate(survey(artifact), 1):  # noqa: B007 - read after the loop
        files.append(_row(seen))
        gaps += [words(seen.file, gap.reason) for gap in seen.gaps]
        if seen.file.left_out:
            yield _left_out(seen.file)
        if seen.facts is None:
            continue
        for finding in _judged(artifact, seen.file, seen.facts, gaps):
            told += 1
            severity = finding.severity or Severity.MEDIUM
            if told <= MOST_FINDINGS:
                yield finding
            else:
                more[severity] = more.get(severity, 0) + 1
        if seen.facts.format.name == "other":
            unknown[seen.file.uri] = words(seen.file, "is of no known format")
        companions.update(_companions(seen.file, seen.facts))
    gaps += [gap for uri, gap in unknown.items() if uri not in companions]
    if not count:
        raise CouldNotLook(f"{artifact.uri} is an empty folder")
    yield from (_more(artifact, severity, number) for severity, number in more.items())
    yield _accounted(files)
    settle(gaps, True, "")


def _more(artifact: Artifact, severity: Severity, number: int) -> Finding:
    return Finding(
        message=f"holds {number:,} more files of which the same is to be said, not listed one by one",
        location=Location(uri=artifact.uri),
        key=f"more {severity.value}",
        severity=severity,
        evidence={"files": number},
    )


def _left_out(file: File) -> Finding:
    return Finding(
        message=f"was left out: {file.left_out}",
        location=Location(uri=file.uri),
        key="left out",
        severity=Severity.INFO,
    )


def _row(seen: Seen) -> _Row:
    facts = seen.facts
    unread = seen.gaps[0].reason if seen.gaps else ""
    if facts is None:
        return visible(seen.file.uri), "", None, None, visible(unread, 200)
    pickles = len(facts.streams) or None
    return visible(seen.file.uri), facts.format.name, facts.size, pickles, visible(unread, 200)


def _accounted(files: list[_Row]) -> Table:
    """Every file that was looked at; of more than a table holds, those first that were not read to their end, then
    those that hold pickles."""
    if len(files) > MAX_POINTS:
        files = sorted(files, key=lambda row: (not row[4], not row[3]))  # stable: each part keeps its order
    more = len(files) - MAX_POINTS
    return Table(
        name="files",
        title="What lies in it",
        subtitle="the format of each file's bytes, and what of it could not be read",
        columns=("file", "format", "bytes", "pickles", "not read"),
        rows=tuple(files[:MAX_POINTS]),
        note=f"{more:,} more files, read to their end, are not listed; assay bom lists all." if more > 0 else "",
    )


def _judged(artifact: Artifact, file: File, facts: ArtifactFacts, gaps: list[str]) -> Iterator[Finding]:
    """One file: what opening it can run, and whether it is what its name says."""
    name, lie = facts.format.name, broken_promise(file.path.name, facts.format.name)
    yield from (finding_of(file, note) for note in facts.notes if note.topic is Topic.SOURCE_CODE)
    if facts.format.loads_code or facts.streams:
        yield _opens_code(file, facts, lie)
    elif lie:
        gaps.append(words(file, f"is {_called(name)}, though its name ends in {lie}"))
    elif name == "empty" and artifact.single:
        gaps.append(words(file, "is empty"))
    elif name == "text":
        _tree_model(artifact, file, facts.size, gaps)


def _companions(file: File, facts: ArtifactFacts) -> Iterator[str]:
    """The files of raw numbers that a model names beside itself, by their uri."""
    named = facts.measured.get("", {}).get("external")
    folder = file.uri.rpartition("/")[0]
    for name in named if isinstance(named, (dict, list)) else ():
        yield f"{folder}/{name}" if folder else str(name)


def _called(name: str) -> str:
    return {"empty": "empty", "other": "of no known format"}.get(name, name)


def _tree_model(artifact: Artifact, file: File, size: int, gaps: list[str]) -> None:
    """A LightGBM model in text must hold together: its own parser trusts what the file says."""
    from assay.formats.models.boosters import looks_like_lightgbm

    try:
        with artifact.open(file) as stream:
            if not looks_like_lightgbm(stream.read(64)):
                return
            stream.seek(0)
            if size > MOST_LIGHTGBM:
                gaps.append(words(file, f"is text of {size >> 20:,} MB, which is more than this version reads"))
                return
            from assay.adapters.lightgbm_text import sound

            sound(stream.read(), file.uri)
    except CouldNotLook as why:
        gaps.append(str(why))
    except (OSError, MemoryError) as error:
        gaps.append(words(file, f"cannot be read: {error}"))


def _opens_code(file: File, facts: ArtifactFacts, lie: str) -> Finding:
    name = facts.format.name
    kind = name if name in SAFER else "pickle"
    what = (
        "is native code"
        if name == "native"
        else f"is a {name} file"
        if kind == name
        else f"holds a pickle (it is a {name} file)"
    )
    return Finding(
        message=f"{what}{f' under a name in {lie}' if lie else ''}, which can run code when it is opened",
        location=Location(uri=file.uri),
        key=kind,
        severity=Severity.MEDIUM if lie else Severity.LOW,
        evidence={"format": name},
        fix=SAFER[kind],
    )

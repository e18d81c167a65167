"""artifact.unsafe-format: whether a shipped file is of a kind that can run code when it is opened."""

from __future__ import annotations

from collections.abc import Iterator

from assay.core.artifact import Artifact, File
from assay.core.check import check
from assay.core.errors import CouldNotLook, InputError
from assay.core.finding import Finding, Location, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible
from assay.formats.artifact import ArtifactFacts, examine
from assay.formats.promise import broken_promise
from assay.formats.reading import Limits
from assay.formats.texts.source_code import is_source_code

SAFER = {
    "pickle": "ship ONNX (trees, pipelines, networks), skops (scikit-learn) or safetensors (tensors) instead",
    "torch-zip": "ship safetensors or ONNX instead",
    "npy-objects": "save plain arrays (allow_pickle=False)",
    "npz": "save plain arrays (allow_pickle=False)",
    "hdf5": "ship ONNX or safetensors instead; a Keras file can hold Lambda layers",
    "keras-zip": "ship ONNX or safetensors instead; a Keras file can hold Lambda layers",
}
MOST_ONNX = 2 << 30  # what one protobuf message may hold
MOST_LIGHTGBM = 1 << 30
UNREAD = {"hdf5": "an HDF5 file", "keras-zip": "a Keras file"}


@check(
    "artifact.unsafe-format",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.MEDIUM,
    cost="instant",
    version=3,
    tags=("owasp-ml-2023:ML06", "atlas:AML.T0011.000"),
)
def unsafe_format(artifact: Artifact) -> Iterator[Finding]:
    """A file of a format that can run code when it is opened.

    Why: even a clean pickle must be read again at every release, and whoever can replace it can run code wherever it
    is loaded. A format that holds only numbers and a graph closes that door.

    How it decides: by content first and the name last. Pickle, joblib, torch archives, numpy object arrays, HDF5 and
    Keras models can run code; so does source code, in archives too, and configuration that names code to load. ONNX
    (standard operators, no file outside itself), LightGBM text, safetensors, plain numpy arrays and plain text pass
    once they were read to their end. A format that this version only recognises (GGUF, TFLite, HDF5's inside) stays
    open, and so does a file that is not what its name says (a page of text called `model.onnx`): nobody can tell what
    a loader would make of it. What can run code under a name that promises another format is of medium severity.

    Fix: convert to ONNX, skops or safetensors, and sign the result. A team that must keep a pickle can waive this
    finding, with a reason and an end date.

    References: OWASP ML06:2023; MITRE ATLAS AML.T0011.000.
    """
    gaps: list[str] = []
    unknown: list[str] = []
    alone = artifact.path.is_file()
    count = 0
    for count, file in enumerate(artifact.files(), 1):  # noqa: B007 - read after the loop
        if file.problem:
            gaps.append(f"{file.uri} {file.problem}")
            continue
        try:
            facts = examine(file.path, limits=Limits(max_opcodes=100_000, max_bytes=64 << 20))
        except InputError as error:
            gaps.append(f"{file.uri}: {error.what}")
            continue
        name, lie = facts.format.name, broken_promise(file.path.name, facts.format.name)
        if name in ("other", "empty"):
            known = f"{file.uri} is {'empty' if name == 'empty' else 'of no known format'}"
            (gaps if alone or lie else unknown).append(f"{known}, though its name ends in {lie}" if lie else known)
        elif facts.format.loads_code or facts.streams:
            yield _opens_code(file, facts, lie)
            yield from _texts(file, facts, gaps)
            gaps += _not_parsed(file, name)
        else:
            gaps += [f"{file.uri}: {reason}" for reason in facts.reasons]
            yield from _inert(file, facts, lie, gaps)
    if not count:
        raise CouldNotLook(f"{artifact.uri} is an empty folder")
    if unknown:
        yield Finding(
            message=f"{len(unknown)} files are of no known format and were not judged: {', '.join(unknown[:3])}",
            location=Location(uri=artifact.uri),
            key="unknown",
            severity=Severity.INFO,
            evidence={"files": len(unknown)},
        )
    if gaps:
        raise CouldNotLook("; ".join(gaps[:5]) + (f"; and {len(gaps) - 5} more" if len(gaps) > 5 else ""))


def _opens_code(file: File, facts: ArtifactFacts, lie: str) -> Finding:
    name = facts.format.name
    kind = name if name in SAFER else "pickle"
    what = f"is a {name} file" if kind == name else f"holds a pickle (it is a {name} file)"
    return Finding(
        message=f"{what}{f' under a name in {lie}' if lie else ''}, which can run code when it is opened",
        location=Location(uri=file.uri),
        key=kind,
        severity=Severity.MEDIUM if lie else Severity.LOW,
        evidence={"format": name},
        fix=SAFER[kind],
    )


def _not_parsed(file: File, name: str) -> list[str]:
    return [f"{file.uri}: what {UNREAD[name]} holds is not read by this version"] if name in UNREAD else []


def _texts(file: File, facts: ArtifactFacts, gaps: list[str]) -> Iterator[Finding]:
    """Text inside a container that is or names code, and what of it could not be judged."""
    gaps += [f"{file.uri}: {visible(what, 200)}" for what in facts.unjudged]
    if facts.code:
        more = f" (and {len(facts.code) - 1} more such members)" if facts.code[1:] else ""
        yield _code(file, facts.format.name, f"holds a member that runs code: {visible(facts.code[0], 200)}{more}")


def _inert(file: File, facts: ArtifactFacts, lie: str, gaps: list[str]) -> Iterator[Finding]:
    """A file that is no pickle: only data, code by another name, or a gap."""
    name = facts.format.name
    yield from _texts(file, facts, gaps)
    if sources := [m for m in facts.members if is_source_code(m)]:
        what = f"holds source code ({visible(sources[0], 60)}{f' and {len(sources) - 1} more' if sources[1:] else ''})"
        yield _code(file, name, f"{what}, which runs when it is used and was not examined")
    if lie and name not in ("text", "json"):
        gaps.append(f"{file.uri} is {name}, though its name ends in {lie}")
        return
    if facts.size > {"onnx": MOST_ONNX, "text": MOST_LIGHTGBM}.get(name, facts.size):
        gaps.append(f"{file.uri} is {name} of {facts.size >> 20:,} MB, which is more than this version reads")
        return
    try:
        if name == "onnx":
            from assay.adapters.onnx_facts import require_self_contained

            require_self_contained(file.path.read_bytes(), file.uri)
            return
        with open(file.path, "rb") as start:
            lightgbm = start.read(5) == b"tree\n"
        if name == "text" and lightgbm and not lie:
            from assay.adapters.lightgbm_text import sound

            sound(file.path.read_bytes(), file.uri)
            return
        from assay.formats.inert import probe

        found = probe(file.path, name)
    except CouldNotLook as why:
        gaps.append(str(why))
        return
    except (OSError, MemoryError) as error:
        gaps.append(f"{file.uri}: cannot be read: {error}")
        return
    if found.unread or lie:
        gaps.append(f"{file.uri} {found.unread or f'is {name}, though its name ends in {lie}'}")
    if found.code:
        yield _code(file, name, found.code)


def _code(file: File, name: str, message: str) -> Finding:
    return Finding(
        message=message,
        location=Location(uri=file.uri),
        key="code",
        severity=Severity.LOW,
        evidence={"format": name},
        fix="read it, pin it by digest, and waive this finding with your reason; or ship data only",
    )

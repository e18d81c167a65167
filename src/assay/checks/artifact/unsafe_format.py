"""artifact.unsafe-format: whether a shipped file is of a kind that can run code when it is opened."""

from __future__ import annotations

from collections.abc import Iterator

from assay.core.artifact import Artifact, File
from assay.core.check import check
from assay.core.errors import CouldNotLook, InputError
from assay.core.finding import Finding, Location, Severity
from assay.core.subject import Kind, Stage
from assay.formats.artifact import examine
from assay.formats.pickle_facts import Limits

SAFER = {
    "pickle": "ship ONNX (trees, pipelines, networks), skops (scikit-learn) or safetensors (tensors) instead",
    "torch-zip": "ship safetensors or ONNX instead",
    "npy-objects": "save plain arrays (allow_pickle=False)",
    "npz": "save plain arrays (allow_pickle=False)",
    "hdf5": "ship ONNX or safetensors instead; a Keras file can hold Lambda layers",
}


@check(
    "artifact.unsafe-format",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.LOW,
    cost="instant",
    tags=("owasp-ml-2023:ML06", "atlas:AML.T0011.000"),
)
def unsafe_format(artifact: Artifact) -> Iterator[Finding]:
    """A file of a format that can run code when it is opened.

    Why: even a clean pickle must be read again at every release, and whoever can replace it can run code wherever it
    is loaded. A format that holds only numbers and a graph closes that door.

    How it decides: by content first and the name last. Pickle, joblib, torch archives, numpy object arrays and HDF5
    models can run code; so does source code, and configuration that names code to load. ONNX (standard operators, no
    file outside itself), LightGBM text, safetensors, plain numpy arrays and plain text pass once they were read to
    their end. A format that this version only recognises (GGUF, TFLite, HDF5's inside) stays open.

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
        name = facts.format.name
        if name in ("other", "empty"):
            (gaps if alone else unknown).append(f"{file.uri} is {'empty' if name == 'empty' else 'of no known format'}")
        elif facts.format.loads_code or facts.streams:
            kind = name if name in SAFER else "pickle"
            what = f"is a {name} file" if kind == name else f"holds a pickle (it is a {name} file)"
            yield Finding(
                message=f"{what}, which can run code when it is opened",
                location=Location(uri=file.uri),
                key=kind,
                evidence={"format": name},
                fix=SAFER[kind],
            )
            gaps += _not_parsed(file, name)
        else:
            gaps += [f"{file.uri}: {reason}" for reason in facts.reasons]
            yield from _inert(file, name, gaps)
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


def _not_parsed(file: File, name: str) -> list[str]:
    return [f"{file.uri}: what an HDF5 file holds is not read by this version"] if name == "hdf5" else []


def _inert(file: File, name: str, gaps: list[str]) -> Iterator[Finding]:
    """A file that is no pickle: only data, code by another name, or a gap."""
    try:
        if name == "onnx":
            from assay.adapters.onnx_facts import require_self_contained

            require_self_contained(file.path.read_bytes(), file.uri)
            return
        with open(file.path, "rb") as start:
            lightgbm = start.read(5) == b"tree\n"
        if name == "text" and lightgbm:
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
    if found.unread:
        gaps.append(f"{file.uri} {found.unread}")
    if found.code:
        yield Finding(
            message=found.code,
            location=Location(uri=file.uri),
            key="code",
            evidence={"format": name},
            fix="read it, pin it by digest, and waive this finding with your reason; or ship data only",
        )

"""artifact.unsafe-format: whether a shipped file is of a kind that can run code when it is opened."""

from __future__ import annotations

from collections.abc import Iterator

from assay.core.artifact import Artifact
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
    models can run code; ONNX, safetensors, GGUF, plain numpy arrays, Parquet and Arrow cannot. What it does not
    recognise it says so of, and calls it neither.

    Fix: convert to ONNX, skops or safetensors, and sign the result. A team that must keep a pickle can waive this
    finding, with a reason and an end date.

    References: OWASP ML06:2023; MITRE ATLAS AML.T0011.000.
    """
    gaps: list[str] = []
    unknown: list[str] = []
    alone = artifact.path.is_file()
    for file in artifact.files():
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
            yield Finding(
                message=f"is a {name} file, which can run code when it is opened",
                location=Location(uri=file.uri),
                key=kind,
                evidence={"format": name},
                fix=SAFER[kind],
            )
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

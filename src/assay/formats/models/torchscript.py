"""What TorchScript code in a torch archive reaches for: files, and operators of other libraries."""

from __future__ import annotations

import re
from typing import IO

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.reading import Limits, Note, Reading, Topic

MOST = 64 << 20
_FILES = re.compile(r"\b(?:torch|ops\.aten)\.(save|from_file|load|_save|_load)\(")
_FOREIGN = re.compile(r"\bops\.(\w+)\.(\w+)\(")
_KNOWN = frozenset(
    (
        *("aten", "prim", "prims", "quantized", "prepacked", "sparse", "profiler", "rand", "_caffe2", "mkldnn"),
        *("torchvision", "torchaudio", "torchtext", "onednn", "xnnpack", "_quantized", "image", "inductor", "cuda"),
    )
)


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """The operators that the code calls. It is a language of its own, with no imports and no access to Python."""
    data = file.read(MOST + 1)
    if len(data) > MOST:
        return Reading(gaps=(f"is TorchScript code of more than {MOST >> 20} MB",))
    text = data.decode("utf-8", "replace")
    notes = [
        Note(
            topic=Topic.MODEL_CODE,
            message=f"calls the operator {what}, which reads or writes a file when the model runs",
            severity=Severity.HIGH,
            key=what,
            line=text.count("\n", 0, at) + 1,
            fix="ask for the model without it, or as ONNX",
        )
        for what, at in {m[1]: m.start() for m in _FILES.finditer(text)}.items()
    ]
    foreign = sorted({f"{m[1]}.{m[2]}" for m in _FOREIGN.finditer(text) if m[1] not in _KNOWN})
    if foreign:
        shown = visible(", ".join(foreign[:5]), 200)
        notes.append(
            Note(
                topic=Topic.MODEL_CODE,
                message=f"needs operators of other libraries ({shown}), whose native code is not in it",
                severity=Severity.LOW,
                key="foreign operators",
                evidence={"operators": list(foreign[:50])},
            )
        )
    return Reading(notes=tuple(notes), measured={"format": "torchscript", "operators_foreign": list(foreign[:50])})

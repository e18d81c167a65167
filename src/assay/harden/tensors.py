"""Tensors as safetensors: their bytes come from the sandbox in blocks, and each is read back and compared by SHA-256.

Source: huggingface/safetensors, "Format".
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from typing import BinaryIO

import msgspec

from assay.adapters.sandbox import NotHeld, Sandbox
from assay.core.errors import InputError, VerificationError
from assay.core.finding import Json, Severity
from assay.core.protocols import Progress, silent
from assay.core.text import visible
from assay.formats.artifact import examine
from assay.formats.models.safetensors import MOST_READ
from assay.formats.sniff import sniff
from assay.harden.result import LeftOut, Made, Proof
from assay.harden.source import Source

_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
}
_MOST_LIST = 64 << 20
_MOST_VALUES = 1 << 20
_MOST_DIMENSIONS = 64
_LEAST_ROOM = 1 << 30  # a view can repeat elements, so the result may be larger than its source, within bounds
_ROOM = 8
_BLOCK = 8 << 20
_HEAD = 1 << 14


class Listed(msgspec.Struct, frozen=True):
    """A tensor as the sandbox tells it: name, safetensors' type, shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return math.prod(self.shape) * _BYTES[self.dtype]


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """All that the sandbox says of a file before any bytes."""

    tensors: tuple[tuple[str, str, tuple[int, ...]], ...]
    values: dict[str, Json]
    left_out: tuple[tuple[str, str], ...]
    shared: tuple[tuple[str, ...], ...]
    modules: int


def write_tensors(
    source: Source, sandbox: Sandbox, out: BinaryIO, *, tensors_only: bool = False, progress: Progress = silent
) -> Made:
    """Write every tensor of `source` to the draft `out`, and prove it there.

    Raises InputError for what safetensors cannot hold (without `tensors_only`), VerificationError where the proof
    fails, CouldNotLook.
    """
    ask = json.dumps({"kind": source.kind}).encode()
    try:
        listing: Listing = sandbox.ask(b"T", ask, b"T", Listing, "reading tensors", _MOST_LIST)
    except NotHeld as error:
        raise InputError(error.what, where=source.where, fix=error.fix) from None
    tensors = _checked(listing, source)
    left_out = [LeftOut(name, why) for name, why in listing.left_out]
    values = json.dumps(listing.values, separators=(",", ":"))
    kept = len(listing.values)
    if len(values) > _MOST_VALUES:
        left_out.append(LeftOut("values", f"{kept} numbers and texts, {len(values):,} bytes of JSON: too many to keep"))
        values, kept = "", 0
    if left_out and not tensors_only:
        raise _not_tensors(source, left_out)
    if not tensors:
        raise InputError("holds no tensors", where=source.where, fix="for an estimator: --to skops")
    digests = _written(tensors, _metadata(source, listing, values if kept else ""), sandbox, out, progress)
    _proved(source.where, out, digests, progress)
    notes = ("the network's own class is not kept, only its parameters and buffers",) if listing.modules else ()
    return Made(
        proof=Proof(kind="bytes", tensors=len(tensors)),
        left_out=tuple(left_out),
        shared=listing.shared,
        values=kept,
        notes=notes,
    )


def _checked(listing: Listing, source: Source) -> list[Listed]:
    """The tensors in the order of the file to write: wide elements first, as that aligns them all."""
    found = [Listed(*item) for item in listing.tensors]
    for tensor in found:
        if tensor.dtype not in _BYTES or len(tensor.shape) > _MOST_DIMENSIONS or any(n < 0 for n in tensor.shape):
            raise VerificationError("refused: the sandbox tells a tensor that cannot be", where=source.where)
    if len({tensor.name for tensor in found}) != len(found):
        raise VerificationError("refused: the sandbox tells two tensors of one name", where=source.where)
    total, most = sum(t.size for t in found), max(_LEAST_ROOM, _ROOM * source.unpacked)
    if total > most:
        what = f"its tensors would take {total:,} bytes, more than {most:,}: views that repeat their elements"
        raise InputError(what, where=source.where, fix="save them contiguous")
    return sorted(found, key=lambda t: (-_BYTES[t.dtype], t.name))


def _not_tensors(source: Source, left_out: list[LeftOut]) -> InputError:
    shown = "; ".join(f"{visible(item.name or 'all of it', 60)}: {visible(item.why, 100)}" for item in left_out[:3])
    more = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
    what = f"holds what safetensors cannot: {shown}{more}"
    return InputError(what, where=source.where, fix="--tensors-only leaves it out and lists it")


def _metadata(source: Source, listing: Listing, values: str) -> dict[str, str]:
    out = {"format": "np" if source.kind in ("npz", "npy") else "pt", "source": source.digest}
    if values:
        out["values"] = values
    if listing.shared:
        out["shared"] = json.dumps(listing.shared, separators=(",", ":"))
    return out


def _written(
    tensors: list[Listed], metadata: dict[str, str], sandbox: Sandbox, out: BinaryIO, progress: Progress
) -> dict[str, str]:
    """Write the header and every tensor; the child's digest of each by name."""
    header: dict[str, Json] = {"__metadata__": dict(metadata)}
    at = 0
    for tensor in tensors:
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [at, at + tensor.size],
        }
        at += tensor.size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    # A header of 128 bytes begins as a pickle does, one of 256 as a font: who goes by first bytes would be misled.
    while sniff(io.BytesIO(_headed(text)[:_HEAD])).name != "safetensors":
        text += b" " * 8
    if len(text) > MOST_READ:
        raise InputError(f"has names for a header of {len(text):,} bytes, more than readers take")
    out.write(_headed(text))
    digests: dict[str, str] = {}
    done = 0
    for tensor in tensors:
        ask, last, size = json.dumps({"name": tensor.name}).encode(), b"", 0
        for block in sandbox.stream(b"G", ask, tensor.size, "reading tensors"):
            if last:
                out.write(last)
                size, done = size + len(last), done + len(last)
                progress(done, at, "writing")
            last = block
        if size != tensor.size:
            raise VerificationError(f"refused: the sandbox gave {size} bytes for a tensor of {tensor.size}")
        digests[tensor.name] = last.decode("ascii", "replace")
    out.flush()
    return digests


def _headed(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


def _proved(where: str, out: BinaryIO, digests: dict[str, str], progress: Progress) -> None:
    """Read the draft back by Assay's own reader, and hash each tensor where the file says that it lies."""
    facts = examine(out.name)
    if facts.format.name != "safetensors" or facts.gaps or any(n.severity is not Severity.INFO for n in facts.notes):
        said = [gap.reason for gap in facts.gaps] + [note.message for note in facts.notes]
        said = said or [f"reads as {facts.format.name}"]
        raise VerificationError(f"refused: the result {visible('; '.join(said[:3]), 200)}", where=where)
    with open(out.name, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header.pop("__metadata__")
        if header.keys() != digests.keys():
            raise VerificationError("refused: the result has other tensors than its source", where=where)
        for done, (name, tensor) in enumerate(header.items()):
            start, end = tensor["data_offsets"]
            file.seek(8 + length + start)
            if _digest(file, end - start) != digests[name]:
                what = f"refused: the tensor {visible(name, 60)} does not read back as it was"
                raise VerificationError(what, where=where)
            progress(done, len(digests), "proving")


def _digest(file: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    while size > 0:
        block = file.read(min(size, _BLOCK))
        if not block:
            break
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()

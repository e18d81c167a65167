"""Which format a file has: by its first bytes, then by whether it reads as a pickle, and last by its name."""

from __future__ import annotations

from typing import IO

import msgspec

from assay.formats.pickle.stream import plausible
from assay.formats.promise import suffix_of

HEAD_BYTES = 1 << 12
_TAR_MAGIC_AT = 257


class Format(msgspec.Struct, frozen=True):
    """A file format: `loads_code` if opening it can run code the file chooses, `container` if it holds files."""

    name: str
    loads_code: bool = False
    container: bool = False


PICKLE = Format("pickle", loads_code=True)
ZIP = Format("zip", container=True)
TORCH_ZIP = Format("torch-zip", loads_code=True, container=True)
NPZ = Format("npz", container=True)
TAR = Format("tar", container=True)
NPY = Format("npy")
NPY_OBJECTS = Format("npy-objects", loads_code=True)
COMPRESSED = {
    name: Format(name, container=True) for name in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4", "zstd", "joblib-zfile")
}
SEVEN_ZIP = Format("7z", container=True)
HDF5 = Format("hdf5", loads_code=True)
KERAS_ZIP = Format("keras-zip", loads_code=True, container=True)
EMPTY = Format("empty")
TEXT = Format("text")
OTHER = Format("other")

_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"\x93NUMPY", NPY),
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"GGUF", Format("gguf")),
    (b"7z\xbc\xaf\x27\x1c", SEVEN_ZIP),
    (b"PAR1", Format("parquet")),
    (b"ARROW1\0\0", Format("arrow")),
    (b"FEA1", Format("arrow")),
    (b"\x1f\x8b", COMPRESSED["gzip"]),
    (b"BZh", COMPRESSED["bz2"]),
    (b"\xfd7zXZ\0", COMPRESSED["xz"]),
    (b"\x5d\0\0", COMPRESSED["lzma"]),
    (b"\x04\x22\x4d\x18", COMPRESSED["lz4"]),
    (b"\x28\xb5\x2f\xfd", COMPRESSED["zstd"]),
    (b"ZF", COMPRESSED["joblib-zfile"]),
)

_SURE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
_ARROW_SUFFIXES = (".arrow", ".arrows", ".feather")
_ARROW_STREAM = b"\xff\xff\xff\xff"
_ONNX_SECOND_FIELDS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72})


def sniff(file: IO[bytes], *, name: str = "") -> Format:
    """The format of a seekable binary file from its content and, where that leaves it open, its name.

    What a pickle loader could open counts as a pickle, whatever its name or its first bytes pretend.
    Raises OSError where the file cannot be read.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        return EMPTY
    if head[0] == 0x80 and len(head) > 1 and head[1] <= 5:
        return PICKLE
    suffix = suffix_of(name)
    if plausible(file):
        return PICKLE
    found = _by_magic(head)
    if found is not None:
        return found
    if suffix in _SURE_SUFFIXES:
        return PICKLE
    if _is_text(head):
        return Format("json") if head[:1] in b"{[" else TEXT
    if suffix == ".onnx":
        return Format("onnx")
    if suffix in _ARROW_SUFFIXES and head.startswith(_ARROW_STREAM):
        return Format("arrow")
    return PICKLE if suffix in (".pt", ".pth", ".ckpt") else OTHER


def _by_magic(head: bytes) -> Format | None:
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if _begins_as_zlib(head):
        return COMPRESSED["zlib"]
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        return TAR
    if len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= 100_000_000:
        return Format("safetensors")
    if len(head) > 2 and head[0] == 0x08 and 1 <= head[1] <= 32 and head[2] in _ONNX_SECOND_FIELDS:
        return Format("onnx")
    return None


def _begins_as_zlib(head: bytes) -> bool:
    """Whether there is a zlib header, and what follows can be decompressed: two bytes alone are too easily a text."""
    if len(head) < 3 or head[0] & 0x8F != 8 or (head[0] << 8 | head[1]) % 31 or head[1] & 0x20:
        return False
    import zlib

    try:
        zlib.decompressobj().decompress(head, 64)
    except zlib.error:
        return False
    return True


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and error.reason == "unexpected end of data"
    return True

"""Which format a file has: by its first bytes, then by whether it reads as a pickle, and last by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

import msgspec

from assay.formats.archives.tar_header import looks_like_tar
from assay.formats.pickle.stream import plausible
from assay.formats.promise import suffix_of

HEAD_BYTES = 1 << 12
_BLOCK = 512
# Under which names a file of text can be a model besides.
_MODEL_TEXTS = frozenset(
    (
        *(".json", ".model", ".pb", ".pbtxt", ".pbtext", ".prototxt", ".meta", ".onnx", ".ort"),
        *(".graphdef", ".metagraph", ".textproto", ".onnxtxt", ".txtpb"),
    )
)
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# Prose and tables, which have no encoding of their own.
_PLAIN_SUFFIXES = frozenset({".txt", ".md", ".rst", ".csv", ".tsv", ".log", ".tex", ".srt", ".vtt"})
_ZIP_TAIL = (1 << 16) + 22
_HDF5_MARK = b"\x89HDF\r\n\x1a\n"


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
TORCHSCRIPT = Format("torchscript")
SAFETENSORS = Format("safetensors")
NATIVE = Format("native", loads_code=True)
BYTECODE = Format("python-bytecode", loads_code=True)
R_DATA = Format("r-data", loads_code=True)
DATA = Format("data")
EMPTY = Format("empty")
TEXT = Format("text")
OTHER = Format("other")

_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x93NUMPY", NPY),
    (_HDF5_MARK, HDF5),
    (b"GGUF", Format("gguf")),
    (b"SQLite format 3\0", Format("sqlite")),
    (b"7z\xbc\xaf\x27\x1c", SEVEN_ZIP),
    (b"PAR1", Format("parquet")),
    (b"ARROW1\0\0", Format("arrow")),
    (b"FEA1", Format("arrow")),
    (b"\x1f\x8b", COMPRESSED["gzip"]),
    (b"BZh", COMPRESSED["bz2"]),
    (b"\xfd7zXZ\0", COMPRESSED["xz"]),
    (b"\x5d\0\0", COMPRESSED["lzma"]),
    (b"\x04\x22\x4d\x18", COMPRESSED["lz4"]),
    (b"\x02\x21\x4c\x18", COMPRESSED["lz4"]),
    (b"\x28\xb5\x2f\xfd", COMPRESSED["zstd"]),
    *((bytes([0x50 + i]) + b"\x2a\x4d\x18", COMPRESSED["zstd"]) for i in range(16)),  # a frame to be skipped
    (b"ZF", COMPRESSED["joblib-zfile"]),
    *((mark, NATIVE) for mark in (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe", b"\0asm")),
    *((mark, R_DATA) for mark in (b"RDX2\n", b"RDX3\n", b"X\n\0\0\0\2", b"X\n\0\0\0\3")),
    *(
        (mark, DATA)
        for mark in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"%PDF-", b"OggS", b"ID3")
    ),
    *((mark, DATA) for mark in (b"fLaC", b"wOFF", b"wOF2", b"\0\1\0\0\0", b"OTTO", b"II*\0", b"MM\0*")),
)
_RIFF = frozenset({b"WEBP", b"WAVE", b"AVI "})

_SURE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1b")  # which small binary files have, and texts rarely
# TensorFlow's variables: raw numbers, which their index beside them tells how to read.
_VARIABLES = re.compile(r"\.data-\d{5}-of-\d{5}\Z")
_ARROW_SUFFIXES = (".arrow", ".arrows", ".feather")
_ARROW_STREAM = b"\xff\xff\xff\xff"


def sniff(file: IO[bytes], *, name: str = "") -> Format:
    """The format of a seekable binary file from its content and, where that leaves it open, its name.

    What a pickle loader could open counts as a pickle, whatever its name or its first bytes pretend.
    Raises OSError where the file cannot be read.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        return EMPTY
    if head[2:9] == b"\0\0\0\0\0\0{" and (head[0] == 0x80 or head[:2] == b"\0\1"):
        return SAFETENSORS  # whose header's length looks like a pickle's protocol, or a font's magic
    if head[0] == 0x80 and len(head) > 1 and head[1] <= 5:
        return PICKLE
    suffix = suffix_of(name)
    if head.startswith(_ZIP_MARKS):
        return ZIP  # no unpickler goes on after the persistent id that a pickle of these bytes would begin with
    if plausible(file):
        return PICKLE
    found = _by_magic(head)
    if found is not None:
        return found
    if suffix in _SURE_SUFFIXES:
        return PICKLE
    text = _is_text(head)
    if text and not _CONTROLS.intersection(head):
        return Format("json") if head[:1] in b"{[" else TEXT
    if suffix in (".pyc", ".pyo") and head[2:4] == b"\r\n":
        return BYTECODE
    if suffix in _ARROW_SUFFIXES and head.startswith(_ARROW_STREAM):
        return Format("arrow")
    from assay.formats.models.recognise import recognise  # a dozen formats, not needed for those with a mark

    known = recognise(head, name)
    if known:
        return Format(known)
    if suffix in (".pt", ".pth", ".ckpt"):
        return PICKLE
    if _VARIABLES.search(name):
        return DATA
    if suffix in _PLAIN_SUFFIXES and (head.startswith(_UTF_16) or (b"\0" not in head and not _CONTROLS & set(head))):
        return TEXT
    return TEXT if text else OTHER


def also(file: IO[bytes], found: Format, name: str) -> Format | None:
    """The model format that a file of text is besides, whose own reader must see it too."""
    if found.name not in ("text", "json") or suffix_of(name) not in _MODEL_TEXTS:
        return None
    from assay.formats.models.recognise import recognise_text

    file.seek(0)
    known = recognise_text(file.read(HEAD_BYTES), name)
    return Format(known) if known else None


def is_torchscript(name: str) -> bool:
    """Whether a member of a zip archive is TorchScript's code, which no Python interpreter reads."""
    return "/code/" in f"/{name}" and name.endswith(".py")


def alternatives(file: IO[bytes], found: Format, size: int) -> list[Format]:
    """What else other loaders would take the file for: a zip archive at its end, a tar, HDF5 behind other bytes."""
    others = []
    if found.name not in ("zip", "torch-zip", "keras-zip", "npz") and zip_end(file, size) >= 0:
        others.append(ZIP)
    if found.name != "tar" and size >= _BLOCK:
        file.seek(0)
        if looks_like_tar(file.read(_BLOCK)):
            others.append(TAR)
    if found.name != "hdf5" and any(_at(file, place, 8) == _HDF5_MARK for place in _hdf5_places(size)):
        others.append(HDF5)
    return others


def _at(file: IO[bytes], place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def _hdf5_places(size: int) -> Iterator[int]:
    """Where HDF5 looks for its superblock: at 0, 512, and every double of that (HDF5 File Format, II.A)."""
    place = 512
    while place < size:
        yield place
        place *= 2


def zip_end(file: IO[bytes], size: int) -> int:
    """Where the end record lies of the zip archive that a file ends as, which zip readers would open; -1 for none."""
    start = max(0, size - _ZIP_TAIL)
    tail = _at(file, start, _ZIP_TAIL)
    at = tail.rfind(b"PK\x05\x06")
    return start + at if at >= 0 and len(tail) - at >= 22 and b"PK\x01\x02" in tail else -1


def _by_magic(head: bytes) -> Format | None:
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if (head[:4] == b"RIFF" and head[8:12] in _RIFF) or head[4:8] == b"ftyp":
        return DATA
    if head[:2] == b"MZ" and len(head) >= 64 and head[int.from_bytes(head[60:64], "little") :][:2] == b"PE":
        return NATIVE
    if _begins_as_zlib(head):
        return COMPRESSED["zlib"]
    if looks_like_tar(head):
        return TAR
    if len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= 100_000_000:
        return SAFETENSORS
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

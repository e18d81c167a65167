"""Small writers that the judge's corpora share: pickle opcodes, zip and tar members, protobuf fields, stored files."""

from __future__ import annotations

import base64
import io
import json
import lzma
import pickle
import pickletools
import struct
import tarfile
import warnings
import zipfile
import zlib
from typing import Any

ECHO = "echo assay-test"
Folder = dict[str, bytes]


def opcodes(value: Any, protocol: int = 2) -> bytes:
    """The opcodes that push a plain value: a pickle without PROTO, FRAME, memo and STOP."""
    if protocol < 2:
        return pickletools.optimize(pickle.dumps(value, protocol))[:-1]
    return pickletools.optimize(pickle.dumps(value, 3 if protocol > 3 else protocol))[2:-1]


def name(module: str, attribute: str) -> bytes:
    """Push a global: GLOBAL, or STACK_GLOBAL where the attribute has dots."""
    if "." in attribute:
        return text(module) + text(attribute) + b"\x93"
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def text(value: str) -> bytes:
    """BINUNICODE."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def blob(value: bytes) -> bytes:
    """BINBYTES (protocol 3)."""
    return b"B" + struct.pack("<I", len(value)) + value


def reduce(function: bytes, *pushed: bytes) -> bytes:
    """Call what `function` pushes with what each of `pushed` pushes."""
    return function + b"(" + b"".join(pushed) + b"tR"


def call(module: str, attribute: str, *values: Any) -> bytes:
    """Opcodes that call a global with plain values."""
    return reduce(name(module, attribute), *(opcodes(v, 3) for v in values))


def whole(code: bytes, protocol: int = 4) -> bytes:
    """A pickle of these opcodes."""
    return b"\x80" + bytes([protocol]) + code + b"."


def evil(protocol: int = 4) -> bytes:
    """The plainest attack: os.system("echo assay-test")."""
    return whole(call("os", "system", ECHO), protocol)


def build(instance: bytes, state: bytes) -> bytes:
    """Push an instance, then BUILD it with a state."""
    return instance + state + b"b"


def instance(module: str, attribute: str) -> bytes:
    """An empty instance by NEWOBJ."""
    return name(module, attribute) + b")\x81"


def mapping(**items: bytes) -> bytes:
    """A dict whose values are pushed by opcodes."""
    return b"}(" + b"".join(text(k) + v for k, v in items.items()) + b"u"


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """An ordinary zip with fixed times; a name ending in `#2` and so on is written a second time."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore")  # the second of two members with one name
        for path, data in files.items():
            info = zipfile.ZipInfo(path.split("#")[0], (2024, 1, 1, 0, 0, 0))
            info.compress_type, info.external_attr = method, 0o644 << 16
            archive.writestr(info, data)
    return out.getvalue()


def torch_zip(pickled: bytes, **more: bytes) -> bytes:
    """The layout of torch.save since 1.6."""
    return zipped({"archive/data.pkl": pickled, "archive/version": b"3\n", **more})


def tarred(files: dict[str, bytes], mode: str = "w", fmt: int = tarfile.USTAR_FORMAT) -> bytes:
    """An ordinary tar, compressed where the mode says so."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=fmt) as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def varint(value: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes | str | int) -> bytes:
    """A protobuf field: a varint or a length-delimited one."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def npy(header: str, body: bytes, version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy file with this header text."""
    length = "<H" if version == (1, 0) else "<I"
    start = 8 + struct.calcsize(length)
    padded = header.encode() + b" " * (-(start + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack(length, len(padded)) + padded + body


def safetensors(header: dict[str, Any] | bytes, body: bytes) -> bytes:
    """A safetensors file with this header."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + body


def weights(count: int = 8, **metadata: str) -> bytes:
    """A small honest safetensors file of `count` float32 values."""
    tensor = {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}
    head = {"__metadata__": metadata or {"format": "pt"}, "model.embed.weight": tensor}
    return safetensors(head, struct.pack(f"<{count}f", *[0.5] * count))


def gguf(metadata: dict[str, Any], tensors: bytes = b"", count: int = 0) -> bytes:
    """A GGUF version 3 file: strings, integers, and lists of strings as metadata."""

    def string(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    out = b"GGUF" + struct.pack("<IQQ", 3, count, len(metadata))
    for key, value in metadata.items():
        out += string(key)
        if isinstance(value, str):
            out += struct.pack("<I", 8) + string(value)
        elif isinstance(value, list):
            out += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(string(v) for v in value)
        else:
            out += struct.pack("<II", 4, value)
    return out + tensors


def as_json(value: Any) -> bytes:
    """Indented JSON with a line end, as tools write configuration."""
    return json.dumps(value, indent=2).encode() + b"\n"


def notebook(*cells: Any, **metadata: Any) -> bytes:
    """An nbformat 4.5 notebook; a cell is source text, or (source text, list of outputs), or a whole dict."""
    made = []
    for number, cell in enumerate(cells):
        if not isinstance(cell, dict):
            source, outputs = (cell, []) if isinstance(cell, str) else cell
            cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": outputs, "source": source}
        made.append({"id": f"cell{number}", **cell})
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, **metadata}
    return as_json({"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})


def display(**data: Any) -> dict[str, Any]:
    """A display_data output; `text_html=…` stands for text/html."""
    kinds = {k.replace("_", "/", 1): v for k, v in data.items()}
    return {"output_type": "display_data", "metadata": {}, "data": kinds}


def stored(packed: str) -> dict[str, bytes]:
    """Files kept in a module: base85 of xz of entries (name length, name, data length, data)."""
    raw = lzma.decompress(base64.b85decode("".join(packed.split())))
    files, at = {}, 0
    while at < len(raw):
        (size,) = struct.unpack_from("<H", raw, at)
        path = raw[at + 2 : at + 2 + size].decode()
        at += 2 + size
        (size,) = struct.unpack_from("<I", raw, at)
        files[path] = raw[at + 4 : at + 4 + size]
        at += 4 + size
    return files


def crc(data: bytes) -> int:
    """The CRC-32 of zip and gzip."""
    return zlib.crc32(data)

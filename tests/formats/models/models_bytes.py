"""Model files built by hand: protocol buffers, FlatBuffers, GGUF, safetensors, UBJSON and msgpack, byte by byte."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

from assay.formats.reading import Limits, Reading

Read = Callable[[Any, str, Limits], Reading]


def reading(read: Read, data: bytes, name: str = "model", **limits: Any) -> Reading:
    return read(io.BytesIO(data), name, Limits(**limits))


def said(found: Reading) -> dict[str, str]:
    return {note.key: note.severity.value for note in found.notes}


def alarms(found: Reading) -> list[str]:
    return [note.key for note in found.notes if note.severity.rank > 0]


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def num(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def msg(number: int, *parts: bytes | str) -> bytes:
    payload = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


# --- ONNX


def onnx_value(number: int, name: str, *shape: int) -> bytes:
    dims = b"".join(msg(1, num(1, extent)) for extent in shape)
    return msg(number, msg(1, name), msg(2, msg(1, num(1, 1), msg(2, dims))))


def onnx_node(operator: str, domain: str = "", *more: bytes) -> bytes:
    return msg(1, msg(1, "x"), msg(2, "y"), msg(4, operator), msg(7, domain) if domain else b"", *more)


def onnx_tensor(*shape: int, raw: bytes | None = None, external: dict[str, str] | None = None) -> bytes:
    pairs = b"".join(msg(13, msg(1, key), msg(2, value)) for key, value in (external or {}).items())
    return b"".join(
        (
            *(num(1, extent) for extent in shape),
            num(2, 1),
            msg(8, "W"),
            msg(9, raw) if raw is not None else b"",
            pairs + num(14, 1) if external is not None else b"",
        )
    )


def onnx_model(*nodes: bytes, graph: bytes = b"", rest: bytes = b"") -> bytes:
    body = b"".join(nodes) + msg(2, "g") + graph + onnx_value(11, "x", 4) + onnx_value(12, "y", 4)
    return num(1, 8) + msg(2, "hand") + msg(8, num(2, 17)) + msg(7, body) + rest


# --- TensorFlow


def tf_const(name: str, *texts: str) -> bytes:
    tensor = num(1, 7) + msg(2) + b"".join(msg(8, text) for text in texts)
    return tf_node(name, "Const", (), {"value": msg(8, tensor)})


def tf_node(name: str, operator: str, inputs: Sequence[str] = (), attributes: dict[str, bytes] | None = None) -> bytes:
    attrs = b"".join(msg(5, msg(1, key), msg(2, value)) for key, value in (attributes or {}).items())
    return b"".join((msg(1, name), msg(2, operator), *(msg(3, name) for name in inputs), attrs))


def tf_graph(*nodes: bytes, functions: Sequence[Sequence[bytes]] = ()) -> bytes:
    library = b"".join(msg(1, msg(1, msg(1, f"f{i}")), *(msg(3, node) for node in f)) for i, f in enumerate(functions))
    return b"".join(msg(1, node) for node in nodes) + (msg(2, library) if library else b"")


def tf_meta(graph: bytes, *rest: bytes) -> bytes:
    return msg(1, msg(2, msg(1, msg(1, "AddV2"))), msg(4, "serve"), msg(5, "2.21.0")) + msg(2, graph) + b"".join(rest)


def tf_saved(*nodes: bytes, functions: Sequence[Sequence[bytes]] = (), rest: bytes = b"") -> bytes:
    return num(1, 1) + msg(2, tf_meta(tf_graph(tf_node("p", "Placeholder"), *nodes, functions=functions), rest))


# --- GGUF


def gguf_text(text: str, order: str = "<", wide: str = "Q") -> bytes:
    data = text.encode()
    return struct.pack(order + wide, len(data)) + data


def gguf_file(
    entries: Sequence[tuple[str, int, bytes]] = (),
    tensors: Sequence[tuple[str, tuple[int, ...], int, int]] = (),
    data: int = 0,
    *,
    order: str = "<",
    version: int = 3,
) -> bytes:
    wide = "I" if version == 1 else "Q"
    out = b"GGUF" + struct.pack(f"{order}I{wide}{wide}", version, len(tensors), len(entries))
    for key, kind, value in entries:
        out += gguf_text(key, order, wide) + struct.pack(order + "I", kind) + value
    for name, shape, kind, offset in tensors:
        out += gguf_text(name, order, wide)
        out += struct.pack(f"{order}I{len(shape)}{wide}IQ", len(shape), *shape, kind, offset)
    return out + bytes(-len(out) % 32) + bytes(data) if tensors else out


# --- safetensors


def safetensors_file(header: dict[str, Any] | bytes, data: int) -> bytes:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + bytes(data)


# --- msgpack


def flax_array(shape: Sequence[int], dtype: str, data: bytes) -> bytes:
    inner = b"\x93" + bytes((0x90 | len(shape), *shape)) + bytes((0xA0 | len(dtype),)) + dtype.encode()
    inner += b"\xc4" + bytes((len(data),)) + data
    return b"\xc7" + bytes((len(inner), 1)) + inner


def flax_map(*pairs: tuple[str, bytes]) -> bytes:
    inner = b"".join(bytes((0xA0 | len(key),)) + key.encode() + value for key, value in pairs)
    return bytes((0x80 | len(pairs),)) + inner


# --- UBJSON, as XGBoost writes it


def ubj(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"{" + b"".join(_ubj_key(key) + ubj(inner) for key, inner in value.items()) + b"}"
    if isinstance(value, list):
        return b"[#L" + struct.pack(">q", len(value)) + b"".join(map(ubj, value))
    if isinstance(value, bytes):  # a typed list of float32
        return b"[$d#L" + struct.pack(">q", len(value) // 4) + value
    if isinstance(value, str):
        return b"S" + _ubj_key(value)
    return b"L" + struct.pack(">q", value)


def _ubj_key(key: str) -> bytes:
    return b"L" + struct.pack(">q", len(key.encode())) + key.encode()


XGBOOST = {
    "learner": {
        "attributes": {},
        "feature_names": ["a", "b"],
        "feature_types": [],
        "gradient_booster": {"model": {"trees": [], "gbtree_model_param": {"num_trees": "0"}}, "name": "gbtree"},
        "learner_model_param": {"num_feature": "2"},
        "objective": {"name": "binary:logistic"},
    },
    "version": [3, 2, 0],
}

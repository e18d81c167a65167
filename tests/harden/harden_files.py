"""Files that torch and joblib write, made by hand: torch is not needed for the tests."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import tarfile
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

KINDS = {
    "float32": ("FloatStorage", 4), "float64": ("DoubleStorage", 8), "float16": ("HalfStorage", 2),
    "bfloat16": ("BFloat16Storage", 2), "int64": ("LongStorage", 8), "uint8": ("ByteStorage", 1),
    "bool": ("BoolStorage", 1), "complex64": ("ComplexFloatStorage", 8), "complex128": ("ComplexDoubleStorage", 16),
}  # fmt: skip


class Storage:
    """Bytes that a torch file stores once, under a key."""

    def __init__(self, key: str, data: bytes, dtype: str = "float32") -> None:
        self.key, self.data, self.dtype = key, data, dtype


class Tensor:
    """A tensor over a storage: offset, shape and strides in elements. `typed` names an element type of its own (v3)."""

    def __init__(self, storage: Storage, shape: Any, strides: Any, offset: int = 0, **more: Any) -> None:
        self.storage, self.shape, self.strides, self.offset, self.more = storage, shape, strides, offset, more

    def __reduce__(self) -> Any:
        names = sys.modules
        arguments = (self.storage, self.offset, tuple(self.shape), tuple(self.strides), False, OrderedDict())
        if typed := self.more.get("typed"):
            function = names["torch._utils"]._rebuild_tensor_v3
            return function, (*arguments, _Name("torch", typed), self.more.get("metadata"))
        metadata = (self.more["metadata"],) if "metadata" in self.more else ()
        return names["torch._utils"]._rebuild_tensor_v2, (*arguments, *metadata)


class _Name:
    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __reduce__(self) -> str:
        return self.name


class Module:
    """An object of another library's class, with its state."""

    def __init__(self, module: str, name: str, state: Any) -> None:
        self.kind, self.state = _Name(module, name), state


class Call:
    """What a function or class of another library returns, then perhaps with a state set on it."""

    def __init__(self, module: str, name: str, arguments: tuple[Any, ...], state: Any = None) -> None:
        self.kind, self.arguments, self.state = _Name(module, name), arguments, state


class _Pickler(pickle._Pickler):
    def __init__(self, file: Any, legacy: bool) -> None:
        super().__init__(file, 2)
        self.legacy = legacy

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, _Name):
            self.write(b"c" + f"{obj.module}\n{obj.name}\n".encode())
            return
        if isinstance(obj, Module):
            self.save(obj.kind)
            self.write(b")\x81")
            self.save(obj.state)
            self.write(b"b")
            return
        if isinstance(obj, Call):
            self.save(obj.kind)
            self.save(obj.arguments)
            self.write(b"R")
            if obj.state is not None:
                self.save(obj.state)
                self.write(b"b")
            return
        super().save(obj, save_persistent_id)

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Storage):
            return None
        name, width = KINDS.get(obj.dtype, ("UntypedStorage", 1))
        module = "torch.storage" if obj.dtype == "untyped" else "torch"
        pid = ("storage", _Name(module, name), obj.key, "cpu", len(obj.data) // width)
        return (*pid, None) if self.legacy else pid


@contextmanager
def _torch() -> Iterator[None]:
    """torch's modules for as long as a pickler looks its functions up."""
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    package, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("_rebuild_tensor_v2", "_rebuild_tensor_v3"):

        def function(*_: Any) -> None:
            """Never called."""

        function.__module__, function.__qualname__, function.__name__ = "torch._utils", name, name
        setattr(utils, name, function)
    sys.modules |= {"torch": package, "torch._utils": utils}
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def torch_zip(root: Any, storages: list[Storage], *, byteorder: str = "little", compress: bool = False) -> bytes:
    """What torch.save writes since 1.6."""
    main, out = io.BytesIO(), io.BytesIO()
    with _torch():
        _Pickler(main, legacy=False).dump(root)
    how = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", how) as archive:
        archive.writestr("archive/data.pkl", main.getvalue())
        archive.writestr("archive/byteorder", byteorder)
        for storage in storages:
            archive.writestr(f"archive/data/{storage.key}", storage.data)
        archive.writestr("archive/version", "3\n")
    return out.getvalue()


def plain(root: Any) -> bytes:
    """One pickle."""
    out = io.BytesIO()
    with _torch():
        _Pickler(out, legacy=False).dump(root)
    return out.getvalue()


def name(module: str, name: str) -> Any:
    """A global name as a value."""
    return _Name(module, name)


def torch_stream(root: Any, storages: list[Storage], *, little: bool = True) -> bytes:
    """What torch.save wrote before 1.6."""
    out = io.BytesIO()
    system = {"protocol_version": 1001, "little_endian": little, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    for head in (0x1950A86A20F9469CFC6C, 1001, system):
        pickle.dump(head, out, 2)
    with _torch():
        _Pickler(out, legacy=True).dump(root)
    pickle.dump([s.key for s in storages], out, 2)
    for storage in storages:
        out.write(struct.pack("<q" if little else ">q", len(storage.data) // KINDS[storage.dtype][1]) + storage.data)
    return out.getvalue()


class _ById:
    def __init__(self, number: int) -> None:
        self.number = number


class _TarPickler(_Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return str(obj.number) if isinstance(obj, _ById) else None


def _dumped(value: Any, kind: type[_Pickler] = _Pickler) -> bytes:
    out = io.BytesIO()
    kind(out, legacy=False).dump(value)
    return out.getvalue()


def torch_tar(name: str, data: bytes, shape: tuple[int, ...], strides: tuple[int, ...], behind: bytes = b"") -> bytes:
    """What torch.save wrote in 2016, with one tensor of float32; `behind` follows its storages."""
    size = struct.pack("<q", len(data) // 4)
    places = struct.pack(f"<{2 * len(shape) + 1}q", *shape, *strides, 0)
    head = struct.pack("<iI", len(shape), 0)
    members = {
        "sys_info": _dumped({"protocol_version": 1000, "little_endian": True}),
        "pickle": _dumped({name: _ById(9)}, _TarPickler),
        "tensors": _dumped(1) + _dumped((9, 7, _Name("torch", "FloatTensor"))) + head + places,
        "storages": _dumped(1)
        + _dumped((7, "cpu", _Name("torch", "FloatStorage")))
        + size
        + data
        + _dumped([])
        + behind,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tensors(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """(type, shape, bytes) of each tensor in a safetensors file, read here without Assay's reader."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = msgspec.json.decode(data[8 : 8 + size])
    body = data[8 + size :]
    return {
        name: (t["dtype"], t["shape"], body[t["data_offsets"][0] : t["data_offsets"][1]])
        for name, t in header.items()
        if name != "__metadata__"
    }


def metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = msgspec.json.decode(data[8 : 8 + size])
    return header["__metadata__"]  # type: ignore[no-any-return]

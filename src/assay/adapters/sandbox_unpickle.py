"""The sandbox's reader of files that hold tensors: torch (zip, stream, tar), npz, npy, pickle and joblib.

Runs inside the child, on the standard library alone. It imports no name that a file gives: see `sandbox_standins`.
"""

from __future__ import annotations

import ast
import functools
import io
import os
import pickle
import struct
from collections.abc import Callable
from typing import IO, Any, ClassVar

from assay.adapters.sandbox_standins import (
    Beside,
    JoblibArray,
    Mapping,
    NumpyArray,
    NumpyDtype,
    Thing,
    numpy_tensor,
    rebuilt,
    rebuilt_v3,
    stand_in,
)
from assay.adapters.sandbox_strides import TYPES, Bytes, Dtype, Refused, Storage, StorageType, Tensor, dense_strides

_LEGACY_MAGIC, _LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_MOST_HEADER = 1 << 20
_FREE = 1 << 16
_ONE_BY_ONE = "convert them one by one"
_TAKES_STATE = (NumpyArray, NumpyDtype, JoblibArray, Mapping, Thing)
Reader = Callable[[int], Any]


_Python: Any = pickle._Unpickler  # its methods for each opcode are what is overridden here


class Unpickler(_Python):  # type: ignore[misc]
    """CPython's own unpickler in Python, with every global a stand-in, and big arrays left in the file.

    `number` is the file's descriptor, -1 where the pickle is in memory. `stored` answers persistent ids.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_Python.dispatch)

    def __init__(self, file: IO[bytes], number: int, stored: Callable[[Any], Any] | None = None) -> None:
        super().__init__(file, encoding="latin1")
        self.source, self._number, self._stored = file, number, stored

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a global name."""
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _load_from_bytes
        return stand_in(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """A storage, by torch's persistent id."""
        if self._stored is None:
            raise ValueError("a persistent id in a file that stores nothing by one")
        return self._stored(pid)

    def load(self) -> Any:
        """The next object. Raises Refused where its last frame holds more than it."""
        root = super().load()
        frame = getattr(self._unframer, "current_frame", None)
        if frame is not None and (behind := frame.read(2)):
            raise _behind(behind.startswith(b"\x80"))
        return root

    def only(self) -> Any:
        """The one object that the file holds. Raises Refused where bytes lie behind it."""
        root = self.load()
        if behind := self.source.read(2):
            raise _behind(behind.startswith(b"\x80"))
        return root

    def load_build(self) -> None:
        """BUILD, on what takes a state alone; an array of joblib's is read from where the file stands."""
        if not isinstance(self.stack[-2], _TAKES_STATE):
            raise Refused(f"holds a state set on a {type(self.stack[-2]).__name__}, which takes none")
        super().load_build()
        wrapper = self.stack[-1]
        if isinstance(wrapper, JoblibArray):
            self.stack[-1] = self._inline(wrapper)

    dispatch[pickle.BUILD[0]] = load_build

    def _inline(self, wrapper: JoblibArray) -> Any:
        if not isinstance(wrapper.dtype, Dtype) or not wrapper.dtype.known:
            if isinstance(wrapper.dtype, NumpyDtype) and wrapper.dtype.name.startswith("numpy O"):
                return Unpickler(self.source, self._number, self._stored).load()  # objects: a pickle of its own
            raise ValueError("an array of a type that cannot be skipped")
        if wrapper.numpy_array_alignment_bytes is not None:
            self.source.read(self.source.read(1)[0])
        shape = tuple(wrapper.shape)
        size = TYPES[wrapper.dtype.name][1]
        for extent in shape:
            size *= extent
        tensor = numpy_tensor(self._left(size), wrapper.dtype, shape, wrapper.order == "F")
        if wrapper.subclass is not NumpyArray:
            tensor.why_not = f"is a {getattr(wrapper.subclass, 'what', 'an array of no known class')}"
        return tensor

    def _left(self, size: int) -> Bytes:
        """The next `size` bytes of the file, left where they are if they can be."""
        if self._number < 0:
            data = self.source.read(size)
            if len(data) != size:
                raise EOFError("it ends in an array")
            return Bytes(size, held=data)
        at = self.source.tell()
        if size < 0 or at + size > os.fstat(self._number).st_size:
            raise EOFError("it ends in an array")
        self.source.seek(at + size)
        return Bytes(size, file=self._number, start=at)

    def _load_bytes(self, width: str, make: Callable[[bytes], Any]) -> None:
        (size,) = struct.unpack(f"<{width}", self.read(struct.calcsize(width)))
        frame = getattr(self._unframer, "current_frame", None)
        inside = frame is not None and frame.tell() < len(frame.getbuffer())
        if size > _FREE and not inside and self._number >= 0:
            self.append(self._left(size))
        else:
            self.append(make(self.read(size)))

    def load_binbytes(self) -> None:
        """BINBYTES."""
        self._load_bytes("I", bytes)

    def load_binbytes8(self) -> None:
        """BINBYTES8."""
        self._load_bytes("Q", bytes)

    def load_bytearray8(self) -> None:
        """BYTEARRAY8."""
        self._load_bytes("Q", bytearray)

    dispatch[pickle.BINBYTES[0]] = load_binbytes
    dispatch[pickle.BINBYTES8[0]] = load_binbytes8
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def _behind(more: bool) -> Refused:
    if more:
        return Refused("holds more than one object", _ONE_BY_ONE)
    return Refused("has bytes behind its object, which no loader would read", "save it again")


def read_pickle(number: int) -> Any:
    """A pickle, a joblib file, or torch's stream of before 1.6."""
    with os.fdopen(os.dup(number), "rb") as file:
        file.seek(0)
        if _is_legacy(file):
            return _legacy(file, number)
        return Unpickler(file, number).only()


def _is_legacy(file: IO[bytes]) -> bool:
    head = file.read(15)
    file.seek(0)
    return head[2:12] == b"\x8a\nl\xfc\x9cF\xf9 j\xa8"


def _legacy(file: IO[bytes], number: int) -> Any:
    """torch.serialization._legacy_load: five pickles, then each storage's count of elements and bytes, in key order."""
    magic, protocol, system = (Unpickler(file, -1).load() for _ in range(3))
    if magic != _LEGACY_MAGIC or protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
        raise ValueError("a torch stream of an unknown version")
    swapped = not system.get("little_endian", True)
    found: dict[Any, Storage] = {}
    views: list[tuple[Storage, Any, int, int, Storage]] = []

    def stored(pid: Any) -> Any:
        if pid[0] == "module":  # (class, file, source): the class alone counts
            return pid[1]
        _, kind, key, _, _, *view = pid
        if not isinstance(kind, StorageType):
            raise ValueError("a storage of no known type")
        storage = _of_type(found.setdefault(key, Storage(Bytes(0), kind.dtype, swapped)), kind)
        if view and view[0] is not None:
            _, offset, count = view[0]
            part = Storage(Bytes(0), kind.dtype, swapped)
            views.append((storage, key, offset, count, part))
            return part
        return storage

    held: list[Any] = []
    root = _Late(file, stored, held).load()
    for key in Unpickler(file, -1).load():
        storage = found[key]
        (count,) = struct.unpack(">q" if swapped else "<q", file.read(8))
        size = count * TYPES[storage.dtype or "uint8"][1]
        storage.content = Unpickler(file, number)._left(size)
    if behind := file.read(2):
        raise _behind(behind.startswith(b"\x80"))
    for storage, _, offset, count, part in views:
        width = TYPES[storage.dtype or "uint8"][1]
        part.content = storage.content.part(offset * width, count * width)
    for late in held:
        late.settle()
    return root


def _of_type(storage: Storage, kind: StorageType) -> Storage:
    """The storage, which its file must name by one type throughout: its bytes are numbers of that type alone."""
    if storage.dtype != kind.dtype:
        raise Refused(f"names one storage as {storage.dtype or 'bytes'} and as {kind.dtype or 'bytes'}")
    return storage


class _Late(Unpickler):
    """For torch's stream, in which the bytes of a storage come after the tensors: those are made at the end."""

    def __init__(self, file: IO[bytes], stored: Callable[[Any], Any], held: list[Any]) -> None:
        super().__init__(file, -1, stored)
        self._held = held

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in; a tensor's waits for its storage."""
        found = super().find_class(module, name)
        return functools.partial(self._later, found) if found in (rebuilt, rebuilt_v3) else found

    def _later(self, function: Callable[..., Any], *arguments: Any) -> LateTensor:
        made = LateTensor(function, arguments)
        self._held.append(made)
        return made


class LateTensor(NumpyArray):
    """A tensor whose storage is not there yet. `beside` says what else was set on it."""

    beside = ""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        super().__init__()
        self._function, self._arguments = function, arguments

    def __setstate__(self, state: Any) -> None:
        """Refuse it: a tensor of torch's has none."""
        raise Refused("holds a state set on a tensor, which takes none")

    def settle(self) -> None:
        """Make the tensor."""
        made = self._function(*self._arguments)
        if isinstance(made, Beside):
            made, self.beside = made.value, made.why
        self.tensor = made


def _load_from_bytes(data: Any) -> Any:
    """torch.storage._load_from_bytes: a storage as a torch stream inside a pickle."""
    content = data.whole() if isinstance(data, Bytes) else data
    content = content.encode("latin-1") if isinstance(content, str) else bytes(content)
    file = io.BytesIO(content)
    if _is_legacy(file):
        return _legacy(file, -1)
    raise ValueError("a storage inside the pickle that is no torch stream")


def read_torch_zip(number: int) -> Any:
    """torch.save since 1.6: data.pkl, and each storage as a member data/KEY."""
    import zipfile

    with os.fdopen(os.dup(number), "rb") as file, zipfile.ZipFile(file) as archive:
        names = {info.filename: info for info in archive.infolist()}
        mains = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(mains) != 1:
            raise ValueError(f"{len(mains)} data.pkl in one archive")
        prefix = mains[0].removesuffix("data.pkl")
        if f"{prefix}constants.pkl" in names:
            raise ValueError("a TorchScript program, whose tensors only torch.jit can name")
        order = archive.read(f"{prefix}byteorder") if f"{prefix}byteorder" in names else b"little"
        found: dict[str, Storage] = {}

        def stored(pid: Any) -> Storage:
            if pid[0] != "storage" or not isinstance(pid[1], StorageType):
                raise ValueError("a persistent id that is no storage")
            key = str(pid[2])
            if key not in found:
                content = _member(archive, names[f"{prefix}data/{key}"], number)
                found[key] = Storage(content, pid[1].dtype, order.strip() == b"big")
            return _of_type(found[key], pid[1])

        return Unpickler(io.BytesIO(archive.read(mains[0])), -1, stored).only()


def _member(archive: Any, info: Any, number: int) -> Bytes:
    """A member's bytes: left in the file where they are stored plainly."""
    if info.compress_type == 0 and not info.flag_bits & 1:
        head = os.pread(number, 30, info.header_offset)
        if len(head) == 30 and head[:4] == b"PK\x03\x04":
            name, extra = struct.unpack("<HH", head[26:30])
            return Bytes(info.file_size, file=number, start=info.header_offset + 30 + name + extra)
    data = archive.read(info)
    return Bytes(len(data), held=data)


def read_npz(number: int) -> Any:
    """numpy.savez: one array a member, under its name without .npy."""
    import zipfile

    out: dict[str, Any] = {}
    with os.fdopen(os.dup(number), "rb") as file, zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name in out:
                raise Refused(f"holds two arrays that would be called {name[:100]}", "rename one")
            out[name] = _npy(_member(archive, info, number))
    return out


def read_npy(number: int) -> Any:
    """numpy.save."""
    return _npy(Bytes(os.fstat(number).st_size, file=number))


def _npy(content: Bytes) -> Tensor:
    """numpy.lib.format, versions 1 to 3."""
    head = content.piece(0, min(12, content.size))
    if head[:6] != b"\x93NUMPY" or len(head) < 12:
        raise ValueError("an array without numpy's header")
    start, length = (10, int.from_bytes(head[8:10], "little"))
    if head[6] > 1:
        start, length = 12, int.from_bytes(head[8:12], "little")
    if length > _MOST_HEADER:
        raise ValueError("an array whose header is too long")
    text = content.piece(start, length).decode("utf-8" if head[6] == 3 else "latin-1")
    fields = ast.literal_eval(text.strip())
    shape, fortran = tuple(fields["shape"]), bool(fields["fortran_order"])
    data = content.part(start + length, content.size - start - length)
    tensor = Tensor(data, NumpyDtype(fields["descr"]), shape, dense_strides(shape, fortran=fortran))
    end = tensor.count * tensor.bytes
    if tensor.type and end < data.size:
        raise _behind(data.piece(end, min(6, data.size - end)) == head[:6])
    return tensor


def read_torch_tar(number: int) -> Any:
    """torch.save of 2016: a tar of `storages`, `tensors` and `pickle` (torch.serialization.legacy_load)."""
    import tarfile

    made: dict[Any, Any] = {}
    with os.fdopen(os.dup(number), "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        parts = {name: _tar_member(archive, name) for name in ("storages", "tensors", "pickle")}
    source = parts["storages"]
    for _ in range(Unpickler(source, -1).load()):
        key, _, kind = Unpickler(source, -1).load()
        if key in made:
            raise Refused("names two storages by one key")
        (count,) = struct.unpack("<q", source.read(8))
        made[key] = Storage(Unpickler(source, -1)._left(count * TYPES[kind.dtype][1]), kind.dtype, False)
    for target, root, offset, count in Unpickler(source, -1).load():
        width = TYPES[made[root].dtype][1]
        made[target] = Storage(made[root].content.part(offset * width, count * width), made[root].dtype, False)
    source = parts["tensors"]
    for _ in range(Unpickler(source, -1).load()):
        key, storage, _ = Unpickler(source, -1).load()
        (dimensions,) = struct.unpack("<i", source.read(8)[:4])
        numbers = struct.unpack(f"<{2 * dimensions + 1}q", source.read(8 * (2 * dimensions + 1)))
        shape, strides = numbers[:dimensions], numbers[dimensions:-1]
        made[key] = rebuilt(made[storage], numbers[-1], shape, strides)
    if any(part.read(1) for part in (parts["storages"], parts["tensors"])):
        raise _behind(False)
    return Unpickler(parts["pickle"], -1, lambda pid: pid[0] if isinstance(pid, tuple) else made[int(pid)]).only()


def _tar_member(archive: Any, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"a tar without {name}")
    return io.BytesIO(file.read())


READERS: dict[str, Reader] = {
    "pickle": read_pickle,
    "torch-zip": read_torch_zip,
    "npz": read_npz,
    "npy": read_npy,
    "tar": read_torch_tar,
}

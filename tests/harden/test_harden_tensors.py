"""Tensors to safetensors: the same bytes under the same names, for every way that torch and numpy store them."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import pytest
from harden_files import Module, Storage, Tensor, metadata, tensors, torch_stream, torch_tar, torch_zip

from assay.adapters import sandbox_kernel, sandbox_strides, sandbox_tensors
from assay.core.errors import CouldNotLook, InputError, UsageError, VerificationError
from assay.flow.harden import Asked, harden
from assay.formats.artifact import examine
from assay.harden.result import LeftOut

isolated = pytest.mark.skipif(sandbox_kernel.landlock_abi() < 1, reason="this kernel has no Landlock")
pytestmark = isolated
FLOATS = struct.pack("<12f", *range(12))


def floats(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def made(tmp_path: Path, content: bytes, name: str = "m.pt", **asked: Any) -> tuple[Path, Any]:
    path = tmp_path / name
    path.write_bytes(content)
    done = harden(path, Asked(output=tmp_path / "out.safetensors", **asked))
    return tmp_path / "out.safetensors", done


def base() -> Storage:
    return Storage("0", FLOATS)


@pytest.mark.parametrize("write", [torch_zip, torch_stream])
def test_views_strides_offsets_and_ties(tmp_path: Path, write: Any) -> None:
    one, two = base(), Storage("1", floats(7, 8))
    root = {
        "whole": Tensor(one, (3, 4), (4, 1)),
        "turned": Tensor(one, (4, 3), (1, 4)),
        "part": Tensor(one, (2, 2), (4, 2), 4),
        "spread": Tensor(two, (3, 2), (0, 1)),
        "scalar": Tensor(one, (), (), 5),
        "none": Tensor(one, (0, 3), (3, 1)),
        "tied": {"weight": Tensor(two, (2,), (1,)), "again": [Tensor(two, (2,), (1,))]},
    }
    out, done = made(tmp_path, write(root, [one, two]))
    assert tensors(out) == {
        "whole": ("F32", [3, 4], FLOATS),
        "turned": ("F32", [4, 3], floats(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11)),
        "part": ("F32", [2, 2], floats(4, 6, 8, 10)),
        "spread": ("F32", [3, 2], floats(7, 8, 7, 8, 7, 8)),
        "scalar": ("F32", [], floats(5)),
        "none": ("F32", [0, 3], b""),
        "tied.weight": ("F32", [2], floats(7, 8)),
        "tied.again.0": ("F32", [2], floats(7, 8)),
    }
    assert done.made.shared == (("tied.weight", "tied.again.0"),)
    assert json.loads(metadata(out)["shared"]) == [["tied.weight", "tied.again.0"]]
    assert metadata(out)["source"] == done.source.digest
    assert (done.made.proof.kind, done.made.proof.tensors, done.isolation.full, done.weak) == ("bytes", 8, True, False)
    assert examine(out).gaps == ()


def test_every_type_and_byte_order(tmp_path: Path) -> None:
    raw = bytes(range(16))
    stores = [Storage(str(i), raw, dtype) for i, dtype in enumerate(("bfloat16", "float16", "bool", "complex64"))]
    root = {s.dtype: Tensor(s, (16 // w,), (1,)) for s, w in zip(stores, (2, 2, 1, 8), strict=True)}
    untyped = Storage("9", raw, "untyped")
    root |= {name: Tensor(untyped, (16 // w,), (1,), typed=name)
             for name, w in (("float8_e4m3fn", 1), ("float8_e5m2", 1), ("uint16", 2), ("uint64", 8))}  # fmt: skip
    out, _ = made(tmp_path, torch_zip(root, [*stores, untyped]))
    assert {name: t[0] for name, t in tensors(out).items()} == {
        "bfloat16": "BF16", "float16": "F16", "bool": "BOOL", "complex64": "C64",
        "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "uint16": "U16", "uint64": "U64",
    }  # fmt: skip
    assert {t[2] for t in tensors(out).values()} == {raw}
    out, _ = made(tmp_path, torch_zip(root, [*stores, untyped], byteorder="big", compress=True), force=True)
    for name, unit in (("bfloat16", 2), ("bool", 1), ("complex64", 4), ("uint64", 8), ("float8_e5m2", 1)):
        turned = b"".join(raw[i : i + unit][::-1] for i in range(0, 16, unit))
        assert tensors(out)[name][2] == turned, name
    assert "format" in metadata(out)


def test_the_tar_of_2016(tmp_path: Path) -> None:
    content = torch_tar("w", FLOATS, (4, 3), (1, 4))
    out, _ = made(tmp_path, content, allow=("torch.FloatTensor",))
    assert tensors(out) == {"w": ("F32", [4, 3], floats(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11))}
    (tmp_path / "other.tar").write_bytes(content.replace(b"storages", b"storagex"))
    with pytest.raises((InputError, VerificationError), match=r"archive of files|refused"):
        harden(tmp_path / "other.tar")


def test_a_whole_module_gives_its_state_dict(tmp_path: Path) -> None:
    """Of a pickled torch module: its parameters and persistent buffers, by the names of state_dict()."""
    one = base()

    def part(shape: tuple[int, ...]) -> Tensor:
        return Tensor(one, shape, (1,) * len(shape))

    inner = Module("torch.nn.modules.linear", "Linear", {
        "training": True, "_parameters": {"weight": part((3,)), "bias": None}, "_modules": {},
        "_buffers": {"seen": part((2,)), "passing": part((1,))}, "_non_persistent_buffers_set": {"passing"},
    })  # fmt: skip
    outer = Module("torch.nn.modules.container", "Sequential", {
        "_parameters": {}, "_buffers": {}, "_modules": {"0": inner},
    })  # fmt: skip
    out, done = made(tmp_path, torch_zip(outer, [one]))
    assert {name: t[1] for name, t in tensors(out).items()} == {"0.weight": [3], "0.seen": [2]}
    assert done.made.notes == ("the network's own class is not kept, only its parameters and buffers",)


def test_a_big_endian_stream(tmp_path: Path) -> None:
    storage = Storage("0", struct.pack(">2f", 1.5, -2))
    out, _ = made(tmp_path, torch_stream({"w": Tensor(storage, (2,), (1,))}, [storage], little=False))
    assert tensors(out) == {"w": ("F32", [2], floats(1.5, -2))}


def test_numbers_and_texts_stay_as_metadata(tmp_path: Path) -> None:
    one = base()
    root = {
        "model": {"w": Tensor(one, (12,), (1,)), "steps": 5},
        "epoch": 3, "loss": float("inf"), "none": None, "done": True,
        "options": {"lr": 0.1, "betas": (0.9, 0.99), "name": "adam"},
    }  # fmt: skip
    out, done = made(tmp_path, torch_zip(root, [one]))
    assert json.loads(metadata(out)["values"]) == {
        "model.steps": 5, "epoch": 3, "loss": {"float": "inf"}, "none": None, "done": True,
        "options": {"lr": 0.1, "betas": [0.9, 0.99], "name": "adam"},
    }  # fmt: skip
    assert (done.made.values, done.made.left_out) == (6, ())


def test_what_is_no_tensor_is_refused_or_listed(tmp_path: Path) -> None:
    one = base()
    wide = Storage("1", bytes(16), "complex128")
    root = {"w": Tensor(one, (12,), (1,)), "z": Tensor(wide, (1,), (1,)), "raw": {1, 2}, (1, 2): 3,
            "conjugate": Tensor(one, (1,), (1,), metadata={"conj": True})}  # fmt: skip
    content = torch_zip(root, [one, wide])
    with pytest.raises(InputError, match=r"cannot: z: safetensors has no type for complex128 .*--tensors-only"):
        made(tmp_path, content)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.pt"]
    out, done = made(tmp_path, content, tensors_only=True)
    assert list(tensors(out)) == ["w"]
    assert done.made.left_out == (
        LeftOut("z", "safetensors has no type for complex128 elements"),
        LeftOut("raw", "is a set"),
        LeftOut("", "a key that is a tuple"),
        LeftOut("conjugate", "it is a conjugate or negative view"),
    )


def test_names_that_collide_are_refused(tmp_path: Path) -> None:
    one = base()
    whole = Tensor(one, (12,), (1,))
    with pytest.raises(InputError, match=r"two tensors would be called a\.b \(rename one\)"):
        made(tmp_path, torch_zip({"a.b": whole, "a": {"b": whole}}, [one]))
    with pytest.raises(InputError, match="a tensor would be called __metadata__"):
        made(tmp_path, torch_zip({"__metadata__": whole}, [one]))
    assert not (tmp_path / "out.safetensors").exists()


def test_a_tensor_beyond_its_storage_is_not_read(tmp_path: Path) -> None:
    one = base()
    for shape, strides, offset in (((13,), (1,), 0), ((4,), (4,), 0), ((2,), (1,), 11), ((1,), (1,), 1 << 60)):
        with pytest.raises(CouldNotLook, match="reaches beyond its storage"):
            made(tmp_path, torch_zip({"w": Tensor(one, shape, strides, offset)}, [one]))
    with pytest.raises(CouldNotLook, match="that no tensor has"):
        made(tmp_path, torch_zip({"w": Tensor(one, (-1,), (1,))}, [one]))
    with pytest.raises(InputError, match="views that repeat"):
        made(tmp_path, torch_zip({"w": Tensor(one, (1 << 40,), (0,))}, [one]))


def test_torn_files_are_refused(tmp_path: Path) -> None:
    one = base()
    content = torch_zip({"w": Tensor(one, (12,), (1,))}, [one])
    damaged = bytearray(content)
    damaged[content.index(FLOATS) + 3] ^= 1
    for torn in (content[:-40], content[: len(content) // 2], bytes(damaged)):
        with pytest.raises(VerificationError, match="refused, nothing written"):
            made(tmp_path, torn)
    short = torch_stream({"w": Tensor(one, (12,), (1,))}, [one])
    with pytest.raises((VerificationError, CouldNotLook)):
        made(tmp_path, short[:-5])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.pt"]


def test_numpy_joblib_and_npz(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy", reason="the ml extra is not installed")
    joblib = pytest.importorskip("joblib", reason="the ml extra is not installed")
    big = np.arange(70_000, dtype=np.float64).reshape(700, 100)
    root = {"big": big, "list": [np.arange(3, dtype=">i2"), np.float32(2.5)], "f": np.asfortranarray(big[:5]), "n": 1}
    expected = {
        "big": ("F64", [700, 100], big.tobytes()),
        "list.0": ("I16", [3], np.arange(3, dtype="<i2").tobytes()),
        "list.1": ("F32", [], np.float32(2.5).tobytes()),
        "f": ("F64", [5, 100], big[:5].tobytes()),
    }
    root["k"] = np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2)
    expected["k"] = ("F64", [3, 2, 4], root["k"].tobytes())
    for protocol in (2, 4, 5):
        out, _ = made(tmp_path, pickle.dumps(root, protocol), "m.pkl", force=True)
        assert tensors(out) == expected, protocol
    for name in ("m.joblib", "m.joblib.gz", "m.joblib.xz"):
        joblib.dump(root, tmp_path / name)
        out, _ = made(tmp_path, (tmp_path / name).read_bytes(), name, force=True)
        assert tensors(out) == expected, name
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", x=big, y=root["list"][0])
        out, _ = made(tmp_path, (tmp_path / "a.npz").read_bytes(), "a.npz", force=True)
        assert tensors(out) == {"x": expected["big"], "y": expected["list.0"]}
    np.save(tmp_path / "a.npy", root["f"])
    out, _ = made(tmp_path, (tmp_path / "a.npy").read_bytes(), "a.npy", force=True)
    assert tensors(out) == {"tensor": expected["f"]}
    assert metadata(out)["format"] == "np"


def test_arrays_that_safetensors_cannot_hold(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy", reason="the ml extra is not installed")
    joblib = pytest.importorskip("joblib", reason="the ml extra is not installed")
    arrays = {
        "objects": np.array([{}, None], dtype=object), "texts": np.array(["a", "b"]),
        "records": np.zeros(2, dtype=[("a", "f4"), ("b", "i8")]), "days": np.array(["2020-01-01"], dtype="M8[D]"),
        "wide": np.zeros(2, dtype=np.complex128), "fine": np.zeros(2),
    }  # fmt: skip
    out, done = made(tmp_path, pickle.dumps(arrays), "m.pkl", tensors_only=True)
    assert list(tensors(out)) == ["fine"]
    assert [item.name for item in done.made.left_out] == ["objects", "texts", "records", "days", "wide"]
    joblib.dump({"fine": arrays["fine"], "objects": arrays["objects"]}, tmp_path / "m.joblib")
    out, done = made(tmp_path, (tmp_path / "m.joblib").read_bytes(), "m.joblib", tensors_only=True, force=True)
    assert list(tensors(out)) == ["fine"]
    with pytest.raises(InputError, match="holds no tensors"):
        made(tmp_path, pickle.dumps({"a": 1}), "m.pkl", force=True)


def test_random_trees_of_arrays_come_back(tmp_path: Path) -> None:
    """In this process: the same reader as in the sandbox, on files that numpy and pickle write."""
    pytest.importorskip("numpy", reason="the ml extra is not installed")
    hypothesis = pytest.importorskip("hypothesis")
    strategies = pytest.importorskip("hypothesis.strategies")
    numpy_strategies = pytest.importorskip("hypothesis.extra.numpy")
    types = strategies.sampled_from(["<f4", ">f8", "<f2", ">i4", "<i8", "u1", "?", "<c8", ">u2"])
    shapes = numpy_strategies.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    arrays = types.flatmap(lambda kind: numpy_strategies.arrays(kind, shapes)).flatmap(
        lambda a: strategies.sampled_from([a, a.T, a[..., ::2] if a.ndim else a])
    )
    keys = strategies.text(strategies.characters(exclude_categories=("Cs",), exclude_characters="."), max_size=5)
    trees = strategies.recursive(
        arrays, lambda inner: strategies.dictionaries(keys, inner, max_size=4) | strategies.lists(inner, max_size=4)
    )
    path = tmp_path / "m.pkl"

    @hypothesis.settings(max_examples=150, deadline=None)
    @hypothesis.given(trees, strategies.sampled_from([2, 3, 4, 5]))
    def holds(tree: Any, protocol: int) -> None:
        path.write_bytes(pickle.dumps(tree, protocol))
        names = [name or "tensor" for name, _ in _flat(tree, "")]
        if len(set(names)) < len(names):
            with path.open("rb") as file, pytest.raises(ValueError, match="two tensors"):
                sandbox_tensors.read(file.fileno(), "pickle")
            return
        with path.open("rb") as file:
            contents = sandbox_tensors.read(file.fileno(), "pickle")
            got = {name: (t.type, t.shape, b"".join(t.chunks())) for name, t in contents.tensors.items()}
        expected = {name or "tensor": (a.shape, a.astype(a.dtype.newbyteorder("<")).tobytes())
                    for name, a in _flat(tree, "")}  # fmt: skip
        assert {name: t[1:] for name, t in got.items()} == expected

    holds()


def _flat(tree: Any, name: str) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if items is None:
        yield name, tree
        return
    for key, child in items:
        yield from _flat(child, f"{name}.{key}" if name else str(key))


def test_long_tensors_are_given_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_strides, "CHUNK", 64)
    numbers = array("I", range(1000))
    content = sandbox_strides.Bytes(4000, held=numbers.tobytes())
    kind = sandbox_strides.Dtype("int32")
    for shape, strides in (((1000,), (1,)), ((10, 100), (1, 10)), ((500,), (2,)), ((3, 40), (0, 1)), ((5, 4), (4, 1))):
        tensor = sandbox_strides.Tensor(content, kind, shape, strides)
        chunks = list(tensor.chunks())
        rows = shape[0] if len(shape) > 1 else 1
        steps = strides if len(strides) > 1 else (0, *strides)
        expected = [numbers[r * steps[0] + c * steps[1]] for r in range(rows) for c in range(shape[-1])]
        assert list(array("I", b"".join(chunks))) == expected
        assert max(map(len, chunks)) < 64 + 4 * shape[-1]


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch hardened",)


def test_code_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    for content in (pickle.dumps({"w": _Evil()}), torch_zip({"w": _Evil()}, [])):
        with pytest.raises(VerificationError, match=r"refused, nothing written: (posix|os|nt)\.system at byte \d+"):
            made(tmp_path, content)
    with pytest.raises(VerificationError, match=r"refused, nothing written: ours\.Rule at byte \d+ is unknown"):
        made(tmp_path, b"\x80\x02cours\nRule\n)\x81.", "m.pkl")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.pkl", "m.pt"]


def test_less_than_full_isolation_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.adapters import sandbox

    one = base()
    content = torch_zip({"w": Tensor(one, (12,), (1,))}, [one])
    original = sandbox.Sandbox.__init__
    less = {"without": frozenset({"seccomp"})}
    monkeypatch.setattr(sandbox.Sandbox, "__init__", lambda self, *a, **k: original(self, *a, **{**k, **less}))
    with pytest.raises(CouldNotLook, match=r"lacks seccomp.*--weak-sandbox accepts that"):
        made(tmp_path, content)
    out, done = made(tmp_path, content, weak=True)
    assert (done.weak, done.isolation.full, "seccomp" in done.isolation.missing) == (True, False, True)
    assert tensors(out)["w"][2] == FLOATS


def test_a_proof_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.harden import tensors as room

    one = base()
    content = torch_zip({"w": Tensor(one, (12,), (1,))}, [one])
    monkeypatch.setattr(room, "_digest", lambda file, size: "0" * 64)
    with pytest.raises(VerificationError, match="the tensor w does not read back as it was"):
        made(tmp_path, content)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.pt"]


def test_what_a_lying_sandbox_says_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.harden import tensors as room

    class Liar:
        listing = room.Listing(tensors=(("w", "F32", (3,)),), values={}, left_out=(), shared=(), modules=0)
        blocks = (b"x" * 8, b"0" * 64)

        def ask(self, *_: Any) -> Any:
            return self.listing

        def stream(self, *_: Any) -> Any:
            yield from self.blocks

    class Known:
        where, kind, digest, unpacked = "m.pt", "pickle", "sha256:0", 100

    def ask(**changes: Any) -> None:
        liar = Liar()
        for name, value in changes.items():
            setattr(liar, name, value)
        with (tmp_path / "draft").open("wb") as draft:
            room.write_tensors(Known(), liar, draft)  # type: ignore[arg-type]

    def listed(*tensors: Any) -> Any:
        return room.Listing(tensors=tensors, values={}, left_out=(), shared=(), modules=0)

    with pytest.raises(VerificationError, match="gave 8 bytes for a tensor of 12"):
        ask()
    with pytest.raises(VerificationError, match="a tensor that cannot be"):
        ask(listing=listed(("w", "F4", (3,))))
    with pytest.raises(VerificationError, match="a tensor that cannot be"):
        ask(listing=listed(("w", "F32", (-3,))))
    with pytest.raises(VerificationError, match="two tensors of one name"):
        ask(listing=listed(("w", "F32", (3,)), ("w", "F32", (3,))))
    with pytest.raises(InputError, match="more than"):
        ask(listing=listed(("w", "F64", (1 << 50,))))
    with pytest.raises(VerificationError, match="does not read back"):
        ask(blocks=(b"x" * 12, b"0" * 64))


def test_inputs_that_cannot_be_converted(tmp_path: Path) -> None:
    one = base()
    content = torch_zip({"w": Tensor(one, (12,), (1,))}, [one])
    out, _ = made(tmp_path, content)
    cases: list[tuple[Any, str, type[Exception]]] = [
        (tmp_path / "none.pt", "does not exist", InputError),
        (tmp_path, "is a folder", InputError),
        (out, "is a safetensors file already", InputError),
    ]
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "text.pkl.txt").write_text("hello")
    cases += [(tmp_path / "empty.pt", "is empty", InputError), (tmp_path / "text.pkl.txt", "reads as text", InputError)]
    for path, says, kind in cases:
        with pytest.raises(kind, match=says) as error:
            harden(path, Asked(output=tmp_path / "other"))
        assert "\n" not in str(error.value)
    path = tmp_path / "m.pt"
    for asked, says in (
        (Asked(output=out), "is there already"),
        (Asked(output=path, force=True), "is the source itself"),
        (Asked(output=tmp_path), "is a folder"),
        (Asked(output=tmp_path / "no" / "where"), "its folder does not exist"),
        (Asked(to="skops"), "holds no estimator for skops"),
        (Asked(modules=tmp_path / "no"), "is not a folder"),
    ):
        with pytest.raises(UsageError, match=says):
            harden(path, asked)
    assert path.read_bytes() == content


def test_header_lengths_that_look_like_something_else(tmp_path: Path) -> None:
    """A header of 128 bytes begins like a pickle, one of 256 like a font; ours avoid both."""
    one = base()
    for length in (1, 33, 57, 65, 97, 105, 129, 153, 185):
        out, _ = made(tmp_path, torch_zip({"w" * length: Tensor(one, (12,), (1,))}, [one]), force=True)
        assert examine(out).format.name == "safetensors"


ORACLE = """
import json, sys, torch
from collections import OrderedDict
base = torch.arange(24.).reshape(4, 6)
w = torch.randn(5, 3)
root = OrderedDict(a=torch.randn(4, 4).t(), b=torch.randn(7).bfloat16(), view=base[1:3, ::2], base=base, tied=w,
                   again=w, p=torch.nn.Parameter(torch.randn(2)), c=torch.randn(2, dtype=torch.complex64))
torch.save(root, sys.argv[1])
torch.save(root, sys.argv[2], _use_new_zipfile_serialization=False)
raw = {k: [list(v.shape), v.detach().contiguous().flatten().view(torch.uint8).tolist()] for k, v in root.items()}
print(json.dumps(raw))
"""


def test_torch_itself_reads_the_same(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed here")
    done = subprocess.run(
        [sys.executable, "-c", ORACLE, tmp_path / "new.pt", tmp_path / "old.pt"], capture_output=True, check=True
    )
    expected = {name: (shape, bytes(raw)) for name, (shape, raw) in json.loads(done.stdout).items()}
    for name in ("new.pt", "old.pt"):
        harden(tmp_path / name, Asked(output=tmp_path / "out.safetensors", force=True))
        assert {n: t[1:] for n, t in tensors(tmp_path / "out.safetensors").items()} == expected

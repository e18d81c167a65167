"""What could be lost on the way is refused: nothing that a file holds goes without a word, and no error is a riddle."""

from __future__ import annotations

import io
import json
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from harden_files import (
    Call,
    Module,
    Storage,
    Tensor,
    metadata,
    name,
    plain,
    tensors,
    torch_stream,
    torch_tar,
    torch_zip,
)

from assay.adapters import sandbox_kernel, sandbox_tensors
from assay.adapters.sandbox_standins import Beside, Mapping
from assay.adapters.sandbox_strides import Refused
from assay.core.errors import InputError, UsageError, VerificationError
from assay.flow.harden import Asked, harden
from assay.harden.result import LeftOut

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pytestmark = pytest.mark.skipif(sandbox_kernel.landlock_abi() < 1, reason="this kernel has no Landlock")
FLOATS = struct.pack("<12f", *range(12))
ONE = Storage("0", FLOATS)
W = Tensor(ONE, (12,), (1,))
MORE, BEHIND = "holds more than one object", "has bytes behind its object, which no loader would read"


def made(tmp_path: Path, content: bytes, file: str = "m.pt", **asked: Any) -> tuple[Path, Any]:
    (tmp_path / file).write_bytes(content)
    out = tmp_path / "out.safetensors"
    return out, harden(tmp_path / file, Asked(output=out, force=True, **asked))


def refused(tmp_path: Path, content: bytes, says: str, file: str = "m.pt", **asked: Any) -> bool:
    """Whether nothing is written, for a reason in one line (exit code 2)."""
    with pytest.raises(InputError) as error:
        made(tmp_path, content, file, **asked)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert "Error" not in str(error.value)
    return not (tmp_path / "out.safetensors").exists()


def laid_out(tmp_path: Path, root: Any) -> sandbox_tensors.Contents:
    """The contents of a pickle, read in this process by what reads it in the sandbox."""
    path = tmp_path / "m.pkl"
    path.write_bytes(plain(root))
    with path.open("rb") as file:
        return sandbox_tensors.read(file.fileno(), "pickle")


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (("collections", "OrderedDict"), ((("w", W), ("n", 1)),)),
        (("collections", "OrderedDict"), ([["w", W], ["n", 1]],)),
        (("builtins", "dict"), ((("w", W), ("n", 1)),)),
        (("builtins", "dict"), ({"w": W, "n": 1},)),
        (("collections", "defaultdict"), (None, (("w", W), ("n", 1)))),
        (("collections", "defaultdict"), (name("builtins", "list"), {"w": W, "n": 1})),
    ],
)
def test_containers_are_taken_in_whole(tmp_path: Path, kind: tuple[str, str], arguments: tuple[Any, ...]) -> None:
    out, done = made(tmp_path, torch_zip({"head": Call(*kind, arguments), "b": W}, [ONE]))
    assert tensors(out) == {"head.w": ("F32", [12], FLOATS), "b": ("F32", [12], FLOATS)}
    assert (json.loads(metadata(out)["values"]), done.made.left_out) == ({"head.n": 1}, ())


def test_containers_of_what_is_no_pairs_are_refused(tmp_path: Path) -> None:
    assert refused(
        tmp_path, torch_zip({"b": W, "head": Call("builtins", "dict", (W,))}, [ONE]), "a dict made of something else"
    )
    for arguments in (({1, 2},), ("ab",), (b"",), (5,), ((("a", 1, 2),),), ((), ()), (["ab"],), ([{1, 2}],)):
        for kind in (("collections", "OrderedDict"), ("builtins", "dict")):
            with pytest.raises(Refused, match="a dict made of something else"):
                laid_out(tmp_path, {"head": Call(*kind, arguments)})
    with pytest.raises(Refused, match="whose factory is no class"):
        laid_out(tmp_path, {"head": Call("collections", "defaultdict", ("list",))})


def test_attributes_of_a_dict_are_told(tmp_path: Path) -> None:
    held = OrderedDict(a=W)
    held.extra = W  # type: ignore[attr-defined]
    assert refused(tmp_path, torch_zip({"head": held}, [ONE]), "head: attributes set on it: extra")
    out, done = made(tmp_path, torch_zip({"head": held}, [ONE]), tensors_only=True)
    assert (list(tensors(out)), done.made.left_out) == (["head.a"], (LeftOut("head", "attributes set on it: extra"),))
    for versions in ({"": {"version": 1}, "a": {"version": 2, "assign_to_params_buffers": True}}, {}):
        state = OrderedDict(a=W)
        state._metadata = OrderedDict(versions)  # type: ignore[attr-defined]
        assert made(tmp_path, torch_zip(state, [ONE]))[1].made.left_out == ()
    out.unlink()
    state._metadata = OrderedDict(a={"version": W})  # type: ignore[attr-defined]
    assert refused(tmp_path, torch_zip(state, [ONE]), "attributes set on it: _metadata")
    found = Mapping()
    found.__setstate__((None, {"slot": 1}))
    assert found.beside == "attributes set on it: slot"


@pytest.mark.parametrize("write", [torch_zip, torch_stream])
def test_attributes_of_tensors_are_told(tmp_path: Path, write: Any) -> None:
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    inner = (ONE, 0, (12,), (1,), False, OrderedDict())
    typed = ("torch._tensor", "_rebuild_from_type_v2")
    kind = name("torch", "Tensor")
    whole = {
        "typed": Call(*typed, (rebuild, kind, inner, {})),
        "parameter": Call("torch._utils", "_rebuild_parameter", (W, True, OrderedDict())),
    }
    out, done = made(tmp_path, write(whole, [ONE]))
    assert ({t[2] for t in tensors(out).values()}, done.made.left_out) == ({FLOATS}, ())
    out.unlink()
    for root, says in (
        (Call(*typed, (rebuild, kind, inner, {"extra": W})), "w: attributes set on it: extra"),
        (Call(*typed, (rebuild, kind, inner, ({}, {"slot": 1}))), "w: attributes set on it: slot"),
        (Call("torch._utils", "_rebuild_parameter_with_state", (W, True, OrderedDict(), {"mask": 1})), "on it: mask"),
        (Call("torch._utils", "_rebuild_parameter", (W, True, OrderedDict(hook=1))), "w: hooks set on it: hook"),
        (Call("torch._utils", "_rebuild_tensor_v2", (*inner[:5], OrderedDict(hook=1))), "w: hooks set on it: hook"),
        (Call("torch._utils", "_rebuild_tensor_v2", inner, {"shape": (1,)}), "a state set on a"),
        (Call("torch._utils", "_rebuild_tensor_v2", (*inner, {}, W)), "more than torch's functions take"),
        (Call("torch._utils", "_rebuild_tensor_v2", (*inner, OrderedDict(conj=True))), "a conjugate or negative view"),
        (Call("torch._utils", "_rebuild_tensor_v2", (*inner, (1,))), "whose metadata is none"),
    ):
        assert refused(tmp_path, write({"w": root, "b": W}, [ONE]), says)


def test_modules_with_more_than_their_state_are_told(tmp_path: Path) -> None:
    def module(**more: Any) -> Module:
        state = {"_parameters": {"w": W}, "_buffers": {}, "_modules": {}, "training": True, **more}
        return Module("torch.nn.modules.linear", "Linear", state)

    assert made(tmp_path, torch_zip(module(size=3, names=["a"]), [ONE]))[1].made.left_out == ()
    (tmp_path / "out.safetensors").unlink()
    assert made(tmp_path, torch_zip(module(_flat_weights=[W]), [ONE]))[1].made.left_out == ()  # as an LSTM has them
    (tmp_path / "out.safetensors").unlink()
    other = Tensor(ONE, (3,), (1,))
    inner = Module("torch.nn.modules.linear", "Linear", {"_parameters": {"w": other}, "_buffers": {}, "_modules": {}})
    for hidden in (other, [other], {"a": (other,)}, [inner]):
        says = "anchor: is no parameter or buffer of its module, but holds tensors"
        assert refused(tmp_path, torch_zip(module(anchor=hidden), [ONE]), says)
    state = {"_parameters": {"w": W}, "_buffers": {}, "_modules": {}}
    made_with = Call("torch.nn.modules.linear", "Linear", (W,), state)
    assert refused(tmp_path, torch_zip(made_with, [ONE]), "is a torch.nn.modules.linear.Linear")


class _Reduced:
    def __init__(self, *how: Any) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return self.how


def test_arrays_are_taken_in_whole(tmp_path: Path) -> None:
    kind, empty, _ = np.zeros(1).__reduce__()
    four = np.dtype("<f4")
    more = _Reduced(kind, empty, (1, (1,), four, False, b"12345678"))
    assert refused(tmp_path, pickle.dumps({"w": more}), "more or fewer bytes than its shape takes", "m.pkl")
    assert refused(tmp_path, pickle.dumps({"w": np.zeros((1, 2)).view(np.matrix)}), "w: is a numpy.matrix", "m.pkl")
    noted = np.zeros(2, dtype=np.dtype("f4", metadata={"unit": "kg"}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, that not all of its versions read that
        content = pickle.dumps({"w": noted})
    assert refused(tmp_path, content, "w: safetensors has no type for float32 with metadata", "m.pkl")
    frombuffer = np.asfortranarray(np.zeros((2, 2))).__reduce_ex__(5)[0]
    strange = _Reduced(frombuffer, (bytearray(8), four, (2,), "A"))
    assert refused(tmp_path, pickle.dumps({"w": strange}), "of an order that no pickler writes", "m.pkl")


def test_joblib_arrays_of_other_classes_are_told(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib", reason="the ml extra is not installed")
    out = io.BytesIO()
    joblib.dump({"w": np.zeros((1, 2)).view(np.matrix)}, out)
    assert refused(tmp_path, out.getvalue(), "w: is a numpy.matrix", "m.joblib")


def test_values_under_one_name_are_not_merged(tmp_path: Path) -> None:
    assert refused(tmp_path, torch_zip({"w": W, "v": {1: 5, "1": 6}}, [ONE]), "two things would be called v.1")
    assert refused(
        tmp_path, torch_zip({"w": W, "a": {"b": 1, "t": W}, "a.b": 2}, [ONE]), "two values would be called a.b"
    )


def test_what_cannot_be_laid_out_by_name_is_one_line(tmp_path: Path) -> None:
    circle: dict[str, Any] = {"w": W}
    circle["again"] = circle
    deep: Any = W
    for _ in range(70):
        deep = [deep]
    for root, says in (
        ({"a": {"b": W}, "a.b": W}, "holds what safetensors cannot: two tensors would be called a.b (rename one)"),
        ({1: W, "1": W}, "two things would be called 1"),
        ({"__metadata__": W}, "a tensor would be called __metadata__"),
        (circle, "is nested more than 64 deep, or in a circle"),
        (deep, "is nested more than 64 deep, or in a circle"),
        ({"w": W, "x\ud800": W}, "a key that is no text: 'x\\ud800'"),
        ({"w": W, "t": "x\ud800"}, "t: is a text too long to keep, or no Unicode"),
        ({"w": W, 1 << 99: W}, "a key that is too long"),
    ):
        assert refused(tmp_path, torch_zip(root, [ONE]), says)


def test_a_storage_has_one_type(tmp_path: Path) -> None:
    other = Tensor(Storage("0", FLOATS, "int64"), (6,), (1,))
    for write in (torch_zip, torch_stream):
        assert refused(tmp_path, write({"w": W, "n": other}, [ONE]), "names one storage as float32 and as int64")


def _twice(content: bytes) -> bytes:
    """A torch zip whose data.pkl holds two pickles."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        for item in source.namelist():
            data = source.read(item)
            target.writestr(item, data * 2 if item.endswith("data.pkl") else data)
    return out.getvalue()


def _saved(*arrays: Any) -> bytes:
    out = io.BytesIO()
    for array in arrays:
        np.save(out, array)
    return out.getvalue()


def _framed(value: Any) -> bytes:
    """A pickle whose frame goes on behind its end."""
    body = pickle.dumps(value, 4)[11:] + pickle.dumps(1, 2)
    return b"\x80\x04\x95" + len(body).to_bytes(8, "little") + body


def test_files_of_more_than_one_object_are_refused(tmp_path: Path) -> None:
    array = np.arange(4.0)
    one, stream = pickle.dumps({"w": array}), torch_stream({"w": W}, [ONE])
    cases = [
        (one + pickle.dumps({"b": array}), MORE, "m.pkl"),
        (one + b"some junk", BEHIND, "m.pkl"),
        (one + b"\n", BEHIND, "m.pkl"),
        (_framed({"w": [1]}), MORE, "m.pkl"),
        (_twice(torch_zip({"w": W}, [ONE])), MORE, "m.pt"),
        (stream + stream, MORE, "m.pt"),
        (stream + b"junk", BEHIND, "m.pt"),
        (_saved(array, array), MORE, "m.npy"),
        (_saved(array) + b"junk", MORE, "m.npy"),
    ]
    for content, says, file in cases:
        assert refused(tmp_path, content, says, file)
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("a.npy", _saved(array, array))
    assert refused(tmp_path, (tmp_path / "m.npz").read_bytes(), MORE, "m.npz")
    tar = torch_tar("w", FLOATS, (4, 3), (1, 4), b"junk")
    assert refused(tmp_path, tar, BEHIND, allow=("torch.FloatTensor",))


def test_joblib_files_of_more_than_one_object_are_refused(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib", reason="the ml extra is not installed")
    for packed in (0, "gzip", "zlib", "bz2"):
        out = io.BytesIO()
        for key in "ab":
            joblib.dump({key: np.arange(3.0)}, out, compress=packed and (packed, 3))
        assert refused(tmp_path, out.getvalue(), MORE, "m.joblib")


def test_two_estimators_in_one_pickle_are_refused(tmp_path: Path) -> None:
    scaler = b"\x80\x02csklearn.preprocessing._data\nStandardScaler\n)\x81."
    for output in (None, "skops"):
        assert refused(tmp_path, scaler + scaler, f"{MORE} (convert them one by one)", "m.pkl", to=output)
    with pytest.raises(UsageError, match="a torch file holds no estimator for skops"):
        made(tmp_path, torch_stream({"w": W}, [ONE]), to="skops")


def test_code_behind_an_object_is_still_code(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"posix\.system"):
        made(tmp_path, pickle.dumps([1]) + b"cposix\nsystem\n(S'x'\ntR.", "m.pkl")


def test_a_full_temporary_folder_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    from assay.harden import source

    content = pickle.dumps({"w": np.arange(4.0)})
    whole = source.tempfile.TemporaryFile
    full = [0]

    def opened(**_: Any) -> Any:
        full[0] -= 1
        return open("/dev/full", "wb") if full[0] < 0 else whole()

    monkeypatch.setattr(source.tempfile, "TemporaryFile", opened)
    says = "cannot be copied to the temporary folder (TMPDIR): no space left on device"
    assert refused(tmp_path, content, says, "m.pkl")
    full[0] = 1  # the second copy is what lies inside the compression
    assert refused(tmp_path, gzip.compress(content), says, "m.pkl.gz")


def test_what_is_left_out_is_counted_beyond_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_tensors, "_MOST_LEFT_OUT", 3)
    found = laid_out(tmp_path, {str(n): {n} for n in range(8)})
    assert found.facts()["left_out"] == [*((str(n), "is a set") for n in range(3)), ("", "and 5 more")]


def test_a_value_with_something_beside_it_is_walked(tmp_path: Path) -> None:
    found = sandbox_tensors.Contents({"a": Beside({"n": 1}, "attributes set on it: x")})
    assert (found.left_out, found.values) == ([("a", "attributes set on it: x")], {"": {"a": {"n": 1}}})
    with pytest.raises(Refused, match=r"a torch\.device that is none"):
        laid_out(tmp_path, {"d": Call("torch", "device", (b"cuda",))})
    assert laid_out(tmp_path, {"d": Call("torch", "device", ("cuda", 1))}).values == {"": {"d": "cuda:1"}}

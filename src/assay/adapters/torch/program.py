"""What a `.pt2` file of `torch.export.save` holds: its graph and raw weights, read by us; no pickle in it is opened.

`torch.export.load` (torch 2.13) is not safe for files of others: it unpickles sample inputs (`weights_only=True`, and
on failure `False`), weights and constants marked `use_pickle`, and custom objects; it evaluates size expressions
(`sympy.sympify`), looks operators up by any dotted name below `torch`, and makes Python code of names. So it is never
called: the archive is read here, within bounds, and `run` runs its operators one by one.
"""

from __future__ import annotations

import io
import math
import re
from typing import Any, NamedTuple

import msgspec

from assay.core.errors import CouldNotLook
from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.archives.zip_reader import ZipArchive
from assay.formats.reading import Limits

EXPORT = (
    "save it as a program: torch.export.save(torch.export.export(model.eval(), (example,), "
    'dynamic_shapes=({0: torch.export.Dim("n")},)), "model.pt2"), or convert it to ONNX'
)
"""What to do with a torch file of another kind."""
MAX_GRAPH = 64 << 20
MAX_MEMBERS = 10_000
MAX_STEPS = 20_000
MAX_ROWS = 65_536
MAJOR = 8
ITEM = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2}
"""Bytes of a number, by torch's code of its type: uint8, int8, int16, int32, int64, half, float, double, bool and
bfloat16."""
_NUMBERS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
_READ = ("models/", "data/weights/", "data/constants/", "archive_format", "byteorder")
_PICKLE = b"\x80"
_SYMBOL = re.compile(r"(?:Symbol\('(\w{1,40})'[^()]*\)|(\w{1,40}))\Z")
_MOST_INT = (1 << 63) - 1


class Named(NamedTuple):
    """What an earlier step, a weight or the input gave: a tensor, or a whole number such as a size."""

    name: str


class Told(NamedTuple):
    """An argument that is a constant of torch's own: `kind` is dtype, device, layout or memory; `code` its number."""

    kind: str
    code: int = 0


class Step(NamedTuple):
    """One operator: `target` as the file names it, its arguments by name, and the names of what it gives."""

    target: str
    inputs: dict[str, Any]
    outputs: tuple[str, ...]

    def reads(self) -> list[str]:
        """The names that it takes."""
        parts = [v for value in self.inputs.values() for v in (value if isinstance(value, list) else [value])]
        return [part.name for part in parts if isinstance(part, Named)]


class Stored(NamedTuple):
    """A weight: numbers of type `kind` (a key of ITEM) in the bytes of `member`, strided and offset in numbers."""

    member: str
    kind: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


class Program(NamedTuple):
    """A program of one tensor in (n, width) and one out.

    `members` are raw bytes, `weights` lie in them. `batch` is the only n that it takes, None where n is free from
    `least` to `most`; `width` is None where it is free too. `sizes` are what the file says of its tensors, None for a
    size that varies: a hint, nothing to rely on.
    """

    steps: tuple[Step, ...]
    members: dict[str, bytes]
    weights: dict[str, Stored]
    entry: str
    kind: int
    width: int | None
    batch: int | None
    least: int
    most: int
    output: str
    sizes: dict[str, tuple[int | None, ...]]


class _Meta(msgspec.Struct):
    dtype: int
    sizes: list[dict[str, Any]]
    strides: list[dict[str, Any]] = []
    storage_offset: dict[str, Any] = {}


class _Input(msgspec.Struct):
    name: str
    arg: dict[str, Any]


class _Node(msgspec.Struct):
    target: str
    inputs: list[_Input]
    outputs: list[dict[str, Any]]


class _Graph(msgspec.Struct):
    nodes: list[_Node]
    tensor_values: dict[str, _Meta]


class _Signature(msgspec.Struct):
    input_specs: list[dict[str, Any]]
    output_specs: list[dict[str, Any]]


class _Module(msgspec.Struct):
    graph: _Graph
    signature: _Signature


class _Range(msgspec.Struct):
    min_val: int | None = None
    max_val: int | None = None


class _Version(msgspec.Struct):
    major: int
    minor: int


class _Exported(msgspec.Struct):
    graph_module: _Module
    schema_version: _Version
    range_constraints: dict[str, _Range] = {}


class _Payload(msgspec.Struct):
    path_name: str
    use_pickle: bool = False
    tensor_meta: _Meta | None = None


class _Payloads(msgspec.Struct):
    config: dict[str, _Payload]


def read_program(content: bytes, where: str) -> Program:
    """The program of a `.pt2` file. Raises CouldNotLook: torn, hostile, another kind of torch file, or not of one
    tensor in and one out."""
    members = _members(content, where)
    name = _model_of(members, where)
    exported = _decoded(members[f"models/{name}.json"], _Exported, where)
    if exported.schema_version.major != MAJOR:
        version = f"{exported.schema_version.major}.{exported.schema_version.minor}"
        raise CouldNotLook(f"{where}: was written in format {version} of torch.export; {MAJOR} is read: {EXPORT}")
    payloads: dict[str, Stored] = {}
    for kind in ("weights", "constants"):
        config = members.get(f"data/{kind}/{name}_{kind}_config.json")
        if config is None:
            raise CouldNotLook(
                f"{where}: lacks the list of its {kind}: it is torn, or an older torch wrote it: {EXPORT}"
            )
        for key, one in _decoded(config, _Payloads, where).config.items():
            payloads[f"{kind} {key}"] = _stored(one, f"data/{kind}/", members, where)
    try:
        return _program(exported, members, payloads, where)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CouldNotLook(f"{where}: its graph contradicts itself ({type(error).__name__})") from None


def _members(content: bytes, where: str) -> dict[str, bytes]:
    """The archive's members by their path below its folder, all but pickles. Raises CouldNotLook."""
    if not content.startswith(b"PK"):
        raise CouldNotLook(f"{where}: {_kind_of({'data.pkl': b''} if content[:1] == _PICKLE else {})}: {EXPORT}")
    archive = ZipArchive(
        io.BytesIO(content), Limits(max_members=MAX_MEMBERS, max_unpacked=len(content), check_all=True)
    )
    found: dict[str, bytes] = {}
    left, odd = len(content), list[str]()
    try:
        for member in archive.members():
            name = member.name.partition("/")[2] or member.name
            left -= member.size
            if member.file is None or not member.stored:
                odd.append(f"{member.name[:60]} {member.problem or 'is compressed, which torch does not do'}")
            elif left < 0 or name in found:
                odd.append(f"{member.name[:60]} {'lies over others' if left < 0 else 'is there twice'}")
            # What is not read cannot run: pickles above all.
            read = name.startswith(_READ) and member.file is not None and not odd
            found[name] = member.file.read(member.size) if read and member.file is not None else b""
            if member.file is not None:
                member.file.close()
    except (OSError, ValueError) as error:
        raise CouldNotLook(f"{where}: is torn or no torch program ({type(error).__name__}): {EXPORT}") from None
    odd += [*archive.gaps, *(n.message for n in archive.notes if n.severity.rank >= Severity.MEDIUM.rank)]
    if "archive_format" not in found and not any(name.startswith("models/") for name in found):
        raise CouldNotLook(f"{where}: {_kind_of(found)}: {EXPORT}")
    if odd:
        raise CouldNotLook(f"{where}: is torn, or not as torch writes it: {visible(odd[0], 160)}")
    return found


def _model_of(members: dict[str, bytes], where: str) -> str:
    """The name of the one program in an archive. Raises CouldNotLook for any other torch file, by what it is."""
    if members.get("archive_format") != b"pt2":
        raise CouldNotLook(f"{where}: {_kind_of({})}: {EXPORT}")
    if any(name.startswith("data/aotinductor/") for name in members):
        raise CouldNotLook(f"{where}: holds compiled code (AOTInductor), which is not run here: {EXPORT}")
    models = [n for n in members if n.startswith("models/") and n.endswith(".json")]
    if len(models) != 1:
        raise CouldNotLook(f"{where}: holds {len(models)} programs, not one: {EXPORT}")
    if members.get("byteorder", b"little") != b"little":
        raise CouldNotLook(f"{where}: its numbers are not little-endian: {EXPORT}")
    return models[0].removeprefix("models/").removesuffix(".json")


def _kind_of(members: dict[str, bytes]) -> str:
    """What kind of torch file an archive is, if no program."""
    if "data.pkl" in members and any(name.startswith("code/") for name in members):
        return "is TorchScript (torch.jit.save), which carries code of its own and is not run here"
    if "data.pkl" in members:
        return (
            "is a pickle of torch.save (a module or a state dict), which is not opened: it runs code, or has no layers"
        )
    return "is no program of torch.export.save (torch 2.9 or later)"


def _decoded(data: bytes, kind: type[Any], where: str) -> Any:
    if len(data) > MAX_GRAPH:
        raise CouldNotLook(f"{where}: its graph takes {len(data):,} bytes; at most {MAX_GRAPH:,} are read")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise CouldNotLook(
            f"{where}: its graph or the list of its weights is torn, or not as torch writes it"
        ) from None


def _stored(one: _Payload, folder: str, members: dict[str, bytes], where: str) -> Stored:
    """A weight, within the bytes that it says it is in. Raises CouldNotLook."""
    if one.use_pickle or one.tensor_meta is None or not one.path_name.startswith(("weight_", "tensor_")):
        raise CouldNotLook(f"{where}: holds a weight or constant as a pickle, which is not opened: {EXPORT}")
    meta, member = one.tensor_meta, folder + one.path_name
    data, item = members.get(member), ITEM.get(meta.dtype)
    if data is None or item is None:
        what = "is not there" if data is None else f"holds numbers of type {meta.dtype}, which are not read"
        raise CouldNotLook(f"{where}: {visible(member, 60)} {what}")
    try:
        sizes, strides = (tuple(_whole(v) for v in part) for part in (meta.sizes, meta.strides))
        offset = _whole(meta.storage_offset)
    except (KeyError, ValueError):
        raise CouldNotLook(f"{where}: {visible(member, 60)} has no plain sizes") from None
    held, count = len(data) // item, math.prod(sizes)
    last = offset + sum((n - 1) * s for n, s in zip(sizes, strides, strict=False)) if count else 0
    if len(sizes) != len(strides) or len(sizes) > 8 or count > held or last >= max(held, 1):
        raise CouldNotLook(f"{where}: {visible(member, 60)} is torn: fewer numbers in it than its sizes say")
    return Stored(member, meta.dtype, sizes, strides, offset)


def _whole(value: dict[str, Any]) -> int:
    """A size that is one number. Raises KeyError, ValueError."""
    number = value["as_int"]
    if type(number) is not int or not 0 <= number < _MOST_INT:
        raise ValueError("size")
    return number


def _program(exported: _Exported, members: dict[str, bytes], payloads: dict[str, Stored], where: str) -> Program:
    graph, signature = exported.graph_module.graph, exported.graph_module.signature
    if len(graph.nodes) > MAX_STEPS:
        raise CouldNotLook(f"{where}: has {len(graph.nodes):,} operators; at most {MAX_STEPS:,} are run")
    weights, entries = {}, []
    for spec in signature.input_specs:
        ((kind, told),) = spec.items()
        if kind == "user_input":
            entries.append(_one(told["arg"], where, "takes"))
        elif kind in ("parameter", "buffer", "tensor_constant"):
            key = f"constants {told[f'{kind}_name']}"
            weights[told["arg"]["name"]] = payloads.get(key) or payloads[f"weights {told[f'{kind}_name']}"]
        else:
            raise CouldNotLook(f"{where}: takes a {visible(kind, 40)}; one tensor (rows, columns) is filled here")
    if any(kind != "user_output" for spec in signature.output_specs for kind in spec):
        raise CouldNotLook(f"{where}: changes its weights or inputs while it answers: export it after model.eval()")
    outputs = [_one(spec["user_output"]["arg"], where, "gives") for spec in signature.output_specs]
    for what, names in (("takes", entries), ("gives", outputs)):
        if len(names) != 1:
            raise CouldNotLook(f"{where}: {what} {len(names)} tensors; programs of one in and one out are run here")
    steps = tuple(_step(node, where) for node in graph.nodes)
    known = {*weights, *entries}
    for step in steps:
        if not known.issuperset(step.reads()) or not known.isdisjoint(step.outputs):
            raise CouldNotLook(f"{where}: its graph is torn: a name is used before it is given, or given twice")
        known.update(step.outputs)
    if outputs[0] not in known:
        raise CouldNotLook(f"{where}: its graph is torn: nothing gives its output")
    sizes = {name: tuple(_size(s) for s in meta.sizes) for name, meta in graph.tensor_values.items()}
    meta = graph.tensor_values[entries[0]]
    if len(meta.sizes) != 2:
        raise CouldNotLook(f"{where}: takes a tensor of {len(meta.sizes)} dimensions; (rows, columns) is filled here")
    batch, width = sizes[entries[0]]
    if width == 0 or batch == 0:
        raise ValueError("no rows")
    least, most = (batch, batch) if batch is not None else _free(meta.sizes[0], exported.range_constraints, where)
    if least > MAX_ROWS:
        raise CouldNotLook(f"{where}: takes no fewer than {least:,} rows at once; at most {MAX_ROWS:,} are given")
    return Program(
        steps, members, weights, entries[0], meta.dtype, width, batch, max(1, least), most, outputs[0], sizes
    )


def _one(argument: dict[str, Any], where: str, does: str) -> str:
    """The name of an input or output that is a tensor."""
    ((kind, told),) = argument.items()
    if kind != "as_tensor":
        raise CouldNotLook(f"{where}: {does} a {visible(kind.removeprefix('as_'), 40)} that is no tensor")
    return str(told["name"])


def _size(value: dict[str, Any]) -> int | None:
    return _whole(value) if "as_int" in value else None


def _free(value: dict[str, Any], ranges: dict[str, _Range], where: str) -> tuple[int, int]:
    """(least, most) rows at once, of a number of rows that is free."""
    symbol = _SYMBOL.match(value["as_expr"]["expr_str"])
    if symbol is None:
        raise CouldNotLook(f"{where}: takes a number of rows that is a formula; export it with one free dimension")
    found = ranges.get(symbol[1] or symbol[2], _Range())
    least, most = found.min_val or 1, found.max_val or _MOST_INT
    if not 0 <= least <= most:
        raise ValueError("range")
    return least, most


def _step(node: _Node, where: str) -> Step:
    inputs = {one.name: _argument(one.arg, node.target, where) for one in node.inputs}
    if len(inputs) != len(node.inputs):
        raise ValueError("an argument twice")
    outputs: list[str] = []
    for one in node.outputs:
        ((kind, told),) = one.items()
        if kind == "as_tensor":
            outputs.append(told["name"])
        elif kind == "as_tensors":
            outputs += [part["name"] for part in told]
        elif kind in ("as_sym_int", "as_sym_bool", "as_sym_float"):
            outputs.append(told["as_name"])
        elif kind != "as_none":
            raise _odd(node.target, kind, where)
    if not all(isinstance(name, str) for name in outputs):
        raise TypeError("names")
    return Step(node.target, inputs, tuple(outputs))


def _argument(value: dict[str, Any], target: str, where: str) -> Any:
    """An argument as a plain value, Named, Told, or a list of them."""
    ((kind, told),) = value.items()
    if kind == "as_none":
        return None
    if kind == "as_tensor":
        return Named(told["name"])
    if kind == "as_tensors":
        return [Named(one["name"]) for one in told]
    if kind in ("as_sym_int", "as_sym_bool", "as_sym_float"):
        return _symbolic(told)
    if kind == "as_sym_ints":
        return [_symbolic(one) for one in told]
    if kind == "as_optional_tensors":
        return [Named(one["as_tensor"]["name"]) if "as_tensor" in one else None for one in told]
    if kind == "as_optional_tensor":
        return Named(told["as_tensor"]["name"]) if "as_tensor" in told else None
    if kind in ("as_scalar_type", "as_memory_format"):
        return Told("dtype" if kind == "as_scalar_type" else "memory", _plain(told, int))
    if kind in ("as_device", "as_layout"):
        return Told(kind.removeprefix("as_"))
    plain = {"as_int": int, "as_float": float, "as_bool": bool, "as_string": str}
    if kind in plain:
        return _plain(told, plain[kind])
    if kind in ("as_ints", "as_floats", "as_bools"):
        return [_plain(one, plain[kind[:-1]]) for one in told]
    raise _odd(target, kind, where)


def _symbolic(value: dict[str, Any]) -> Any:
    ((kind, told),) = value.items()
    return Named(told) if kind == "as_name" else _plain(told, {"as_int": int, "as_bool": bool, "as_float": float}[kind])


def _plain(value: Any, kind: type) -> Any:
    """A number, truth value or text of the kind that it says it is. Raises ValueError, TypeError."""
    if kind is float:
        value = _NUMBERS.get(value, value) if isinstance(value, str) else value
        return float(value) if type(value) in (int, float) else _wrong()
    long = isinstance(value, str) and len(value) > 1000
    large = isinstance(value, int) and abs(value) > _MOST_INT
    return _wrong() if type(value) is not kind or long or large else value


def _wrong() -> Any:
    raise ValueError("an argument of another kind than it says")


def _odd(target: str, kind: str, where: str) -> CouldNotLook:
    what = f"gives {visible(target, 60)} a {visible(kind.removeprefix('as_'), 40)}"
    return CouldNotLook(f"{where}: {what}, which is not run here; convert it to ONNX")

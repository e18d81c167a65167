"""Attack shapes: the same few calls written with unusual opcodes, memo tricks, streams of pickles and torn ends."""

from __future__ import annotations

import struct

from judge_kit import ECHO, Folder, blob, call, evil, instance, name, reduce, text, torch_zip, whole

SYSTEM = b"cos\nsystem\n"
COMMAND = text(ECHO)
ARGS = b"(" + COMMAND + b"t"
QUOTED = f"S'{ECHO}'\n".encode()


def short(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def frame(code: bytes, length: int | None = None) -> bytes:
    """FRAME with its own or a wrong length."""
    return b"\x95" + struct.pack("<Q", len(code) if length is None else length) + code


def protocols() -> dict[str, bytes]:
    """os.system once in each protocol's own idiom."""
    four = short("os") + b"\x94" + short("system") + b"\x94\x93\x94" + short(ECHO) + b"\x94\x85\x94R\x94."
    return {
        "protocol-0": b"cos\nsystem\np0\n(" + QUOTED + b"p1\ntp2\nRp3\n.",
        "protocol-0-unicode": b"cos\nsystem\n(V" + ECHO.encode() + b"\ntR.",
        "protocol-1": b"cos\nsystem\nq\x00(U" + bytes([len(ECHO)]) + ECHO.encode() + b"q\x01tq\x02Rq\x03.",
        "protocol-2": b"\x80\x02" + SYSTEM + COMMAND + b"\x85R.",
        "protocol-3": b"\x80\x03" + SYSTEM + b"q\x00" + COMMAND + b"q\x01\x85q\x02Rq\x03.",
        "protocol-4": b"\x80\x04" + frame(four),
        "protocol-5": b"\x80\x05" + frame(four),
        "inst": b"(" + QUOTED + b"ios\nsystem\n.",
        "obj": b"(cos\nsystem\n" + QUOTED + b"o.",
        "newobj": whole(name("subprocess", "Popen") + b"(](" + text("echo") + text("assay-test") + b"et\x81"),
        "newobj-ex": whole(name("subprocess", "Popen") + b")}" + text("args") + text(ECHO) + b"s\x92"),
        "build-setstate": whole(
            name("types", "SimpleNamespace") + b")\x81}" + text("__setstate__") + SYSTEM + b"sb" + COMMAND + b"b"
        ),
        "build-slots": whole(
            instance("types", "SimpleNamespace") + b"N}" + text("__setstate__") + SYSTEM + b"s\x86b" + COMMAND + b"b"
        ),
        "escaped-string-names": b"S'\\x6f\\x73'\nS'\\x73ystem'\n\x93(" + QUOTED + b"tR.",
        "escaped-unicode-names": b"\x80\x04V\\u006f\\u0073\nV\\u0073ystem\n\x93(" + QUOTED + b"tR.",
        "binunicode8-names": b"\x80\x04\x8d"
        + struct.pack("<Q", 2)
        + b"os\x8d"
        + struct.pack("<Q", 6)
        + b"system\x93"
        + ARGS
        + b"R.",
        "python2-alias": b"c__builtin__\napply\n(cposix\nsystem\n(" + QUOTED + b"ltR.",
    }


def machine() -> dict[str, bytes]:
    """Stack, memo, extension-registry, buffer and persistent-id tricks."""
    register = call("copyreg", "add_extension", "os", "system", 240)
    halves = reduce(name("operator", "add"), text("sys"), text("tem"))
    joined = reduce(name("builtins", "str.join"), text(""), b"](" + text("sys") + text("tem") + b"e")
    return {
        "memo-after-pop": whole(SYSTEM + b"q\x050h\x05" + ARGS + b"R"),
        "memo-overwrite": whole(name("collections", "OrderedDict") + b"q\x010" + SYSTEM + b"q\x010h\x01" + ARGS + b"R"),
        "memo-memoize": whole(SYSTEM + b"\x940h\x00" + ARGS + b"R"),
        "memo-long": whole(SYSTEM + b"r\xff\xff\x00\x000j\xff\xff\x00\x00" + ARGS + b"R"),
        "memo-text-underscore": whole(SYSTEM + b"p1_0\n0g10\n" + ARGS + b"R", 2),
        "memo-text-zeros": whole(SYSTEM + b"p0007\n0h\x07" + ARGS + b"R", 2),
        "memo-of-name-parts": whole(text("os") + b"q\x000" + text("system") + b"q\x010h\x00h\x01\x93" + ARGS + b"R"),
        "dup": whole(SYSTEM + b"2" + ARGS + b"R0"),
        "pop-mark": whole(b"(" + SYSTEM + b"q\x00K\x011h\x00" + ARGS + b"R"),
        "extension-1": whole(register + b"0\x82\xf0" + ARGS + b"R"),
        "extension-2": whole(call("copyreg", "add_extension", "os", "system", 600) + b"0\x83\x58\x02" + ARGS + b"R"),
        "extension-4": whole(
            call("copyreg", "add_extension", "os", "system", 70000) + b"0\x84\x70\x11\x01\x00" + ARGS + b"R"
        ),
        "extension-unregistered": whole(b"\x82\x07" + ARGS + b"R"),
        "dotted-through-json": whole(call("json", "codecs.builtins.eval", "1+1")),
        "dotted-through-numpy": whole(call("numpy", "os.system", ECHO)),
        "dotted-through-torch": whole(call("torch", "os.system", ECHO)),
        "dotted-through-collections": whole(call("collections", "_sys.modules.get", "os")),
        "dotted-method": whole(call("pathlib", "Path.unlink", None)),
        "dotted-subclasses": whole(call("builtins", "object.__subclasses__")),
        "dotted-globals": whole(call("logging", "Logger.__init__.__globals__.get", "os")),
        "name-by-addition": whole(text("os") + halves + b"\x93" + ARGS + b"R"),
        "name-by-join": whole(text("os") + joined + b"\x93" + ARGS + b"R"),
        "module-by-call": whole(call("builtins", "str", "os") + text("system") + b"\x93" + ARGS + b"R"),
        "name-by-persistent-id": whole(b"Pmodule\n" + text("system") + b"\x93" + ARGS + b"R"),
        "persistent-id-of-call": whole(reduce(SYSTEM, COMMAND) + b"Q"),
        "out-of-band-buffer": whole(b"\x97\x98" + b"0" + reduce(SYSTEM, COMMAND), 5),
        "bytearray-nested": whole(
            reduce(name("pickle", "loads"), b"\x96" + struct.pack("<Q", len(evil())) + evil()), 5
        ),
        "frames-that-overlap": b"\x80\x04" + frame(SYSTEM[:4], 4) + SYSTEM[4:] + ARGS + b"R.",
        "frame-of-nothing": b"\x80\x04" + frame(b"", 0) + SYSTEM + ARGS + b"R.",
        "second-proto": whole(b"\x80\x02" + SYSTEM + b"\x80\x05" + ARGS + b"R"),
        "call-in-dict-key": whole(b"}(" + reduce(SYSTEM, COMMAND) + b"K\x01u"),
        "call-in-set": whole(b"\x8f(" + reduce(SYSTEM, COMMAND) + b"\x90"),
        "call-in-frozenset": whole(b"(" + reduce(SYSTEM, COMMAND) + b"\x91"),
        "call-dropped": whole(reduce(SYSTEM, COMMAND) + b"0N"),
        "deep-marks": whole(b"(" * 5000 + reduce(SYSTEM, COMMAND) + b"t" * 5000),
        "after-many-opcodes": whole(b"N0" * 150_000 + reduce(SYSTEM, COMMAND)),
        "long-line": b"V" + b"a" * 300_000 + b"\n0" + SYSTEM + ARGS + b"R.",
        "cycle-then-call": whole(b"]q\x00h\x00a0" + reduce(SYSTEM, COMMAND)),
        "unicode-lookalike-after": whole(name("оs", "system") + b"0" + reduce(SYSTEM, COMMAND)),
    }


def streams() -> dict[str, Folder]:
    """Several pickles in one file, and pickles after something else."""
    good = whole(b"K\x01", 2)
    many = good * 30
    four = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03." + whole(
        b"}" + text("little_endian") + b"\x88s", 2
    )
    return {
        "second-pickle": {"model.pkl": good + evil(2)},
        "second-after-junk": {"model.pkl": good + b"\x00\xff junk \xfe" * 9 + evil(2)},
        "second-after-line": {"model.pkl": good + b"\n" + evil(2)},
        "thirty-first": {"model.pkl": many + evil()},
        "after-text-prefix": {"model.pkl": b"# model weights, version 2\n" + evil()},
        "after-nulls": {"model.pkl": b"\x00" * 64 + evil()},
        "legacy-torch-first": {"model.pt": evil(2) + four},
        "legacy-torch-fourth": {"model.pt": four + evil(2) + whole(b"]", 2)},
        "legacy-torch-fifth": {"model.pt": four + whole(b"}", 2) + evil(2)},
        "legacy-torch-third": {"model.bin": four[: four.index(b"little") - 9] + evil(2) + whole(b"}", 2)},
    }


def torn() -> dict[str, Folder]:
    """The call happens, then the bytes stop making sense."""
    called = evil()[:-1]
    zipped = torch_zip(evil(2))
    return {
        "no-stop": {"model.pkl": called},
        "half-a-string": {"model.pkl": called + b"X\xff\x00\x00\x00abc"},
        "unknown-opcode": {"model.pkl": called + b"\xff\xff\xff"},
        "empty-stack": {"model.pkl": called + b"000."},
        "frame-too-long": {"model.pkl": called + b"\x95\xff\xff\x00\x00\x00\x00\x00\x00N."},
        "bad-memo": {"model.pkl": called + b"h\xfe."},
        "bad-utf8": {"model.pkl": called + b"\x8c\x02\xff\xfe."},
        "torch-zip-cut": {"model.pt": zipped[: len(zipped) - 30]},
        "torch-zip-no-directory": {"model.pt": zipped[: zipped.index(b"PK\x01\x02")]},
        "good-beside-torn": {"a.pkl": whole(b"K\x01"), "b.pkl": called + b"\xff"},
    }


def nested() -> dict[str, Folder]:
    """Loaders called by a pickle, with the inner bytes at hand or in a file beside it."""
    import base64
    import zlib

    raw = blob(evil(2))
    stream = reduce(name("_io", "BytesIO"), raw)
    packed = reduce(name("zlib", "decompress"), blob(zlib.compress(evil(2))))
    encoded = reduce(name("base64", "b64decode"), blob(base64.b64encode(evil(2))))
    hexed = reduce(name("_codecs", "decode"), text(evil(2).hex()), text("hex"))
    latin = reduce(name("_codecs", "encode"), text(evil(2).decode("latin-1")), text("latin1"))
    inner = {
        "pickle-loads": reduce(name("pickle", "loads"), raw),
        "c-pickle-loads": reduce(name("_pickle", "loads"), raw),
        "python2-cpickle": reduce(name("cPickle", "loads"), raw),
        "dill-loads": reduce(name("dill", "loads"), raw),
        "cloudpickle-loads": reduce(name("cloudpickle", "loads"), raw),
        "joblib-load-stream": reduce(name("joblib.numpy_pickle", "load"), stream),
        "numpy-load-stream": reduce(name("numpy", "load"), stream, b"N", b"\x88"),
        "pandas-read-pickle": reduce(name("pandas", "read_pickle"), stream),
        "pandas-compat-loads": reduce(name("pandas.compat.pickle_compat", "loads"), raw),
        "torch-load-stream": reduce(name("torch.serialization", "load"), stream),
        "torch-storage-bytes": reduce(name("torch.storage", "_load_from_bytes"), blob(torch_zip(evil(2)))),
        "torch-storage-legacy": reduce(name("torch.storage", "_load_from_bytes"), raw),
        "torch-config": reduce(name("torch.utils._config_module", "load_config"), raw),
        "marshal": reduce(name("marshal", "loads"), blob(b"\xe3\x00\x00\x00")),
        "zlib-then-loads": reduce(name("pickle", "loads"), packed),
        "base64-then-loads": reduce(name("pickle", "loads"), encoded),
        "hex-then-loads": reduce(name("pickle", "loads"), hexed),
        "latin1-then-loads": reduce(name("pickle", "loads"), latin),
        "three-deep": reduce(
            name("pickle", "loads"),
            blob(whole(reduce(name("pickle", "loads"), blob(whole(reduce(name("dill", "loads"), raw)))))),
        ),
        "unpickler-load": reduce(name("pickle", "Unpickler.load"), reduce(name("pickle", "Unpickler"), stream)),
        "cached-bytes": b"}" + text("weights") + raw + b"s",
    }
    beside = {
        "joblib-beside": (reduce(name("joblib", "load"), text("inner.joblib")), "inner.joblib"),
        "numpy-beside": (reduce(name("numpy", "load"), text("inner.npy"), b"N", b"\x88"), "inner.npy"),
        "shelve-beside": (reduce(name("shelve", "open"), text("inner.db")), "inner.db"),
        "torch-beside": (reduce(name("torch", "load"), text("weights.dat")), "weights.dat"),
    }
    folders = {k: {"model.pkl": whole(v)} for k, v in inner.items() if k != "cached-bytes"}
    return {**folders, **{k: {"model.pkl": whole(v), other: evil(2)} for k, (v, other) in beside.items()}}


def shapes() -> dict[str, Folder]:
    """Opcode tricks, streams, nested loaders and torn files."""
    plain = {f"pickle-opcode--{k}": {"model.pkl": v} for k, v in {**protocols(), **machine()}.items()}
    groups = {"pickle-stream": streams(), "torn": torn(), "pickle-nested": nested()}
    return plain | {f"{kind}--{k}": v for kind, found in groups.items() for k, v in found.items()}

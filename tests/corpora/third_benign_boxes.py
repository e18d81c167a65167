"""Third judge, benign: archives and compressed files as ordinary tools write them, and small binary files."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib

from judge_kit import Folder, npy, tarred, weights, zipped

ROWS = b"id,text,label\n1,hello,ham\n2,ignore this,spam\n"
PLAIN = pickle.dumps({"coef": [0.1, 0.2], "classes": ("a", "b")}, 4)


class Pipe(io.BytesIO):
    """A stream that can't seek: zipfile then writes data descriptors."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError


def streamed(files: dict[str, bytes], *, big: bool = False) -> bytes:
    """A zip written to a pipe, or with forced zip64 fields."""
    out = io.BytesIO() if big else Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            info = zipfile.ZipInfo(path, (2024, 6, 1, 12, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=big) as member:
                member.write(data)
    return out.getvalue()


def with_folders(comment: bytes = b"") -> bytes:
    """A zip with folder entries, a comment, and Unix extra fields."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in ("data/", "data/train/", "data/train/a.csv"):
            info = zipfile.ZipInfo(path, (2023, 1, 2, 3, 4, 6))
            info.external_attr = (0o40755 << 16 | 16) if path.endswith("/") else 0o100644 << 16
            info.extra = struct.pack("<HHBI", 0x5455, 5, 1, 1672628646)
            info.extra += struct.pack("<HHBBIBI", 0x7875, 11, 1, 4, 501, 4, 20)
            archive.writestr(info, b"" if path.endswith("/") else ROWS)
        archive.comment = comment
    return out.getvalue()


def tree(fmt: int, *, links: bool = False, pax: dict[str, str] | None = None) -> bytes:
    """A tar as GNU tar, bsdtar or Python writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as archive:
        folder = tarfile.TarInfo("./model")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        info = tarfile.TarInfo("./model/weights-" + "v" * 90 + ".safetensors")
        info.size, info.uname, info.mtime = len(weights()), "ml", 1717243200
        info.pax_headers = pax or {}
        archive.addfile(info, io.BytesIO(weights()))
        if links:
            link = tarfile.TarInfo("./model/latest.safetensors")
            link.type, link.linkname = tarfile.SYMTYPE, info.name.rsplit("/", 1)[1]
            archive.addfile(link)
    return out.getvalue()


def png() -> bytes:
    """A one-pixel picture with a text field."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    text = chunk(b"tEXt", b"Software\0Matplotlib version3.9.0, https://matplotlib.org/")
    return b"\x89PNG\r\n\x1a\n" + head + text + chunk(b"IDAT", zlib.compress(b"\0\x7f")) + chunk(b"IEND", b"")


def shapes() -> dict[str, Folder]:
    """Every file."""
    mac = {
        "photos/a.png": png(),
        "__MACOSX/photos/._a.png": b"\0\x05\x16\x07\0\x02\0\0Mac OS X" + bytes(40),
        "photos/.DS_Store": b"\0\0\0\x01Bud1" + bytes(20),
    }
    wheel = {
        "tiny_ml/__init__.py": b'"""Tiny."""\n\n__version__ = "1.0"\n',
        "tiny_ml-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-ml\nVersion: 1.0\nRequires-Dist: numpy\n",
        "tiny_ml-1.0.dist-info/WHEEL": (
            b"Wheel-Version: 1.0\nGenerator: hatchling 1.25.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        "tiny_ml-1.0.dist-info/RECORD": b"tiny_ml/__init__.py,,\n",
    }
    docx = {
        "[Content_Types].xml": b"<Types/>",
        "word/document.xml": b"<w:document><w:t>Never ignore the system</w:t></w:document>",
    }
    parts = gzip.compress(PLAIN[:20], mtime=0) + gzip.compress(PLAIN[20:], mtime=0)
    named = io.BytesIO()
    with gzip.GzipFile("features.pkl", "wb", fileobj=named, mtime=1717243200) as stream:
        stream.write(PLAIN)
    shards = {
        f"{n:06d}.{e}": (png() if e == "png" else json.dumps({"caption": f"c{n}"}).encode())
        for n in range(3)
        for e in ("png", "json")
    }
    member = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", struct.pack("<2d", 1, 2))
    made: dict[str, Folder] = {
        "zip--piped": {"data.zip": streamed({"train.csv": ROWS, "test.csv": ROWS})},
        "zip--zip64": {"data.zip": streamed({"train.csv": ROWS * 3}, big=True)},
        "zip--folders": {"data.zip": with_folders()},
        "zip--comment": {
            "release.zip": with_folders(b"Built by CI run 4711 (PK archives are fine). See README for the checksums.")
        },
        "zip--mac": {"photos.zip": zipped(mac)},
        "zip--wheel": {"tiny_ml-1.0-py3-none-any.whl": zipped(wheel, zipfile.ZIP_DEFLATED)},
        "zip--document": {"report.docx": zipped(docx, zipfile.ZIP_DEFLATED)},
        "zip--lzma": {"data.zip": zipped({"a.csv": ROWS * 20}, zipfile.ZIP_LZMA)},
        "zip--bzip2": {"data.zip": zipped({"a.csv": ROWS * 20}, zipfile.ZIP_BZIP2)},
        "zip--unicode": {"daten.zip": zipped({"Größe/データ.csv": ROWS, "ملف.txt": "مرحبا".encode()})},
        "zip--nested": {
            "kaggle.zip": zipped(
                {"train.zip": zipped({"train.csv": ROWS}), "sample_submission.csv": b"id,label\n1,0\n"}
            )
        },
        "zip--empty": {"empty.zip": zipped({})},
        "zip--empty-members": {"m.zip": zipped({"__init__.py": b"", "py.typed": b"", "a/.gitkeep": b""})},
        "zip--npz-like": {"arrays.npz": zipped({"mean.npy": member, "std.npy": member})},
        "zip--dots-inside": {"v.zip": zipped({"release..notes/v1...txt": b"ok\n", "a..b": b""})},
        "zip--twice-compressible": {"zeros.zip": zipped({"mask.bin": bytes(200_000)}, zipfile.ZIP_DEFLATED)},
        "tar--gnu": {"model.tar": tree(tarfile.GNU_FORMAT)},
        "tar--pax": {
            "model.tar": tree(tarfile.PAX_FORMAT, pax={"mtime": "1717243200.123", "SCHILY.xattr.user.note": "ok"})
        },
        "tar--ustar-gz": {"logs.tar.gz": gzip.compress(tarred({"a.log": b"ok\n"}), mtime=0)},
        "tar--own-link": {"model.tar": tree(tarfile.GNU_FORMAT, links=True)},
        "tar--xz": {"model.tar.xz": lzma.compress(tree(tarfile.GNU_FORMAT))},
        "tar--bz2": {"model.tar.bz2": bz2.compress(tree(tarfile.PAX_FORMAT))},
        "tar--webdataset": {"shard-000000.tar": tarred(shards)},
        "tar--sdist": {
            "tiny-1.0.tar.gz": gzip.compress(
                tarred(
                    {
                        "tiny-1.0/PKG-INFO": b"Name: tiny\n",
                        "tiny-1.0/setup.py": b"from setuptools import setup\n\nsetup()\n",
                    }
                ),
                mtime=0,
            )
        },
        "stream--gz-name": {"features.pkl.gz": named.getvalue()},
        "stream--gz-members": {"features.pkl.gz": parts},
        "stream--csv-gz": {"train.csv.gz": gzip.compress(ROWS * 50, mtime=0)},
        "stream--json-xz": {"meta.json.xz": lzma.compress(b'{"a": 1}')},
        "stream--lzma-alone": {"old.lzma": lzma.compress(PLAIN, format=lzma.FORMAT_ALONE)},
        "stream--jsonl-bz2": {"wiki.jsonl.bz2": bz2.compress(b'{"text": "rm -rf is a command"}\n' * 20)},
        "stream--zlib": {"cache.z": zlib.compress(PLAIN)},
        "media--picture": {
            "figures/roc.png": png(),
            "figures/roc.svg": (
                b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="2" height="2"/></svg>\n'
            ),
        },
        "media--sound": {
            "sample.wav": b"RIFF"
            + struct.pack("<I", 44)
            + b"WAVEfmt "
            + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
            + b"data"
            + struct.pack("<I", 8)
            + bytes(8)
        },
        "media--pdf": {
            "paper.pdf": (
                b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Co"
                b"unt 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
            )
        },
        "binary--index": {"vectors.bin": struct.pack("<II", 4, 2) + struct.pack("<8f", *range(8))},
        "binary--names": {"weights.dat": bytes(range(256)) * 4},
        "binary--empty": {"__init__.py": b"", "data/.gitkeep": b""},
        "binary--idx": {"t10k-labels.idx1-ubyte": struct.pack(">II", 0x801, 8) + bytes([7, 2, 1, 0, 4, 1, 4, 9])},
        "binary--sqlite": {"mlflow.db": b"SQLite format 3\0\x10\0\x01\x01\0\x40\x20\x20" + bytes(76) + bytes(3996)},
        "safetensors--metadata": {
            "lora.safetensors": weights(
                8,
                format="pt",
                ss_base_model="sd_v1-5",
                ss_network_args='{"conv_dim": 4}',
                note="Trained with os=linux; eval every 100 steps",
            )
        },
    }
    for protocol in range(6):
        value = {
            "name": f"protocol {protocol}",
            "numbers": list(range(30)),
            "nested": {"a": (1, 2.5, None, True)},
            "raw": b"\x80\x04.",
        }
        made[f"pickle--plain-{protocol}"] = {"params.pkl": pickle.dumps(value, protocol)}
    words = [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "cos\nsystem\n(S'id'\ntR.",
        "__reduce__",
        "rm -rf /",
        "exec(",
        "pickle.loads",
    ]
    made["pickle--words"] = {
        "vocabulary.pkl": pickle.dumps(words, 4),
        "bpe_merges.pickle": pickle.dumps({w: n for n, w in enumerate(words)}, 2),
    }
    return made

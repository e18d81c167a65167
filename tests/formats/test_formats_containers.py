"""Containers, compressed streams and npy headers: good, bad and torn ones, all within bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import formats_attacks as shapes
import pytest

from assay.formats.archives.inflate import Inflated
from assay.formats.artifact import ArtifactFacts, examine, safe_to_load
from assay.formats.reading import Limits

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def _look(data: bytes, name: str = "m.bin", **limits: Any) -> ArtifactFacts:
    return examine(io.BytesIO(data), name=name, limits=Limits(**limits))


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def _npy(descr: str, shape: str, data: bytes, version: int = 1) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = struct.pack("<H", len(header)) if version == 1 else struct.pack("<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + data


@pytest.mark.parametrize("kind", sorted(COMPRESSORS))
def test_compressed_pickles_are_read(kind: str) -> None:
    facts = _look(COMPRESSORS[kind](shapes.BENIGN), "m.joblib")
    assert facts.format.name == kind
    assert facts.complete, facts.reasons
    assert [stream.where for stream in facts.streams] == [kind]
    assert safe_to_load(facts) == []


@pytest.mark.parametrize("kind", sorted(COMPRESSORS))
def test_torn_compression_is_incomplete(kind: str) -> None:
    whole = COMPRESSORS[kind](shapes.proto(shapes.blob(bytes(range(256)) * 40)))
    facts = _look(whole[: len(whole) // 2], "m.joblib")
    assert not facts.complete
    assert facts.reasons


@pytest.mark.parametrize("kind", sorted(COMPRESSORS))
def test_a_bomb_ends_in_a_reason(kind: str) -> None:
    bomb = COMPRESSORS[kind](shapes.proto(b"N0" * 2_000_000 + b"N"))
    facts = _look(bomb, max_unpacked=1 << 20)
    assert not facts.complete
    assert "1048576 bytes" in facts.reasons[0]


@pytest.mark.parametrize("kind", sorted(COMPRESSORS))
def test_inflated_reads_and_seeks_like_the_whole(kind: str) -> None:
    plain = bytes(range(256)) * 2000
    file = Inflated(io.BytesIO(COMPRESSORS[kind](plain)), kind, 1 << 20)
    assert file.read(10) == plain[:10]
    assert file.seek(100_000) == 100_000
    assert file.read(7) == plain[100_000:100_007]
    assert file.seek(3) == 3
    assert file.read() == plain[3:]
    assert file.read(1) == b""


@pytest.mark.parametrize("magic", [b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"ZF0x10"])
def test_what_cannot_be_unpacked_here_is_incomplete(magic: bytes) -> None:
    facts = _look(magic + bytes(40))
    assert not facts.complete
    said = ("cannot be read", "pip install 'assay[archives]'")  # 7z is read only where its library is installed
    assert any(words in facts.reasons[0] for words in said)
    assert facts.format.container


def test_torch_zip_members_and_raw_tensors() -> None:
    raw = b"\x80\x02\xff" + bytes(61)
    facts = _look(_zip({"m/data.pkl": shapes.BENIGN, "m/data/0": raw, "m/version": b"3\n"}), "m.pt")
    assert facts.format.name == "torch-zip"
    assert facts.complete, facts.reasons
    assert [stream.where for stream in facts.streams] == ["m/data.pkl"]
    assert facts.members == ("m/data.pkl", "m/data/0", "m/version")


def test_deflated_members_are_read() -> None:
    facts = _look(_zip({"a.pkl": shapes.PLAIN}, zipfile.ZIP_DEFLATED))
    assert [fact.qualified for _, fact in facts.globals()] == ["os.system"]


def test_a_broken_member_does_not_hide_the_others() -> None:
    data = _zip({"a.bin": b"A" * 50, "b.pkl": shapes.PLAIN}).replace(b"A" * 50, b"B" * 50)
    facts = _look(data)
    assert [fact.qualified for _, fact in facts.globals()] == ["os.system"]
    assert [(note.where, str(note.severity)) for note in facts.notes] == [("a.bin", "high")]


@pytest.mark.parametrize("cut", [4, 30, 60, 90, 130])
def test_torn_archives_are_incomplete(cut: int) -> None:
    archive = _zip({"a.pkl": shapes.BENIGN})
    assert not _look(archive[:cut]).complete


def test_torn_tar_is_incomplete() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("a.pkl")
        info.size = 5000
        archive.addfile(info, io.BytesIO(shapes.proto(shapes.blob(bytes(4992)))))
    whole = out.getvalue()
    assert _look(whole).complete
    assert not _look(whole[:3000]).complete


def test_nesting_of_containers_is_bounded() -> None:
    data = shapes.PLAIN
    for _ in range(8):
        data = _zip({"inner.zip": data})
    facts = _look(data)
    assert not facts.complete
    assert "nested more than 5 deep" in facts.reasons[0]


@pytest.mark.parametrize("limits", [{"max_members": 3}, {"max_unpacked": 100}])
def test_members_and_their_bytes_are_bounded(limits: dict[str, Any]) -> None:
    facts = _look(_zip({f"{i}.bin": bytes(30) for i in range(10)}, zipfile.ZIP_DEFLATED), **limits)
    assert not facts.complete
    assert "more than" in facts.reasons[0]


@pytest.mark.parametrize(
    ("descr", "objects"),
    [
        ("'<f8'", False),
        ("'|O'", True),
        ("[('Only', '<f8')]", False),
        ("[('a', '<f8'), ('b', '|O')]", True),
        ("[('a', [('b', 'O')], (2,))]", True),
    ],
)
def test_npy_is_a_pickle_only_with_objects(descr: str, objects: bool) -> None:
    facts = _look(_npy(descr, "(2,)", shapes.PLAIN), "a.npy")
    assert facts.format.loads_code == objects
    assert bool(facts.streams) == objects


@pytest.mark.parametrize(
    "data",
    [
        _npy("'<f8'", "(4,)", bytes(31)),
        _npy("'<f8'", "(4,", bytes(32)),
        _npy("__import__('os')", "(4,)", b""),
        b"\x93NUMPY\x09\x00" + bytes(40),
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(40),
        b"\x93NUMPY\x01\x00\xff\xff{",
        _npy("'|O'", "(1,)", shapes.BENIGN[:-1]),
    ],
)
def test_torn_npy_is_incomplete(data: bytes) -> None:
    facts = _look(data, "a.npy")
    assert not facts.complete
    assert facts.reasons


def test_good_npy_and_npz() -> None:
    array = _npy("'<f8'", "(4,)", bytes(32), version=2)
    assert _look(array).complete
    facts = _look(_zip({"x.npy": array, "y.npy": array}))
    assert (facts.format.name, facts.format.loads_code, facts.complete) == ("npz", False, True)


@pytest.mark.parametrize("pack", ["gz", "bz2", "xz", "tar", "tar.gz", "gz.gz"])
def test_bytes_of_no_known_format_are_open_in_any_wrapper(pack: str) -> None:
    import bz2
    import gzip
    import lzma
    import tarfile

    data = bytes(5000)
    for step in pack.split("."):
        if step == "tar":
            made = io.BytesIO()
            with tarfile.open(fileobj=made, mode="w") as archive:
                info = tarfile.TarInfo("weights.bin")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            data = made.getvalue()
        else:
            data = {"gz": gzip, "bz2": bz2, "xz": lzma}[step].compress(data)
    assert any("no known format" in gap.reason for gap in examine(io.BytesIO(data), name=f"z.bin.{pack}").gaps)

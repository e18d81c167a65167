"""HDF5: Keras layers in attributes, pickles of PyTables and files outside are told; what is torn is never passed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import attack_files
import pytest
from hdf5_stored import dense
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.formats.artifact import ArtifactFacts, examine
from assay.formats.models.hdf5 import _attribute
from assay.formats.models.hdf5_dense import objects
from assay.formats.models.hdf5_file import Hdf5
from assay.formats.reading import Limits

LAMBDA = json.dumps(
    {"class_name": "Sequential", "config": {"layers": [attack_files.keras_configs()["lambda"]]}}
).encode()
PLAIN = json.dumps({"class_name": "Sequential", "config": {"layers": []}}).encode()


def look(data: bytes) -> ArtifactFacts:
    return examine(io.BytesIO(data), name="m.h5")


def test_layers_in_the_configuration_are_judged() -> None:
    facts = look(attack_files.hdf5({"model_config": LAMBDA, "keras_version": b"2.9.0"}))
    assert [(str(note.severity), note.where) for note in facts.notes] == [("critical", "/@model_config")]
    assert (facts.gaps, facts.measured[""]["keras_version"]) == ((), "2.9.0")
    assert look(attack_files.hdf5({"model_config": PLAIN})).notes == ()


def test_a_pickle_in_an_attribute_is_read_as_one() -> None:
    facts = look(attack_files.hdf5({"rows": attack_files.EVIL, "title": b"a table."}))
    assert [(fact.qualified, stream.where) for stream, fact in facts.globals()] == [("os.system", "/@rows")]


def test_configuration_that_breaks_off_is_open() -> None:
    facts = look(attack_files.hdf5({"model_config": LAMBDA[:-20]}))
    assert "Keras configuration that cannot be read" in facts.gaps[0].reason


def test_torn_files_are_open() -> None:
    whole = attack_files.hdf5({"model_config": PLAIN})
    for cut in range(9, len(whole) - 4):
        assert look(whole[:cut]).gaps, cut


def test_a_file_behind_other_bytes_is_found_where_hdf5_looks() -> None:
    facts = examine(
        io.BytesIO(b"words\n" * 90 + bytes(-540 % 1024) + attack_files.hdf5({"model_config": LAMBDA})), name="m.h5"
    )
    assert [str(note.severity) for note in facts.notes] == ["critical"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_files_end(data: Any) -> None:
    whole = bytearray(attack_files.hdf5({"model_config": PLAIN, "rows": b"cos\nsystem\n."}))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(8, len(whole) - 1))] = data.draw(st.integers(0, 255))
    facts = look(bytes(whole))
    assert facts.gaps or facts.asked


def test_real_files(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/er/numbers"] = [1.0, 2.0]
        file.create_dataset("packed", data=[[1.0] * 50] * 50, chunks=True, compression="gzip")
        file.attrs["model_config"] = LAMBDA.decode()
        objects = file.create_dataset("objects", (1,), dtype=h5py.vlen_dtype("u1"), chunks=(1,), maxshape=(None,))
        objects[0] = list(attack_files.EVIL)
        file["elsewhere"] = h5py.ExternalLink("/etc/hosts", "/a")
    facts = examine(tmp_path / "a.h5")
    assert {str(note.severity) for note in facts.notes} == {"critical", "high"}
    assert [fact.qualified for _, fact in facts.globals()] == ["os.system"]
    assert facts.measured[""]["tensors"] == 3
    with h5py.File(tmp_path / "b.h5", "w", libver="latest", track_order=True) as file:
        for i in range(30):
            file[f"g{i}"] = [i]
            file.attrs[f"a{i}"] = i
    facts = examine(tmp_path / "b.h5")
    assert (facts.gaps, facts.measured[""]["tensors"]) == ((), 30)


@pytest.mark.parametrize("name", ["FEW", "HUGE", "MANY"])
def test_links_and_attributes_stored_densely_are_read(name: str) -> None:
    facts = look(dense(name))
    assert facts.gaps == ()
    assert [(str(note.severity), note.where or note.key) for note in facts.notes] == [
        ("critical", "/@model_config"),
        ("high", "outside /out"),
    ]
    assert [fact.qualified for _, fact in facts.globals()] == ["os.system"]


@pytest.mark.parametrize("name", ["FEW", "HUGE", "MANY"])
def test_every_entry_of_an_index_is_found(name: str) -> None:
    file = Hdf5(io.BytesIO(dense(name)), Limits())
    kinds = {message.kind: message.data for message in file.messages(file.root)}
    links = {link.name for link in file.links(file.messages(file.root), objects)}
    count = {"FEW": 9, "HUGE": 0, "MANY": 160}[name]
    assert links == {"d", "payload", "out", *(f"l{i:04d}" for i in range(count))}
    place = 2 + 2 * (kinds[0x15][1] & 1)
    names = [_attribute(data)[0] for data in file.dense(kinds[0x15], place, objects)]
    count = {"FEW": 9, "HUGE": 9, "MANY": 60}[name]
    assert sorted(names) == sorted(["model_config", "rows", *(f"a{i:03d}" for i in range(count))])


def test_torn_indexes_are_open() -> None:
    whole = dense("FEW")
    for mark in (b"FRHP", b"BTHD", b"BTLF"):
        assert look(whole.replace(mark, b"????")).gaps, mark
    assert look(dense("MANY").replace(b"BTIN", b"????")).gaps
    assert look(dense("MANY").replace(b"FHIB", b"????")).gaps


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_indexes_end(data: Any) -> None:
    whole = bytearray(dense("FEW"))
    marks = [at for mark in (b"FRHP", b"BTHD", b"BTLF", b"FHDB") for at in _places(whole, mark)]
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.sampled_from(marks)) + data.draw(st.integers(4, 150))
        whole[min(at, len(whole) - 1)] = data.draw(st.integers(0, 255))
    facts = look(bytes(whole))
    assert facts.gaps or facts.asked


def _places(data: bytearray, mark: bytes) -> list[int]:
    return [at for at in range(len(data)) if data[at : at + 4] == mark]

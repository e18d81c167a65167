"""ONNX models, good, bad and torn: operators, weights outside, and agreement with what prediction refuses."""

from __future__ import annotations

import os
from pathlib import Path

import models_bytes as make
import pytest
from models_bytes import alarms, msg, num, onnx_model, onnx_node, onnx_tensor, reading, said

from assay.core.errors import CouldNotLook
from assay.formats.models import onnx
from assay.formats.reading import Limits, Reading

DATA = b"\0" * 16


def _read(data: bytes) -> Reading:
    return reading(onnx.read, data)


def test_an_ordinary_model_is_measured_and_alarms_nobody() -> None:
    found = _read(onnx_model(onnx_node("Relu"), graph=msg(5, onnx_tensor(2, 2, raw=DATA))))
    assert (found.notes, found.gaps) == ((), ())
    assert found.measured["operators"] == ["Relu"]
    assert (found.measured["tensors"], found.measured["parameters"]) == (1, 4)
    assert found.measured["dtypes"] == {"float32": 1}
    assert found.measured["opsets"] == {"ai.onnx": 17}
    assert found.measured["inputs"] == [{"name": "x", "type": "float32", "shape": [4]}]
    assert (found.measured["version"], found.measured["producer"]) == (8, "hand")


BRANCH = msg(5, msg(1, "then"), msg(6, onnx_node("Evil", "own")))
DEFAULT = msg(25, msg(1, "F"), msg(10, "lib"), msg(11, msg(6, onnx_node("Evil", "own"))), msg(7, msg(4, "Relu")))
PLACES = {
    "graph": onnx_model(onnx_node("Evil", "own")),
    "branch": onnx_model(onnx_node("If", "", BRANCH)),
    "branches": onnx_model(onnx_node("If", "", msg(5, msg(11, onnx_node("Evil", "own"))))),
    "function": onnx_model(
        onnx_node("Relu"), rest=msg(25, msg(1, "F"), msg(10, "lib"), msg(7, onnx_node("Evil", "own")[2:]))
    ),
    "default": onnx_model(onnx_node("Relu"), rest=DEFAULT),
    "training": onnx_model(onnx_node("Relu"), rest=msg(20, msg(1, onnx_node("Evil", "own")))),
    "second graph": onnx_model(onnx_node("Relu")) + msg(7, onnx_node("Evil", "own")),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_foreign_operator_is_found_wherever_it_hangs(place: str) -> None:
    assert said(_read(PLACES[place]))["foreign-operator:own"] == "medium"


def test_a_function_of_the_model_covers_its_own_name_only() -> None:
    function = msg(25, msg(1, "Gelu"), msg(10, "own"), msg(7, msg(4, "Erf")))
    assert alarms(_read(onnx_model(onnx_node("Gelu", "own"), rest=function))) == []
    assert alarms(_read(onnx_model(onnx_node("Other", "own"), rest=function))) == ["foreign-operator:own"]


@pytest.mark.parametrize(
    ("operator", "domain", "severity"),
    [
        ("PythonOp", "com.microsoft", "high"),
        ("ATen", "org.pytorch.aten", "high"),
        ("AzureTextToText", "com.microsoft.extensions", "high"),
        ("BertTokenizer", "ai.onnx.contrib", "info"),
    ],
)
def test_operators_that_reach_python_or_the_network(operator: str, domain: str, severity: str) -> None:
    assert [note.severity.value for note in _read(onnx_model(onnx_node(operator, domain))).notes] == [severity]


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"])
def test_operators_that_a_runtime_brings_along_are_silent(domain: str) -> None:
    operator = {"": "Relu", "ai.onnx": "Relu", "ai.onnx.ml": "Scaler"}.get(domain, "Something")
    assert _read(onnx_model(onnx_node(operator, domain))).notes == ()


@pytest.mark.parametrize(
    "location",
    [
        "../w.bin",
        "a/../../w.bin",
        "/etc/passwd",
        "..\\w.bin",
        "C:\\w.bin",
        "\\\\host\\w.bin",
        "https://h/w",
        "~/w",
        "a\0b",
    ],
)
def test_weights_that_lead_out_of_the_folder_are_critical(location: str) -> None:
    tensor = onnx_tensor(2, 2, external={"location": location})
    spare = onnx_tensor(2, 2, external={"location": "w.bin"})
    for data in (
        onnx_model(onnx_node("Relu"), graph=msg(5, tensor)),
        onnx_model(onnx_node("Relu"), graph=msg(15, msg(1, tensor))),
        onnx_model(onnx_node("Constant", "", msg(5, msg(5, tensor)))),
        onnx_model(onnx_node("Relu"), graph=msg(5, tensor + spare[spare.index(b"\x6a") :])),  # a location given twice
    ):
        assert "critical" in said(_read(data)).values()


def test_a_memory_address_for_weights_is_critical() -> None:
    tensor = onnx_tensor(2, 2, external={"location": "*/_ORT_MEM_ADDR_/*", "offset": "4096", "length": "16"})
    assert said(_read(onnx_model(onnx_node("Relu"), graph=msg(5, tensor)))) == {
        "external-data:memory-address": "critical"
    }


def _on_disk(folder: Path, **external: str) -> Reading:
    path = folder / "m.onnx"
    path.write_bytes(onnx_model(onnx_node("Relu"), graph=msg(5, onnx_tensor(2, 2, external=external))))
    with open(path, "rb") as file:
        return onnx.read(file, "m.onnx", Limits())


def test_weights_beside_the_model_are_measured(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(DATA)
    found = _on_disk(tmp_path, location="w.bin", offset="0", length="16")
    assert (found.notes, found.gaps, found.measured["external"]) == ((), (), {"w.bin": 16})


@pytest.mark.parametrize(
    ("external", "gap"),
    [
        ({"location": "none.bin"}, "missing"),
        ({"location": "w.bin", "offset": "8"}, "8 bytes too short"),
        ({"location": "w.bin", "length": "4"}, "without saying soundly where"),
        ({"location": "w.bin", "offset": "-1"}, "without saying soundly where"),
        ({"location": ""}, "without saying soundly where"),
        ({}, "without saying soundly where"),
    ],
)
def test_weights_that_are_not_all_there_are_a_gap(tmp_path: Path, external: dict[str, str], gap: str) -> None:
    (tmp_path / "w.bin").write_bytes(DATA)
    assert any(gap in reason for reason in _on_disk(tmp_path, **external).gaps)


def test_a_link_out_of_the_folder_is_a_finding_and_a_cache_of_links_is_not(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(DATA)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.bin").symlink_to(tmp_path / "secret")
    assert said(_on_disk(tmp_path / "model", location="w.bin")) == {"external-data:link:w.bin": "high"}
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir(), snapshot.mkdir()
    (blobs / "1").write_bytes((tmp_path / "model" / "m.onnx").read_bytes())
    (blobs / "2").write_bytes(DATA)
    os.symlink(blobs / "1", snapshot / "m.onnx")
    os.symlink(blobs / "2", snapshot / "w.bin")
    with open(snapshot / "m.onnx", "rb") as file:
        assert onnx.read(file, "m.onnx", Limits()).notes == ()


def test_what_is_no_file_on_disk_has_no_folder_to_look_into() -> None:
    found = _read(onnx_model(onnx_node("Relu"), graph=msg(5, onnx_tensor(2, 2, external={"location": "w.bin"}))))
    assert found.gaps == ("keeps weights in another file ('w.bin'), which was not at hand here",)


def test_a_compiled_engine_is_a_gap_and_its_path_is_judged() -> None:
    mode, path = msg(5, msg(1, "embed_mode"), num(3, 0)), msg(5, msg(1, "ep_cache_context"), msg(4, "../x.bin"))
    found = _read(onnx_model(onnx_node("EPContext", "com.microsoft", mode, path)))
    assert said(found) == {"external-data:engine:../x.bin": "critical"}
    assert "EPContext" in found.gaps[0]


@pytest.mark.parametrize("cut", [10, 30, 60])
def test_a_torn_model_is_a_gap_and_keeps_what_came_before(cut: int) -> None:
    whole = onnx_model(onnx_node("Evil", "own"), rest=msg(6, "d" * 100))
    found = _read(whole[:-cut])
    assert found.gaps
    assert found.gaps[0].startswith("is torn")
    assert said(found) == {"foreign-operator:own": "medium"}
    assert said(_read(onnx_model(onnx_node("Evil", "own"), onnx_node("Relu"))[:-5])) == {
        "foreign-operator:own": "medium"
    }
    large = onnx_model(onnx_node("Evil", "own"), *(onnx_node("Relu") for _ in range(2000)))
    assert said(_read(large[:-cut])) == {"foreign-operator:own": "medium"}


def test_an_empty_graph_or_a_tensor_of_another_size_is_a_gap() -> None:
    assert "graph is empty" in _read(num(1, 8) + msg(7, msg(2, "g"))).gaps[0]
    assert "another size" in _read(onnx_model(onnx_node("Relu"), graph=msg(5, onnx_tensor(3, raw=DATA)))).gaps[0]


def test_graphs_nested_too_deeply_are_a_gap() -> None:
    node = onnx_node("Relu")
    for _ in range(40):
        node = onnx_node("If", "", msg(5, msg(6, node)))
    assert "deep" in _read(onnx_model(node)).gaps[0]


def test_unpacked_lists_of_numbers_are_passed_over() -> None:
    numbers = b"".join(b"\x3d" + bytes(4) for _ in range(50_000)) + b"".join(num(8, i) for i in range(50_000))
    modes = b"".join(msg(9, "BRANCH_LEQ") for _ in range(20_000)) + msg(9, "OTHER")
    found = reading(
        onnx.read,
        onnx_model(onnx_node("TreeEnsembleClassifier", "ai.onnx.ml", msg(5, numbers, modes))),
        max_opcodes=80_000,
    )
    assert (found.notes, found.gaps) == ((), ())


def test_limits_end_the_walk_with_a_gap() -> None:
    data = onnx_model(*(onnx_node("Relu") for _ in range(3000)))
    assert "not read to its end" in reading(onnx.read, data, max_opcodes=1000).gaps[0]
    assert "not read to its end" in reading(onnx.read, data, max_bytes=5000).gaps[0]
    late = reading(onnx.read, data, clock=lambda: 2.0, deadline=1.0)
    assert "time" in late.gaps[0]


def test_what_looks_like_onnx() -> None:
    data = PLACES["graph"]
    assert onnx.looks_like(data, "model.bin")
    assert onnx.looks_like(msg(6, "d" * 9000) + data, "m.onnx")
    for other in (b"\x80\x04K\x01.", b'{"a": 1}', b"hello, world", bytes(100), make.tf_saved(), b"\x08\x01\x12\x03abc"):
        assert not onnx.looks_like(other[:4096], "m.bin")


def test_it_reports_all_that_prediction_refuses() -> None:
    library = pytest.importorskip("onnx")
    from assay.adapters.onnx_facts import require_self_contained

    refused = 0
    external = onnx_model(onnx_node("Relu"), graph=msg(5, onnx_tensor(2, 2, external={"location": "w.bin"})))
    for data in (
        *PLACES.values(),
        external,
        num(1, 8),
        onnx_model(onnx_node("Relu"))[:-3],
        onnx_model(onnx_node("Relu")),
    ):
        found = _read(data)
        try:
            require_self_contained(data, "m.onnx")
        except CouldNotLook:
            refused += 1
            assert found.notes or found.gaps
        else:
            assert not found.gaps
            assert library.ModelProto.FromString(data).graph.node
    assert refused == len(PLACES) + 3


def test_a_flood_of_foreign_operators_does_not_hide_a_grave_one() -> None:
    nodes = [onnx_node("Op", f"domain{i}") for i in range(600)]
    found = _read(onnx_model(*nodes, graph=msg(5, onnx_tensor(2, external={"location": "../w"}))))
    assert said(found)["external-data:outside:../w"] == "critical"
    assert len(found.notes) == 200
    assert any("200 things" in gap for gap in found.gaps)


def test_fields_of_a_later_version_are_a_gap() -> None:
    assert "does not know" in _read(onnx_model(onnx_node("Relu"), rest=msg(99, onnx_node("Evil", "own")))).gaps[0]

"""The ML-BOM: what is in it, that it is sound CycloneDX, the same each time, and what two of them disagree about."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flow_bom_folder import component, database, repository, safetensors, said
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.attest.bom.diff import Change, diff
from assay.attest.bom.read import read_bom
from assay.core.errors import InputError, UsageError
from assay.core.version import __version__
from assay.flow.bom import Bom, Wanted, bom_of_paths, bom_of_project, compare

GOLDEN = Path(__file__).parent / "golden_bom.json"

PROPERTIES = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "value"],
        "additionalProperties": False,
        "properties": {"name": {"type": "string", "pattern": "^assay:"}, "value": {"type": "string"}},
    },
}
COMPONENT = {
    "type": "object",
    "required": ["type", "name", "bom-ref"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["application", "library", "file", "platform", "machine-learning-model", "data"]},
        "bom-ref": {"type": "string", "minLength": 1},
        "name": {"type": "string", "minLength": 1},
        "version": {"type": "string"},
        "purl": {"type": "string", "pattern": "^pkg:(pypi|conda)/"},
        "hashes": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"alg": {"enum": ["SHA-256", "BLAKE3"]}, "content": {"pattern": "^[0-9a-f]{64}$"}},
            },
        },
        "licenses": {"type": "array", "minItems": 1},
        "pedigree": {"type": "object"},
        "modelCard": {
            "type": "object",
            "additionalProperties": False,
            "properties": {k: {} for k in ("bom-ref", "modelParameters", "quantitativeAnalysis", "considerations")},
        },
        "data": {"type": "array"},
        "properties": PROPERTIES,
    },
}
OURS = {
    "type": "object",
    "required": ["bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": "http://cyclonedx.org/schema/bom-1.6.schema.json"},
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.6"},
        "serialNumber": {"pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$"},
        "version": {"const": 1},
        "metadata": {"type": "object", "properties": {"component": COMPONENT, "properties": PROPERTIES}},
        "components": {"type": "array", "items": COMPONENT},
        "dependencies": {"type": "array"},
        "vulnerabilities": {"type": "array"},
        "formulation": {"type": "array"},
    },
}


def sound(made: Bom) -> dict[str, Any]:
    """The document, after it was held to our own schema: shapes, references that lead somewhere and are unique."""
    jsonschema = pytest.importorskip("jsonschema")
    bom: dict[str, Any] = json.loads(made.data)
    jsonschema.validate(bom, OURS)
    refs = [bom["metadata"]["component"]["bom-ref"], *(c["bom-ref"] for c in bom["components"])]
    assert len(set(refs)) == len(refs)
    assert sorted(d["ref"] for d in bom["dependencies"]) == sorted(refs)
    assert {r for d in bom["dependencies"] for r in d.get("dependsOn", [])} <= set(refs)
    assert {a["ref"] for v in bom.get("vulnerabilities", []) for a in v["affects"]} <= set(refs)
    for item in bom["components"]:
        named = item.get("modelCard", {}).get("modelParameters", {}).get("datasets", [])
        assert {d["ref"] for d in named} <= set(refs)
    return bom


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo")


def test_the_golden_bom(repo: Path) -> None:
    made = bom_of_paths([repo]).data.decode().replace(f'"{__version__}"', '"VERSION"')
    golden, new = json.loads(GOLDEN.read_text("utf-8")), json.loads(made)
    for bom in (golden, new):
        del bom["serialNumber"]  # it follows from the rest, the tool's version included
    assert new == golden


def test_measured_and_declared_stand_apart(repo: Path) -> None:
    made = bom_of_paths([repo])
    bom = sound(made)
    assert made.open == ()
    model = component(bom, "model:repo")
    assert model["modelCard"]["modelParameters"]["task"] == "fill-mask"
    assert model["modelCard"]["modelParameters"]["architectureFamily"] == "bert"
    assert model["modelCard"]["modelParameters"]["datasets"] == [{"ref": "data:squad"}]
    assert model["modelCard"]["considerations"]["useCases"] == ["To fill masks."]
    assert [a["name"] for a in model["pedigree"]["ancestors"]] == ["acme/base", "acme/bert"]
    facts = said(model)
    assert facts["assay:measured:parameters"] == "6"
    assert facts["assay:declared:name_or_path"] == "(local path) bert"
    assert facts["assay:declared:adapter.peft_type"] == "LORA"
    file = component(bom, "file:model.safetensors")
    assert said(file)["assay:measured:dtypes"] == '{"F32":1}'
    assert [h["alg"] for h in file["hashes"]] == ["SHA-256", "BLAKE3"]
    assert {item["license"]["acknowledgement"] for item in model["licenses"]} == {"declared", "concluded"}
    assert said(component(bom, "file:state.pkl"))["assay:measured:pickles"] == "1"
    assert component(bom, "pkg:pypi/torch@2.1.0%2Bcu118")["version"] == "2.1.0+cu118"
    assert "version" not in component(bom, "pkg:pypi/requests")


def test_no_path_of_this_machine_is_in_it(repo: Path) -> None:
    text = bom_of_paths([repo]).data.decode()
    assert str(repo.parent) not in text
    assert "alice" not in text


def test_the_same_input_gives_the_same_bytes_wherever_it_lies(repo: Path, tmp_path: Path) -> None:
    shutil.copytree(repo, tmp_path / "elsewhere" / "repo")
    first, second = bom_of_paths([repo]).data, bom_of_paths([tmp_path / "elsewhere" / "repo"]).data
    assert first == second
    safetensors(repo / "model.safetensors", rows=3)
    third = json.loads(bom_of_paths([repo]).data)
    assert third["serialNumber"] != json.loads(first)["serialNumber"]


def test_a_time_is_written_only_where_it_is_given(repo: Path) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with_time, without = (bom_of_paths([repo], Wanted(moment=m)).document for m in (moment, None))
    assert with_time["metadata"]["timestamp"] == "2026-01-02T03:04:05Z"
    assert "timestamp" not in without["metadata"]
    assert with_time["serialNumber"] == without["serialNumber"]


def test_pickled_globals_are_measured_by_tier(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"cacme.models\nWheel\n)\x81.")
    bom = sound(bom_of_paths([tmp_path / "m.pkl"]))
    assert said(component(bom, "file:m.pkl"))["assay:measured:globals:unknown"] == '["acme.models.Wheel"]'
    assert bom["metadata"]["component"]["type"] == "file"


def test_what_cannot_be_read_is_open_and_the_bom_is_written(repo: Path) -> None:
    whole = (repo / "model.safetensors").read_bytes()
    (repo / "model.safetensors").write_bytes(whole[:-5])
    (repo / "away").symlink_to(repo.parent)
    (repo / "config.json").write_text('{"model_type": ')
    made = bom_of_paths([repo])
    bom = sound(made)
    assert "assay:open" in said(component(bom, "file:model.safetensors"))
    assert said(component(bom, "file:away"))["assay:open"].startswith("is a symbolic link that leaves the folder")
    assert "hashes" not in component(bom, "file:away")
    assert any(gap.startswith("config.json: ") for gap in made.open)
    assert len(made.open) >= 3


def test_hostile_names_are_escaped_and_stay_apart(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name in (b"a\nb.txt", b"a\\nb.txt", b"\xff.txt", "\u202egnp.txt".encode()):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(b"x")
    bom = sound(bom_of_paths([folder]))
    names = [c["name"] for c in bom["components"]]
    assert len(names) == 4
    assert all(name.isascii() and name.isprintable() for name in names)


def test_secrets_in_what_is_declared_are_not_repeated(repo: Path) -> None:
    token = "hf_" + "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3x"
    (repo / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": token, "revision": token}))
    (repo / "requirements.txt").write_text(f"x @ https://me:{token}@example.org/x.tar.gz?t={token}\n")
    safetensors(repo / "model.safetensors", note=token)
    assert token not in bom_of_paths([repo]).data.decode()


def test_several_models_in_a_folder_that_no_paper_describes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        safetensors(tmp_path / f"{name}.safetensors")
    bom = sound(bom_of_paths([tmp_path]))
    assert [c["bom-ref"] for c in bom["components"] if c["type"] == "machine-learning-model"] == [
        "model:a.safetensors", "model:b.safetensors",
    ]  # fmt: skip


def test_shards_are_added_up_and_other_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    for number in (1, 2):
        safetensors(tmp_path / f"model-0000{number}-of-00002.safetensors", rows=number)
    (model,) = [c for c in bom_of_paths([tmp_path]).document["components"] if c["type"] == "machine-learning-model"]
    assert said(model)["assay:measured:parameters"] == "9"
    safetensors(tmp_path / "other.safetensors", rows=10)
    (model,) = [c for c in bom_of_paths([tmp_path]).document["components"] if c["type"] == "machine-learning-model"]
    assert said(model)["assay:measured:parameters"] == '{"model.safetensors":9,"other.safetensors":30}'


def test_several_paths_keep_their_names(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        safetensors(tmp_path / name / "model.safetensors")
    bom = sound(bom_of_paths([tmp_path / "one", tmp_path / "two"]))
    assert {c["name"] for c in bom["components"] if c["type"] == "file"} == {
        "one/model.safetensors", "two/model.safetensors",
    }  # fmt: skip
    with pytest.raises(UsageError, match="two of the paths have the same name"):
        bom_of_paths([tmp_path / "one", tmp_path / "one"])
    with pytest.raises(InputError, match="no such file"):
        bom_of_paths([tmp_path / "absent"])


# Vulnerabilities


def test_vulnerabilities_with_the_word_of_a_vex_file(repo: Path, tmp_path: Path) -> None:
    (repo / "requirements.txt").write_text("jinja2==2.4.1\n")
    osv = database(tmp_path / "osv.zip")
    statement = {
        "vulnerability": {"name": "CVE-2026-1"}, "products": [{"@id": "pkg:pypi/jinja2"}],
        "status": "not_affected", "justification": "vulnerable_code_not_present",
    }  # fmt: skip
    (tmp_path / "vex.json").write_text(json.dumps({"statements": [statement]}))
    plain = bom_of_paths([repo], Wanted(database=osv))
    (found,) = sound(plain)["vulnerabilities"]
    assert (found["id"], found["ratings"]) == ("CVE-2026-1", [{"severity": "unknown"}])
    assert found["affects"][0]["ref"] == "pkg:pypi/jinja2@2.4.1"
    assert "analysis" not in found
    assert plain.open == ()
    (judged,) = sound(bom_of_paths([repo], Wanted(database=osv, vex=tmp_path / "vex.json")))["vulnerabilities"]
    assert judged["analysis"]["state"] == "not_affected"
    assert judged["analysis"]["justification"] == "code_not_present"
    with pytest.raises(UsageError, match="--vex needs"):
        bom_of_paths([repo], Wanted(vex=tmp_path / "vex.json"))


def test_a_database_that_cannot_answer_leaves_the_question_open(repo: Path, tmp_path: Path) -> None:
    (repo / "requirements.txt").write_text("jinja2==3.0\n")
    missing = bom_of_paths([repo], Wanted(database=tmp_path / "absent.zip"))
    assert missing.open == ("the vulnerability database absent.zip is not there",)
    assert "vulnerabilities" not in sound(missing)
    old = bom_of_paths([repo], Wanted(database=database(tmp_path / "old.zip", days=40)))
    assert "40 days old" in old.open[0]
    assert said(sound(old)["metadata"]["component"])["assay:open"] == old.open[0]


def test_what_is_installed_answers_an_open_requirement(repo: Path) -> None:
    (repo / "requirements.txt").write_text("msgspec>=0.1\n")
    bom = sound(bom_of_paths([repo], Wanted(environment="this")))
    (found,) = [c for c in bom["components"] if c["name"] == "msgspec"]
    assert found["version"]
    assert said(found)["assay:declared:asked"] == '[">=0.1"]'
    assert said(found)["assay:measured:installed"] == "true"
    assert component(bom, "platform:python")["version"]


# A project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    safetensors(root / "model.safetensors")
    (root / "train.csv").write_text("a,y\n1,0\n")
    (root / "test.csv").write_text("a,y\n2,1\n")
    (root / "env.txt").write_text("x")
    (root / "requirements.txt").write_text("jinja2==3.1\n")
    (root / "assay.yaml").write_text(
        "system: {name: tiny, owner: me@example.com, purpose: tests, affected: nobody}\n"
        "subjects:\n"
        "  train: {dataset: train.csv, label: y}\n"
        "  test: {dataset: test.csv, label: y, holdout_of: train}\n"
        "  model: {model: model.safetensors, data: train, holdout: test, threshold: 0.3}\n"
        "training: {code: git:abc, environment: requirements.txt}\n"
    )
    return root


def test_a_project_is_its_release_with_its_training(project: Path) -> None:
    bom = sound(bom_of_project(project))
    whole = said(bom["metadata"]["component"])
    assert whole["assay:measured:release"].startswith("sha256:")
    assert whole["assay:declared:system.purpose"] == "tests"
    model = component(bom, "model:model")
    assert model["modelCard"]["modelParameters"]["datasets"] == [{"ref": "data:train"}, {"ref": "data:test"}]
    assert model["modelCard"]["modelParameters"]["approach"] == {"type": "supervised"}
    assert said(model)["assay:declared:threshold"] == "0.3"
    (workflow,) = bom["formulation"][0]["workflows"]
    assert workflow["inputs"] == [{"resource": {"ref": "data:train"}}]
    assert said(workflow)["assay:declared:code"] == "git:abc"
    assert component(bom, "pkg:pypi/jinja2@3.1")


def test_measures_of_a_report_need_the_same_bytes(project: Path, tmp_path: Path) -> None:
    from assay.core.dossier import Dossier
    from assay.core.finding import Measure, Outcome, Status
    from assay.core.report import Body, Report, Run
    from assay.flow.bom import bom_of_paths
    from assay.render.structured import render_json

    def write(digest: str) -> Path:
        measure = Measure(name="performance.recall", value=0.5, low=0.4, high=0.6, n=90)
        outcome = Outcome(
            check="performance.holdout", version=1, subject="model", subject_digest=digest, status=Status.PASS,
            measures=(measure,),
        )  # fmt: skip
        run = Run(started=datetime(2026, 1, 1, tzinfo=UTC), seconds=1.0, tool="t", python="3", platform="x")
        path = tmp_path / "report.json"
        path.write_text(render_json(Dossier(report=Report(body=Body(outcomes=(outcome,)), run=run))))
        return path

    model = project / "model.safetensors"
    sha = component(bom_of_paths([model]).document, "file:model.safetensors")["hashes"][0]["content"]
    bom = sound(bom_of_project(project, Wanted(report=write(f"sha256:{sha}"))))
    assert component(bom, "model:model")["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] == [
        {
            "type": "performance.recall", "value": "0.5", "slice": "n = 90",
            "confidenceInterval": {"lowerBound": "0.4", "upperBound": "0.6"},
        }
    ]  # fmt: skip
    with pytest.raises(InputError, match="no measure of a model with these digests"):
        bom_of_project(project, Wanted(report=write("sha256:" + "0" * 64)))


# The schema of CycloneDX itself


def test_it_passes_the_schema_of_cyclonedx(repo: Path, project: Path, tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx", reason="cyclonedx-python-lib[json-validation] is not installed")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    wanted = Wanted(database=database(tmp_path / "osv.zip"), environment="this", moment=datetime.now(UTC))
    for made in (bom_of_paths([repo], wanted), bom_of_project(project)):
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(made.data.decode()) is None


# Differences


def test_a_bom_and_its_folder_tell_the_same(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "repo.json").write_bytes(bom_of_paths([repo], Wanted(moment=datetime.now(UTC))).data)
    found, gaps = compare(tmp_path / "repo.json", repo)
    assert found.changes == ()
    assert gaps == ()


def test_what_changed_is_named(repo: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    shutil.copytree(repo, new)
    safetensors(new / "model.safetensors", rows=4, format="pt")
    (new / "requirements.txt").write_text("jinja2==3.1.4\nextra==1\ntorch==2.1.0+cu118\n")
    (new / "state.pkl").unlink()
    (new / "README.md").write_text((repo / "README.md").read_text().replace("apache-2.0", "mit"))
    found, _ = compare(repo, new)
    told = {(c.component, c.area, c.field, c.change, c.old, c.new) for c in found.changes}
    assert ("file: model.safetensors", "measured", "parameters", "changed", "6", "12") in told
    assert ("pkg:pypi/jinja2", "version", "version", "changed", "2.4.1", "3.1.4") in told
    assert ("pkg:pypi/extra", "component", "", "added", "", "1") in told
    assert ("pkg:pypi/requests", "component", "", "removed", "", "") in told
    assert ("file: state.pkl", "component", "", "removed", "", "") in told
    areas = {(c.component, c.area) for c in found.changes}
    assert ("file: model.safetensors", "digest") in areas
    assert ("machine-learning-model: (the whole)", "licence") in areas
    assert ("machine-learning-model: (the whole)", "dependency") in areas


def test_two_files_of_other_names_are_compared_as_one(tmp_path: Path) -> None:
    safetensors(tmp_path / "v1.safetensors", rows=2)
    safetensors(tmp_path / "v2.safetensors", rows=3)
    found, _ = compare(tmp_path / "v1.safetensors", tmp_path / "v2.safetensors")
    assert Change(
        component="file: v2.safetensors", area="measured", field="parameters", change="changed", old="6", new="9"
    ) in found.changes  # fmt: skip
    assert not [c for c in found.changes if c.area == "component"]


def test_a_torn_bom_is_not_taken_for_a_model(repo: Path, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.json", tmp_path / "torn.json"
    whole.write_bytes(bom_of_paths([repo]).data)
    torn.write_bytes(whole.read_bytes()[:20])
    for pair in ((torn, whole), (whole, torn)):
        with pytest.raises(InputError, match=r"torn\.json"):
            compare(*pair)


def test_a_changed_analysis_is_a_difference(repo: Path, tmp_path: Path) -> None:
    (repo / "requirements.txt").write_text("jinja2==2.4.1\n")
    old = bom_of_paths([repo], Wanted(database=database(tmp_path / "osv.zip"))).document
    new = copy.deepcopy(old)
    new["vulnerabilities"][0]["analysis"] = {"state": "exploitable"}
    (change,) = diff(old, new).changes
    assert (change.component, change.area, change.field) == ("pkg:pypi/jinja2", "vulnerability", "CVE-2026-1")


def test_what_was_open_in_both_is_told(repo: Path, tmp_path: Path) -> None:
    (repo / "model.safetensors").write_bytes((repo / "model.safetensors").read_bytes()[:-5])
    found, gaps = compare(repo, repo)
    assert found.changes == ()
    assert gaps
    assert gaps[0].startswith("model.safetensors: ")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"bomFormat": "SPDX"}', '{"bomFormat": "CycloneDX", "components": {}}',
     '{"bomFormat": "CycloneDX", "components": [1]}', '{"bomFormat": "CycloneDX", "metadata": []}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_bom_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError):
        read_bom(tmp_path / "x.json")


NAMES = st.sampled_from(["a", "b", "c"])
PROPERTY = st.fixed_dictionaries(
    {"name": st.sampled_from(["assay:measured:x", "assay:declared:x", "other"]), "value": NAMES}
)
COMPONENTS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["file", "library"]), "name": NAMES, "bom-ref": st.uuids().map(str)},
        optional={
            "version": NAMES,
            "purl": NAMES.map(lambda n: f"pkg:pypi/{n}@1"),
            "properties": st.lists(PROPERTY, max_size=3),
            "hashes": st.just([{"alg": "SHA-256", "content": "0"}]),
            "licenses": st.lists(NAMES.map(lambda n: {"license": {"id": n}}), max_size=2),
        },
    ),
    max_size=6,
)


def whole(components: list[dict[str, Any]], links: list[tuple[int, int]]) -> dict[str, Any]:
    refs = [c["bom-ref"] for c in components]
    depends: dict[str, list[str]] = {}
    for a, b in links:
        if a < len(refs) and b < len(refs):
            depends.setdefault(refs[a], []).append(refs[b])
    listed = [{"ref": ref, "dependsOn": needs} for ref, needs in depends.items()]
    return {"bomFormat": "CycloneDX", "components": components, "dependencies": listed}


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, list):
        items = [shuffled(item, order) for item in value]
        order.shuffle(items)
        return items
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return value


LINKS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=5)


@settings(max_examples=150, deadline=None)
@given(COMPONENTS, LINKS, st.integers())
def test_order_is_no_difference(components: list[dict[str, Any]], links: list[tuple[int, int]], seed: int) -> None:
    bom = whole(components, links)
    assert not diff(bom, bom).changes
    distinct = {(c.get("purl") or c["name"], c["type"], c.get("version", "")) for c in components}
    if len(distinct) == len(components):
        assert not diff(bom, shuffled(bom, random.Random(seed))).changes


@settings(max_examples=100, deadline=None)
@given(COMPONENTS, COMPONENTS)
def test_back_is_the_reverse_of_there(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    there, back = diff(whole(old, []), whole(new, [])), diff(whole(new, []), whole(old, []))
    turn = {"added": "removed", "removed": "added", "changed": "changed"}
    assert {(c.component, c.area, c.field, c.change, c.old, c.new) for c in there.changes} == {
        (c.component, c.area, c.field, turn[c.change], c.new, c.old) for c in back.changes
    }


@settings(max_examples=100, deadline=None)
@given(COMPONENTS.filter(bool), st.data())
def test_a_removed_component_is_always_seen(components: list[dict[str, Any]], data: Any) -> None:
    at = data.draw(st.integers(0, len(components) - 1))
    assert diff(whole(components, []), whole(components[:at] + components[at + 1 :], [])).changes

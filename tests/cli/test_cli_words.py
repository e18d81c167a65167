"""explain, schema, report and init: what people read, what machines validate, and a draft that runs unedited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_tools import assay, copy, mend, one_line, outcomes, report

from assay.checks.index import INDEX
from assay.cli.schema import NAMES
from assay.core.glossary import GLOSSARY

pytestmark = pytest.mark.usefixtures("here")
BUILT_IN = sorted(i for i in INDEX if not i.startswith("test."))


@pytest.mark.parametrize("check", BUILT_IN)
def test_every_check_is_explained(check: str) -> None:
    done = assay("explain", check)
    assert (done.code, done.err) == (0, "")
    for part in (
        f"{check}  (version",
        "Why:",
        "How it decides:",
        "Fix:",
        "References:",
        "Asks ",
        "Severity ",
        "Evidence ",
    ):
        assert part in done.out, part


def test_a_check_is_known_by_its_last_word_where_no_other_ends_in_it() -> None:
    assert assay("explain", "backdoor").out == assay("explain", "robustness.backdoor").out
    assert one_line(assay("explain", "schemas"), "nothing is called", code=2)


def test_options_of_harden_are_explained() -> None:
    pytest.importorskip("onnx")
    assert "An option of `assay harden --against evasion`" in assay("explain", "robust-splits").out
    both = assay("explain", "noise").out
    assert "--against evasion`" in both and "--against membership`" in both  # noqa: PT018 - one text
    assert "--against theft`" in assay("explain", "rounded-2").out
    assert one_line(assay("explain", "robust-split"), "did you mean robust-splits?", code=2)


def test_a_measure_is_explained_by_the_last_part_of_its_name() -> None:
    pytest.importorskip("numpy")
    assert assay("explain", "affordable_share").out.startswith("robustness.evasion ")


def test_every_word_is_explained_in_any_case() -> None:
    for word, meaning in GLOSSARY.items():
        assert meaning in assay("explain", word.upper()).out
    listed = assay("explain").out
    assert all(check in listed for check in BUILT_IN)


def test_both_notices_are_explained() -> None:
    assert "counterfactual notice" in assay("explain", "notice").out
    assert "assay attack notice" in assay("explain", "counterfactual notice").out


@pytest.mark.parametrize("word", ["threat model", "white-box", "hardening"])
def test_words_of_the_guides_are_explained(word: str) -> None:
    assert assay("explain", word).out.lower().startswith(f"{word}\n")


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_a_json_schema(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    done = assay("schema", name)
    schema = msgspec.json.decode(done.out)
    assert schema["$schema"].endswith("2020-12/schema")
    jsonschema.Draft202012Validator.check_schema(schema)


def mistakes(name: str, value: Any) -> list[str]:
    """What the schema of that name finds wrong with the value."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = msgspec.json.decode(assay("schema", name).out)
    return [e.message for e in jsonschema.Draft202012Validator(schema).iter_errors(value)]


def test_what_is_written_is_valid(tiny: Path, evil: Path) -> None:
    yaml = pytest.importorskip("yaml")
    assert mistakes("report", report(assay("scan", evil, "-f", "json"))) == []
    assert mistakes("report", report(assay("run", tiny, "--only", "artifact.*", "-f", "json"))) == []
    assert mistakes("manifest", yaml.safe_load((tiny / "assay.yaml").read_text())) == []
    assert mistakes("policy", yaml.safe_load((tiny / "policy.yaml").read_text())) == []


def test_the_schema_refuses_what_is_no_report(evil: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    value = report(assay("scan", evil, "-f", "json"))
    del value["body"]["outcomes"][0]["status"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(msgspec.json.decode(assay("schema").out)).validate(value)


def test_a_saved_report_is_shown_again_as_it_was(tiny: Path, tmp_path: Path) -> None:
    first = assay("run", tiny, "--only", "artifact.*", "-f", "json", "-o", tmp_path / "r.json")
    again = assay("report", tmp_path / "r.json")
    assert again.code == 0
    assert [x for x in first.out.splitlines() if "release" not in x] == [
        x for x in again.out.splitlines() if "release" not in x
    ]
    assert assay("report", tmp_path / "r.json", "-f", "json").out == (tmp_path / "r.json").read_text("utf-8")
    sarif = msgspec.json.decode(assay("report", tmp_path / "r.json", "-f", "sarif").out)
    assert sarif["version"] == "2.1.0"


def test_the_page_is_one_file_that_asks_for_nothing(tiny: Path, tmp_path: Path) -> None:
    done = assay("run", tiny, "--only", "artifact.*", "-f", "html", "-o", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert done.code == 3
    assert page.lstrip().lower().startswith("<!doctype html>")
    for outside in ("<script src", '<link rel="stylesheet"', 'src="http', "@import", "url(http"):
        assert outside not in page
    assert len(page.encode()) < 400_000
    assert "INDETERMINATE" in page.upper()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"not json", b'{"schema":"assay/1"}', b"\xff\xfe", b"[" * 100_000,
        b'{"payload":"","signatures":[]}', b'{"payload":"e30=","payloadType":"x","signatures":[]}',
    ],
)  # fmt: skip
def test_what_is_no_report_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    done = assay("report", path)
    assert done.code in (1, 2)
    assert one_line(done, "r.json", code=done.code)


@pytest.mark.heavy
def test_a_draft_of_a_real_project_runs_unedited(robust: Path) -> None:
    for name in ("assay.yaml", "policy.yaml"):
        (robust / name).unlink()
    done = assay("init", robust, "--label", "is_fraud", "--profile", "team")
    assert done.code == 0
    assert "(1 model, 2 tables found)" in done.out
    assert "the policy enforces: `assay run` exits 1 when it denies" in done.out
    ran = assay("run", robust, "-f", "json", "--skip", "data.label-flips", "--skip", "theft.*")
    found = outcomes(ran)
    assert ran.code in (1, 3), ran.err
    assert {s for _, s in found} == {"train", "holdout", "model"}
    assert found["performance.holdout", "model"]["status"] == "pass"
    assert found["robustness.evasion", "model"]["status"] == "open"
    before = (robust / "assay.yaml").read_bytes()
    assert one_line(assay("init", robust), "is there already", code=2)
    assert (robust / "assay.yaml").read_bytes() == before


@pytest.mark.parametrize("profile", ["team", pytest.param("starter", marks=pytest.mark.heavy)])
def test_a_draft_never_allows_a_model_that_nobody_judged(robust: Path, profile: str) -> None:
    for name in ("assay.yaml", "policy.yaml"):
        (robust / name).unlink()
    assay("init", robust, "--profile", profile)  # no label: nothing can be measured
    ran = assay("run", robust, "--skip", "theft.*", "--skip", "data.injected-rows")  # they take long, and need no label
    assert "INDETERMINATE" in ran.out
    assert "performance.recall" in ran.out
    assert ran.code == (0 if profile == "starter" else 3)


def test_a_draft_invents_no_owner(tiny: Path) -> None:
    (tiny / "assay.yaml").unlink()
    (tiny / "policy.yaml").unlink()
    assert assay("init", tiny).code == 0
    assert report(assay("run", tiny, "-f", "json"))["body"]["system"]["owner"] == ""
    assert "example.com" not in (tiny / "assay.yaml").read_text("utf-8")


@pytest.mark.parametrize("profile", ["starter", "team", "regulated"])
def test_a_draft_of_an_empty_folder_holds_together(tmp_path: Path, profile: str) -> None:
    folder = tmp_path / "my project: [odd] 'name' #1"
    folder.mkdir()
    assert assay("init", folder, "--profile", profile).code == 0
    assert one_line(assay("run", folder), "names no subject", code=2)


def test_a_draft_that_observes_says_so_and_does(tiny: Path, evil: Path) -> None:
    (tiny / "assay.yaml").unlink()
    (tiny / "policy.yaml").unlink()
    (tiny / "model.safetensors").unlink()
    evil.rename(tiny / "model.pkl")
    *_, observes, enforce, next_ = assay("init", tiny).out.splitlines()
    assert "observes" in observes
    assert "exits 0" in observes
    assert next_ == "next: read both, then `assay run`"
    quiet = assay("run", tiny, "--only", "artifact.*")
    assert quiet.code == 0
    assert "would DENY" in quiet.out
    wanted = enforce.split("`")[1]
    assert wanted == "mode: enforce"
    text = (tiny / "policy.yaml").read_text("utf-8").splitlines()
    (line,) = [x for x in text if x.startswith("mode:")]
    assert line.startswith("mode: observe    #")
    mend(tiny / "policy.yaml", line, wanted)
    assert assay("run", tiny, "--only", "artifact.*").code == 1


def test_a_draft_survives_odd_file_names(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    (folder / "a b").mkdir(parents=True)
    (folder / "a b/tr'ain\": {x}.csv").write_text('"col: 1",#x,y\n1,2,0\n')
    (folder / "m [1].safetensors").write_bytes((tiny / "model.safetensors").read_bytes())
    (folder / "z").mkdir()
    (folder / "z/empty.csv").write_bytes(b"")
    (folder / "notes.txt").write_text("not a model")
    assert assay("init", folder, "--label", "y").code == 0
    assert "col: 1" in (folder / "assay.yaml").read_text("utf-8")
    assert assay("run", folder, "--only", "artifact.*").code in (0, 1, 3)


def test_init_needs_a_folder_that_can_be_written(tmp_path: Path) -> None:
    assert one_line(assay("init", tmp_path / "gone"), "is no folder", code=2)
    (tmp_path / "file").write_text("x")
    assert one_line(assay("init", tmp_path / "file"), "is no folder", code=2)


def test_the_shipped_example_is_what_it_says(tmp_path: Path) -> None:
    """The insurance example's manifest and policy hold together; its data is not shipped."""
    source = Path(__file__).parents[2] / "examples/insurance-claims"
    example = copy(source, tmp_path / "example")
    for part in ("data", "models"):
        for path in (example / part).glob("*"):
            path.unlink()
    assert one_line(assay("run", example), "data/train.csv", "no such file", code=2)


def test_init_drafts_every_model_that_it_finds(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.pkl", "champion.onnx"):
        (tmp_path / name).write_bytes(b"x")
    assert assay("init", cwd=tmp_path).code == 0
    text = (tmp_path / "assay.yaml").read_text()
    assert 'model: {model: "a.onnx"' in text
    assert 'other-1: {artifact: "b.pkl"}' in text
    assert "# also found: champion.onnx" in text


def test_the_words_of_policies_and_pages_are_all_there() -> None:
    """One was lost once when others were added."""
    for word in ("sandbox", "notice", "release", "evaded", "certified", "operating point"):
        assert assay("explain", word).code == 0, word

"""assay.yaml: what holds together is opened as nouns; what does not is one line that names file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.config.durations import duration
from assay.config.manifest import Project, load_project, load_threat, project_from
from assay.config.strict_yaml import parse
from assay.core.canonical import digest_of
from assay.core.errors import InputError, UsageError
from assay.core.subject import Kind

GOOD = """\
system: {name: claims, owner: risk@example.com, risk: high}
subjects:
  train: {dataset: data/train.csv, label: y, protected: [Sex, Age]}
  holdout: {dataset: data/holdout.csv, label: y, holdout_of: train}
  old: {model: models/old.onnx, data: train}
  model: {model: models/new.onnx, data: train, holdout: holdout, champion: old, threshold: 0.31}
  card: {artifact: README.md}
features:
  Age: {min: 0, max: 120, integer: true}
  Area: {order: [rural, urban]}
constraints:
- Age == 0 or Age >= 16
checks:
  robustness.evasion: {cost: 3}
training: {code: abc, environment: lock.txt}
policy: policy.yaml
"""


def project(text: str) -> Project:
    return project_from(parse(text.encode(), "assay.yaml"), Path())


def test_a_whole_manifest_opens() -> None:
    opened = project(GOOD)
    assert opened.model == "model"
    assert opened.subjects["model"].reads == {"data": "train", "holdout": "holdout", "champion": "old"}
    assert opened.subjects["holdout"].reads == {"holdout_of": "train"}
    assert opened.subjects["card"].kind is Kind.ARTIFACT
    assert opened.subjects["train"].options["protected"] == ("Sex", "Age")
    assert opened.contract.features["Area"].order == ("rural", "urban")
    assert opened.manifest.checks == {"robustness.evasion": {"cost": 3}}
    assert digest_of(opened.contract).startswith("sha256:")


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


WRONG = [
    (changed("data/train.csv, label", "data/train.csv, lable"), 3, "unknown key 'lable'", "did you mean label?"),
    (changed("data: train, holdout: holdout", "data: trian, holdout: holdout"), 6, "'trian' is not a dataset", ""),
    (changed("holdout: holdout,", "holdout: old,"), 6, "'old' is not a dataset", ""),
    (changed("champion: old", "champion: train"), 6, "'train' is not a model", ""),
    (changed("champion: old", "champion: model"), 6, "names itself", ""),
    (changed("holdout_of: train", "holdout_of: holdout"), 4, "names itself", ""),
    (changed("models/old.onnx, data: train", "models/old.onnx, champion: model"), 5, "champions form a circle", ""),
    (changed(", champion: old", ""), 2, "several models could ship: old, model", "release: NAME"),
    (changed("policy: policy.yaml", "release: train"), 16, "'train' is not a model subject", ""),
    (changed("models/new.onnx", "../new.onnx"), 6, "inside the project", ""),
    (changed("models/new.onnx", "/etc/passwd"), 6, "inside the project", ""),
    (changed("models/new.onnx", "a/../../b"), 6, "inside the project", ""),
    (changed("models/new.onnx", '""'), 6, "inside the project", ""),
    (changed("models/new.onnx", '"a\\0b"'), 6, "inside the project", ""),
    (changed("threshold: 0.31", "preprocessing: ../p"), 6, "inside the project", ""),
    (changed("threshold: 0.31", "guard_rules: /g"), 6, "inside the project", ""),
    (changed("lock.txt", "../lock.txt"), 15, "inside the project", ""),
    (changed("policy: policy.yaml", 'policy: "p\\0"'), 16, "is not a path", ""),
    (changed("threshold: 0.31", "threshold: high"), 6, "subjects.model.threshold: expected", ""),
    (changed("{artifact: README.md}", "{artifact: a, model: b}"), 7, "exactly one of dataset, model, artifact", ""),
    (changed("{artifact: README.md}", "{}"), 7, "exactly one of dataset, model, artifact", ""),
    (changed("{artifact: README.md}", "README.md"), 7, "subjects.card: expected", ""),
    (changed("  card:", "  a/b:"), 7, "not a usable subject name", ""),
    (changed("  card:", '  " x":'), 7, "not a usable subject name", ""),
    (changed("  card:", '  "a\\eb":'), 7, "not a usable subject name", ""),
    (changed("  card:", "  environment:"), 7, "a name that Assay uses itself", ""),
    (changed("  card:", "  model.preprocessing:"), 7, "a name that Assay uses itself", ""),
    (changed("min: 0, max: 120", "min: 120, max: 0"), 9, "features.Age: min is greater than max", ""),
    (changed("integer: true", "step: 0"), 9, "is 0, not positive", ""),
    (changed("integer: true", "cost: -1"), 9, "is -1, not positive", ""),
    (changed("integer: true", "scale: 0"), 9, "features.Age.scale: is 0, not positive", ""),
    (changed("integer: true", "scale: .nan"), 9, "scale", ""),
    (changed("max: 120", "max: .inf"), 9, "max", ""),
    (changed("order: [rural, urban]", "order: [a], categories: [b]"), 10, "both order and categories", ""),
    (changed("order: [rural, urban]", "one_hot: [a]"), 10, "needs two different values", "list every column once"),
    (changed("order: [rural, urban]", "one_hot: [a, a]"), 10, "lists 'a' twice", "list it once"),
    (changed("order: [rural, urban]", "one_hot: [a, b], all_zero: b"), 10, "needs two different values", ""),
    (changed("order: [rural, urban]", "one_hot: [a, b], step: 2"), 10, ".step: is for numbers", "take it out"),
    (changed("order: [rural, urban]", "one_hot: [a, b], person: {min: 2}"), 10, "person.min: is for numbers", ""),
    (changed("order: [rural, urban]", "one_hot: [a, b], order: [b, a, c]"), 10, "lists 'c'", "all_zero"),
    (changed("order: [rural, urban]", "one_hot: [a, b], costs: {c: 2}"), 10, "the group does not hold", "'a'"),
    (changed("order: [rural, urban]", "one_hot: [Age, b]"), 9, "a column of the one-hot group", "take Age out"),
    (changed("order: [rural, urban]", "one_hot: [a, b], direction: up"), 10, ".direction: needs an order", "`order:`"),
    (changed("order: [rural, urban]", "categories: [a, b], person: {direction: down}"), 10, "person.direction", ""),
    (changed("order: [rural, urban]", "order: [a, b, a]"), 10, "lists 'a' twice", "list it once"),
    (changed("order: [rural, urban]", 'one_hot: ["1", "01"]'), 10, "needs two different values", ""),
    (changed("order: [rural, urban]", "one_hot: [a, b, c], order: [b, a]"), 10, "leaves out 'c'", "every value"),
    (changed("order: [rural, urban]", "one_hot: [a_x, a_y]").replace("- Age == 0 or Age >= 16", "- Area == 'a_z'"), 12,
     "Area is never 'a_z'", "called as 'a_"),
    (changed("order: [rural, urban]", "all_zero: a"), 10, "all_zero: is for one-hot groups", "one_hot"),
    (changed("order: [rural, urban]", "one_hot: [a, b]").replace("- Age == 0 or Age >= 16", "- a == 1"), 12,
     "reads a, a column of the one-hot group", "== 'a'`"),
    (changed("order: [rural, urban]", "direction: increase"), 10, "invalid enum value 'increase'", "both, down, up"),
    (changed("order: [rural, urban]", "type: lable"), 10, "invalid enum value 'lable'", "say one of: category, "),
    (changed("order: [rural, urban]", "mim: 3"), 10, "unknown key 'mim'", "did you mean min?"),
    (changed("- Age == 0 or Age >= 16", "- Age > 1\n- Age >"), 13, "constraints[1]: is not an expression", ""),
    (changed("cost: 3", "cost: 1e999"), 14, "too large", ""),
    (changed("{cost: 3}", "3"), 14, "checks.robustness.evasion: expected", ""),
    (changed("system: {name: claims, ", "system: {"), 1, "needs the key 'name'", ""),
    (GOOD.replace("system:", "sytem:", 1), 1, "unknown key 'sytem'", "did you mean system?"),
    (GOOD + "policy: b.yaml\n", 17, "duplicate key 'policy'", ""),
    ("schema: assay/2\n" + GOOD, 1, "'assay/2' is not known", "assay/1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "what", "fix"), WRONG, ids=[w[2] + str(w[1]) for w in WRONG])
def test_what_does_not_hold_together_is_one_line(text: str, line: int, what: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        project(text)
    assert caught.value.where == f"assay.yaml:{line}"
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert "\n" not in str(caught.value)


def test_a_project_may_have_no_model() -> None:
    assert project("system: {name: x}\n").model is None
    assert project("system: {name: x}\nsubjects: {t: {dataset: t.csv}}\n").model is None


def test_one_of_several_models_can_be_named() -> None:
    text = changed(", champion: old", "").replace("policy: policy.yaml", "release: old")
    assert project(text).model == "old"


def test_it_is_read_from_a_file_or_its_folder(tmp_path: Path) -> None:
    (tmp_path / "assay.yaml").write_text(GOOD)
    assert load_project(tmp_path).root == load_project(tmp_path / "assay.yaml").root == tmp_path
    with pytest.raises(InputError, match=r"no such file.*`assay init`"):
        load_project(tmp_path / "elsewhere")


def test_a_threat_file_that_is_not_there_is_drafted_by_another_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file.*`assay attack init`"):
        load_threat(tmp_path / "threat.yaml")


def test_a_threat_file_says_the_same_of_features(tmp_path: Path) -> None:
    path = tmp_path / "threat.yaml"
    path.write_text("features:\n  a: {max: 3}\nconstraints: [a < 3]\n")
    assert load_threat(path).features["a"].max == 3
    path.write_text("features:\n  a: {max: 3}\n  b: {min: 2, max: 1}\n")
    with pytest.raises(UsageError, match="min is greater than max") as caught:
        load_threat(path)
    assert caught.value.where.endswith(":3")


@pytest.mark.parametrize(
    ("text", "minutes"), [("1m", 1), ("90m", 90), ("12h", 720), ("30d", 43200), ("99999d", 143998560)]
)
def test_durations(text: str, minutes: int) -> None:
    assert duration(text).total_seconds() == minutes * 60


@pytest.mark.parametrize(
    "text", ["", "0d", "00h", "30", "d", "-1d", "1.5h", "1w", "1d ", " 1d", "1D", "100000d", "1d\n", "٣d", "1d1h"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration(text)

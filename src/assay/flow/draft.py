"""Drafts assay.yaml and a release policy from the files that lie in a project."""

from __future__ import annotations

import csv
import os
import re
import shlex
from pathlib import Path

import msgspec

from assay.core.errors import UsageError
from assay.core.text import visible
from assay.formats.models.boosters import looks_like_lightgbm, looks_like_xgboost
from assay.formats.models.catboost import looks_like as looks_like_catboost

MODELS = (
    ".onnx", ".pkl", ".pickle", ".joblib", ".safetensors", ".gguf", ".pt", ".pth", ".pt2", ".h5", ".keras",
    ".cbm", ".ubj",
)  # fmt: skip
UNSURE = (".txt", ".json")
"""Suffixes of models, and of much else."""
TABLES = (".csv", ".parquet", ".arrow", ".feather")
SKIPPED = {".git", ".venv", "venv", "node_modules", "__pycache__", ".assay", "site-packages"}
HOLDOUT = re.compile(
    r"(?:x|y|my)?(?:holdout|heldout|hold|unseen|tests?|testing|testset|testdata|valid|validation|val|dev|eval|evaluation)"
)
TRAIN = re.compile(r"(?:x|y|my)?(?:train|training|trainset|traindata)")
"""Words of a table's path: `hold` in phish_hold.csv and `Test` in KDDTest+.csv, not in household.csv."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
CHAMPION = ("champion", "baseline", "previous", "incumbent")
MOST_FILES = 20_000

_STARTER = """\
  - findings: {severity: critical, unwaived_max: 0}
  - findings: {severity: high, unwaived_max: 0}
  - outcome: {check: "artifact.*", status: pass}
  # - outcome: {check: "supply.*", status: pass}    # once a subject is a repository: repo: {artifact: FOLDER}
  - measure: {name: performance.recall, min: 0.50, bound: lower95}
  - measure: {name: performance.false_alarm_rate, max: 0.20, bound: upper95}
  - measure: {name: robustness.evasion.recall_under_attack, min: 0.30, bound: lower95}
  - measure: {name: robustness.evasion.affordable_share, min: 0.05, bound: lower95}
"""
_RULES = {
    "starter": _STARTER,
    "team": _STARTER + "  - approvals: {roles: [security], distinct: 1, exclude: author}\n",
    "regulated": """\
  - findings: {severity: critical, unwaived_max: 0}
  - findings: {severity: high, unwaived_max: 0}
  - findings: {severity: medium, unwaived_max: 0}
  - outcome: {check: "artifact.*", status: pass}
  # - outcome: {check: "supply.*", status: pass}    # once a subject is a repository: repo: {artifact: FOLDER}
  - measure: {name: performance.recall, min: 0.60, bound: lower95}
  - measure: {name: performance.false_alarm_rate, max: 0.20, bound: upper95}
  - measure: {name: robustness.evasion.recall_under_attack, min: 0.40, bound: lower95, max_age: 30d}
  - measure: {name: robustness.evasion.affordable_share, min: 0.05, bound: lower95}
  - approvals: {roles: [security, compliance], distinct: 2, exclude: author}
""",
}
PROFILES = tuple(_RULES)
MOST_OTHERS = 20
_OBSERVE = "observe    # says what it would decide and exits 0 whatever that is; `enforce` decides"


def observes(profile: str) -> bool:
    """Whether the policy of a profile only says what it would decide."""
    return profile == "starter"


class Found(msgspec.Struct, frozen=True):
    """Model and table files of a project, relative to it."""

    models: tuple[str, ...]
    tables: tuple[str, ...]


def look_around(root: Path) -> Found:
    """The files that could be subjects, at most a few folders deep. Raises UsageError where there are too many."""
    models: list[str] = []
    tables: list[str] = []
    count = 0
    for folder, names, files in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts)
        names[:] = sorted(n for n in names if n not in SKIPPED and not n.startswith(".")) if depth < 4 else []
        for name in sorted(files):
            count += 1
            if count > MOST_FILES:
                raise UsageError("holds too many files to look through", where=str(root), fix="run it in the project")
            path = (Path(folder) / name).relative_to(root)
            if path.suffix.lower() in TABLES:
                tables.append(path.as_posix())
            elif path.suffix.lower() in MODELS or (path.suffix.lower() in UNSURE and _is_trees(root / path)):
                models.append(path.as_posix())
    models.sort(key=_is_champion)  # stable: an incumbent model is not the one that is to ship
    return Found(tuple(models), tuple(tables))


def _is_champion(uri: str) -> bool:
    return any(word in Path(uri).stem.lower() for word in CHAMPION)


def _is_trees(path: Path) -> bool:
    """Whether a file is a model of LightGBM, XGBoost or CatBoost, by its first bytes."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError:
        return False
    return looks_like_lightgbm(head) or looks_like_xgboost(head, path.name) or looks_like_catboost(head, path.name)


def draft_manifest(root: Path, found: Found, label: str | None) -> str:
    """The text of assay.yaml. What could not be guessed is a comment that says what to write."""
    lines = [
        "# Drafted by `assay init`. Read it, mend it, then: assay run",
        "system:",
        f"  name: {_word(root.resolve().name)}",
        "  # owner: who answers for it",
        "  # purpose: what it decides, about whom",
        "  # risk: high, limited or minimal",
        "",
        "subjects:" if found.models or found.tables else "subjects: {}",
    ]
    known = [t for t in found.tables if not _is_holdout(t)]
    train = next((t for t in known if _is_train(t)), known[0] if known else None)
    holdout = next((t for t in found.tables if _is_holdout(t)), None)
    facts = f", label: {_quoted(label)}, positive: 1" if label else ""
    if train:
        told = "    # positive: the value of the label that the model is to find" if label else ""
        lines.append(f"  train: {{dataset: {_quoted(train)}{facts}}}{told}")
    if holdout:
        of = ", holdout_of: train" if train else ""
        lines.append(f"  holdout: {{dataset: {_quoted(holdout)}{facts}{of}}}")
    lines += [f"  # also found: {_shown(t)}" for t in found.tables if t not in (train, holdout)][:MOST_OTHERS]
    if found.models:
        reads = (", data: train" if train else "") + (", holdout: holdout" if holdout else "")
        lines.append(
            f"  model: {{model: {_quoted(found.models[0])}{reads}, threshold: 0.5}}    # the score from which it flags"
        )
        others = [m for m in found.models[1:] if not _is_champion(m)]
        lines += [f"  # also found: {m}" for m in found.models[1:] if _is_champion(m)][:5]
        for number, other in enumerate(others[:MOST_OTHERS], 1):
            lines.append(f"  other-{number}: {{artifact: {_quoted(other)}}}    # found too: it ships, or take it out")
        if len(others) > MOST_OTHERS:
            lines.append(f"  # and {len(others) - MOST_OTHERS} more models: nothing examines them until you name them")
    if not found.models and not found.tables:
        lines += ["  # no model or table was found; for example:", "  # model: {model: models/model.onnx}"]
    if found.tables and not label:
        lines.append("  # name the label of the tables: label: COLUMN, positive: VALUE")
    lines += [
        "",
        "# What an attacker can change in each column, at what cost. robustness.evasion stays open until you say so:",
        "# take away the # and declare every column that the model reads.",
    ]
    if train and label:
        drafts = f"`assay attack init {_shown(train)} --label {_shown(label)}`"
        lines.append(f"# {drafts} drafts it from the rows, with ranges and relations; what it writes goes here.")
    columns = _columns(root / train) if train and train.endswith(".csv") else []
    features = [c for c in columns if c != label]
    lines.append("# features:")
    lines += [f"#   {_quoted(c)}: {{mutable: false}}" for c in features[:200]]
    lines += ["", "policy: policy.yaml" if found.models else "# policy: policy.yaml    (it decides on a model)", ""]
    return "\n".join(lines)


def draft_policy(profile: str) -> str:
    """The text of policy.yaml for a profile."""
    return (
        "# The release policy. Its owner signs it: assay sign policy.yaml --key owner.key\n"
        f"policy: release\nversion: 1\nmode: {_OBSERVE if observes(profile) else 'enforce'}\n"
        + (
            "evidence:    # who may vouch: not the team whose model is judged\n"
            '  - {check: "performance.*", roles: [security]}\n  - {check: "robustness.*", roles: [security]}\n'
            if profile == "regulated"
            else ""
        )
        + "waivers: {roles: [security], longest: 90d}\n"
        "require:    # the bounds are drafts: write what you promise\n" + _RULES[profile]
    )


def _is_holdout(uri: str) -> bool:
    return _says(HOLDOUT, uri)


def _is_train(uri: str) -> bool:
    return _says(TRAIN, uri)


def _says(words: re.Pattern[str], uri: str) -> bool:
    return any(words.fullmatch(word.lower()) for word in _WORD.findall(str(Path(uri).with_suffix(""))))


def _columns(path: Path) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            head = file.readline(1_000_000)
        dialect = csv.Sniffer().sniff(head, delimiters=",;\t|") if head.strip() else csv.excel
        return [c for c in next(csv.reader([head], dialect), []) if c.strip()]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _shown(text: str) -> str:
    """One word of a command line inside a comment."""
    return shlex.quote(visible(text, 200))


def _word(text: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_" else "-" for c in text).strip("-")
    return _quoted(kept or "system")


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()

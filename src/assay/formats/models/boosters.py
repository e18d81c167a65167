"""XGBoost models (JSON, UBJSON, old binary) and LightGBM's text: what they are, and that they are whole.

Layout: xgboost doc/model.schema. LightGBM's text is judged by `assay.adapters.lightgbm_text.sound`.
"""

from __future__ import annotations

import re
from typing import IO

import msgspec

from assay.core.text import visible
from assay.formats.models import ubjson
from assay.formats.models.facts import Facts
from assay.formats.models.source import Cursor, Source
from assay.formats.reading import Limits, Reading

MOST_JSON = 512 << 20
_DART = ("gbtree", "model", "trees")
_OLD_BINARY = (b"binf", b"bs64\t")
_JSON_HEAD = re.compile(rb'\A\s*\{\s*"(?:learner"\s*:\s*\{|version"\s*:\s*\[|Config"\s*:\s*\{)')
_UBJ_HEAD = re.compile(rb"\A\{(?:L\0{7}|l\0{3}|i|U)(?:\x07learner\{|\x07version\[|\x06Config\{)")


def looks_like_xgboost(head: bytes, name: str) -> bool:
    """Whether a file's first bytes are those of an XGBoost model in any of its formats."""
    json = _JSON_HEAD.match(head) is not None and (b'"learner"' in head or b'"Config"' in head)
    return json or _UBJ_HEAD.match(head) is not None or head.startswith(_OLD_BINARY)


def looks_like_lightgbm(head: bytes) -> bool:
    """Whether a file's first bytes are those of a LightGBM text model."""
    return re.match(rb"\Atree\r?\nversion=v\d", head) is not None


looks_like = looks_like_xgboost


class _Named(msgspec.Struct):
    name: str = ""


class _Trees(msgspec.Struct):
    trees: list[msgspec.Raw] = []
    weights: list[float] = []


class _Inner(msgspec.Struct):
    model: _Trees = msgspec.field(default_factory=_Trees)


class _GradientBooster(msgspec.Struct):
    name: str = ""
    model: _Trees = msgspec.field(default_factory=_Trees)
    gbtree: _Inner | None = None


class _Learner(msgspec.Struct):
    attributes: dict[str, str] = {}
    feature_names: list[str] = []
    feature_types: list[str] = []
    gradient_booster: _GradientBooster = msgspec.field(default_factory=_GradientBooster)
    learner_model_param: dict[str, str] = {}
    objective: _Named = msgspec.field(default_factory=_Named)


class _Xgboost(msgspec.Struct):
    learner: _Learner
    version: list[int] = []


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read an XGBoost model. Raises OSError; damage is a gap."""
    facts = Facts("xgboost")
    source = Source(file, limits)
    with facts.torn():
        head = source.at(0, min(source.size, 64))
        if head.startswith(_OLD_BINARY):
            facts.gap("is an XGBoost model in its old binary form, which this version does not read")
        elif _UBJ_HEAD.match(head):
            _ubjson(facts, source)
        else:
            _json(facts, source)
    return facts.reading()


def _json(facts: Facts, source: Source) -> None:
    if source.size > MOST_JSON:
        facts.gap(f"is JSON of more than {MOST_JSON >> 20} MB")
        return
    try:
        model = msgspec.json.decode(source.at(0, source.size), type=_Xgboost)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"its JSON cannot be read ({visible(str(error), 100)})") from None
    learner = model.learner
    facts.measured["encoding"] = "json"
    facts.measured["version"] = ".".join(map(str, model.version[:5]))
    booster, inner = learner.gradient_booster.name, learner.gradient_booster.gbtree
    trees = (learner.gradient_booster.model if inner is None else inner.model).trees
    facts.text("objective", learner.objective.name)
    facts.text("booster", booster)
    facts.measured["trees"] = len(trees)
    for key, value in learner.learner_model_param.items():
        facts.metadata(key, value)
    for key, value in learner.attributes.items():
        facts.metadata(f"attributes.{key}", value)
    for feature in learner.feature_names[:300]:
        facts.listed("inputs", feature)
    if not booster:
        facts.gap("is torn or not an XGBoost model: it names no booster")


def _ubjson(facts: Facts, source: Source) -> None:
    cursor = Cursor(source, 0, ">")
    walk = ubjson.Walk(cursor)
    walk.value()
    if cursor.place != source.size:
        facts.gap(f"holds {source.size - cursor.place:,} bytes after its end, which were not read")
    kept = {tuple(map(str, path)): value for path, value in walk.kept.items()}
    counts = {tuple(map(str, path)): count for path, count in walk.counts.items()}
    booster = ("learner", "gradient_booster")
    facts.measured["encoding"] = "ubjson"
    facts.measured["version"] = ".".join(str(value) for path, value in kept.items() if path[:1] == ("version",))
    facts.text("objective", str(kept.get(("learner", "objective", "name"), "")))
    facts.text("booster", str(kept.get((*booster, "name"), "")))
    facts.measured["trees"] = counts.get((*booster, "model", "trees"), counts.get((*booster, *_DART), 0))
    for path, value in kept.items():
        if len(path) != 3 or path[0] != "learner":
            continue
        if path[1] == "learner_model_param":
            facts.metadata(path[2], value)
        elif path[1] == "attributes":
            facts.metadata(f"attributes.{path[2]}", value)
        elif path[1] == "feature_names":
            facts.listed("inputs", value)
    if (*booster, "name") not in kept:
        facts.gap("is torn or not an XGBoost model: it names no booster")

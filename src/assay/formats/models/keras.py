"""What a Keras configuration (of .keras, HDF5, SavedModel or JSON) has its loader import, run or read."""

from __future__ import annotations

import re
from typing import Any

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.models.keras_symbols import LAYERS, judge_layer, judge_symbol
from assay.formats.models.nodes import mappings_in
from assay.formats.pickle.tiers import DANGEROUS, classify
from assay.formats.reading import Note, Topic

_FIX = "ask for the model without this layer, or as ONNX"
_SAFE_MODE = "load it only with safe_mode=True of a current Keras; better, " + _FIX
# Where Keras' own classes live. A name outside belongs to some other package, which the configuration imports.
_KERAS = ("keras", "tf_keras", "keras_hub", "keras_nlp", "keras_cv", "keras_tuner", "tensorflow.keras")
_INNER = ("tensorflow.python.keras", "tensorflow.python.trackable", "tensorflow_addons", "keras_core")
# In Keras' own modules, what is no layer, loss or the like but a function that acts.
_GADGET_MODULES = ("utils", "config", "saving", "export", "distribution", "datasets", "callbacks", "models")
_GADGETS = frozenset(
    (
        *("get_file", "load_model", "load_weights", "deserialize_keras_object", "enable_unsafe_deserialization"),
        *("set_backend", "func_load", "load_data", "run", "pickle", "exec", "eval", "from_config", "standardize_path"),
    )
)
_ROOT = re.compile(
    r"(?:tensorflow\.|python\.|_api\.|v[12]\.)*[a-z_]*keras[a-z_]*\.?(?:(?:src|api|_v[12]|_tf_keras|keras)\.)*"
)
_BUILT_INS = frozenset({"function", "slice", "type", "tuple", "list", "dict", "set", "Ellipsis", "NoneType"})
# Python's own functions that do more than compute: Keras 3 before 3.7 took them for an activation or a loss.
_ACTING = """
eval exec compile open __import__ getattr setattr delattr globals locals vars input breakpoint exit quit help print dir
memoryview super __build_class__
"""
_ACTING_BUILT_INS = frozenset(_ACTING.split())
_LOOKUPS = frozenset({"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"})
# Layers that load something else: a pickled module, a SavedModel, a hub's model.
_WRAPPERS = {
    "TorchModuleWrapper": (Severity.CRITICAL, "unpickles a torch module when it is loaded"),
    "TFSMLayer": (Severity.HIGH, "loads a TensorFlow SavedModel from a path when it is loaded"),
    "KerasLayer": (Severity.HIGH, "loads a TensorFlow Hub model when it is loaded"),
    "JaxLayer": (Severity.MEDIUM, "calls a function that is restored from the file"),
    "FlaxLayer": (Severity.MEDIUM, "calls a function that is restored from the file"),
}


def is_keras(value: Any) -> bool:
    """Whether decoded JSON is the configuration of a Keras object: a class, and what it is configured with."""
    if not isinstance(value, dict) or not isinstance(value.get("class_name"), str):
        return False
    return "config" in value or value["class_name"] in ("Lambda", "__lambda__")


def judge_keras(config: Any, where: str) -> list[Note]:
    """Every object of a configuration that runs code, comes from elsewhere or reads a file.

    `config` is decoded JSON; `where` names the attribute or member that held it. Nothing is imported.
    """
    found: dict[str, Note] = {}
    for item in mappings_in(config):
        for severity, key, message, fix in _object(item):
            found.setdefault(
                key,
                Note(
                    topic=Topic.MODEL_CODE, message=message, severity=severity, key=key, where=where, fix=fix,
                    evidence={"class": visible(str(item.get("class_name", "")), 80),
                              "module": visible(str(item.get("module", "")), 80)},
                ),
            )  # fmt: skip
    return list(found.values())


_Said = tuple[Severity, str, str, str]


def _object(item: dict[str, Any]) -> list[_Said]:
    name, inner = item.get("class_name"), item.get("config")
    if not isinstance(name, str):
        return []
    said: list[_Said] = []
    module = item.get("module") if isinstance(item.get("module"), str) else ""
    base = name.rpartition(">")[2].rpartition(".")[2]  # Keras joins module and name: "layers.Lambda" of "keras" counts
    shown = visible(name, 60)
    if base == "__lambda__":
        said.append((Severity.CRITICAL, "lambda", "carries Python bytecode that runs when the model does", _SAFE_MODE))
    elif base == "Lambda":
        said += _lambda(inner)
    elif base in LAYERS:
        said += [(severity, key, f"has a layer {shown} that {what}", _FIX) for severity, key, what in
                 judge_layer(item, base, inner)]  # fmt: skip
    elif base in _WRAPPERS:
        severity, what = _WRAPPERS[base]
        said.append((severity, base, f"has a layer {shown} that {what}", _FIX))
    elif base in _LOOKUPS and isinstance(inner, dict):
        paths = [v for v in (inner.get("vocabulary"), inner.get("idf_weights")) if isinstance(v, str)]
        if paths:
            what = f"has a layer {shown} that reads the file {visible(paths[0], 120)} when it is loaded"
            said.append((Severity.HIGH, f"file {base}", what, "keep the vocabulary inside the model"))
    if module and ("config" in item or "registered_name" in item):
        said += _from_module(module, name, inner)
    elif ">" in str(item.get("registered_name")):
        what = f"needs {visible(str(item['registered_name']), 80)}, which the loading program must bring along"
        said.append((Severity.INFO, f"custom {shown}", what, ""))
    return said


def _lambda(inner: Any) -> list[_Said]:
    function = inner.get("function") if isinstance(inner, dict) else None
    if isinstance(function, list) or (isinstance(inner, dict) and inner.get("function_type") == "lambda"):
        what = "has a Lambda layer that carries Python bytecode, which runs when the model is loaded or used"
        return [(Severity.CRITICAL, "lambda", what, _SAFE_MODE)]
    if isinstance(function, dict) and function.get("class_name") == "__lambda__":
        return []  # it says so itself
    what = "has a Lambda layer that calls a function by its name, which the loading program must bring along"
    return [(Severity.MEDIUM, "lambda by name", what, _FIX)]


def _from_module(module: str, name: str, inner: Any) -> list[_Said]:
    """What importing `name` from `module`, as Keras 3 does, would get hold of."""
    target = inner if name == "function" and isinstance(inner, str) else name
    module, _, target = f"{module}.{target}".rpartition(".")
    shown = visible(f"{module}.{target}", 120)
    if module == "builtins":
        if name in _BUILT_INS and target not in _ACTING_BUILT_INS:
            return []  # a function of Keras' own, found by its name
        return [(Severity.CRITICAL, shown, f"has its loader import {shown}", _SAFE_MODE)]
    if module == "__main__":
        return [(Severity.INFO, shown, f"names {shown}, which the loading program must bring along", "")]
    if _within(module, (*_KERAS, *_INNER)):
        rest = _ROOT.sub("", module)
        if target in _GADGETS or (_within(rest, _GADGET_MODULES) and not target[:1].isupper()):
            return [(Severity.CRITICAL, shown, f"has its loader import {shown}, which is no layer", _SAFE_MODE)]
        return []
    if _within(module, ("tensorflow", "tf")):
        severity, what = judge_symbol(f"{module}.{target}")
        if severity.rank >= Severity.HIGH.rank:
            return [(severity, shown, f"has its loader import {shown}, which {what}", _SAFE_MODE)]
    tier, why = classify(module, target)
    if tier == DANGEROUS:
        return [(Severity.CRITICAL, shown, f"has its loader import {shown}, which {why}", _SAFE_MODE)]
    what = f"has its loader import {shown}, which comes with no Keras"
    return [(Severity.MEDIUM if tier != "safe" else Severity.INFO, shown, what, _FIX)]


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)

"""Configuration that names code: auto_map, `_target_`, MLmodel, sentence-transformers' modules, Keras, YAML tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from assay.core.finding import Confidence, Severity
from assay.core.text import visible
from assay.formats.reading import Note
from assay.formats.texts.config_paths import index_paths, model_paths
from assay.formats.texts.config_targets import ORDINARY, config_note, how_grave, judge_targets
from assay.formats.texts.documents import Document, mappings
from assay.formats.texts.python_dangers import words
from assay.formats.texts.yaml_tags import builds_objects

_MOST = 100  # files named in evidence
_REPO = re.compile(r"[\w.-]+(?:/[\w.-]+)?--")
_NAMED_TAG = re.compile(r"!(?:new|name|apply|applyref|module):(?P<name>[A-Za-z_]\w*(?:\.\w+)*)")
_MLFLOW = words(
    """mlflow.sklearn mlflow.pyfunc.model mlflow.pytorch mlflow.tensorflow mlflow.keras mlflow.xgboost mlflow.lightgbm
    mlflow.catboost mlflow.onnx mlflow.spark mlflow.statsmodels mlflow.prophet mlflow.spacy mlflow.fastai mlflow.h2o
    mlflow.pmdarima mlflow.diviner mlflow.transformers mlflow.langchain mlflow.llama_index mlflow.openai mlflow.gluon
    mlflow.sentence_transformers mlflow.paddle mlflow.johnsnowlabs mlflow.shap mlflow.promptflow mlflow.dspy
    mlflow.haystack mlflow.crewai mlflow.pyfunc.spark_model_cache mlflow.autogluon mlflow.mleap mlflow.rfunc""",
)
_SENTENCE = ("sentence_transformers.", "pylate.", "model2vec.")


def judge_config(document: Document, name: str = "", where: str = "") -> list[Note]:
    """What a parsed configuration names as code; `name` is the file's own ("config.json", "MLmodel").

    `evidence["files"]` of a note are the Python files that it names, relative to it, so that what they
    hold can be told apart from code that nothing loads.
    """
    notes: dict[str, Note] = {}
    for note in _notes(document, name.replace("\\", "/").rpartition("/")[2].lower(), where):
        held = notes.get(note.key)
        if held is None or held.severity.rank < note.severity.rank:
            notes[note.key] = note
    return list(notes.values())


def _notes(document: Document, base: str, where: str) -> Iterator[Note]:
    for tag in document.tags:
        if builds_objects(tag):
            yield _tag(tag, where)
    for path, mapping in mappings(*document.values):
        for key in ("auto_map", "auto_mapping"):
            yield from _auto_map(mapping.get(key), where)
        if mapping.get("custom_pipelines"):
            yield _pipelines(mapping["custom_pipelines"], where)
        if (trust := mapping.get("trust_remote_code")) not in (None, False):
            sure = Confidence.HIGH if trust in (True, "true", 1) else Confidence.MEDIUM
            said = "switches on trust_remote_code: its loader runs code of any repository it is pointed to"
            yield config_note(said, Severity.MEDIUM, "trust", where, sure=sure, path=path)
        yield from judge_targets(path, mapping, where)
        if (module := mapping.get("loader_module")) not in (None, False):
            yield from _flavor(module, mapping, where)
    if base == "modules.json":
        yield from _sentence_modules(document.values, where)
    if base == "mlmodel":
        yield from model_paths(document.values, where)
    elif base.endswith(".index.json"):
        yield from index_paths(document.values, where)


def _tag(tag: str, where: str) -> Note:
    """A tag by which YAML's loader builds or calls something; HyperPyYAML's say what that is."""
    named = _NAMED_TAG.fullmatch(tag)
    if named is None:
        said = "holds a YAML tag that builds or calls what the file names when it is loaded"
        return config_note(
            said, Severity.HIGH if "python/" in tag or "!apply" in tag else Severity.MEDIUM, "yaml-tag", where
        )
    grave = how_grave(named["name"])
    if grave is Severity.INFO:
        return config_note("names classes of known libraries to build (YAML tags)", grave, "yaml-tag:known", where)
    said = f"makes its loader import and call {visible(named['name'], 80)} (a YAML tag)"
    return config_note(said, grave, f"yaml-tag:{named['name'][:100]}", where)


def _auto_map(mapped: Any, where: str) -> Iterator[Note]:
    if not mapped:
        return
    if not isinstance(mapped, dict):
        yield config_note(
            "names code for auto classes in a form that this version does not know", Severity.MEDIUM, "auto-map", where
        )
        return
    if "base_model_class" in mapped and "parent_library" in mapped:  # PEFT's auto_mapping: the base model's own class
        parent = str(mapped["parent_library"])
        if parent.split(".")[0] not in ORDINARY:
            said = f"names the module {visible(parent, 60)}, which is imported to load its base model"
            yield config_note(said, Severity.MEDIUM, "parent-library", where)
        return
    entries = [item for value in mapped.values() for item in (value if isinstance(value, list) else [value])]
    named = [str(item) for item in entries if isinstance(item, str) and item]
    away = sorted({item.partition("--")[0] for item in named if _REPO.match(item)})
    files = _files(item for item in named if not _REPO.match(item))
    odd = [item for item in named if ".." in item or item.startswith("/") or "\\" in item]
    if away:
        said = f"names code in another repository ({visible(away[0], 60)}), which is run with trust_remote_code"
        yield config_note(
            said,
            Severity.HIGH,
            "auto-map-elsewhere",
            where,
            evidence={"repositories": [visible(a, 100) for a in away[:20]]},
        )
    if odd:
        yield config_note("names code outside its own folder", Severity.HIGH, "auto-map-outside", where)
    if files or not (away or odd):
        said = f"names code that is run with trust_remote_code ({visible(', '.join(files[:3]) or 'auto_map', 100)})"
        yield config_note(said, Severity.LOW, "auto-map", where, evidence={"files": list(files), "classes": len(named)})


def _pipelines(mapped: Any, where: str) -> Note:
    named: list[str] = []
    for value in mapped.values() if isinstance(mapped, dict) else ():
        implementation = value.get("impl") if isinstance(value, dict) else None
        if isinstance(implementation, str):
            named.append(implementation)
    away = any(_REPO.match(item) for item in named)
    files = _files(item for item in named if not _REPO.match(item))
    what = "a pipeline in another repository" if away else "its own pipeline"
    said = f"names {what}, which is run with trust_remote_code"
    return config_note(
        said, Severity.HIGH if away else Severity.LOW, "pipelines", where, evidence={"files": list(files)}
    )


def _flavor(module: Any, mapping: dict[str, Any], where: str) -> Iterator[Note]:
    """MLmodel's python_function flavour: what imports and loads the model (MLflow, model format)."""
    name = str(module)
    code = mapping.get("code")
    if name not in _MLFLOW and not name.startswith("mlflow."):
        grave = Severity.CRITICAL if how_grave(f"{name}.x") is Severity.CRITICAL else Severity.HIGH
        said = f"makes MLflow import {visible(name, 60)} to load it, which is none of MLflow's own loaders"
        files = [f"{code}/" if isinstance(code, str) else "", name.replace(".", "/") + ".py"]
        yield config_note(
            said, grave, "loader-module", where, evidence={"module": visible(name, 100), "files": ["".join(files)]}
        )
    elif name == "mlflow.pyfunc.model":
        held = mapping.get("python_model") or mapping.get("model_code_path")
        said = "is a Python model of MLflow, whose pickled class is loaded with its code"
        yield config_note(said, Severity.LOW, "python-model", where, evidence={"python_model": visible(str(held), 100)})
    if isinstance(code, str) and code:
        said = f"ships code that MLflow puts on the import path ({visible(code, 40)})"
        yield config_note(said, Severity.LOW, "code-path", where, evidence={"files": [f"{visible(code, 100)}/"]})


def _sentence_modules(values: tuple[Any, ...], where: str) -> Iterator[Note]:
    """sentence-transformers' modules.json: each "type" is imported and built."""
    for module in values[0] if values and isinstance(values[0], list) else ():
        kind = module.get("type") if isinstance(module, dict) else None
        if not isinstance(kind, str) or kind.startswith(_SENTENCE):
            continue
        grave = how_grave(kind)
        if grave is Severity.INFO:
            continue
        grave = Severity.MEDIUM if grave is Severity.LOW else grave
        files = [kind.partition("--")[2].rpartition(".")[0] or kind.rpartition(".")[0]]
        said = f"names the class {visible(kind, 60)} to be imported and built"
        yield config_note(
            said, Severity.HIGH if "--" in kind else grave, f"module:{kind[:100]}", where,
            evidence={"files": [f"{file.replace('.', '/')}.py" for file in files if file]},
        )  # fmt: skip


def _files(named: Iterator[str]) -> list[str]:
    """The Python files of `module.Class` names."""
    return sorted({f"{item.rpartition('.')[0].replace('.', '/')}.py" for item in named if "." in item})[:_MOST]

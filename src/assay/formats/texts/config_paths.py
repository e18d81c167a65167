"""Paths that configuration hands to a loader: those of an MLmodel and of a weights' index must stay in their folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.reading import Note, Topic
from assay.formats.texts.documents import mappings

# Keys of flavours that hold no path of the model's own folder: where a thing once came from, or what it is.
_NO_PATH = frozenset({"uri", "signature", "version", "loader_module", "registered_model_name", "task", "docker_image"})
_ADDRESS = re.compile(r"(?i)^[a-z][a-z0-9+.-]*://")
_UNPICKLED = re.compile(r"(?i)\.(?:pkl|pickle|joblib|dill|cloudpickle|pt|pth|bin|ckpt|npy|sav)(?:[?#].*)?$")
_DRIVE = re.compile(r"^(?:[A-Za-z]:[\\/]|[\\/]|~)")


def leaves(path: str) -> bool:
    """Whether a path leads out of the folder that holds it: upwards, absolute, a home, a drive or a file address."""
    plain = path.strip().replace("\\", "/")
    return ".." in plain.split("/") or _DRIVE.match(path.strip()) is not None or plain.lower().startswith("file:")


def model_paths(values: tuple[Any, ...], where: str) -> Iterator[Note]:
    """Paths of an MLmodel's flavours (MLflow, model format): code, data, artifacts, environments."""
    for path, mapping in mappings(*(v.get("flavors") for v in values if isinstance(v, dict))):
        for key, value in mapping.items():
            for text in value if isinstance(value, list) else (value,):
                if isinstance(text, str) and 0 < len(text) < 2_000 and "\n" not in text:
                    yield from _model_path(key, text, where, path)


def _model_path(key: str, text: str, where: str, path: str) -> Iterator[Note]:
    shown = visible(text, 80)
    if key == "uri":
        # Where an artifact was taken from when it was logged; ordinary but for what is fetched again and unpickled.
        if _ADDRESS.match(text) and text.lower().startswith(("http://", "ftp://")):
            grave = Severity.HIGH if _UNPICKLED.search(text) else Severity.MEDIUM
            yield _note(f"takes an artifact from {shown}, without TLS", grave, "artifact-uri", where, path)
        elif _ADDRESS.match(text) and text.lower().startswith("https://") and _UNPICKLED.search(text):
            yield _note(f"takes a pickle from {shown}", Severity.MEDIUM, "artifact-uri", where, path)
        elif ".." in text.replace("\\", "/").split("/"):
            yield _note(f"takes an artifact from outside its folder ({shown})", Severity.HIGH, "outside", where, path)
    elif key not in _NO_PATH and leaves(text):
        yield _note(f"leads MLflow outside its own folder ({key[:40]}: {shown})", Severity.HIGH, "outside", where, path)
    elif key in ("path", "code", "data", "model_path", "python_model", "pickled_model") and _ADDRESS.match(text):
        yield _note(f"has MLflow load what lies at an address ({shown})", Severity.HIGH, "outside", where, path)


def index_paths(values: tuple[Any, ...], where: str) -> Iterator[Note]:
    """The files that an index of weights names (transformers' and diffusers' `*.index.json`)."""
    for value in values[:100]:
        named = value.get("weight_map") if isinstance(value, dict) else None
        for text in dict.fromkeys(v for v in named.values() if isinstance(v, str)) if isinstance(named, dict) else ():
            if leaves(text) or _ADDRESS.match(text):
                said = f"names a file of weights outside its own folder ({visible(text, 80)})"
                yield _note(said, Severity.HIGH, "index-outside", where, "weight_map")
            elif re.search(r"(?i)\.(?:pkl|pickle|joblib|dill|py|so|dll|npy)$", text):
                said = f"names {visible(text, 60)} as a file of weights, which runs code when it is loaded"
                yield _note(said, Severity.MEDIUM, "index-pickle", where, "weight_map")


def _note(said: str, severity: Severity, kind: str, where: str, path: str) -> Note:
    return Note(
        topic=Topic.REMOTE_CODE, message=said, severity=severity, key=f"config:{kind}", where=where,
        evidence={"path": visible(path, 120)}, fix="keep what a model loads in its own folder, and pin it by digest",
    )  # fmt: skip

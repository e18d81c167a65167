"""Opening a model as a `Predictor`: ONNX, boosted trees, torch; pickles in the sandbox only; addresses are asked."""

from __future__ import annotations

import hashlib
import importlib
import os
from pathlib import Path

from assay.adapters.layout import check_file
from assay.adapters.predictor_base import BasePredictor
from assay.adapters.tables import Dataset
from assay.config.address import is_address
from assay.core.errors import CouldNotLook, InputError
from assay.core.subject import Subject
from assay.formats.models.boosters import looks_like_xgboost
from assay.formats.models.catboost import looks_like as looks_like_catboost

MAX_MODEL_BYTES = 2 << 30
# A pickle of protocol 2 or later, or what joblib compresses it to.
_PICKLED = (b"\x80", b"\x1f\x8b", b"x\x01", b"x^", b"x\x9c", b"x\xda", b"BZh", b"\xfd7zXZ", b"]\0\0", b"\x04\x22M\x18")
# How torch's files begin that are no zip (the number of torch.save, pickled).
_TORCH_STREAM = b"\x8a\nl\xfc\x9cF\xf9 j\xa8"
# What opens each kind of file, loaded when it is needed: called with the file's bytes, its subject and the data.
_KINDS = {
    "lightgbm": "assay.adapters.lightgbm_predictor:LightgbmPredictor",
    "xgboost": "assay.adapters.xgboost_predictor:XgboostPredictor",
    "catboost": "assay.adapters.catboost.predictor:CatboostPredictor",
    "onnx": "assay.adapters.onnx_predictor:OnnxPredictor",
    "torch": "assay.adapters.torch.predictor:TorchPredictor",
}


def open_predictor(
    subject: Subject,
    root: Path,
    *,
    data: Dataset | None = None,
    weak_sandbox: bool = False,
) -> BasePredictor:
    """The model at `subject.uri` under `root`, ready to score rows of `data`'s columns.

    Options of the subject: `threshold`, `positive`, `inputs` (columns in the model's order); for pickles also `allow`
    ("module.Name" globals that may be loaded), `allow_until` (ISO date) and `modules` (folder to import them from). For
    an http:// or https:// address those of `endpoint.options`; nothing but that address is asked.

    Raises InputError for a file that is absent, empty or too large, MissingExtra without the library, and CouldNotLook
    for a model that is refused, torn, of an unknown kind, or whose inputs do not fit the data.
    """
    if is_address(subject.uri):
        from assay.adapters.endpoint.predictor import open_endpoint

        return open_endpoint(subject, data)
    path = Path(os.path.realpath(root / subject.uri))
    check_file(path, subject.uri, MAX_MODEL_BYTES)
    kind = model_kind(path)
    if kind in ("pickle", "skops"):
        from assay.adapters.sandboxed import open_sandboxed

        return open_sandboxed(subject, root, path, data=data, weak_sandbox=weak_sandbox)
    content = path.read_bytes()
    if subject.digest and subject.digest != "sha256:" + hashlib.sha256(content).hexdigest():
        raise InputError("changed since it was planned", where=subject.uri, fix="run again")
    if kind not in _KINDS:
        kinds = "ONNX, LightGBM text, XGBoost, CatBoost, torch program (.pt2), scikit-learn pickle, joblib or skops"
        raise CouldNotLook(f"{subject.uri}: is not a model that can be run here ({kinds}); convert it to ONNX")
    module, _, name = _KINDS[kind].partition(":")
    predictor: BasePredictor = getattr(importlib.import_module(module), name)(content, subject, data)
    return predictor


def model_kind(path: Path) -> str:
    """A kind of `_KINDS`, pickle (compressed or not), skops or "" by the file's first bytes, helped by its name.

    Only a guess at who should look: each loader judges the file itself, and the sandbox scans it first.
    """
    with path.open("rb") as file:
        head = file.read(64)
    suffix = path.suffix.lower()
    if head.startswith((b"tree\n", b"tree\r\n")):
        return "lightgbm"
    if looks_like_xgboost(head, path.name):
        return "xgboost"
    if looks_like_catboost(head, path.name):
        return "catboost"
    if suffix == ".onnx":
        return "onnx"
    torch_file = suffix in (".pt", ".pth", ".ckpt") and (head.startswith(b"PK") or head[2:12] == _TORCH_STREAM)
    if suffix == ".pt2" or torch_file:  # all of torch's, of which programs are run: the others are told how to be one
        return "torch"
    if suffix == ".skops":
        return "skops"
    if suffix in (".pkl", ".pickle", ".joblib", ".sav") or head.startswith(_PICKLED):
        return "pickle"
    # ModelProto begins with field 1 (ir_version) as a varint.
    return "onnx" if len(head) > 2 and head[0] == 0x08 and 1 <= head[1] <= 32 else ""

"""Which model format a file has, where neither a mark at its beginning nor its text says so."""

from __future__ import annotations

from importlib import import_module

# In this order: those with a mark of their own first, then messages without one, from the strictest on.
_KINDS = (
    *("tflite", "catboost", "boosters", "sentencepiece", "saved_keras", "savedmodel", "onnx", "checkpoint"),
    "msgpack_flax",
)
FORMATS = {
    "tflite": "tflite",
    "catboost": "catboost",
    "boosters": "xgboost",
    "sentencepiece": "sentencepiece",
    "saved_keras": "keras-metadata",
    "savedmodel": "tf-graph",
    "onnx": "onnx",
    "checkpoint": "tf-checkpoint",
    "msgpack_flax": "flax-msgpack",
}


def recognise(head: bytes, name: str) -> str:
    """The format's name for a file's first 4,096 bytes and its name; "" for none."""
    for module in _KINDS:
        if import_module(f"assay.formats.models.{module}").looks_like(head, name):
            return FORMATS[module]
    return ""


def recognise_text(head: bytes, name: str) -> str:
    """The model format that a text file is besides: XGBoost's and CatBoost's JSON, TensorFlow's text form."""
    for module, kind in (("catboost", "catboost"), ("boosters", "xgboost"), ("tensorflow_text", "tf-text")):
        if import_module(f"assay.formats.models.{module}").looks_like(head, name):
            return kind
    return ""

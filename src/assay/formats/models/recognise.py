"""Which model format a file has, where neither a mark at its beginning nor its text says so."""

from __future__ import annotations

from importlib import import_module

# In this order: those with a mark of their own first, then messages without one, from the strictest on.
_KINDS = (
    *("tflite", "tfrecord", "catboost", "boosters", "sentencepiece", "saved_keras", "savedmodel", "onnx", "checkpoint"),
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
    "tensorflow_text": "tf-text",
    "onnx_text": "onnx-text",
    "tfrecord": "tfrecord",
}


def recognise(head: bytes, name: str) -> str:
    """The format's name for a file's first 4,096 bytes and its name; "" for none."""
    for module in _KINDS:
        if import_module(f"assay.formats.models.{module}").looks_like(head, name):
            return FORMATS[module]
    return ""


# Text forms; and messages whose every byte may be a sign of text, which count as such only under a name that says so.
_TEXTS = ("catboost", "boosters", "tensorflow_text", "onnx_text", "savedmodel", "onnx")
_BINARY_NAMES = (".pb", ".meta", ".graphdef", ".metagraph", ".onnx", ".ort")


def recognise_text(head: bytes, name: str) -> str:
    """The model format that a text file is besides: XGBoost's and CatBoost's JSON, TensorFlow's text form.

    A file named as a graph (.pb, .meta, .onnx) is one if its fields read so, though all its bytes look like text.
    """
    for module in _TEXTS:
        if module in ("savedmodel", "onnx") and not name.lower().endswith(_BINARY_NAMES):
            continue
        if import_module(f"assay.formats.models.{module}").looks_like(head, name):
            return FORMATS[module]
    return ""

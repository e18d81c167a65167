"""The static table of format readers: which function reads a format, imported when it is needed, and what it asks."""

from __future__ import annotations

from importlib import import_module

import msgspec

from assay.formats.reading import Reader, Topic

_MODEL = frozenset({Topic.MODEL_CODE})


class Row(msgspec.Struct, frozen=True):
    """A reader as `module:function`, and the questions that it answers of every file of its format."""

    function: str
    topics: frozenset[Topic] = _MODEL

    def load(self) -> Reader:
        """The function."""
        module, _, name = self.function.partition(":")
        found: Reader = getattr(import_module(f"assay.formats.{module}"), name)
        return found


READERS: dict[str, Row] = {
    "text": Row("texts.read:read", frozenset({Topic.REMOTE_CODE, Topic.SECRETS})),
    "json": Row("texts.read:read", frozenset({Topic.REMOTE_CODE, Topic.SECRETS})),
    "safetensors": Row("models.safetensors:read"),
    "gguf": Row("models.gguf:read", _MODEL | {Topic.TEMPLATE}),
    "onnx": Row("models.onnx:read"),
    "onnx-text": Row("models.onnx_text:read"),
    "sqlite": Row("models.sqlite:read", frozenset({Topic.PICKLE})),
    "tflite": Row("models.tflite:read"),
    "tf-graph": Row("models.savedmodel:read"),
    "tf-text": Row("models.tensorflow_text:read"),
    "tf-checkpoint": Row("models.checkpoint:read"),
    "keras-metadata": Row("models.saved_keras:read"),
    "hdf5": Row("models.hdf5:read"),
    "flax-msgpack": Row("models.msgpack_flax:read"),
    "xgboost": Row("models.boosters:read"),
    "catboost": Row("models.catboost:read"),
    "sentencepiece": Row("models.sentencepiece:read"),
    "torchscript": Row("models.torchscript:read"),
    "tfrecord": Row("models.tfrecord:read", frozenset()),
    "parquet": Row("models.columnar:read_parquet"),
    "arrow": Row("models.columnar:read_arrow"),
}


def reader_of(name: str) -> Row | None:
    """The row of a format, as sniffed."""
    return READERS.get(name)

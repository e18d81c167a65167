"""What a file's name promises of its bytes: a loader may go by either, so a name that lies is never passed over."""

from __future__ import annotations

_TEXT = frozenset({"text", "json"})
_TORCH = frozenset({"torch-zip", "zip", "pickle", "tar"})
_PACKED = frozenset({"zlib", "gzip", "bz2", "xz", "lzma", "lz4", "zstd", "joblib-zfile"})
_PICKLE = _PACKED | {"pickle", "torch-zip", "zip", "tar", "npy-objects"}
_ARROW = frozenset({"arrow"})

# By suffix, the formats (as sniffed) that such a file may have.
_PROMISED: dict[str, frozenset[str]] = {
    ".onnx": frozenset({"onnx"}),
    ".safetensors": frozenset({"safetensors"}),
    ".gguf": frozenset({"gguf"}),
    ".h5": frozenset({"hdf5"}),
    ".hdf5": frozenset({"hdf5"}),
    ".keras": frozenset({"keras-zip", "hdf5"}),
    ".skops": frozenset({"zip"}),
    ".npy": frozenset({"npy", "npy-objects"}),
    ".npz": frozenset({"npz", "zip"}),
    ".parquet": frozenset({"parquet"}),
    **dict.fromkeys((".arrow", ".arrows", ".feather"), _ARROW),
    **dict.fromkeys((".pt", ".pth", ".ckpt"), _TORCH),
    **dict.fromkeys((".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".sav"), _PICKLE),
    **dict.fromkeys((".zip", ".whl", ".egg", ".mar", ".xlsx"), frozenset({"zip", "torch-zip", "npz"})),
    ".tar": frozenset({"tar"}),
    ".gz": frozenset({"gzip", "zlib"}),
    ".tgz": frozenset({"gzip"}),
    ".z": frozenset({"zlib"}),
    ".bz2": frozenset({"bz2"}),
    ".xz": frozenset({"xz"}),
    ".lzma": frozenset({"lzma"}),
    ".lz4": frozenset({"lz4"}),
    ".zst": frozenset({"zstd"}),
    ".7z": frozenset({"7z"}),
    **dict.fromkeys((".json", ".jsonl", ".csv", ".tsv", ".txt", ".md", ".rst", ".yaml", ".yml", ".toml"), _TEXT),
    **dict.fromkeys((".ini", ".cfg", ".xml", ".html", ".pmml", ".pbtxt"), _TEXT),
    # Models in formats that have no mark to know them by here; nothing that is known is right under these names.
    **dict.fromkeys(
        (".pb", ".tflite", ".ubj", ".cbm", ".mlmodel", ".engine", ".plan", ".trt", ".msgpack"), frozenset()
    ),
}


def suffix_of(name: str) -> str:
    """The last suffix of a file's name in lower case, with its dot; "" without one."""
    return name[name.rfind(".") :].lower() if "." in name else ""


def broken_promise(name: str, found: str) -> str:
    """The suffix of `name` if it promises another format than `found`; "" if it holds or promises nothing.

    Under a name that promises text, bytes of no known format (another encoding) are no broken promise.
    """
    suffix = suffix_of(name)
    promised = _PROMISED.get(suffix)
    if promised is None or found in promised or (promised is _TEXT and found in ("other", "empty")):
        return ""
    return suffix

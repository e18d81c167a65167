"""What a file's name promises of its bytes: a loader may go by either, so a name that lies is never passed over."""

from __future__ import annotations

_TEXT = frozenset({"text", "json"})
_CONFIG = frozenset({"text", "json", "empty"})
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
    **dict.fromkeys((".pt", ".ckpt"), _TORCH),
    ".pth": _TORCH | {"text"},  # Python's path files have that name too, and are read as such
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
    **dict.fromkeys((".csv", ".tsv", ".txt", ".md", ".rst", ".xml", ".html", ".pmml", ".pbtxt"), _TEXT),
    # What a loader reads as configuration in any encoding, and what is not UTF-8 was not read here.
    **dict.fromkeys((".json", ".jsonl", ".yaml", ".yml", ".toml", ".ini", ".cfg"), _CONFIG),
    ".pb": frozenset({"tf-graph", "keras-metadata", "tf-checkpoint", "onnx"}),
    ".tflite": frozenset({"tflite"}),
    ".ubj": frozenset({"xgboost"}),
    ".cbm": frozenset({"catboost"}),
    ".pt2": frozenset({"torch-zip", "zip"}),
    ".msgpack": frozenset({"flax-msgpack"}),
    # Models in formats that have no mark to know them by here; nothing that is known is right under these names.
    **dict.fromkeys((".mlmodel", ".engine", ".plan", ".trt"), frozenset()),
}


_TORCH_SUFFIXES = frozenset({".pt", ".pth", ".ckpt"})

# By suffix, the formats that such a file cannot have: it promises bytes, of whatever model.
_REFUSED: dict[str, frozenset[str]] = {".bin": frozenset({"text", "json", "empty"})}


def suffix_of(name: str) -> str:
    """The last suffix of a file's name in lower case, with its dot; "" without one.

    Dots, blanks and what cannot be seen at a name's end are left aside: some systems and loaders drop them.
    """
    while name and (name[-1] == "." or name[-1].isspace() or not name[-1].isprintable()):
        name = name[:-1]
    name = name.replace("\\", "/").rpartition("/")[2]
    return name[name.rfind(".") :].lower() if "." in name else ""


def broken_promise(name: str, found: str) -> str:
    """The suffix of `name` if it promises another format than `found`; "" if it holds or promises nothing.

    Under a name that promises prose or a table, bytes of no known format (another encoding) are no broken promise.
    """
    suffix = suffix_of(name)
    if found in _REFUSED.get(suffix, ()):
        return suffix
    promised = _PROMISED.get(suffix)
    if suffix == ".tar" and suffix_of(name.rstrip(" .")[:-4]) in _TORCH_SUFFIXES:
        promised = _TORCH  # `checkpoint.pth.tar`, which torch's own examples write and which is no tar
    if promised is None or found in promised or (promised is _TEXT and found in ("other", "empty")):
        return ""
    return suffix

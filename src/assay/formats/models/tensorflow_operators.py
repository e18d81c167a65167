"""TensorFlow operators that reach Python, files or the network, and how a constant path in the graph is judged.

Names and arguments as registered by TensorFlow 1.15 to 2.21 (tensorflow/core/ops, `OpDef`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set

import msgspec

from assay.core.finding import Confidence, Severity
from assay.core.text import visible
from assay.formats.models.facts import Facts
from assay.formats.models.outside import leads_outside
from assay.formats.models.tensorflow_names import NAMES


class Node(msgspec.Struct, frozen=True, gc=False):
    """A node that must be judged: its `operator`, the names of its inputs, and its texts by attribute."""

    operator: str
    inputs: tuple[str, ...]
    texts: dict[str, str]


PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc", "NumpyFunction", "PythonOp"})
_NOWHERE = 1 << 10
# Where the path is: the place of an input, or the name of an attribute.
WRITES: dict[str, int | str] = {
    **dict.fromkeys(("WriteFile", "Save", "SaveSlices", "SaveV2"), 0),
    **dict.fromkeys(("MergeV2Checkpoints", "CreateSummaryFileWriter", "CreateSummaryDbWriter", "SaveDataset"), 1),
    **dict.fromkeys(("SaveDatasetV2", "DatasetToTFRecord", "ExperimentalDatasetToTFRecord", "DistributedSave"), 1),
    **dict.fromkeys(("SnapshotDataset", "SnapshotDatasetV2", "CacheDataset", "CacheDatasetV2"), 1),
    "DumpTensor": "log_dir_path",
    "PrintV2": "output_stream",
    "CalibrationStatisticsSaver": "output_file_path",
    **dict.fromkeys(("DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "DebugNanCount"), "debug_urls"),
    **dict.fromkeys(("DebugNumericSummary", "DebugNumericSummaryV2"), "debug_urls"),
}
READS: dict[str, int | str] = {
    **dict.fromkeys(("ReadFile", "MatchingFiles", "MatchingFilesDataset", "ExperimentalMatchingFilesDataset"), 0),
    **dict.fromkeys(("TextLineDataset", "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2"), 0),
    **dict.fromkeys(("TFRecordDataset", "TFRecordDatasetV2", "CSVDataset", "CSVDatasetV2", "LMDBDataset"), 0),
    **dict.fromkeys(("ExperimentalCSVDataset", "ExperimentalLMDBDataset", "LoadDataset", "SnapshotChunkDataset"), 0),
    **dict.fromkeys(("ListSnapshotChunksDataset", "SnapshotDatasetReader"), 0),
    **dict.fromkeys(("SqlDataset", "ExperimentalSqlDataset"), 1),
    "ImmutableConst": "memory_region_name",
    "RecordInput": "file_pattern",
    "Skipgram": "filename",
    "EncodeProto": "descriptor_source",
    "DecodeProtoV2": "descriptor_source",
    **dict.fromkeys(("LoadAndRemapMatrix", "GenerateVocabRemapping"), 0),
    # Readers take their paths from a queue: never a constant beside them.
    **dict.fromkeys(("WholeFileReader", "WholeFileReaderV2", "TextLineReader", "TextLineReaderV2"), _NOWHERE),
    **dict.fromkeys(("TFRecordReader", "TFRecordReaderV2", "LMDBReader"), _NOWHERE),
    **dict.fromkeys(("FixedLengthRecordReader", "FixedLengthRecordReaderV2"), _NOWHERE),
}
# The same of savers and vocabularies, whose constant path a SavedModel replaces by that of its asset. Restoring reads
# what is then given out as numbers; a table gives a file's lines back word for word.
TABLES: dict[str, int] = {
    **dict.fromkeys(("InitializeTableFromTextFile", "InitializeTableFromTextFileV2"), 1),
    **dict.fromkeys(("RestoreV2", "Restore", "RestoreSlice"), 0),
}
# What passes its inputs' text on, whole or in part: a path is looked for through these.
PASSES = frozenset(
    {
        *("Identity", "IdentityN", "PlaceholderWithDefault", "Reshape", "ExpandDims", "Squeeze", "Pack", "Unpack"),
        *("StringJoin", "ShardedFilename", "Select", "SelectV2", "Add", "AddV2", "ConcatV2", "Substr", "StringStrip"),
        *("StringLower", "StringUpper", "RegexReplace", "StaticRegexReplace", "StringFormat", "GatherV2", "Slice"),
        *("StridedSlice", "Split", "Switch", "Merge", "TensorSliceDataset", "TensorDataset", "Snapshot", "Cast"),
    }
)
# The ordinary saver and vocabularies read what lies beside the model or where it was trained: noted only.
_ORDINARY = frozenset({"SaveV2", "MergeV2Checkpoints", "CacheDataset", "CacheDatasetV2", "PrintV2"})
_ANY_FILE = frozenset({"ReadFile", "WriteFile", "MatchingFiles", "ImmutableConst"})
_NETWORK = re.compile(
    r"Rpc(Server|ServerStart|ServerRegister|Client|Call)|DataServiceDataset(V\d)?|RegisterDataset(V\d)?"
)
_NATIVE = frozenset({"XlaCustomCall", "XlaCustomCallV2"})
# Operators of published libraries, whose code a program loads by importing them; and families of TensorFlow's own.
_FAMILIES = re.compile(
    r"(?:Addons|IO|TFText|Scann|GNN)>\w+|SimpleML\w+|Horovod\w+|Tfq\w+|Sentencepiece\w+|TFLite_\w+|Risc[A-Z]\w+"
    r"|\w+TokenizeWithOffsets(?:V\d)?|\w+TPUEmbedding\w*|_Mkl\w+|RegexSplitWithOffsets|CaseFoldUTF8|NormalizeUTF8\w*"
    r"|SentenceFragments\w*|ConstrainedSequence|RougeL|TFLiteSubgraph\w*"
)
_STOPS = frozenset({"Abort"})
_PYTHON_CALLBACK = re.compile(r"python.*callback|callback.*python|py_func", re.IGNORECASE)
_INNOCENT_TEXT = frozenset({"", "stdout", "stderr", "log(info)", "log(warning)", "log(error)", "local://", "bytes://"})


def wanted(operator: str) -> bool:
    """Whether nodes of this operator are judged, and so their inputs and texts are worth keeping."""
    return (
        operator in PYTHON
        or operator in WRITES
        or operator in READS
        or operator in _NATIVE
        or operator in _STOPS
        or operator in TABLES
        or operator in ("FileSystemSetConfiguration", "RemoteCall", "TRTEngineOp")
        or _NETWORK.fullmatch(operator) is not None
    )


def judge(
    facts: Facts, node: Node, constants: Mapping[str, Sequence[str]], *, training: bool, flex: bool = False
) -> bool:
    """Note what a node does; False if it opens a file whose path is not to be seen here.

    `constants` are the texts of the graph's constants by node name.
    `training` says that the file describes a training graph, whose readers and savers name the trainer's own files.
    """
    operator = node.operator
    prefix = "Flex" if flex else ""
    resolved = True
    if operator in PYTHON or (operator in _NATIVE and any(map(_PYTHON_CALLBACK.search, node.texts.values()))):
        facts.note(
            Severity.CRITICAL,
            f"python:{operator}",
            f"holds an operator {prefix}{operator}, which calls back a Python function of the process that runs it "
            "(the function is registered there by token and is not in the file)",
            fix="replace tf.py_function and tf.numpy_function by TensorFlow operators and export again",
        )
    elif operator in WRITES:
        resolved = _path(facts, node, WRITES[operator], constants, training, writes=True)
    elif operator in READS:
        resolved = _path(facts, node, READS[operator], constants, training, writes=False)
    elif operator in _NATIVE:
        name = visible(next(iter(node.texts.values()), "?"), 60)
        facts.note(
            Severity.MEDIUM,
            f"native:{operator}",
            f"holds an operator {prefix}{operator}, which calls the native function '{name}' of the process by name",
        )
    elif operator in _STOPS:
        facts.note(
            Severity.MEDIUM,
            f"stops:{operator}",
            f"holds an operator {prefix}{operator}, which ends the process that runs it",
            fix=f"remove {operator} from the exported graph",
        )
    elif operator == "TRTEngineOp":
        facts.gap("holds a TensorRT engine (TRTEngineOp), which is native code and was not read")
    elif operator == "FileSystemSetConfiguration":
        facts.note(Severity.MEDIUM, f"network:{operator}", f"changes settings of a file system ({operator})")
    elif operator == "RemoteCall":
        facts.note(Severity.INFO, f"network:{operator}", "calls a function on another device (RemoteCall)")
    elif _NETWORK.fullmatch(operator):
        facts.note(
            Severity.HIGH,
            f"network:{operator}",
            f"holds an operator {prefix}{operator}, which opens a network connection when it runs",
            fix="export the model without data services and remote calls",
        )
    return resolved


def judge_table(facts: Facts, operator: str, path: str) -> None:
    """Note a constant path out of a SavedModel that a vocabulary or saver reads, and that no asset stands in for."""
    if path in _INNOCENT_TEXT or not leads_outside(path):
        return
    shown = visible(path, 80)
    facts.note(
        Severity.MEDIUM,
        f"reads-outside:{operator}",
        f"holds an operator {operator}, which reads '{shown}' when it runs, a path outside of the model",
        evidence={"path": visible(path)},
        fix="export the model again with its vocabularies as assets, and restored from its own variables",
    )


def judge_unresolved(facts: Facts, operators: Set[str], paths: Sequence[str]) -> None:
    """Note operators that open files by a path from elsewhere in the graph, if the graph holds paths out of it."""
    for operator in sorted(operators - _ORDINARY) if paths else ():
        does = "writes" if operator in WRITES else "reads"
        facts.note(
            Severity.CRITICAL if operator in WRITES else Severity.HIGH,
            f"{does}-outside:{operator}",
            f"holds an operator {operator}, which {does} files, and paths out of the model ('{visible(paths[0], 80)}')",
            confidence=Confidence.MEDIUM,
            evidence={"paths": [visible(path) for path in paths[:10]]},
            fix=f"remove {operator} from the exported graph",
        )


def judge_unknown(facts: Facts, functions: Set[str]) -> None:
    """Note operators that TensorFlow does not register and that are no function of the graph's own library.

    Whoever runs the graph must load native code for them first. Those of published libraries are noted only.
    """
    if facts.is_torn:
        return  # a name may be cut short, and a function's definition missing
    unknown = sorted(name for name in facts.operators if name not in NAMES and name not in functions and name)
    for severity, names in (
        (Severity.INFO, [name for name in unknown if _FAMILIES.fullmatch(name)]),
        (Severity.LOW, [name for name in unknown if not _FAMILIES.fullmatch(name)]),
    ):
        more = f" and {len(names) - 3} more" if names[3:] else ""
        shown = ", ".join(visible(name, 60) for name in names[:3]) + more
        if names:
            facts.note(
                severity,
                "foreign-operators" if severity is Severity.INFO else "unknown-operators",
                f"needs operators that TensorFlow does not bring along ({shown}), so native code that is not in it",
                evidence={"operators": [visible(name, 80) for name in names[:20]]},
                fix="name and review the library that implements these, or export it without them",
            )


def _path(
    facts: Facts,
    node: Node,
    place: int | str,
    constants: Mapping[str, Sequence[str]],
    training: bool,
    *,
    writes: bool,
) -> bool:
    """Judge the path that a node opens; False if it is no constant here."""
    operator = node.operator
    paths = _texts(node, place, constants)
    outside = [path for path in paths if path not in _INNOCENT_TEXT and not path.startswith("bytes://")]
    outside = [path for path in outside if leads_outside(path)]
    does = "writes" if writes else "reads"
    if outside:
        severity = Severity.CRITICAL if writes or operator in _ANY_FILE else Severity.HIGH
        if training and not (writes or operator in _ANY_FILE):
            severity = Severity.INFO
        shown = visible(outside[0], 80)
        message = f"holds an operator {operator}, which {does} '{shown}' when it runs, a path outside of the model"
        fix = f"remove {operator} from the exported graph"
        facts.note(severity, f"{does}-outside:{operator}", message, evidence={"path": visible(outside[0])}, fix=fix)
        return True
    severity = Severity.INFO
    if operator in _ANY_FILE:
        severity = Severity.INFO if training else Severity.HIGH
    elif not training and operator not in _ORDINARY and operator not in ("Save", "SaveSlices"):
        severity = Severity.MEDIUM if writes and any(paths) else Severity.INFO
    if severity is Severity.INFO and operator in _ORDINARY:
        return bool(paths)
    what = f"files that its inputs name{' or that lie beside it' if paths else ''}"
    facts.note(severity, f"{does}:{operator}", f"holds an operator {operator}, which {does} {what} when it runs")
    return bool(paths)


def _texts(node: Node, place: int | str, constants: Mapping[str, Sequence[str]]) -> list[str]:
    if isinstance(place, str):
        found = node.texts.get(place, "")
        if place == "debug_urls":
            return [part for part in found.split("\n") if part]
        return [found.removeprefix("file://") or "/"] if found.startswith("file://") else [found]
    if place >= len(node.inputs):
        return []
    return list(constants.get(bare(node.inputs[place]), ()))


def bare(name: str) -> str:
    """The node that an input names, without its output's number."""
    return name.lstrip("^").split(":")[0]

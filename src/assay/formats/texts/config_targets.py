"""Configuration that names what its loader calls: `_target_`, class_path, _component_, target, and any other key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from assay.core.finding import Confidence, Json, Severity
from assay.core.text import visible
from assay.formats.reading import Note, Topic
from assay.formats.texts.python_dangers import Does, what_it_does, words

# By package: what these names build comes from libraries that a model's user has, and is the ordinary use of the key.
ORDINARY = words(
    """torch torchvision torchaudio torchtext torchmetrics torchrl torchdata lightning pytorch_lightning
    lightning_fabric
    transformers diffusers accelerate peft datasets tokenizers timm monai kornia sklearn xgboost lightgbm catboost numpy
    scipy pandas einops omegaconf hydra hydra_zen hydra_plugins tensorflow keras jax flax optax jaxlib haiku
    albumentations segmentation_models_pytorch open_clip clip sentence_transformers nemo deepspeed bitsandbytes ray
    wandb mlflow rich tqdm gymnasium gym stable_baselines3 webdataset nvidia apex fairscale xformers flash_attn
    huggingface_hub safetensors evaluate speechbrain espnet fairseq mmengine mmcv mmdet mmseg detectron2 ultralytics
    torchdiffeq torch_geometric dgl pyro gpytorch botorch ignite composer vllm trl torchtune litgpt
    llamafactory hydra_plugins ldm sgm taming kedro kedro_datasets functools.partial
    collections.OrderedDict collections.defaultdict datetime.timedelta datetime.datetime pathlib.Path
    builtins.dict builtins.list builtins.tuple builtins.set builtins.int builtins.float builtins.str builtins.bool
    builtins.range builtins.len builtins.sum operator.add operator.mul math uuid.uuid4""",
)
_DANGEROUS_TARGETS = words(
    """builtins.exec builtins.eval builtins.compile builtins.__import__ builtins.open builtins.getattr builtins.setattr
    builtins.globals builtins.input builtins.breakpoint io.open importlib.import_module importlib.reload
    importlib.__import__ pickle.load pickle.loads
    numpy.load numpy.fromfile numpy.memmap numpy.save numpy.savetxt numpy.tofile numpy.lib.npyio.load torch.load
    torch.save torch.hub.load torch.jit.load torch.ops.load_library joblib.load pandas.read_pickle pandas.eval
    pandas.DataFrame.to_pickle sklearn.externals.joblib.load hydra.utils.get_method hydra.utils.get_class
    hydra.utils.get_object hydra.utils.call hydra.utils.instantiate hydra._internal.utils._locate
    keras.models.load_model
    tensorflow.keras.models.load_model tensorflow.saved_model.load shutil.copy shutil.copyfile shutil.move
    shutil.copytree shutil.unpack_archive pathlib.Path.write_text pathlib.Path.write_bytes pathlib.Path.unlink
    os.rename os.replace os.symlink os.link os.chmod os.makedirs os.mkdir os.putenv os.environ.update os.kill
    types.FunctionType types.CodeType functools.reduce operator.methodcaller operator.attrgetter sys.exit
    pydoc.locate pkgutil.resolve_name pkgutil.get_loader linecache.getline inspect.getsource threading.Thread
    multiprocessing.Process multiprocessing.Pool concurrent.futures.ProcessPoolExecutor logging.config.dictConfig
    tempfile.NamedTemporaryFile webbrowser.open cProfile.run profile.run site.addsitedir
    nemo.core.classes.common.safe_instantiate monai.bundle.run transformers.pipeline
    transformers.utils.import_utils._LazyModule""",
)
_DANGEROUS_MODULES = ("os", "subprocess", "sys", "posix", "nt", "pty", "ctypes", "importlib", "runpy", "marshal",
                      "pickle", "_pickle", "dill", "cloudpickle", "socket", "shelve", "pip", "pdb", "timeit",
                      "gc", "_thread", "atexit", "zipimport", "imp", "antigravity", "shutil", "tempfile")  # fmt: skip
# Keys of other libraries than Hydra that name what is built: Lightning's CLI and jsonargparse, torchtune, latent
# diffusion, logging's dictConfig, Hydra's older ones, mmengine, gin and their kin.
_BUILDERS = words(
    """class_path _component_ _call_ _class_ _cls_ _fn_ _func_ _partial_ () callable target object_path"""
)
# Keys whose value is a text for people, and parts of a path to lists of what is forbidden.
_PROSE_KEY = re.compile(
    r"(?i)description|message|msg|title|label|comment|note|help|text|pattern|regex|reason|summary|doc"
)
_FORBIDS = re.compile(
    r"(?i)ban|deny|block|forbid|disallow|unsafe|danger|black|ignore|exclude|restrict|lint|bandit|semgrep|rule"
)
_DOTTED = re.compile(r"(?:(?:ext|cfg|py|python)://|python:)?([A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)+)(?:\(\))?")
_FILE = re.compile(r"\.(?:py|sh|json|ya?ml|toml|txt|csv|md|cfg|ini|zip|gz|log|js|ts|html|so|bin|pt|pkl|exe)$")
# Below these a name is a callable of Python's own and no file or host that happens to have dots.
_ROOTS = words(
    """os posix nt subprocess builtins __builtin__ __builtins__ pty runpy marshal importlib ctypes pickle _pickle
    cPickle dill cloudpickle commands popen2 platform asyncio pdb cProfile profile timeit codeop shutil webbrowser
    pip sys
    types posixpath _posixsubprocess multiprocessing pydoc hydra torch joblib operator"""
)
_RUNS = (Does.COMMAND, Does.EVALUATE, Does.CODE_OBJECT, Does.INSTALL, Does.BUILD)
_CLASS = re.compile(r"_*[A-Z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*")
_FIX = "read the code it names and pin it, or ship a model that needs none"

_GIN = re.compile(r"@([\w./]{3,200})")
_MOST_LINES, _MOST_LINE = 20_000, 2_000


def judge_targets(path: str, mapping: dict[str, Any], where: str) -> Iterator[Note]:
    """What one mapping of a configuration has its loader call, whatever the key that says so."""
    if "_target_" in mapping and mapping["_target_"] not in (None, False):
        yield _target(mapping["_target_"], mapping, where, path)
    forbids = _FORBIDS.search(path) is not None
    for key, value in mapping.items():
        if key == "_target_":
            continue
        if isinstance(value, str) and len(value) < 200:
            yield from _value(key, value, where, path, forbids or _FORBIDS.search(key) is not None)
        elif isinstance(value, list) and not forbids and not _FORBIDS.search(key):
            for item in value[:1_000]:
                if isinstance(item, str) and len(item) < 200 and key in ("_args_", "callbacks", "hooks", "functions"):
                    yield from _value("_args_", item, where, path, forbids)


def _value(key: str, value: str, where: str, path: str, forbids: bool) -> Iterator[Note]:
    match = _DOTTED.fullmatch(value.strip())
    bare = key in _BUILDERS and value in ("eval", "exec", "compile", "__import__", "open")
    if (match is None and not bare) or forbids or _PROSE_KEY.search(key):
        return
    flat = match[1].replace(":", ".") if match else f"builtins.{value}"
    shown = visible(value, 80)
    if key in _BUILDERS:
        grave = how_grave(flat)
        if grave.rank < Severity.HIGH.rank:
            return
        said = f"makes its loader call {shown} ({visible(key, 30)})"
    elif _FILE.search(flat) or not runs(flat):
        return
    else:
        grave = Severity.CRITICAL
        said = f"names {shown}, which runs what it is given, as the value of {visible(key, 40)}"
    yield config_note(said, grave, f"target:{flat[:100]}", where, path=path, evidence={"target": visible(value, 100)})


def runs(name: str) -> bool:
    """Whether a dotted name is a callable of Python's own that runs commands, code or pickles."""
    parts = name.split(".")
    if parts[0] not in _ROOTS:
        return False
    if any(part.startswith("__") and part.endswith("__") for part in parts[1:]):
        return True
    does = what_it_does(name)
    return does in _RUNS or name in _RUNNING or (does is Does.UNPICKLE and parts[-1] in ("load", "loads"))


_RUNNING = words(
    """builtins.getattr builtins.__import__ builtins.open importlib.import_module importlib.reload
    hydra.utils.get_method hydra.utils.call hydra.utils.get_object pydoc.locate shutil.rmtree shutil.move
    shutil.unpack_archive os.remove
    os.unlink os.rename os.replace os.putenv os.kill os.chmod os.symlink types.FunctionType multiprocessing.Process
    sys.exit operator.methodcaller operator.attrgetter"""
)


_FETCHERS = frozenset(f"hydra.utils.get_{kind}" for kind in ("method", "class", "object", "static_method"))


def _fetched(mapping: dict[str, Any]) -> str:
    """The name that Hydra's `get_method` and its kin import; "" where it is not written out."""
    arguments = mapping.get("_args_")
    path = mapping.get("path", arguments[0] if isinstance(arguments, list) and arguments else None)
    return path if isinstance(path, str) and _DOTTED.fullmatch(path) and "(" not in path else ""


def _target(target: Any, mapping: dict[str, Any], where: str, path: str) -> Note:
    name = target if isinstance(target, str) else ""
    flat = re.sub(r"[\s:]+", ".", name.strip())
    if flat in _FETCHERS:  # which only import what they are given the name of, and hand it on
        flat = _fetched(mapping) or flat
    grave = how_grave(flat)
    partial = " (partly)" if mapping.get("_partial_") not in (None, False) else ""
    shown = visible(name, 80) or "what is no name"
    if grave is Severity.CRITICAL:
        said = f"makes its loader call {shown}{partial}"
    elif grave is Severity.INFO:
        said = f"names classes of known libraries to build ({shown})"
    else:
        said = f"makes its loader import and call {shown}{partial}, which is not of a library known here"
    evidence: dict[str, Json] = {"target": visible(name, 100), "arguments": "_args_" in mapping}
    if grave in (Severity.MEDIUM, Severity.LOW) and re.fullmatch(r"\w+(\.\w+)+", flat):
        evidence["files"] = [flat.rpartition(".")[0].replace(".", "/") + ".py"]
    key = f"target:{flat[:100]}" if grave.rank > 1 else "target"
    return config_note(said, grave, key, where, path=path, evidence=evidence)


def judge_gin(text: str, where: str = "") -> Iterator[Note]:
    """A configuration of gin: what its `@module.function` references, and the settings of such, have called."""
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        for match in _GIN.finditer(re.sub(r"(?:^|\s)#.*$", "", line)[:_MOST_LINE]):
            name = match[1].rpartition("/")[2]
            if "." in name and name not in seen and (grave := how_grave(name)).rank >= Severity.HIGH.rank:
                seen.add(name)
                said = f"makes its loader call {visible(name, 80)}"
                note = config_note(said, grave, f"target:{name[:100]}", where, path="", evidence={"target": name[:100]})
                yield msgspec.structs.replace(note, line=number)


def how_grave(name: str) -> Severity:
    """How grave it is that a loader calls this dotted name; info for classes of known libraries, low for a class of a
    library not known (what it runs is code that lies beside it or is installed, and is judged there), medium for
    functions of such, which a class's name cannot pass for."""
    if not name or "$" in name:  # put together from other keys
        return Severity.MEDIUM
    parts = name.split(".")
    known = {"np": "numpy", "pd": "pandas", "tf": "tensorflow", "__builtin__": "builtins"}
    name = ".".join([known.get(parts[0], parts[0]), *parts[1:]])
    if any(part.startswith("__") and part.endswith("__") for part in parts):
        return Severity.CRITICAL
    if (
        name in _DANGEROUS_TARGETS
        or parts[0] in _DANGEROUS_MODULES
        or what_it_does(name) not in (None, Does.DELETE, Does.FETCH)
    ):
        return Severity.CRITICAL
    if what_it_does(name) is not None:
        return Severity.HIGH
    if any(".".join(parts[:count]) in ORDINARY for count in range(1, len(parts) + 1)):
        return Severity.INFO
    if parts[0] in ("eval", "exec", "open", "compile", "__import__", "getattr"):
        return Severity.CRITICAL
    return Severity.LOW if len(parts) > 1 and _CLASS.fullmatch(parts[-1]) else Severity.MEDIUM


def config_note(
    said: str, severity: Severity, kind: str, where: str, *, path: str = "", sure: Confidence = Confidence.HIGH,
    evidence: dict[str, Json] | None = None,
) -> Note:  # fmt: skip
    """A note on what a configuration names; `path` is that of its key."""
    shown: dict[str, Json] = {"path": visible(path, 120)} if path else {}
    return Note(
        topic=Topic.REMOTE_CODE, message=said, severity=severity, key=f"config:{kind}", where=where, confidence=sure,
        evidence={**shown, **(evidence or {})}, fix="" if severity is Severity.INFO else _FIX,
    )  # fmt: skip

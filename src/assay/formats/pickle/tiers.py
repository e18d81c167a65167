"""How far a name in a pickle can be trusted. Only tables decide, not what happens to be installed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from assay.formats.known import Known, current
from assay.formats.pickle.calls import GETTERS, PARTIALS, UFUNC_GETTERS, is_keras_loader
from assay.formats.pickle.evaluated import SYMBOLIC
from assay.formats.pickle.facts import PickleFacts
from assay.formats.pickle.tier_dangers import DANGEROUS_MODULES, DANGEROUS_NAMES, STDLIB
from assay.formats.pickle.tier_tables import (
    FOREIGN_NAMES,
    METHODS_OF_TEXT,
    NOT_SAFE,
    NOTED,
    SAFE_NAMES,
    SAFE_PATTERNS,
    TIERS_VERSION,
)
from assay.formats.pickle.values import Ref

SAFE, UNKNOWN, DANGEROUS, UNRESOLVABLE = "safe", "unknown", "dangerous", "unresolvable"
NOTED_WHY = "a name of the standard library that models carry and that runs nothing by itself"
# How functions are called that only put an object together again.
_REBUILDS = re.compile(
    r"(?:^|_)(?:re|un)?(?:build|construct|constructor|create|creator|make|new|restore|unpickle|pickle|reduce|from)(?=_|[A-Z]|$)"
)
MOST_NAME = 1000  # the tables are looked through for each part of a dotted name
_WORSE = {SAFE: 0, UNKNOWN: 1, UNRESOLVABLE: 2, DANGEROUS: 3}

__all__ = ["DANGEROUS", "SAFE", "TIERS_VERSION", "UNKNOWN", "UNRESOLVABLE", "classify", "judge"]


def classify(module: str, name: str) -> tuple[str, str]:
    """The tier of a name by itself, and why. Python 2's names are judged as what CPython maps them to, too.

    The threat pack in force adds to the tables: what it refuses is dangerous, what it lists as safe is safe unless the
    tables refuse it.
    """
    return _classified(module, name, current())


@lru_cache(maxsize=4096)
def _classified(module: str, name: str, known: Known) -> tuple[str, str]:
    if len(module) + len(name) > MOST_NAME:
        return UNRESOLVABLE, "too long for a name"
    mapped = _python3_name(module, name)
    if why := known.danger(module, name) or known.danger(*mapped):
        return DANGEROUS, why
    tier, why = _look_up(module, name)
    if tier == UNKNOWN and known.safe(module, name):
        return SAFE, ""
    if tier == SAFE or mapped == (module, name):
        return tier, why
    other = _look_up(*mapped)
    return other if other[0] == SAFE or _WORSE[other[0]] > _WORSE[tier] else (tier, why)


def judge(ref: Ref, nested: Sequence[PickleFacts]) -> tuple[str, str]:
    """The tier of a name as this pickle uses it, and why."""
    key = (ref.module, ref.name)
    if not ref.resolved:
        return UNRESOLVABLE, ref.why
    tier, why = classify(ref.module, ref.name)
    if current().danger(ref.module, ref.name):
        return tier, why
    if ref.patched:
        return DANGEROUS, "state is set on the class or module itself, which changes it for the whole process"
    if ref.evaluates:
        return DANGEROUS, ref.evaluates
    if ref.watch == SYMBOLIC and not ref.result_called and not ref.unexplained:
        return UNKNOWN, "an expression's part, which is given no text to evaluate"
    foreign = ref.module.partition(".")[0] not in ("numpy", "scipy")
    if ref.via.endswith("._ufunc_reconstruct") and tier == UNKNOWN and foreign:
        return UNRESOLVABLE, "fetched as an array function from a module that no list knows for one"
    if ref.bound or is_keras_loader(key):
        return _bound(ref)
    if key[0] in ("builtins", "__builtin__") and key[1] in METHODS_OF_TEXT and not ref.called and not ref.result_called:
        return UNKNOWN, NOTED_WHY
    if ref.called and not ref.unexplained and (key in GETTERS or key in UFUNC_GETTERS):
        tier, why = SAFE, "every name it fetches is known and judged by itself"
    elif key == ("torch.storage", "_load_from_bytes") and ref.called and not ref.unexplained:
        if all(item.complete and all(inner.tier == SAFE for inner in item.globals) for item in nested):
            tier, why = SAFE, "the pickle that it loads was read and names only known-safe things"
    elif key in PARTIALS and ref.called:
        tier, why = _indirect(ref)
    if tier == UNKNOWN and ref.called > ref.allocated and why is not NOTED_WHY:
        return _called(ref, why)
    if tier == UNKNOWN and why is not NOTED_WHY and any(classify(f.module, f.name)[0] == SAFE for f in ref.given):
        return UNRESOLVABLE, "a function that no list knows is given to what may call it"
    if (
        ref.still
        and _WORSE[tier] < _WORSE[UNRESOLVABLE]
        and (ref.result_called or (ref.called and key not in PARTIALS))
    ):
        return UNRESOLVABLE, "a function that models only hold is called, or given to what may call it"
    if ref.result_called and _WORSE[tier] < _WORSE[UNRESOLVABLE]:
        return UNRESOLVABLE, "what it returns is called in turn"
    return tier, why


def _bound(ref: Ref) -> tuple[str, str]:
    """What gives a method by its name, or loads a file that is read by itself: noted, unless part of it is hidden."""
    if ref.unexplained:
        return DANGEROUS, "fetches or loads something that is made at load time, or hands a method to what may call it"
    owners = (*ref.owners, *ref.held, *ref.arguments)
    if any(_WORSE[classify(owner.module, owner.name)[0]] > _WORSE[UNKNOWN] for owner in owners):
        return DANGEROUS, "fetches a method of something dangerous or not known"
    if ref.result_called:
        return UNRESOLVABLE, "what it returns is called in turn"
    if is_keras_loader((ref.module, ref.name)):
        return UNKNOWN, "loads a Keras archive from its bytes, which is read as a file of its own"
    return UNKNOWN, NOTED_WHY


def _called(ref: Ref, why: str) -> tuple[str, str]:
    """A call of what no list knows: a class makes an instance, a function does whatever it does."""
    last = ref.name.rpartition(".")[2]
    is_class = last.lstrip("_")[:1].isupper()
    if "." in ref.name and not is_class:
        return DANGEROUS, "calls a method that is fetched by name"
    if ref.told:
        return UNRESOLVABLE, "no list knows it, and it is given text that looks like code, a path or an address"
    if not is_class and not _REBUILDS.search(last):
        return UNRESOLVABLE, "a function that no list knows is called, and what it does cannot be told"
    return UNKNOWN, why


def _indirect(ref: Ref) -> tuple[str, str]:
    """A call held for later is as good as what it holds, at best unknown."""
    if ref.unexplained:
        return DANGEROUS, "holds a call of something that is made at load time"
    worst = max(
        (classify(item.module, item.name)[0] for item in (*ref.held, *ref.arguments)),
        key=_WORSE.__getitem__,
        default=DANGEROUS,
    )
    if worst in (DANGEROUS, UNRESOLVABLE):
        return DANGEROUS, "holds a call of something dangerous or not known"
    return worst, "holds a call of what is judged by itself"


def _look_up(module: str, name: str) -> tuple[str, str]:
    if _named_safe(module, name):
        return SAFE, ""
    parts = name.split(".")
    if len(parts) > 1:
        return _dotted(module, parts)
    why = _dangerous_module(module, name)
    noted = NOTED.get(module)
    if noted is not None and name in noted.split():
        return UNKNOWN, NOTED_WHY
    if noted == "*":
        return UNKNOWN, "not on the list of names that ordinary models use"
    if why:
        return DANGEROUS, why
    if name in DANGEROUS_NAMES:
        return DANGEROUS, DANGEROUS_NAMES[name]
    if name in FOREIGN_NAMES and _fits_a_pattern(module, name):
        return DANGEROUS, "imported there from elsewhere, and no part of what a model is made of"
    if module.partition(".")[0] in STDLIB:
        return DANGEROUS, "a part of the standard library that models have no need of"
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        return UNRESOLVABLE, "no name that Python code could write"
    return UNKNOWN, "not on the list of names that ordinary models use"


def _named_safe(module: str, name: str) -> bool:
    if name in SAFE_NAMES.get(module, "").split():
        return True
    if name in DANGEROUS_NAMES or name in FOREIGN_NAMES:
        return False
    if any(f"{module}.".startswith(row if row[-1] == "." else f"{row}.") for row in NOT_SAFE):
        return False
    return _fits_a_pattern(module, name)


def _fits_a_pattern(module: str, name: str) -> bool:
    return any(
        (module == prefix or (prefix[-1] == "." and module.startswith(prefix))) and re.fullmatch(pattern, name)
        for prefix, pattern in SAFE_PATTERNS
    )


def _dotted(module: str, parts: list[str]) -> tuple[str, str]:
    """`Outer.Inner` is a nested class; any other chain reaches through attributes to whatever lies there."""
    text = ".".join(parts)
    for part in parts:
        if part in DANGEROUS_NAMES:
            return DANGEROUS, DANGEROUS_NAMES[part]
        if (part in STDLIB or part in DANGEROUS_MODULES) and part != parts[-1]:
            return DANGEROUS, f"{text} reaches through {part}"
        if part.startswith("__"):
            return DANGEROUS, f"{text} reaches through {part}"
    why = _dangerous_module(module, parts[0])
    if why:
        return DANGEROUS, why
    if all(part.lstrip("_")[:1].isupper() and part.isidentifier() for part in parts[:-1]) and parts[-1].isidentifier():
        safe_outer = _look_up(module, parts[0])[0]
        if safe_outer in (SAFE, UNKNOWN):
            return UNKNOWN, "an attribute of a class, not on the list of names that ordinary models use"
        return _look_up(module, parts[0])
    return DANGEROUS, f"{text} reaches through attributes of {module}"


def _dangerous_module(module: str, name: str) -> str:
    """Why a module (or the most specific package above it that has a row) is refused; "" if it is not."""
    path = f"{module}.{name}"
    while path:
        if path in DANGEROUS_MODULES:
            return DANGEROUS_MODULES[path]  # "" for what lies in a refused package and is not refused itself
        path = path.rpartition(".")[0]
    return ""


def _python3_name(module: str, name: str) -> tuple[str, str]:
    from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

    if (module, name) in NAME_MAPPING:
        found: tuple[str, str] = NAME_MAPPING[module, name]
        return found
    return IMPORT_MAPPING.get(module, module), name

"""Classes that evaluate text in their own state or arguments: when that text is what such classes ordinarily hold.

scipy: rv_generic.__setstate__ executes the state's `_parse_arg_template`. statsmodels: ModelData.__setstate__ gives the
state's `formula` to patsy or formulaic, which evaluate it as Python. sympy: constructors evaluate any text.
"""

from __future__ import annotations

import re
from typing import Any

from assay.formats.pickle.state import State
from assay.formats.pickle.tier_tables import SAFE_NAMES
from assay.formats.pickle.values import FLOAT, FROZENSET, HEAD_KEYS, SET, Cut, Made, Ref

TEMPLATE, FORMULA, SYMBOLIC = "template", "formula", "symbolic"
COMPUTED_KEY = "\0made"  # stands in a kept dict for keys that are made at load time
_MOST_TEXT = 1 << 16
_FORMULAS = ("statsmodels.", "linearmodels.", "lifelines.", "bambi.", "pyfixest.")
# Patterns are compiled where they are used: few pickles name such a class.
_SYMBOLS = (
    r"sympy\.(?:core\.(?:add|mul|power|symbol|numbers|relational|containers|basic|singleton|expr|mod|function)"
    r"|functions\.(?:elementary|special|combinatorial)\.\w+|logic\.boolalg|sets\.sets|matrices\.(?:dense|immutable))"
)
_NO_SYMBOL_CLASS = frozenset({"Function", "UndefinedFunction", "AppliedUndef", "Lambda", "WildFunction", "Subs"})
_NAMED = frozenset({"Symbol", "Dummy", "Wild", "Str"})  # take text as a name, and do not evaluate it
_TEXT_OF_SYMBOLS = r"[\w.+-]{0,200}"
# What scipy makes of `parse_arg_template`: names, numbers and commas where the shapes stand, no call but its own.
_SHAPES = r"[\w ,=.'-]*"
_TEMPLATE = (
    rf"\s*(?:def _parse_args(?:_rvs|_stats)?\(self, {_SHAPES}\):\s*\n {{1,8}}return (?:self\._argcheck_rvs)?"
    rf"\({_SHAPES}\){_SHAPES}\s*)+"
)
_CALLED = r"([A-Za-z_][\w.]*)\s*\("
_IN_FORMULAS = frozenset(
    (
        *("C", "I", "Q", "S", "bs", "cr", "cc", "cs", "te", "center", "scale", "standardize", "poly", "log", "log10"),
        *(
            "exp",
            "sqrt",
            "abs",
            "pow",
            "lag",
            "hashed",
            "Treatment",
            "Sum",
            "Poly",
            "Diff",
            "Helmert",
            "contr.treatment",
        ),
        *(
            "contr.sum",
            "contr.poly",
            "contr.helmert",
            "contr.diff",
            "contr.SAS",
            "contr.custom",
            "float",
            "int",
            "log1p",
        ),
    )
)
_NEVER = r"__|[;@\\]|[)\]}'\"`]\s*\(|\b(?:lambda|import|exec|eval|getattr|yield|for|while)\b"


def watched(module: str, name: str) -> str:
    """How calls and state of a name must be looked at: TEMPLATE, FORMULA, SYMBOLIC, or "" for no such way."""
    if module.startswith("scipy.stats."):
        return TEMPLATE
    if module.startswith(_FORMULAS):
        return FORMULA
    if (
        module.startswith("sympy.")
        and re.fullmatch(_SYMBOLS, module)
        and name not in _NO_SYMBOL_CLASS
        and "." not in name
    ):
        is_class = name.lstrip("_")[:1].isupper() or module.startswith("sympy.functions.")
        return SYMBOLIC if is_class else ""
    return ""


def judge_call(ref: Ref, args: Any) -> None:
    """Remember that a call of a watched name is given what it would evaluate."""
    if ref.watch == SYMBOLIC and not _symbolic(args, named=ref.name in _NAMED):
        ref.evaluates = "what it is given is evaluated as an expression"


def judge_state(m: State, ref: Ref, state: Any) -> None:
    """Remember that the state set on what a watched name made holds text that is evaluated, and no ordinary one."""
    if ref.watch == SYMBOLIC:
        return
    parts = state if type(state) is tuple else (state,)
    if len(parts) > 2 or not all(_is_state(part) for part in parts):
        _judge_unseen(ref)
    for part in parts:
        if type(part) is not dict:
            continue
        hides = COMPUTED_KEY in part or len(part) >= HEAD_KEYS
        if hides:
            _judge_unseen(ref)
        for key, value in part.items():
            if ref.watch == TEMPLATE and key == "_parse_arg_template":
                text = m.whole_text(value, _MOST_TEXT) if isinstance(value, (str, Cut)) else None
                if text is None or re.fullmatch(_TEMPLATE, text) is None:
                    ref.evaluates = "its state holds code of its own, which is run when it is set"
            elif ref.watch == FORMULA and "formula" in key and value is not None:
                text = m.whole_text(value, _MOST_TEXT) if isinstance(value, (str, Cut)) else None
                if (text is None and isinstance(value, (str, Cut, Made))) or (text and not is_ordinary_formula(text)):
                    ref.evaluates = "its state holds a formula that calls more than formulas do, and is evaluated"


def _is_state(part: Any) -> bool:
    """Whether a part of a state says what it holds: a dict, nothing, or the generator of older distributions."""
    generator = type(part) is Made and part.ref.module.startswith("numpy.random")
    return part is None or type(part) is dict or generator


def _judge_unseen(ref: Ref) -> None:
    """Of formulas, only statsmodels' data evaluate theirs when they are loaded; others hold much else."""
    if not ref.evaluates and (ref.watch == TEMPLATE or ref.module.endswith(".data")):
        ref.evaluates = "its state holds text that is evaluated, and not all of it can be told"


def is_ordinary_formula(text: str) -> bool:
    """Whether a formula names columns and calls only what formulas call: contrasts, splines, numpy's functions."""
    if re.search(_NEVER, text):
        return False
    return all(_is_ordinary_call(found[1]) for found in re.finditer(_CALLED, text))


def _is_ordinary_call(name: str) -> bool:
    package, _, last = name.rpartition(".")
    return name in _IN_FORMULAS or (package in ("np", "numpy") and last in SAFE_NAMES["numpy"].split())


def _symbolic(args: Any, *, named: bool, depth: int = 4) -> bool:
    """Whether arguments are numbers, symbols and expressions, or text that names nothing but one of them."""
    if args is None or args is FLOAT or args is FROZENSET or args is SET or isinstance(args, (bool, int)):
        return True
    if isinstance(args, str):
        return named or re.fullmatch(_TEXT_OF_SYMBOLS, args) is not None
    if isinstance(args, Made):
        return args.ref.module.startswith("sympy.")
    if isinstance(args, Ref):
        return args.module.startswith("sympy.")
    if isinstance(args, dict):
        return all(_symbolic(value, named=named, depth=depth - 1) for value in args.values())
    if isinstance(args, (tuple, list)) and depth:
        return all(_symbolic(value, named=named, depth=depth - 1) for value in args)
    return False

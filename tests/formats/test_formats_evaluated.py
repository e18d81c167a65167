"""Pickles that act through known classes alone: evaluated state, exhausting loads, held files, leaked secrets."""

from __future__ import annotations

import collections
import io
import json
import operator
import pickle
import zipfile
from typing import Any

import formats_attacks as shapes
import pytest

from assay.formats.artifact import ArtifactFacts, examine
from assay.formats.pickle.evaluated import is_ordinary_formula
from assay.formats.reading import Topic


def _look(body: bytes, protocol: int = 4) -> ArtifactFacts:
    return examine(io.BytesIO(bytes((0x80, protocol)) + body + b"."), name="x.pkl")


def _tiers(facts: ArtifactFacts) -> dict[str, str]:
    return {fact.qualified: fact.tier for _, fact in facts.globals()}


def _said(facts: ArtifactFacts, topic: Topic = Topic.PICKLE) -> list[str]:
    return [note.key for note in facts.notes if note.topic is topic]


def _reduce(module: str, name: str, *args: bytes) -> bytes:
    return shapes.glob(module, name) + b"(" + b"".join(args) + b"tR"


def _made(module: str, name: str) -> bytes:
    return shapes.glob(module, name) + b")\x81"


def _state(**values: bytes) -> bytes:
    return b"}(" + b"".join(shapes.text(key) + value for key, value in values.items()) + b"ub"


def _number(value: int) -> bytes:
    return b"\x8a" + bytes((len(raw := pickle.encode_long(value)),)) + raw


ORDINARY_TEMPLATE = """
def _parse_args(self, a, b, loc=0, scale=1):
    return (a, b, ), loc, scale

def _parse_args_rvs(self, a, b, loc=0, scale=1, size=None):
    return self._argcheck_rvs(a, b, loc, scale, size=size)

def _parse_args_stats(self, a, b, loc=0, scale=1, moments='mv'):
    return (a, b, ), loc, scale, moments
"""


@pytest.mark.parametrize(
    ("template", "tier"),
    [
        (ORDINARY_TEMPLATE, "unknown"),
        (ORDINARY_TEMPLATE.replace("loc=0", "loc=open('x')"), "dangerous"),
        (ORDINARY_TEMPLATE + "\nimport os\n", "dangerous"),
        ("x" * 300, "dangerous"),
    ],
)
def test_a_distribution_is_as_good_as_the_template_it_executes(template: str, tier: str) -> None:
    name = "scipy.stats._continuous_distns.beta_gen"
    body = _made(*name.rsplit(".", 1)) + _state(_parse_arg_template=shapes.text(template))
    assert _tiers(_look(body))[name] == tier


@pytest.mark.parametrize(
    "body",
    [
        _made("scipy.stats._continuous_distns", "beta_gen")
        + _reduce("builtins", "dict", b"](" + shapes.text("_parse_arg_template") + shapes.text("x()") + b"\x86e")
        + b"b",
        _made("scipy.stats._continuous_distns", "beta_gen")
        + shapes.text("_parse_arg_template") + shapes.text("x()") + b"\x86\x85b",
        _reduce("copyreg", "_reconstructor", shapes.glob("scipy.stats._continuous_distns", "beta_gen"),
                shapes.glob("builtins", "object"), b"N")
        + _state(_parse_arg_template=shapes.text("x()")),
        _made("scipy.stats._continuous_distns", "beta_gen")
        + b"}" + _reduce("builtins", "str", shapes.text("_parse_arg_template")) + shapes.text("x()") + b"sb",
        shapes.glob("sympy.functions.elementary.trigonometric", "sin")
        + _reduce("builtins", "tuple", b"](" + shapes.text("exit()") + b"e") + b"R",
    ],
)  # fmt: skip
def test_evaluated_text_that_is_handed_over_in_other_ways(body: bytes) -> None:
    assert "dangerous" in _tiers(_look(body)).values()


def test_an_evaluated_state_that_is_not_all_seen_is_refused() -> None:
    name = "scipy.stats._continuous_distns.beta_gen"
    many = {f"k{i}": b"N" for i in range(40)}
    assert _tiers(_look(_made(*name.rsplit(".", 1)) + _state(**many)))[name] == "dangerous"


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x1 + x2:x3",
        "y ~ C(group, Treatment('a')) + np.log(x) + I(x ** 2)",
        "y ~ bs(x, df=4) - 1",
        "y ~ (a + b) ** 2",
    ],
)
def test_ordinary_formulas_pass(formula: str) -> None:
    assert is_ordinary_formula(formula)
    body = _made("statsmodels.base.data", "PandasData") + _state(formula=shapes.text(formula))
    assert _tiers(_look(body)) == {"statsmodels.base.data.PandasData": "unknown"}


@pytest.mark.parametrize(
    "formula",
    ["y ~ I(__import__('os').system('id'))", "y ~ {open('f')}", "y ~ os.system(x)", "y ~ np.load(x)", "y ~ (a)(b)"],
)
def test_formulas_that_call_more_are_refused(formula: str) -> None:
    assert not is_ordinary_formula(formula)
    body = _made("statsmodels.base.data", "PandasData") + _state(formula=shapes.text(formula))
    assert _tiers(_look(body)) == {"statsmodels.base.data.PandasData": "dangerous"}


@pytest.mark.parametrize(
    ("argument", "tier"),
    [
        (_reduce("sympy.core.symbol", "Symbol", shapes.text("x (m/s)")), "unknown"),
        (b"K\x02", "unknown"),
        (shapes.text("__import__('os').system('id')"), "dangerous"),
        (b"](" + shapes.text("exit()") + b"e", "dangerous"),
        (_reduce("builtins", "str", shapes.text("exit()")), "dangerous"),
    ],
)
def test_symbols_are_fine_until_text_is_evaluated(argument: bytes, tier: str) -> None:
    facts = _look(_reduce("sympy.functions.elementary.trigonometric", "sin", argument))
    assert _tiers(facts)["sympy.functions.elementary.trigonometric.sin"] == tier


def _doubled(times: int) -> bytes:
    return b"K\x01K\x02\x86" + b"2\x86" * times


EXHAUSTS = {
    "memo": b"Nr\xff\xff\xff\x3f",
    "dict key": b"}" + _doubled(60) + b"Ns",
    "set item": b"\x8f(" + _doubled(60) + b"\x90",
    "frozenset": b"(" + _doubled(60) + b"\x91",
    "old set": _reduce("builtins", "set", b"](" + _doubled(60) + b"e"),
    "range": _reduce("builtins", "list", _reduce("builtins", "range", _number(10**13))),
    "count": _reduce("collections", "deque", _reduce("itertools", "count")),
    "chained": _reduce("builtins", "tuple", _reduce("itertools", "chain", _reduce("itertools", "repeat", b"N"))),
    "bytes": _reduce("builtins", "bytes", _number(10**12)),
    "power": _reduce("builtins", "pow", b"K\x0a", _number(10**9)),
    "repeated": _reduce("_operator", "mul", shapes.text("x"), _number(10**10)),
}
FINE = {
    "memo": b"Nr\xff\x00\x00\x00",
    "dict key": b"}" + _doubled(3) + b"Ns",
    "deep key": b"}" + b"K\x01" + b"\x85" * 200 + b"Ns",
    "range": _reduce("builtins", "range", _number(10**13)),
    "list of range": _reduce("builtins", "list", _reduce("builtins", "range", b"K\x09")),
    "count": _reduce("itertools", "count", b"K\x00"),
    "held": _reduce("m", "Sampler", _reduce("builtins", "range", _number(10**13))),
    "repeat": _reduce("builtins", "list", _reduce("itertools", "repeat", b"N", b"K\x03")),
    "bytes": _reduce("builtins", "bytes", b"K\x09"),
    "power": _reduce("builtins", "pow", b"K\x0a", b"K\x09"),
}


@pytest.mark.parametrize("name", EXHAUSTS)
def test_what_exhausts_the_loader_is_told(name: str) -> None:
    said = _said(_look(EXHAUSTS[name]))
    assert len(said) == 1
    assert said[0].startswith("exhausts: ")


def test_many_deep_keys_cost_no_time() -> None:
    deep = b"K\x01" + b"\x85" * 3000 + b"q\x00"
    facts = _look(b"}" + deep + b"Ns(" + b"h\x00N" * 200_000 + b"u")
    assert _said(facts) == []
    assert "not looked at" in facts.reasons[0]


@pytest.mark.parametrize("name", FINE)
def test_what_ends_soon_is_not(name: str) -> None:
    assert _said(_look(FINE[name])) == []


METHOD = _reduce("builtins", "getattr", _made("m", "A"), shapes.text("f"))


class Held:
    def greet(self) -> None:
        raise AssertionError("never called")


def test_methods_and_getters_of_ordinary_names_are_noted() -> None:
    value = {"f": collections.Counter, "g": operator.attrgetter("score", "a.b"), "h": operator.methodcaller("lower")}
    assert set(
        _tiers(examine(io.BytesIO(pickle.dumps([value, str.lower, Held().greet], 4)), name="x.pkl")).values()
    ) <= {
        "unknown",
        "safe",
    }


@pytest.mark.parametrize(
    "body",
    [
        _reduce("operator", "attrgetter", shapes.text("__class__")),
        _reduce("operator", "attrgetter", shapes.text("os.system")),
        _reduce("operator", "methodcaller", shapes.text("tofile"), shapes.text("/etc/x")),
        _reduce("builtins", "getattr", _made("m", "A"), shapes.text("__init__")),
        _reduce("builtins", "getattr", _made("pandas.core.frame", "DataFrame"), shapes.text("eval")),
        _reduce("builtins", "getattr", _made("os", "Held"), shapes.text("f")),
        _reduce("builtins", "getattr", _reduce("m", "make"), shapes.text("f")),
        _reduce("builtins", "getattr", _made("m", "A"), shapes.text("f")) + b")R",
        _reduce("functools", "partial", METHOD) + b")R",
        _reduce("torch._tensor", "_rebuild_from_type_v2", _reduce("functools", "partial", METHOD)),
        _reduce("torch._tensor", "_rebuild_from_type_v2", METHOD),
        _reduce("torch._tensor", "_rebuild_from_type_v2", b"](" + METHOD + b"e"),
        _reduce("torch._tensor", "_rebuild_from_type_v2", b"](" + b"N" * 20 + METHOD + b"e"),
        _made("types", "SimpleNamespace")
        + _state(append=METHOD)
        + b"K\x01a",
    ],
)  # fmt: skip
def test_methods_that_are_called_or_reach_further_are_refused(body: bytes) -> None:
    assert {"dangerous", "unresolvable"} & set(_tiers(_look(body)).values())


def _archive(layer: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("metadata.json", "{}")
        config = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}, "registered_name": None}
        archive.writestr("config.json", json.dumps(config))
    return out.getvalue()


def _keras(data: bytes) -> ArtifactFacts:
    blob = b"B" + len(data).to_bytes(4, "little") + data
    stream = _made("_io", "BytesIO") + b"(" + blob + b"K\x00Ntb"
    loader = _reduce("builtins", "getattr", shapes.glob("keras.src.models.sequential", "Sequential"),
                     shapes.text("_unpickle_model"))  # fmt: skip
    return _look(loader + stream + b"\x85R")


def test_a_pickled_keras_model_is_as_good_as_its_archive() -> None:
    dense = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}, "registered_name": None}
    good = _keras(_archive(dense))
    assert set(_tiers(good).values()) <= {"safe", "unknown"}
    assert [note.severity.value for note in good.notes if note.severity.rank > 1] == []
    function = {"class_name": "__lambda__", "config": {"code": "4wAA"}}
    bad = _keras(_archive({"module": "keras.layers", "class_name": "Lambda", "config": {"function": function}}))
    assert "critical" in [note.severity.value for note in bad.notes]


@pytest.mark.parametrize("data", [b"", b"junk" * 9, b"junk" * 30_000])
def test_a_pickled_keras_model_that_cannot_be_followed_is_refused(data: bytes) -> None:
    assert _tiers(_keras(data))["keras.src.models.sequential.Sequential._unpickle_model"] == "dangerous"


def test_torchs_old_form_gives_a_modules_class_in_its_persistent_id() -> None:
    def module(name: tuple[str, str]) -> bytes:
        identity = (
            b"("
            + shapes.text("module")
            + shapes.glob(*name)
            + shapes.text("f.py")
            + shapes.text("class A: ...")
            + b"tQ"
        )
        return identity + b")R}b"

    assert _tiers(_look(module(("torch.nn.modules.linear", "Linear")), 2)) == {"torch.nn.modules.linear.Linear": "safe"}
    assert _tiers(_look(module(("os", "system")), 2)) == {"os.system": "dangerous"}
    unnamed = _look(b"(" + shapes.text("module") + shapes.text("x") + b"tQ)R", 2)
    assert set(_tiers(unnamed).values()) == {"unresolvable"}


def test_array_functions_come_from_modules_that_have_some() -> None:
    def fetched(module: str, name: str) -> set[str]:
        return set(
            _tiers(_look(_reduce("numpy.core", "_ufunc_reconstruct", shapes.text(module), shapes.text(name)))).values()
        )

    assert fetched("scipy.special._ufuncs", "expit") == {"safe"}
    assert "unresolvable" in fetched("payload", "run")


def test_pickles_inside_the_bytes_of_an_unlisted_class_are_found() -> None:
    inner = b"plan" + b"\x80\x04" + _reduce("posix", "system", shapes.text("id")) + b"." + b"rest"
    body = _made("polars.lazyframe.frame", "LazyFrame") + b"C" + bytes((len(inner),)) + inner + b"b"
    assert _tiers(_look(body))["posix.system"] == "dangerous"
    quiet = _made("polars.lazyframe.frame", "LazyFrame") + b"C\x08\x80\x04lan!!!b"
    assert _tiers(_look(quiet)) == {"polars.lazyframe.frame.LazyFrame": "unknown"}


def test_a_file_of_no_known_format_is_searched_for_pickles_that_name_what_is_refused() -> None:
    bad = b"\xa1kMap" + b"\x80\x04" + _reduce("posix", "system", shapes.text("id")) + b"." + bytes(9)
    assert _tiers(examine(io.BytesIO(bad), name="plan.bin"))["posix.system"] == "dangerous"
    assert _tiers(examine(io.BytesIO(bytes(range(256)) * 40), name="plan.bin")) == {}


KEY = "hf_" + "aB3dE5gH7jK9mN1pQ2sT4vW6xY8zA0cD2f"


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "value", [{"t": KEY}, ["use " + KEY], {"password": "k7#Qp9!zR2"}, {"url": "redis://u:k7Qp9zR2@h/0"}]
)
def test_secrets_in_a_pickles_texts_are_told_and_never_shown(protocol: int, value: Any) -> None:
    facts = examine(io.BytesIO(pickle.dumps(value, protocol)), name="x.pkl")
    assert len(_said(facts, Topic.SECRETS)) == 1
    assert all(KEY not in note.message and "k7" not in note.message for note in facts.notes)


def test_ordinary_texts_are_no_secrets() -> None:
    names = [f"feature_{i:04d}_mean_of_window" for i in range(50)]
    value = {"columns": names, "token": "the", "password": "contraseña", "sha": "0f" * 20, "key": "customer_id",
             "path": "models/2024-01-01/model_v2.bin"}  # fmt: skip
    facts = examine(io.BytesIO(pickle.dumps(value, 4)), name="x.pkl")
    assert _said(facts, Topic.SECRETS) == []

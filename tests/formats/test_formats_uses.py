"""Known-safe names in ways of use that are not safe: files, calls, live objects, all memory; and honest pickles."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import io
import ipaddress
import itertools
import pickle
import uuid
from typing import Any

import pytest

from assay.formats.pickle.stream import read_pickles
from assay.formats.reading import Limits


class Code(bytes):
    """Opcodes that leave one value on the stack."""


def text(value: str) -> bytes:
    """SHORT_BINUNICODE or BINUNICODE."""
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw if len(raw) < 256 else b"X" + len(raw).to_bytes(4, "little") + raw


def value(item: Any) -> bytes:
    """The opcodes of a constant, of a container of them, or of code itself."""
    if isinstance(item, Code):
        return bytes(item)
    if item is None or isinstance(item, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[item]
    if isinstance(item, int):
        raw = item.to_bytes((item.bit_length() + 8) // 8, "little", signed=True)
        return b"\x8a" + bytes([len(raw)]) + raw
    if isinstance(item, bytes):
        return b"B" + len(item).to_bytes(4, "little") + item
    if isinstance(item, str):
        return text(item)
    if isinstance(item, tuple):
        return b"(" + b"".join(map(value, item)) + b"t"
    if isinstance(item, list):
        return b"](" + b"".join(map(value, item)) + b"e"
    return b"}(" + b"".join(value(key) + value(held) for key, held in item.items()) + b"u"


def name(module: str, attribute: str) -> Code:
    """STACK_GLOBAL."""
    return Code(text(module) + text(attribute) + b"\x93")


def call(function: Code, *args: Any) -> Code:
    """REDUCE."""
    return Code(function + value(args) + b"R")


def new(function: Code, *args: Any) -> Code:
    """NEWOBJ."""
    return Code(function + value(args) + b"\x81")


def build(made: Code, state: Any) -> Code:
    """BUILD."""
    return Code(made + value(state) + b"b")


def python(attribute: str) -> Code:
    """A built-in."""
    return name("builtins", attribute)


def judged(data: bytes) -> tuple[set[str], list[str]]:
    """The tiers of all names in a stream, and what is said of memory and time."""
    stream = read_pickles(io.BytesIO(data), Limits())
    assert all(item.complete for item in stream.pickles)
    tiers = {fact.tier for item in stream.pickles for fact in item.globals}
    return tiers, [note.message for item in stream.pickles for note in item.notes]


def pickled(code: Code) -> bytes:
    """A whole pickle."""
    return b"\x80\x04" + code + b"."


WRITE = "copy (select 42) to 'x.csv'"
UNLISTED = name("duckdb", "execute")  # a function that writes files, and that no list knows
OBJECT = call(name("numpy", "dtype"), "O8", False, True)
RECORD = call(name("numpy", "dtype"), "V8", False, True)
NAMESPACE = call(name("types", "SimpleNamespace"))


def objects(*items: Any) -> Code:
    """An array of objects."""
    return call(name("numpy", "array"), list(items), OBJECT)


# Those of numpy, pandas, sklearn, lightgbm and dateutil were run: they opened a file, called a function of the pickle's
# choice, or crashed the interpreter. Those of torch and xgboost follow from reading their sources.
USES = {
    "lightgbm opens a file": call(name("lightgbm.basic", "Booster"), None, None, "model.txt"),
    "xgboost opens a file": call(name("xgboost.core", "Booster"), None, None, "model.txt"),
    "dateutil opens a file": call(name("dateutil.tz.tz", "tzfile"), "/etc/passwd"),
    "a time zone opens a file": call(name("pandas", "Timestamp"), "2020", None, "dateutil//etc/passwd"),
    "numpy's generator calls": call(name("numpy.random._pickle", "__generator_ctor"), WRITE, UNLISTED),
    "numpy's random state calls": call(name("numpy.random._pickle", "__randomstate_ctor"), WRITE, UNLISTED),
    "torch's rebuilder calls": call(name("torch._tensor", "_rebuild_from_type_v2"), UNLISTED, NAMESPACE, (WRITE,), {}),
    "pandas' index calls a method": call(
        name("pandas.core.indexes.interval", "_new_IntervalIndex"),
        build(NAMESPACE, {"from_arrays": UNLISTED}),
        {"query": WRITE},
    ),
    "a metric is called": call(name("sklearn.metrics.pairwise", "pairwise_distances"), [["a"]], None, UNLISTED),
    "a class is made": build(
        call(
            name("copyreg", "_reconstructor"),
            call(python("type"), "X", (), {"__setstate__": UNLISTED}),
            python("object"),
            None,
        ),
        WRITE,
    ),
    "a class is made by NEWOBJ": new(python("type"), "X", (), {"__del__": UNLISTED}),
    "an array function calls methods": call(
        name("numpy", "hypot"), objects(build(NAMESPACE, {"hypot": UNLISTED})), objects(WRITE)
    ),
    "and of what it is given itself": call(name("numpy", "mean"), build(NAMESPACE, {"mean": UNLISTED})),
    "a method is bound": call(name("sklearn.utils._available_if", "MethodType"), UNLISTED, WRITE),
    "memory by its address": call(
        name("numpy", "array"), build(NAMESPACE, {"__array_interface__": {"data": (4096, False)}})
    ),
    "objects that are not counted": build(OBJECT, (3, "|", None, None, None, -1, -1, 0)),
    "a record of such": build(RECORD, (3, "|", None, ("a",), {"a": (OBJECT, 0)}, 8, 1, 0)),
    "a field beyond the record": build(
        RECORD, (3, "|", None, ("a",), {"a": (call(name("numpy", "dtype"), "i8", False, True), 8_000_000)}, 8, 1, 0)
    ),
}


@pytest.mark.parametrize("case", USES)
def test_a_safe_name_in_such_use_is_refused(case: str) -> None:
    tiers, _ = judged(pickled(USES[case]))
    assert tiers & {"dangerous", "unresolvable"}


PARTIAL = name("functools", "partial")
LOOKS = name("sklearn.utils.validation", "check_array")  # what HistGradientBoosting with categories holds
KEYWORDS = {"dtype": [name("numpy", "float64")], "ensure_all_finite": False}


def holding(function: Any, later: Any = None, *, keywords: Any = KEYWORDS, own: Any = None) -> Code:
    """A partial object as pickles write it: made of a function, then given (function, arguments, keywords, its own)."""
    return build(call(PARTIAL, function), (later or function, (), keywords, own))


HELD = {
    "alone": holding(LOOKS),
    "as a value": build(new(name("sklearn.preprocessing._function_transformer", "FunctionTransformer")),
                        {"func": holding(LOOKS)}),
    "in a list": Code(value([("a", holding(LOOKS))])),
    "called, of what any call of is safe": call(call(PARTIAL, name("pandas.core.internals.blocks", "new_block")), (1,)),
    "called, with what it holds": call(build(call(PARTIAL, python("list")), (python("list"), (), {}, None)), (1,)),
    "of what any call of is safe": call(name("collections", "defaultdict"), call(PARTIAL, python("list"))),
}  # fmt: skip
CALLED = {
    "the function itself": call(LOOKS, [[1]]),
    "the partial object": call(holding(LOOKS), [[1]]),
    "an argument that it holds": call(call(PARTIAL, name("pandas", "Timestamp"), "2020", None, "dateutil//etc/passwd")),
    "an argument of its state": call(
        build(call(PARTIAL, python("list")), (name("pandas", "Timestamp"), ("2020",), {"tz": "dateutil//etc/x"}, None))
    ),
    "dill calls dill": call(name("dill._dill", "_create_array"), name("dill._dill", "_create_array"), (LOOKS, ())),
    "a partial object that opens a file": call(call(PARTIAL, name("lightgbm.basic", "Booster"), None, None, "m.txt")),
    "one that would, once it is called": call(PARTIAL, name("dateutil.tz.tz", "tzfile"), "/etc/passwd"),
    "another one, by its state": holding(python("list"), name("dateutil.tz.tz", "tzfile")),
    "a dangerous one, by its state": holding(LOOKS, name("os", "system")),
    "an unknown one, by its state": holding(LOOKS, UNLISTED),
    "one made while it is loaded, by its state": holding(LOOKS, call(name("thirdparty", "Thing"))),
    "a partial object of one": call(PARTIAL, holding(LOOKS)),
    "state that is not told": build(call(PARTIAL, LOOKS), call(python("tuple"), [LOOKS, (), {}, None])),
    "a rebuilder calls the function": call(name("numpy.random._pickle", "__generator_ctor"), "a", LOOKS),
    "a rebuilder calls the partial object": call(name("pandas.core.indexes.base", "_new_Index"), holding(LOOKS), {}),
    "a metric": call(name("sklearn.metrics.pairwise", "pairwise_distances"), [["a"]], None, holding(LOOKS)),
    "a metric by name": call(name("sklearn.metrics.pairwise", "pairwise_distances"), [["a"]], None, LOOKS),
    "a default": call(name("collections", "defaultdict"), holding(LOOKS)),
    "what loaders append with": Code(build(NAMESPACE, {"append": holding(LOOKS)}) + value(1) + b"a"),
    "what they append with, by name": Code(build(NAMESPACE, {"append": LOOKS}) + value(1) + b"a"),
    "an attribute of its own": Code(holding(LOOKS, own={"append": LOOKS}) + value(1) + b"a"),
    "dill calls it": call(name("dill._dill", "_create_array"), LOOKS, ([[1]],), None),
    "dill opens a file": call(
        name("dill._dill", "_create_array"), name("lightgbm.basic", "Booster"), (None, None, "m.txt"), None
    ),
}


@pytest.mark.parametrize("case", HELD)
def test_a_function_that_is_only_held_is_safe(case: str) -> None:
    assert judged(pickled(HELD[case])) == ({"safe"}, [])


def test_what_is_held_with_it_is_judged_by_itself() -> None:
    assert judged(pickled(holding(LOOKS, keywords={"dtype": UNLISTED})))[0] == {"safe", "unknown"}


@pytest.mark.parametrize("case", CALLED)
def test_a_function_that_is_only_held_is_refused_where_anything_may_call_it(case: str) -> None:
    tiers, _ = judged(pickled(CALLED[case]))
    assert tiers & {"dangerous", "unresolvable"}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_histograms_of_categories_are_no_alarm(protocol: int) -> None:
    pandas = pytest.importorskip("pandas")
    ensemble = pytest.importorskip("sklearn.ensemble")
    rows = pandas.DataFrame({"a": range(40), "k": list("uvwx") * 10})
    model = ensemble.HistGradientBoostingClassifier(max_iter=2, categorical_features=["k"]).fit(rows, [0, 1] * 20)
    tiers, notes = judged(pickle.dumps(model, protocol))
    assert tiers == {"safe"}
    assert not notes


def million(module: str, attribute: str, *args: Any) -> Code:
    """A call with a million millions of something."""
    return call(name(module, attribute), *args, 10**12)


NETWORK = call(name("ipaddress", "IPv6Network"), "::/0")
DECIMAL = call(name("decimal", "Decimal"), "1e99999999")
BOMBS = {
    "a fraction's exponent": call(name("fractions", "Fraction"), "1e999999999"),
    "a fraction's negative exponent": call(name("fractions", "Fraction"), "1e-99999999"),
    "a decimal made whole": call(python("int"), DECIMAL),
    "a decimal rounded": call(python("round"), DECIMAL),
    "a fraction of a decimal": call(name("fractions", "Fraction"), DECIMAL),
    "a number of digits": call(python("int"), "9" * 1_000_000),
    "a storage": million("torch", "FloatStorage"),
    "a storage made anew": new(name("torch", "FloatStorage"), 10**13),
    "a tensor": call(name("torch", "FloatTensor"), 10**7, 10**7),
    "a storage rebuilt": call(
        name("torch._utils", "_rebuild_tensor"), million("torch", "FloatStorage"), 0, (10**12,), (1,)
    ),
    "a layer": call(name("torch.nn.modules.linear", "Linear"), 10**7, 10**7),
    "an array": call(name("numpy", "ndarray"), (10**13,)),
    "an array of wide items": call(
        name("numpy", "ndarray"), (1000,), call(name("numpy", "dtype"), "V2000000000", False, True)
    ),
    "an array rebuilt": call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), (10**13,), b"b"),
    "a void": million("numpy", "void"),
    "a sparse matrix": call(name("scipy.sparse._csr", "csr_matrix"), (10**12, 1)),
    "bytes by copyreg": call(name("copyreg", "__newobj__"), python("bytearray"), 10**12),
    "bytes call by call": Code(value([call(python("bytes"), 2**27)] * 9)),
    "repeated so often": call(python("list"), call(name("itertools", "repeat"), 1, 10**12)),
    "rows zipped": call(
        python("list"), call(python("zip"), call(name("itertools", "count")), call(name("itertools", "count")))
    ),
    "rows zipped into a dict": call(
        name("collections", "OrderedDict"),
        call(python("zip"), million("builtins", "range"), million("builtins", "range")),
    ),
    "counted": call(name("collections", "Counter"), million("builtins", "range")),
    "addresses": call(python("list"), NETWORK),
    "an index made a list": call(python("list"), million("pandas.core.indexes.range", "RangeIndex")),
    "repeats of repeats": call(
        name("_operator", "mul"), call(name("_operator", "mul"), "a" * 200, 2**20), 2**20
    ),
    "powers of powers": call(python("pow"), call(python("pow"), 9, 10**6), 10**6),
    "lists in lists": call(python("str"), Code(b"](K\x01K\x02e" + b"".join(
        b"\x940](h" + bytes([at]) + b"h" + bytes([at]) + b"e" for at in range(40)
    ))),
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
def test_what_asks_for_too_much_is_told(case: str) -> None:
    _, notes = judged(pickled(BOMBS[case]))
    assert notes


HONEST: dict[str, Any] = {
    "fraction": fractions.Fraction(10**40, 7),
    "decimal": [decimal.Decimal("1E-300"), decimal.Decimal("NaN"), decimal.Decimal("12345.678")],
    "range": range(10**12),
    "deque": collections.deque([1, 2, 3], maxlen=10**6),
    "counter": collections.Counter("abracadabra"),
    "repeat": itertools.repeat("x", 5),
    "bytearray": bytearray(b"abc" * 1000),
    "network": ipaddress.ip_network("::/0"),
    "times": [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(days=99999)],
    "identifier": uuid.UUID(int=7),
    "nested": [[[1, 2], [3, 4]], {"a": ((1, 2), (3, 4))}],
    "shared": [[one := [1, 2], one], [one, one]],
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("case", HONEST)
def test_an_honest_value_is_silent(case: str, protocol: int) -> None:
    tiers, notes = judged(pickle.dumps(HONEST[case], protocol=protocol))
    assert tiers <= {"safe"}
    assert not notes


def test_honest_arrays_are_silent() -> None:
    numpy = pytest.importorskip("numpy")
    held = [
        numpy.array([{"a": 1}, None], dtype=object),
        numpy.zeros(3, dtype=[("a", "i4"), ("b", "O"), ("c", "U3"), ("d", "f4", (2, 3))]),
        numpy.zeros(3, dtype=numpy.dtype([("a", "i1"), ("b", "f8")], align=True)),
        numpy.zeros(2, dtype=numpy.dtype({"names": ["a"], "formats": ["i4"], "offsets": [4], "itemsize": 16})),
        numpy.array(["a", "bcd"]), numpy.array([b"a"]), numpy.zeros(2, dtype="M8[ns]"), numpy.zeros(2, dtype=bool),
        numpy.ma.masked_array([1, 2], [0, 1]), numpy.matrix([[1, 2]]), numpy.float32(1), numpy.log1p,
        numpy.random.default_rng(1), numpy.random.RandomState(1), numpy.zeros((0, 5)),
        numpy.array([1, 2]).view(numpy.recarray),
    ]  # fmt: skip
    for protocol in (2, 4, 5):
        tiers, notes = judged(pickle.dumps(held, protocol=protocol))
        assert tiers <= {"safe"}
        assert not notes


def test_honest_tables_are_silent() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": range(3), "b": list("xyz"), "c": pandas.Categorical(list("xyx"))})
    frame["t"] = pandas.date_range("2020", periods=3, tz="Europe/London")
    held = [
        frame, frame.set_index(["a", "b"]), pandas.RangeIndex(10**12), pandas.Timestamp("2020", tz="Europe/Paris"),
        pandas.interval_range(0, 3), pandas.period_range("2020", periods=3), frame["t"].dt.tz,
    ]  # fmt: skip
    tiers, notes = judged(pickle.dumps(held))
    assert tiers <= {"safe", "unknown"}
    assert not notes


def test_honest_estimators_are_silent() -> None:
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("sklearn")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import make_scorer, mean_squared_error
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    rows, labels = numpy.arange(20.0).reshape(10, 2), numpy.arange(10) % 2
    held = [
        make_pipeline(FunctionTransformer(numpy.log1p), StandardScaler(), RandomForestClassifier(3)).fit(rows, labels),
        KNeighborsClassifier(algorithm="kd_tree").fit(rows, labels),
        make_scorer(mean_squared_error),
    ]
    tiers, notes = judged(pickle.dumps(held))
    assert tiers <= {"safe"}
    assert not notes

"""Ordinary models raise no alarm, and the tables let nothing in that runs code."""

from __future__ import annotations

import importlib
import inspect
import io
import pickle
import sys
import warnings
from typing import Any

import pytest

from assay.formats.artifact import examine, safe_to_load
from assay.formats.pickle import tiers
from assay.formats.pickle.tier_dangers import DANGEROUS_MODULES, DANGEROUS_NAMES, STDLIB
from assay.formats.pickle.tier_tables import NOTED, SAFE_NAMES

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
PROTOCOLS = (0, 2, 4, 5)
HARMLESS_ROOTS = {"typing", "collections", "re", "abc", "numbers", "decimal", "_strptime", "inspect", "builtins"}
HARMLESS = ("PrettyDict", "Components")  # a dict and a named tuple under odd names


def _files(value: Any) -> list[bytes]:
    files = []
    for protocol in PROTOCOLS:
        try:
            files.append(pickle.dumps(value, protocol))
        except (TypeError, pickle.PicklingError):  # slots at protocol 0
            continue
    return files


def test_no_false_alarm_on_pickles(benign_family: tuple[str, dict[str, Any]]) -> None:
    library, objects = benign_family
    alarms = {}
    count = 0
    for name, value in objects.items():
        for data in _files(value):
            count += 1
            facts = examine(io.BytesIO(data), name="m.pkl")
            refused = safe_to_load(facts)
            if refused:
                alarms[name] = refused
    assert alarms == {}
    assert count >= 4 * len(objects) - 4, library


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_no_false_alarm_on_joblib(benign_family: tuple[str, dict[str, Any]], compress: Any) -> None:
    joblib = pytest.importorskip("joblib")
    alarms = {}
    names = sorted(benign_family[1])
    for name in names if compress == 0 else names[::8]:
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            joblib.dump(benign_family[1][name], file, compress=compress)
        facts = examine(file, name="m.joblib")
        if safe_to_load(facts) or not facts.streams:
            alarms[name] = facts.reasons or safe_to_load(facts)
    assert alarms == {}


@pytest.mark.parametrize("gadget", sorted(f"{module}.anything" for module, why in DANGEROUS_MODULES.items() if why))
def test_nothing_in_a_dangerous_module_is_trusted(gadget: str) -> None:
    module, _, name = gadget.rpartition(".")
    assert tiers.classify(module, name)[0] == tiers.DANGEROUS
    assert tiers.classify(module + ".sub", name)[0] == tiers.DANGEROUS


@pytest.mark.parametrize("module", [module for module, why in DANGEROUS_MODULES.items() if not why])
def test_what_is_no_danger_in_a_dangerous_package_is_still_not_trusted(module: str) -> None:
    parent = module.rpartition(".")[0]
    assert any(DANGEROUS_MODULES.get(path) for path in (parent, parent.rpartition(".")[0]))
    assert tiers.classify(module, "Anything")[0] in (tiers.UNKNOWN, tiers.DANGEROUS)
    assert tiers.classify(module, "system")[0] == tiers.DANGEROUS


CALLED = [
    (b"cthirdparty.tools\nrun_it\n(tR.", "unresolvable"),
    (b"cthirdparty.tools\n_rebuild_thing\n(VTree\ntR.", "unknown"),
    (b"cthirdparty.tools\n_rebuild_thing\n(V../../x\ntR.", "unresolvable"),
    (b"cthirdparty.tools\nThing\n(VTree\ntR.", "unknown"),
    (b"cthirdparty.tools\nThing\n(Vhttp://x.example/a\ntR.", "unresolvable"),
    (b"cthirdparty.tools\nthing_gen\n)\x81.", "unknown"),
    (b"cthirdparty.tools\nrun_it\n.", "unknown"),
    (b"clogging\ngetLogger\n(Va.b\ntR.", "unknown"),
]


@pytest.mark.parametrize(("pickled", "tier"), CALLED)
def test_a_call_of_what_no_list_knows_is_judged_by_what_it_is_given(pickled: bytes, tier: str) -> None:
    (fact,) = (fact for _, fact in examine(io.BytesIO(b"\x80\x02" + pickled)).globals())
    assert fact.tier == tier


@pytest.mark.parametrize("name", sorted(DANGEROUS_NAMES))
def test_a_gadget_is_a_gadget_wherever_it_is_re_exported(name: str) -> None:
    for module in (
        "thirdparty.util",
        "sklearn.base",
        "sklearn.metrics.x",
        "torch.nn.modules.x",
        "pandas.core.arrays.x",
    ):
        assert tiers.classify(module, name)[0] == tiers.DANGEROUS


def test_unlisted_standard_library_is_refused_and_the_list_is_whole() -> None:
    assert {name for name in sys.stdlib_module_names if not name.startswith("_")} <= STDLIB
    assert all(tiers.classify(module, "made_up")[0] == tiers.DANGEROUS for module in STDLIB)


def test_third_party_names_are_unknown() -> None:
    assert tiers.classify("company.models", "Net")[0] == tiers.UNKNOWN
    assert tiers.classify("company.models", "Net.Config")[0] == tiers.UNKNOWN
    assert tiers.classify("__main__", "Preprocessor")[0] == tiers.UNKNOWN
    assert tiers.classify("company.models", "helpers.run")[0] == tiers.DANGEROUS


def test_python_2_names_are_judged_as_what_they_became() -> None:
    assert tiers.classify("__builtin__", "set")[0] == tiers.SAFE
    assert tiers.classify("__builtin__", "eval")[0] == tiers.DANGEROUS
    assert tiers.classify("copy_reg", "_reconstructor")[0] == tiers.SAFE
    assert tiers.classify("cPickle", "loads")[0] == tiers.DANGEROUS


def test_no_name_is_both_noted_and_safe() -> None:
    both = {
        (module, name)
        for module, names in NOTED.items()
        for name in names.split()
        if name in SAFE_NAMES.get(module, "").split()
    }
    assert both == set()


def test_safe_rows_name_nothing_that_is_a_module_or_a_getter() -> None:
    """Each row that can be imported here is a class, function or constant; no module, which leads anywhere."""
    wrong = []
    for module, names in SAFE_NAMES.items():
        if module.partition(".")[0] in ("torch", "xgboost", "catboost", "dateutil", "pytz"):
            continue
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        wrong += [f"{module}.{name}" for name in names.split() if inspect.ismodule(getattr(found, name, None))]
    assert wrong == []


def test_patterns_admit_nothing_dangerous_from_elsewhere(benign_family: tuple[str, dict[str, Any]]) -> None:
    """Modules re-export what they import: what a pattern lets in must not be another module's way to run code."""
    root = benign_family[0]
    if root == "stdlib":
        pytest.skip("has no patterns")
    leaks = set()
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] != root or module is None:
            continue
        for name in dir(module):
            if tiers.classify(module_name, name)[0] != tiers.SAFE:
                continue
            value = getattr(module, name, None)
            home = (getattr(value, "__module__", None), getattr(value, "__qualname__", None))
            if isinstance(home[0], str) and isinstance(home[1], str) and tiers.classify(*home)[0] == tiers.DANGEROUS:
                leaks.add(f"{module_name}.{name} is {home[0]}.{home[1]}")
    serious = {leak for leak in leaks if leak.rpartition(" is ")[2].partition(".")[0] not in HARMLESS_ROOTS}
    serious = {leak for leak in serious if not leak.endswith(HARMLESS)}
    assert serious == set()

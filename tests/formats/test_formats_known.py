"""The threat pack in force: what it adds to the tables, what it cannot loosen, and that it ends with its block."""

from __future__ import annotations

import io
import pickle
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.threats import NamesKnown, PackagesKnown, Threats
from assay.formats.artifact import examine, safe_to_load
from assay.formats.known import Known, current, judged_by
from assay.formats.pickle.tiers import classify
from assay.formats.reading import Limits, Topic
from assay.formats.texts.package_names import looks_like
from assay.formats.texts.read import read


def known(names: NamesKnown = NamesKnown(), packages: PackagesKnown = PackagesKnown()) -> Known:  # noqa: B008
    pack = Threats(threats="org", version=1, issued=date(2026, 11, 20), names=names, packages=packages)
    return Known(pack, "org 1")


def test_a_safe_name_becomes_dangerous_and_is_safe_again_after() -> None:
    with judged_by(known(NamesKnown(dangerous={"sklearn.linear_model": "hides a gadget"}))):
        tier, why = classify("sklearn.linear_model._base", "LinearRegression")
        assert (tier, why) == ("dangerous", "hides a gadget (threat pack org 1)")
        assert classify("sklearn.linear_modelling", "X")[0] != "dangerous"
    assert classify("sklearn.linear_model._base", "LinearRegression")[0] == "safe"
    assert current().name == ""


def test_one_name_of_a_module() -> None:
    with judged_by(known(NamesKnown(dangerous={"collections.OrderedDict": "x"}))):
        assert classify("collections", "OrderedDict")[0] == "dangerous"
        assert classify("collections", "OrderedDict.fromkeys")[0] == "dangerous"
        assert classify("collections", "deque")[0] == "safe"


def test_names_of_python_2_are_judged_as_what_they_are_mapped_to() -> None:
    with judged_by(known(NamesKnown(dangerous={"builtins.range": "x"}))):
        assert classify("__builtin__", "xrange")[0] == "dangerous"


def test_an_unknown_name_becomes_safe_and_a_dangerous_one_does_not() -> None:
    rows = {"mylib.models": ("Scaler",), "os": ("system",), "builtins": ("eval",)}
    with judged_by(known(NamesKnown(safe=rows))):
        assert classify("mylib.models", "Scaler")[0] == "safe"
        assert classify("mylib.models", "Other")[0] == "unknown"
        assert classify("os", "system")[0] == "dangerous"
        assert classify("builtins", "eval")[0] == "dangerous"


def test_what_is_refused_wins_over_what_is_listed_as_safe() -> None:
    rows = NamesKnown(safe={"mylib": ("Scaler",)}, dangerous={"mylib": "x"})
    with judged_by(known(rows)):
        assert classify("mylib", "Scaler")[0] == "dangerous"


def test_a_pickle_is_judged_by_it_and_may_not_be_loaded() -> None:
    data = io.BytesIO(pickle.dumps(date(2026, 1, 1)))
    assert safe_to_load(examine(data, name="a.pkl")) == []
    with judged_by(known(NamesKnown(dangerous={"datetime": "x"}))):
        assert safe_to_load(examine(data, name="a.pkl"))


def test_look_alikes_of_its_popular_packages() -> None:
    packages = PackagesKnown(popular=("Acme_Forecast",), real=("acme-forecasts",))
    with judged_by(known(packages=packages)):
        assert looks_like("acme-forecost") == ("acme-forecast", "one letter")
        assert looks_like("acme.forecast") == ("", "")
        assert looks_like("acme-forecasts") == ("", "")
    assert looks_like("acme-forecost") == ("", "")


@pytest.mark.parametrize("text", ["Evil.Pkg==1.0\n", "evil-pkg\n", "evil_pkg>=1 # fine\n"])
def test_a_malicious_package_is_critical(text: str) -> None:
    with judged_by(known(packages=PackagesKnown(malicious={"evil-pkg": "steals keys"}))):
        notes = read(io.BytesIO(text.encode()), "requirements.txt", Limits()).notes
    found = [note for note in notes if note.topic is Topic.REQUIREMENTS and note.severity == "critical"]
    assert len(found) == 1
    assert "steals keys (threat pack org 1)" in found[0].message


def test_a_server_that_is_a_malicious_package_is_critical() -> None:
    data = b'{"mcpServers": {"a": {"command": "uvx", "args": ["evil-pkg==1.0"]}}}'
    with judged_by(known(packages=PackagesKnown(malicious={"evil-pkg": "steals keys"}))):
        notes = read(io.BytesIO(data), "mcp.json", Limits()).notes
    assert any(note.severity == "critical" and "steals keys" in note.message for note in notes)


@given(st.text(max_size=30), st.text(max_size=30))
def test_an_empty_pack_changes_nothing(module: str, name: str) -> None:
    with judged_by(known()):
        said = classify(module, name)
    assert said == classify(module, name)


def test_only_what_no_list_knows_can_be_allowed() -> None:
    for name, ok in ((b"cmylib\nScaler\n.", True), (b"cposix\nsystem\n.", False), (b"cmylib\nrun\n(tR.", False)):
        facts = examine(io.BytesIO(name), name="a.pkl")
        allow = frozenset(fact.qualified for _, fact in facts.globals())
        assert (safe_to_load(facts, allow) == []) == ok, name
    with judged_by(known(NamesKnown(dangerous={"mylib": "a gadget"}))):
        facts = examine(io.BytesIO(b"cmylib\nScaler\n."), name="a.pkl")
        assert safe_to_load(facts, frozenset({"mylib.Scaler"}))

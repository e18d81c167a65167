"""Addresses of served models: what is one, and what one may hold; nothing of a refused one is quoted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.config.address import is_address, is_variable, refused


@pytest.mark.parametrize(
    ("uri", "served"),
    [
        ("http://h/v2/models/x", True),
        ("HTTPS://h/invocations", True),
        ("models/fraud.onnx", False),
        ("hf://org/name", False),
        ("mlflow:models/x", False),
        ("", False),
    ],
    ids=["http", "https", "file", "hub", "registry", "empty"],
)
def test_what_is_an_address(uri: str, served: bool) -> None:
    assert is_address(uri) is served


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("https://h/v2/models/x", ""),
        ("https://[::1]:8080/invocations", ""),
        ("https://me:pw@h/x", "credentials"),
        ("https://h/x?sig=pw", "query"),
        ("https://h/x#pw", "query"),
        ("https://h", "no model on it"),
        ("https:///x", "malformed"),
        ("https://h:99999/x", "malformed"),
        ("https://h/a b", "malformed"),
        ("https://h/a\n", "malformed"),
    ],
    ids=["good", "six", "login", "query", "fragment", "server", "host", "port", "space", "line"],
)
def test_what_an_address_may_hold(uri: str, said: str) -> None:
    what, fix = refused(uri)
    assert said in what
    assert bool(what) is bool(fix) is bool(said)


@given(secret=st.text("abcdefgh0123456789", min_size=12, max_size=30), form=st.sampled_from(["u:{}@h/x", "h/x?k={}"]))
def test_a_refused_address_is_not_quoted(secret: str, form: str) -> None:
    assert secret not in "".join(refused("https://" + form.format(secret)))


@pytest.mark.parametrize(
    ("name", "good"), [("FRAUD_TOKEN", True), ("_x1", True), ("1x", False), ("a-b", False), ("", False)]
)
def test_names_of_variables(name: str, good: bool) -> None:
    assert is_variable(name) is good

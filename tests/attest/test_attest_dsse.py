"""Envelopes and statements: what was signed reads back; anything else is one VerificationError, never a crash."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.attest import dsse, statement
from assay.attest.keys import generate
from assay.core.errors import VerificationError

TYPE = "application/x"
ANN, BOB = generate("ann"), generate("bob", "p256")  # one of each kind
KEYS = (ANN.public, BOB.public)


def envelope(**changes: object) -> bytes:
    return json.dumps({**json.loads(dsse.sign(TYPE, b"body", [ANN])), **changes}).encode()


def test_pae_as_in_the_specification() -> None:
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert dsse.pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_signers_are_counted_once_each() -> None:
    both = dsse.verify(dsse.sign(TYPE, b"body", [BOB, ANN, BOB]), KEYS, TYPE)
    assert both.payload == b"body"
    assert both.key_ids == (BOB.public.id, ANN.public.id)
    assert dsse.verify(dsse.sign(TYPE, b"body", [BOB, ANN]), [ANN.public, ANN.public], TYPE).key_ids == (ANN.public.id,)


def test_the_key_id_is_only_a_hint() -> None:
    signed = json.loads(dsse.sign(TYPE, b"body", [ANN]))
    for hint in (BOB.public.id, "nonsense", ""):
        signed["signatures"][0]["keyid"] = hint
        assert dsse.verify(json.dumps(signed).encode(), KEYS, TYPE).key_ids == (ANN.public.id,)
    with pytest.raises(VerificationError, match="not signed by any trusted key"):
        dsse.verify(dsse.sign(TYPE, b"body", [generate("mallory")]), KEYS, TYPE)
    with pytest.raises(VerificationError, match="no key"):
        dsse.verify(envelope(), [], TYPE)


def test_url_safe_base64_is_read_too() -> None:
    body = b"\xff\xfe\xfb" * 5
    signed = json.loads(dsse.sign(TYPE, body, [ANN]))
    signed["payload"] = urlsafe_b64encode(body).decode()
    assert "_" in signed["payload"]
    assert dsse.verify(json.dumps(signed).encode(), KEYS, TYPE).payload == body


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"[" * 100_000,
        b'{"payload":' * 50_000,
        b"\xff\xfe{}",
        envelope(payload="Ym9keQ"),
        envelope(payload="Ym9keR=="),
        envelope(payload="Ym9k\neQ=="),
        envelope(payload=b64encode(b"\xff\xfb").decode()[:2] + "_="),
        envelope(payload=b64encode(b"other").decode()),
        envelope(payload=7),
        envelope(payloadType="application/y"),
        envelope(signatures=[]),
        envelope(signatures=[{"sig": "!"}]),
        envelope(signatures=[{"sig": ""}]),
        envelope(signatures=[{"keyid": ANN.public.id}]),
        envelope(signatures=[{"sig": "AAAA"}] * 33),
    ],
)
def test_malformed_envelopes_are_refused_in_one_line(bad: bytes) -> None:
    with pytest.raises(VerificationError) as caught:
        dsse.verify(bad, KEYS, TYPE, where="x.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_envelope_has_a_largest_size() -> None:
    with pytest.raises(VerificationError, match="larger than 10 bytes"):
        dsse.verify(envelope(), KEYS, TYPE, max_bytes=10)


@given(st.binary(max_size=200))
def test_random_bytes_never_verify(data: bytes) -> None:
    with pytest.raises(VerificationError):
        dsse.verify(data, KEYS, TYPE)
    with pytest.raises(VerificationError):
        statement.parse(data, statement.EVIDENCE)


GOOD = statement.sign(statement.EVIDENCE, [statement.Subject("m", {"sha256": "ab" * 32})], {"a": [1, "é"]}, [ANN])


@settings(max_examples=400)
@given(st.data())
def test_a_mutated_envelope_never_says_something_else(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    mutated = GOOD[:at] + data.draw(st.binary(max_size=3)) + GOOD[at + data.draw(st.integers(0, 3)) :]
    try:
        verified = statement.verify(mutated, KEYS, statement.EVIDENCE)
    except VerificationError:
        return
    # Only what is outside the signed bytes (white space, the key id hint) may differ.
    assert verified.payload == statement.verify(GOOD, KEYS, statement.EVIDENCE).payload


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_random_json_is_no_statement(value: object) -> None:
    with pytest.raises(VerificationError):
        statement.parse(json.dumps(value).encode(), statement.EVIDENCE)


TYPES = [
    value
    for name, value in vars(statement).items()
    if name.isupper() and str(value).startswith(("urn:", "https://slsa", "https://model"))
]


def test_a_document_of_one_type_never_verifies_as_another() -> None:
    assert len(set(TYPES)) == 9
    for made in TYPES:
        signed = statement.sign(made, [statement.Subject("m", {"sha256": "ab" * 32})], {}, [ANN])
        for asked in TYPES:
            if made == asked:
                assert statement.verify(signed, KEYS, asked).statement.predicate_type == made
            else:
                with pytest.raises(VerificationError, match="not a"):
                    statement.verify(signed, KEYS, asked)
    with pytest.raises(VerificationError, match="not 'application"):
        statement.verify(dsse.sign(TYPE, b"{}", [ANN]), KEYS, statement.EVIDENCE)


def test_what_a_paper_claims_is_read_before_its_signature_is_checked() -> None:
    subject = statement.Subject("x", {"sha256": "0" * 64})
    envelope = statement.sign(statement.ROSTER, [subject], {"a": 1}, [generate("x")])
    claim = statement.claimed(envelope)
    assert (claim.predicate_type, claim.read(dict[str, int])) == (statement.ROSTER, {"a": 1})
    for bad in (b"", b"{}", envelope[:-9], envelope.replace(b'"payload":"', b'"payload":"*'), b'{"payload":7}'):
        with pytest.raises(VerificationError) as caught:
            statement.claimed(bad, where="p.json")
        assert "\n" not in str(caught.value)


def test_statement_round_trip_is_deterministic() -> None:
    subjects = [statement.Subject("b", {"sha256": "ab" * 32}), statement.Subject("a", {"gitCommit": "00ff"})]
    payload = statement.make(statement.POLICY, subjects, {"z": 1, "a": 2})
    assert payload == statement.make(statement.POLICY, subjects, {"a": 2, "z": 1})
    parsed = statement.parse(payload, statement.POLICY)
    assert parsed.subject == tuple(subjects)
    assert parsed.read(dict) == {"a": 2, "z": 1}
    with pytest.raises(VerificationError, match="malformed predicate"):
        parsed.read(list)


def changed(**changes: object) -> bytes:
    good = json.loads(statement.make(statement.POLICY, [statement.Subject("a", {"sha256": "ab" * 32})], {}))
    return json.dumps({**good, **changes}).encode()


@pytest.mark.parametrize(
    "bad",
    [
        changed(_type="https://in-toto.io/Statement/v0.1"),
        changed(predicateType=statement.ROSTER),
        changed(subject=[]),
        changed(subject=[{"name": "a", "digest": {}}]),
        changed(subject=[{"name": "", "digest": {"sha256": "ab" * 32}}]),
        changed(subject=[{"name": "a", "digest": {"sha256": "AB" * 32}}]),
        changed(subject=[{"name": "a", "digest": {"sha256": "ab" * 31}}]),
        changed(subject=[{"name": "a", "digest": {"sha512": ""}}]),
        changed(subject=[{"name": "a", "digest": {"sha256": "ab" * 32}}] * 2),
    ],
)
def test_unsound_statements_are_refused(bad: bytes) -> None:
    with pytest.raises(VerificationError):
        statement.parse(bad, statement.POLICY)


def test_deep_predicates_are_refused_when_read() -> None:
    payload = changed(predicate={}).replace(b'"predicate": {}', b'"predicate": ' + b"[" * 200_000 + b"]" * 200_000)
    with pytest.raises(VerificationError):
        statement.parse(payload, statement.POLICY).read(msgspec.Raw | list)  # type: ignore[arg-type]

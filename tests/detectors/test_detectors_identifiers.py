"""Identifiers: official examples are told, one wrong digit is not, and ordinary numbers and words are not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.detectors import identifiers as ids
from assay.detectors.headers import PERSONAL, PROTECTED, ROLES, said

# Published examples: issuers' test cards, the standards' own accounts, ids made up by the rules.
GOOD = [
    (ids.is_email, "mail to Jane.Doe+x@mail.example.org please"),
    (ids.is_iban, "GB82 WEST 1234 5698 7654 32"),
    (ids.is_iban, "pay to DE89370400440532013000"),
    (ids.is_card, "4111 1111 1111 1111"),
    (ids.is_card, "378282246310005"),
    (ids.has_card, "card 5500-0000-0000-0004 expires"),
    (ids.is_phone, "+44 20 7946 0958"),
    (ids.is_phone, "call +1 (202) 555-0143 now"),
    (ids.is_ip, "192.168.10.7"),
    (ids.is_ip, "2001:db8::1"),
    (ids.is_spanish, "12345678Z"),
    (ids.is_spanish, "X1234567L"),
    (ids.is_italian, "RSSMRA85T10A562S"),
    (ids.is_finnish, "131052-308T"),
    (ids.is_brazilian, "529.982.247-25"),
    (ids.is_polish, "44051401359"),
    (ids.is_swedish, "811218-9876"),
    (ids.is_british, "QQ 12 34 56 C".replace("QQ", "AB")),
    (ids.is_american, "219-09-9999"),
]
BAD = [
    (ids.is_email, "a @ b, 3@4, user@host, @name"),
    (ids.is_iban, "GB82 WEST 1234 5698 7654 33"),
    (ids.is_iban, "AB12 CDEF 3456 7890"),
    (ids.is_card, "4111 1111 1111 1112"),
    (ids.is_card, "1234567890123452"),
    (ids.is_phone, "+1234567.89"),
    (ids.is_phone, "5 to +10"),
    (ids.is_phone, "00000000"),
    (ids.is_ip, "1.2.3"),
    (ids.is_ip, "300.1.1.1"),
    (ids.is_ip, "12:30:59"),
    (ids.is_spanish, "12345678A"),
    (ids.is_italian, "RSSMRA85T10A562T"),
    (ids.is_finnish, "131052-308U"),
    (ids.is_brazilian, "111.111.111-11"),
    (ids.is_brazilian, "9384001.26"),
    (ids.is_polish, "44051401358"),
    (ids.is_american, "000-12-3456"),
]


@pytest.mark.parametrize(("test", "text"), GOOD)
def test_what_is_one_is_told(test: object, text: str) -> None:
    assert test(text)  # type: ignore[operator]


@pytest.mark.parametrize(("test", "text"), BAD)
def test_what_is_none_is_not(test: object, text: str) -> None:
    assert not test(text)  # type: ignore[operator]


def test_the_french_key() -> None:
    body = "1840575123456"
    key = 97 - int(body) % 97
    assert ids.is_french(f"{body}{key:02d}")
    assert not ids.is_french(f"{body}{key % 97 + 1:02d}")


@given(st.text(max_size=60))
def test_no_text_breaks_a_test(text: str) -> None:
    assert {identifier.is_one(text) for identifier in ids.IDENTIFIERS} <= {True, False}
    assert ids.is_national_phone(text) in (True, False)


@given(st.from_regex(re.compile(r"[0-9]{1,7}(\.[0-9]{1,2})?"), fullmatch=True))
def test_prices_and_counts_are_nobody(text: str) -> None:
    assert [i.kind for i in ids.IDENTIFIERS if i.is_one(text)] == []


@given(st.text(alphabet="0123456789", min_size=11, max_size=11))
def test_luhn_finds_one_check_digit_in_ten(digits: str) -> None:
    assert sum(ids.luhn(digits + str(d)) for d in range(10)) == 1


@pytest.mark.parametrize(
    ("header", "lexicon", "meaning"),
    [
        ("AgeOfPolicyHolder", PROTECTED, "age"),
        ("customer_age", PROTECTED, "age"),
        ("GESCHLECHT", PROTECTED, "sex"),
        ("estado-civil", PROTECTED, "marital status"),
        ("Nationalité", PROTECTED, "nationality"),
        ("AgeOfVehicle", PROTECTED, ""),
        ("average", PROTECTED, ""),
        ("message", PROTECTED, ""),
        ("Vorname", PERSONAL, "names of people"),
        ("AddressChange_Claim", PERSONAL, ""),
        ("word_freq_address", PERSONAL, ""),
        ("dateOfBirth", PERSONAL, "dates of birth"),
        ("product_name", PERSONAL, ""),
        ("customerID", ROLES, "entity"),
        ("created_at", ROLES, "time"),
    ],
)
def test_headers_in_several_languages(header: str, lexicon: dict[str, str], meaning: str) -> None:
    assert said(header, lexicon) == meaning

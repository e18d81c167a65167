"""What names a person, told from a text alone: numbers with check digits, addresses of mail and of the network.

Each test takes a text and says whether it is such an identifier; none looks anything up.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import date

import msgspec

_IBAN_LENGTH = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23,
    "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29,
    "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "XK": 20,
}  # fmt: skip
_EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}(?![\w-])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,8}(?![A-Za-z0-9])")
_PHONE = re.compile(r"(?<![\w+])(?:\+|00)[1-9][\d ().\-/]{6,20}\d(?!\w)")
_NATIONAL_PHONE = re.compile(r"\(?\d[\d ().\-/]{5,18}\d(?:\s?(?:x|ext\.?)\s?\d{1,5})?")
_CARD_GROUPS = re.compile(r"(?<![\d.])(?:\d{4}([ -])\d{4}\1\d{4}\1\d{4}|3[47]\d{2}([ -])\d{6}\2\d{5})(?!\d)")
_CARD = re.compile(
    r"(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|3[47]\d{13}|6(?:011|5\d\d)\d{12})"
)
_SPANISH, _SPANISH_LETTERS = re.compile(r"([XYZ]?)(\d{7,8})-?([A-HJ-NP-TV-Z])"), "TRWAGMYFPDXBNJZSQVHLCKE"
_ITALIAN = re.compile(r"[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z]")
_FINNISH, _FINNISH_SIGNS = re.compile(r"(\d{6})([-+A-FU-Y])(\d{3})([0-9A-Y])"), "0123456789ABCDEFHJKLMNPRSTUVWXY"
_BRITISH = re.compile(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]")
_AMERICAN = re.compile(r"(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}")


class Identifier(msgspec.Struct, frozen=True):
    """A kind of identifier: what it is called, the test of a whole cell, the share of random cells that pass it, and
    whether its form alone is so telling that a few cells in a column are enough."""

    kind: str
    is_one: Callable[[str], bool]
    by_chance: float
    telling: bool


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the rest (ISO/IEC 7812)."""
    total = 0
    for place, sign in enumerate(reversed(digits)):
        value = int(sign) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def is_email(text: str) -> bool:
    """Whether an address of mail is in a text."""
    return "@" in text and _EMAIL.search(text) is not None


def is_iban(text: str) -> bool:
    """Whether a bank account's number is in a text: its country's length, remainder 1 by 97 (ISO 13616)."""
    for match in _IBAN.finditer(text):
        plain = match.group().replace(" ", "")
        size = _IBAN_LENGTH.get(plain[:2])
        if size is not None and len(plain) >= size and _remainder(plain[:size]) == 1:
            return True
    return False


def _remainder(plain: str) -> int:
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97


def is_phone(text: str) -> bool:
    """Whether an international telephone number is in a text: + or 00, 8 to 15 digits (ITU-T E.164), not all alike."""
    for match in _PHONE.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        if 8 <= len(digits) <= 15 and len(set(digits)) > 2 and not re.search(r"\d\.\d+$", match.group()):
            return match.group().startswith("+") or match.end() - match.start() == len(text.strip())
    return False


def is_national_phone(text: str) -> bool:
    """Whether a cell could be a telephone number as written at home; so could many numbers."""
    return _NATIONAL_PHONE.fullmatch(text.strip()) is not None and 6 <= sum(c.isdigit() for c in text) <= 15


def is_card(text: str) -> bool:
    """Whether a cell is a payment card's number: an issuer's prefix, its length, its check digit."""
    digits = text.strip().replace(" ", "").replace("-", "")
    return digits.isascii() and digits.isdigit() and _CARD.fullmatch(digits) is not None and luhn(digits)


def has_card(text: str) -> bool:
    """Whether a card's number stands in a text in groups, as on the card."""
    return any(is_card(match.group()) for match in _CARD_GROUPS.finditer(text))


def is_ip(text: str) -> bool:
    """Whether a cell is an address of the network, by itself or with a port."""
    text = text.strip()
    if not 3 <= len(text) <= 45 or (text.count(".") != 3 and text.count(":") < 2):
        return False
    try:
        ipaddress.ip_address(text.rpartition(":")[0] if text.count(":") == 1 else text)
    except ValueError:
        return False
    return True


def is_spanish(text: str) -> bool:
    """DNI and NIE: the letter is the number's remainder by 23."""
    match = _SPANISH.fullmatch(text.strip().upper())
    if match is None or len(match[1]) + len(match[2]) != 8:
        return False
    return _SPANISH_LETTERS[int(str("XYZ".find(match[1]) if match[1] else "") + match[2]) % 23] == match[3]


def is_italian(text: str) -> bool:
    """Codice fiscale: its structure and its check letter (D.M. 23 December 1976)."""
    text = text.strip().upper()
    if _ITALIAN.fullmatch(text) is None:
        return False
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    places = [int(c) if c.isdigit() else ord(c) - 65 for c in text[:15]]
    return sum(odd[p] if i % 2 == 0 else p for i, p in enumerate(places)) % 26 == ord(text[15]) - 65


def is_finnish(text: str) -> bool:
    """Henkilötunnus: a day and the sign of the number's remainder by 31."""
    match = _FINNISH.fullmatch(text.strip().upper())
    return match is not None and _FINNISH_SIGNS[int(match[1] + match[3]) % 31] == match[4] and _day(match[1][:4])


def is_french(text: str) -> bool:
    """NIR: 13 digits and a key of 97 less their remainder."""
    digits = text.strip().replace(" ", "").upper().replace("2A", "19", 1).replace("2B", "18", 1)
    plain = len(digits) == 15 and digits.isascii() and digits.isdigit() and digits[0] in "12"
    return plain and (1 <= int(digits[3:5]) <= 12 or int(digits[3:5]) >= 20) and (
        97 - int(digits[:13]) % 97 == int(digits[13:])
    )  # fmt: skip


_CPF = re.compile(r"[0-9]{3}([. ]?)[0-9]{3}\1[0-9]{3}[- ]?[0-9]{2}|[0-9]{9,11}")


def is_brazilian(text: str) -> bool:
    """CPF: two check digits by 11; as it is written, or digits alone (a price of nine digits is none)."""
    if _CPF.fullmatch(text.strip()) is None:
        return False
    digits = re.sub(r"[.\- ]", "", text.strip())
    digits = digits.zfill(11)
    if len(set(digits)) == 1:
        return False
    for size in (9, 10):
        if sum(int(d) * w for d, w in zip(digits, range(size + 1, 1, -1), strict=False)) * 10 % 11 % 10 != int(
            digits[size]
        ):
            return False
    return True


def is_polish(text: str) -> bool:
    """PESEL: a day (its century in the month) and a check digit."""
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit() or not 9 <= len(digits) <= 11:
        return False
    digits = digits.zfill(11)
    month = int(digits[2:4]) % 20
    return (
        1 <= month <= 12
        and 1 <= int(digits[4:6]) <= 31
        and sum(int(d) * w for d, w in zip(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True)) % 10 == 0
    )


def is_swedish(text: str) -> bool:
    """Personnummer: a day, and Luhn's digit over the last ten."""
    digits = text.strip().replace("-", "").replace("+", "")
    if not digits.isascii() or not digits.isdigit() or len(digits) not in (10, 12):
        return False
    digits = digits[-10:]
    return luhn(digits) and 1 <= int(digits[2:4]) <= 12 and 1 <= int(digits[4:6]) <= 31


def is_british(text: str) -> bool:
    """National insurance number: its letters and digits, without a check."""
    return _BRITISH.fullmatch(text.strip().upper()) is not None


def is_american(text: str) -> bool:
    """Social security number, with its dashes; without a check."""
    return _AMERICAN.fullmatch(text.strip()) is not None


def _day(digits: str) -> bool:
    try:
        date(2000, int(digits[2:4]), int(digits[:2]))
    except ValueError:
        return False
    return True


IDENTIFIERS = (
    Identifier("mail addresses", is_email, 0.0, True),
    Identifier("bank account numbers (IBAN)", is_iban, 0.0, True),
    Identifier("telephone numbers", is_phone, 0.0, True),
    Identifier("card numbers", has_card, 0.0, True),
    Identifier("card numbers", is_card, 0.1, False),
    Identifier("addresses of the network (IP)", is_ip, 0.0, False),
    Identifier("national ids (Spain)", is_spanish, 1 / 23, False),
    Identifier("national ids (Italy)", is_italian, 0.0, True),
    Identifier("national ids (Finland)", is_finnish, 0.0, True),
    Identifier("national ids (France)", is_french, 1 / 97, False),
    Identifier("national ids (Brazil)", is_brazilian, 0.01, False),
    Identifier("national ids (Poland)", is_polish, 0.03, False),
    Identifier("national ids (Sweden)", is_swedish, 0.04, False),
    Identifier("national ids (United Kingdom)", is_british, 0.0, False),
    Identifier("national ids (United States)", is_american, 0.0, False),
)

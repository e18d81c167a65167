"""Numbers, dates and names in plain words, the same everywhere on the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

_SMALL = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
SHARES = frozenset({"share", "rate", "fraction"})
COUNTS = frozenset({"columns", "entities", "looks", "phrases", "rows", "rules", "signals"})
# For a measure that gives no unit only.
_RATES = ("recall", "precision", "rate", "share", "accuracy", "coverage", "caught", "tpr", "fpr", "under_attack")
_ACRONYMS = {
    "pr": "PR", "auc": "AUC", "roc": "ROC", "pii": "PII", "tpr": "TPR", "fpr": "FPR", "psi": "PSI", "llm": "LLM",
    "ml": "ML", "onnx": "ONNX", "id": "ID", "rmia": "RMIA", "mcc": "MCC", "f1": "F1",
}  # fmt: skip
NOT_MEASURED, NO_NUMBER = "not measured", "not a number"


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 rule`, `1,204 rules`."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def count_word(count: int) -> str:
    """`one`, `twelve`, `13`."""
    return _SMALL[count] if 0 <= count < len(_SMALL) else f"{count:,}"


def counted(count: int, noun: str, many: str = "") -> str:
    """`one rule`, `twelve rules`, `13 rules`: a count inside a sentence."""
    return f"{count_word(count)} {noun if count == 1 else many or noun + 's'}"


def listed(words: Sequence[str], most: int = 4) -> str:
    """`a`, `a and b`, `a, b and 3 more`."""
    items = list(words)
    if len(items) > most:
        items = [*items[: most - 1], f"{len(items) - most + 1:,} more"]
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1]))) if items else "nobody"


def sentence(text: str) -> str:
    """`text` with a capital first letter and one full stop."""
    text = text.strip()
    return text if not text else capital(text) + ("" if text[-1] in ".!?…" else ".")


def name_words(name: str) -> str:
    """A measure's or check's last part in words: `robustness.evasion.recall_under_attack` → `recall under attack`."""
    parts = name.rpartition(".")[2].replace("-", "_").split("_")
    words = [_ACRONYMS.get(p) or _percentage(p) or p for p in parts]
    return ("-" if parts in (["pr", "auc"], ["roc", "auc"]) else " ").join(words)


def _percentage(part: str) -> str:
    """`1pct` → `1%`, `01pct` → `0.1%`: names hold no point, so a leading 0 stands before one; "" for other words."""
    digits = part.removesuffix("pct")
    if digits == part or not (digits.isascii() and digits.isdigit()):
        return ""
    return f"{digits if digits[0] != '0' or len(digits) == 1 else f'0.{digits[1:]}'}%"


def is_area(name: str) -> bool:
    """Whether a measure, or a row's label, is an area under a curve: a plain number everywhere, never a percentage."""
    return "auc" in name.rpartition(".")[2].lower().replace("-", "_").replace(" ", "_").split("_")


def capital(text: str) -> str:
    """The first letter as a capital; a path, a check's id or a pattern keeps its own."""
    first = text.split(" ", 1)[0]
    return text if any(c in first.rstrip(".,:;") for c in "/\\._*") else text[:1].upper() + text[1:]


def clip(text: str, most: int) -> str:
    """`text`, or its start and an ellipsis, in at most `most` characters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def label_words(text: str) -> str:
    """A check's label as a row's name: `pr auc` → `PR AUC`, `false alarm rate` → `False alarm rate`."""
    return capital(" ".join(_ACRONYMS.get(word, word) for word in text.split()))


def is_rate(name: str, *values: float | None, unit: str = "") -> bool:
    """Whether a measure is a share of something: then it reads best in percent.

    Its unit says so. A measure without a unit is taken for a share only where its name is that of one and no value lies
    outside −1..1. An area under a curve is no share, whatever its unit.
    """
    if is_area(name):
        return False
    if unit:
        return unit in SHARES or unit.startswith(("share ", "fraction "))
    last = name.rpartition(".")[2]
    inside = all(v is None or -1.0 <= v <= 1.0 for v in values)
    return inside and any(word in last for word in _RATES)


def number(value: float | None, digits: int = 3, *, plus: bool = False) -> str:
    """`0.340`, `1,204`, `−0.02`, `+0.4`; a real minus, never `-0`. None is what nobody measured."""
    if value is None or not math.isfinite(value):
        return NOT_MEASURED if value is None else NO_NUMBER
    if value == int(value) and abs(value) < 1e15 and (digits == 0 or abs(value) >= 10 or value == 0):
        text = f"{abs(int(value)):,}"
    elif abs(value) >= 1e6 or 0 < abs(value) < 0.0005:
        text = f"{abs(value):.3g}"
    else:
        text = f"{abs(value):,.{digits if abs(value) < 10 else min(digits, 1)}f}"
    if not any(c in "123456789" for c in text):
        return text
    return ("−" if value < 0 else "+" if plus else "") + text


def percent(value: float | None, *, plus: bool = False, sign: bool = True) -> str:
    """`34.0%`."""
    if value is None or not math.isfinite(value):
        return NOT_MEASURED if value is None else NO_NUMBER
    text = f"{abs(value) * 100:.1f}"
    lead = "" if float(text) == 0 else "−" if value < 0 else "+" if plus else ""
    return lead + text + ("%" if sign else "")


def bare(value: float | None, *, plus: bool = False) -> str:
    """A value as it stands beside policy text: `.340`, `−.010`, `12`."""
    text = number(value, plus=plus)
    return text.replace("0.", ".", 1) if text.lstrip("+−").startswith("0.") else text


def tick_number(value: float) -> str:
    """A value inside a picture: three significant digits or so."""
    return number(value, 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1)


class Reader:
    """How one measure is written in prose: percent for rates, points for their differences, else plain."""

    def __init__(self, name: str, versus: bool, *values: float | None, unit: str = "") -> None:
        self.rate, self.versus = is_rate(name, *values, unit=unit), versus
        self.digits = 0 if unit in COUNTS else 3

    def __call__(self, value: float | None, *, unit: bool = True) -> str:
        if not self.rate:
            return number(value, self.digits, plus=self.versus)
        if not self.versus:
            return percent(value, sign=unit)
        text = percent(value, plus=True, sign=False)
        return f"{text} {'point' if text in ('+1.0', '−1.0') else 'points'}" if unit else text

    def interval(self, low: float | None, high: float | None) -> str:
        """`28.9 to 39.5`, or "" without an interval."""
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
            return ""
        return f"{self(low, unit=False)} to {self(high, unit=False)}"


def moment(at: datetime) -> str:
    """`20 Nov 2026, 14:32 UTC`."""
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def day(at: datetime) -> str:
    """`20 Nov 2026`."""
    return f"{at.day} {at:%b %Y}"


def span(time: timedelta) -> str:
    """`40 s`, `5 min`, `3 h`, `12 d`; under a minute in seconds."""
    seconds = max(0.0, time.total_seconds())
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size * (2 if unit == "d" else 1):
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def seconds(value: float) -> str:
    """`4.2 s`, `3 min 10 s`."""
    return f"{value:.1f} s" if value < 120 else f"{int(value // 60)} min {int(value % 60)} s"

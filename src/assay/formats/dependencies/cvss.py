"""The base score of a CVSS 3.0 or 3.1 vector, and the severity that a score stands for.

Source: FIRST, CVSS v3.1 specification, sections 5, 7.1 and 7.4 and appendix A (Roundup); CVSS v3.0, section 8.
Vectors of version 4 are scored by FIRST's table of judged classes, which this version does not carry.
"""

from __future__ import annotations

from assay.core.finding import Severity

_ATTACK_VECTOR = {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}
_COMPLEXITY = {"L": 0.77, "H": 0.44}
_PRIVILEGES = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_INTERACTION = {"N": 0.85, "R": 0.62}
_IMPACT = {"H": 0.56, "L": 0.22, "N": 0.0}


def base_score(vector: str) -> float | None:
    """The base score, 0.0 to 10.0, of a `CVSS:3.x/…` vector; None for any other and for one that is incomplete."""
    head, _, rest = vector.partition("/")
    if head not in ("CVSS:3.0", "CVSS:3.1"):
        return None
    metrics: dict[str, str] = {}
    for part in rest.split("/"):
        name, _, value = part.partition(":")
        if name in metrics:
            return None
        metrics[name] = value
    try:
        scope = metrics["S"]
        ease = (
            8.22
            * _ATTACK_VECTOR[metrics["AV"]]
            * _COMPLEXITY[metrics["AC"]]
            * _PRIVILEGES[scope][metrics["PR"]]
            * _INTERACTION[metrics["UI"]]
        )
        left = 1.0
        for name in ("C", "I", "A"):
            left *= 1 - _IMPACT[metrics[name]]
    except KeyError:
        return None
    lost = 1 - left
    changed = scope == "C"
    impact = 7.52 * (lost - 0.029) - 3.25 * (lost - 0.02) ** 15 if changed else 6.42 * lost
    if impact <= 0:
        return 0.0
    return _rounded_up(min(1.08 * (impact + ease) if changed else impact + ease, 10.0))


def _rounded_up(value: float) -> float:
    """The smallest number with one decimal that is not below `value`, free of binary fractions' noise (appendix A)."""
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10


def severity_of(score: float) -> Severity:
    """CVSS's qualitative scale (section 5): none, low below 4, medium below 7, high below 9, critical."""
    if score >= 9:
        return Severity.CRITICAL
    if score >= 7:
        return Severity.HIGH
    if score >= 4:
        return Severity.MEDIUM
    return Severity.LOW if score > 0 else Severity.INFO

"""VEX: what somebody says of a vulnerability in this product, from OpenVEX or CycloneDX JSON.

Source: OpenVEX specification 0.2.0; CycloneDX 1.6, vulnerabilities[].analysis.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from assay.attest.bom.read import read_bounded
from assay.attest.bom.words import clean, package_url
from assay.core.errors import InputError
from assay.core.text import visible
from assay.formats.dependencies.advisories import Advisory
from assay.formats.known import normal

MOST_BYTES = 16 << 20
_STATES = {
    "not_affected": "not_affected",
    "affected": "exploitable",
    "fixed": "resolved",
    "under_investigation": "in_triage",
}
_JUSTIFICATIONS = {
    "component_not_present": "code_not_present",
    "vulnerable_code_not_present": "code_not_present",
    "vulnerable_code_not_in_execute_path": "code_not_reachable",
    "vulnerable_code_cannot_be_controlled_by_adversary": "requires_environment",
    "inline_mitigations_already_exist": "protected_by_mitigating_control",
}
STATES = frozenset({*_STATES.values(), "resolved_with_pedigree", "false_positive"})
JUSTIFICATIONS = frozenset(
    (
        *(*_JUSTIFICATIONS.values(), "requires_configuration", "requires_dependency"),
        *("protected_by_compiler", "protected_at_runtime", "protected_at_perimeter"),
    )
)
RESPONSES = frozenset({"can_not_fix", "will_not_fix", "update", "rollback", "workaround_available"})
_PURL = re.compile(r"pkg:[a-z]+/[^@?#]+(?:@[^?#]+)?")


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A word on one vulnerability (`ids`, with aliases) in some products: package URLs, with or without a version."""

    ids: frozenset[str]
    products: frozenset[str]
    state: str
    justification: str = ""
    response: tuple[str, ...] = ()
    detail: str = ""

    def speaks_of(self, advisory: Advisory, purl: str) -> bool:
        """Whether it is about this vulnerability in this package. A statement that names no product is about none."""
        return bool(self.ids & {advisory.id, *advisory.aliases}) and bool(
            self.products & {purl, purl.partition("@")[0]}
        )

    def analysis(self) -> dict[str, Any]:
        """CycloneDX's `analysis`."""
        found: dict[str, Any] = {"state": self.state}
        if self.justification:
            found["justification"] = self.justification
        if self.response:
            found["response"] = list(self.response)
        if self.detail:
            found["detail"] = self.detail
        return found


def read_vex(path: Path) -> tuple[Statement, ...]:
    """The statements of a VEX file. Raises InputError for a file that is unreadable, no VEX, or breaks its rules."""
    where = visible(str(path))
    data = read_bounded(path, MOST_BYTES, fix="split it")
    try:
        value = msgspec.json.decode(data, type=dict[str, Any])
    except (ValueError, RecursionError):
        raise InputError("is no JSON object", where=where, fix="name an OpenVEX or a CycloneDX file") from None
    if value.get("bomFormat") == "CycloneDX":
        return tuple(_cyclonedx(value, where))
    if "statements" in value:
        return tuple(_openvex(value, where))
    raise InputError("is neither OpenVEX nor CycloneDX", where=where, fix="name a file that holds `statements`")


def _openvex(value: dict[str, Any], where: str) -> list[Statement]:
    found: dict[tuple[frozenset[str], frozenset[str]], Statement] = {}
    said = [s for s in _listed(value.get("statements")) if isinstance(s, dict)]
    for item in sorted(said, key=lambda s: str(s.get("timestamp") or value.get("timestamp") or "")):
        named = item.get("vulnerability")
        words: list[Any] = [named]
        if isinstance(named, dict):
            words = [named.get("name"), named.get("@id"), *_listed(named.get("aliases"))]
        ids = frozenset(str(w).rpartition("/")[2] for w in words if isinstance(w, str) and w)
        status, why = str(item.get("status")), str(item.get("justification") or "")
        if status not in _STATES or (why and why not in _JUSTIFICATIONS):
            raise _broken(where, f"statement on {_some(ids)} has the status {status!r} and the justification {why!r}")
        impact = str(item.get("impact_statement") or item.get("action_statement") or "")
        if status == "not_affected" and not why and not impact:
            raise _broken(where, f"statement on {_some(ids)} says not_affected and gives no reason")
        told = clean(impact, 1000)
        products = frozenset(_openvex_products(item.get("products")))
        found[ids, products] = Statement(
            ids=ids, products=products, state=_STATES[status], justification=_JUSTIFICATIONS.get(why, ""),
            detail=f"{why}: {told}" if why and told else why or told,
        )  # fmt: skip
    return list(found.values())


def _openvex_products(value: Any) -> list[str]:
    """Package URLs of products; where a product names subcomponents, those are meant."""
    found: list[str] = []
    for item in _listed(value):
        if isinstance(item, str):
            found += _purls(item)
        elif isinstance(item, dict):
            inner = _openvex_products(item.get("subcomponents"))
            names = item.get("identifiers")
            own = [item.get("@id"), names.get("purl") if isinstance(names, dict) else None]
            found += inner or [p for word in own for p in _purls(word)]
    return found


def _cyclonedx(value: dict[str, Any], where: str) -> list[Statement]:
    purls = {
        str(c.get("bom-ref")): str(c["purl"])
        for c in _listed(value.get("components"))
        if isinstance(c, dict) and isinstance(c.get("purl"), str)
    }
    found: list[Statement] = []
    for item in _listed(value.get("vulnerabilities")):
        analysis = item.get("analysis") if isinstance(item, dict) else None
        if not isinstance(analysis, dict) or "state" not in analysis:
            continue
        also = [r.get("id") for r in _listed(item.get("references")) if isinstance(r, dict)]
        ids = frozenset(str(i) for i in (item.get("id"), *also) if i)
        state, why = str(analysis["state"]), str(analysis.get("justification") or "")
        response = tuple(str(r) for r in _listed(analysis.get("response")))
        if state not in STATES or (why and why not in JUSTIFICATIONS) or not RESPONSES.issuperset(response):
            raise _broken(where, f"the analysis of {_some(ids)} has words that CycloneDX 1.6 does not know")
        refs = [str(a.get("ref", "")) for a in _listed(item.get("affects")) if isinstance(a, dict)]
        products = frozenset(p for ref in refs for p in _purls(purls.get(ref, ref.rpartition("#")[2] or ref)))
        found.append(
            Statement(
                ids=ids, products=products, state=state, justification=why, response=response,
                detail=clean(str(analysis.get("detail") or ""), 1000),
            )
        )  # fmt: skip
    return found


def _purls(word: Any) -> list[str]:
    """A package URL as ours are written: without qualifiers, the name normalised."""
    found = _PURL.match(word) if isinstance(word, str) else None
    if found is None:
        return []
    path, _, version = found[0].partition("@")
    kind, _, name = path.removeprefix("pkg:").partition("/")
    return [package_url(kind, normal(unquote(name)), unquote(version))]


def _broken(where: str, what: str) -> InputError:
    return InputError(visible(what), where=where, fix="mend the statement")


def _some(ids: frozenset[str]) -> str:
    return visible(min(ids, default="nothing"), 60)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

"""What two BOMs disagree about, component by component; references, serial numbers, times and order do not count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from assay.attest.bom.words import DECLARED, MEASURED, OPEN
from assay.core.canonical import SCHEMA, Schema

_SKIPPED = frozenset({"bom-ref", "components", "evidence", "signature"})
_AREAS = {
    "hashes": "digest",
    "licenses": "licence",
    "pedigree": "pedigree",
    "modelCard": "model-card",
    "data": "data",
    "version": "version",
}
MOST_DEPTH = 60
Kind = Literal["added", "removed", "changed"]


class Change(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One difference. `area` is component, version, digest, measured, declared, open, licence, pedigree, model-card,
    data, dependency, vulnerability, formulation or other; `old` and `new` are compact JSON, "" where there is none."""

    component: str
    area: str
    field: str
    change: Kind
    old: str = ""
    new: str = ""


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """All differences, sorted by component, area and field; empty where the BOMs tell the same."""

    schema: Schema = SCHEMA
    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)


def diff(old: dict[str, Any], new: dict[str, Any]) -> Differences:
    """Compare two BOMs as `read_bom` or `document` give them.

    Components are matched by type and name (packages by their URL without version); the component that a BOM is about
    is matched to the other's, whatever the two are called.
    """
    before, after = _facts(old), _facts(new)
    gone = before.keys() - after.keys()
    come = after.keys() - before.keys()
    changes: list[Change] = []
    for name in gone | come:
        side = before if name in gone else after
        told = _text(side[name].get(("version", "version"), ""))
        kind: Kind = "removed" if name in gone else "added"
        changes.append(
            Change(component=name, area="component", field="", change=kind, **{"old" if name in gone else "new": told})
        )
    for name in before.keys() & after.keys():
        changes += _compare(name, before[name], after[name])
    return Differences(changes=tuple(sorted(changes)))


Facts = dict[tuple[str, str], Any]


def _compare(name: str, old: Facts, new: Facts) -> Iterator[Change]:
    for area, field in old.keys() | new.keys():
        here, there = (area, field) in old, (area, field) in new
        a, b = old.get((area, field)), new.get((area, field))
        if here and there and a == b:
            continue
        kind: Kind = "changed" if here and there else "removed" if here else "added"
        told = {"old": _text(a) if here else "", "new": _text(b) if there else ""}
        yield Change(component=name, area=area, field=field, change=kind, **told)


def _facts(bom: dict[str, Any]) -> dict[str, Facts]:
    """Every component with its facts, by a name that does not depend on references."""
    metadata = bom.get("metadata", {})
    root = metadata.get("component")
    named: dict[str, str] = {}
    found: dict[str, Facts] = {}
    if isinstance(root, dict):
        named[str(root.get("bom-ref"))] = "(the whole)"
        found["(the whole)"] = _component({k: v for k, v in root.items() if k not in ("name", "type")})
        _nested(root, named, found, str(root.get("name")))
    _nested(bom, named, found, str(root.get("name")) if isinstance(root, dict) else "")
    whole = found.setdefault("(the whole)", {})
    for formula in bom.get("formulation", []):
        whole["formulation", ""] = [*whole.get(("formulation", ""), []), _plain(_renamed(formula, named))]
    _dependencies(bom, named, found)
    _vulnerabilities(bom, named, found)
    return found


def _nested(holder: dict[str, Any], named: dict[str, str], found: dict[str, Facts], whole: str, depth: int = 0) -> None:
    """The components of a BOM or of a component. Several of one name are told apart by version, then by content."""
    listed = holder.get("components")
    components = [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) and depth < MOST_DEPTH else []
    groups: dict[str, list[dict[str, Any]]] = {}
    for component in components:
        groups.setdefault(_name(component, whole), []).append(component)
    for name, group in groups.items():
        for number, component in enumerate(sorted(group, key=_order), 1):
            several = len(group) > 1
            key = f"{name} {component.get('version', '')}".strip() if several else name
            while key in found:
                key = f"{key} #{number}"
            found[key] = _component(component)
            named[str(component.get("bom-ref"))] = key
    for component in components:
        _nested(component, named, found, whole, depth + 1)


def _order(component: dict[str, Any]) -> str:
    return _text(_plain({k: v for k, v in component.items() if k != "bom-ref"}))


def _name(component: dict[str, Any], whole: str) -> str:
    url = component.get("purl")
    if isinstance(url, str) and url:
        return url.partition("?")[0].partition("@")[0]
    if component.get("type") == "machine-learning-model" and component.get("name") == whole:
        return "machine-learning-model: (the whole)"
    group = component.get("group")
    name = f"{group}/{component.get('name')}" if group else str(component.get("name"))
    return f"{component.get('type')}: {name}"


def _component(component: dict[str, Any]) -> Facts:
    facts: Facts = {}
    for key, value in component.items():
        if key in _SKIPPED or key in ("name", "type", "purl"):
            continue
        if key == "hashes" and isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    facts["digest", str(item.get("alg"))] = item.get("content")
        elif key == "properties" and isinstance(value, list):
            _properties(value, facts)
        elif key == "modelCard" and isinstance(value, dict):
            for part, inner in value.items():
                if part != "bom-ref":
                    facts["model-card", part] = _plain(inner)
        else:
            area = _AREAS.get(key, "other")
            facts[area, key] = _plain(value)
    return facts


def _properties(listed: list[Any], facts: Facts) -> None:
    """Properties by name; of several of one name, all values in order of their text."""
    values: dict[str, list[str]] = {}
    for item in listed:
        if isinstance(item, dict):
            values.setdefault(str(item.get("name")), []).append(str(item.get("value", "")))
    for name, told in values.items():
        area = "other"
        for prefix, kind in ((MEASURED, "measured"), (DECLARED, "declared"), (OPEN, "open")):
            if name.startswith(prefix):
                area, name = kind, name.removeprefix(prefix)
                break
        facts[area, name] = told[0] if len(told) == 1 else sorted(told)


def _dependencies(bom: dict[str, Any], named: dict[str, str], found: dict[str, Facts]) -> None:
    for item in bom.get("dependencies", []):
        owner = named.get(str(item.get("ref")))
        needs = item.get("dependsOn")
        for ref in needs if isinstance(needs, list) and owner in found else ():
            found[str(owner)]["dependency", named.get(str(ref), str(ref))] = True


def _vulnerabilities(bom: dict[str, Any], named: dict[str, str], found: dict[str, Facts]) -> None:
    for item in bom.get("vulnerabilities", []):
        affects = item.get("affects")
        refs = [a for a in affects if isinstance(a, dict)] if isinstance(affects, list) else []
        said = {k: _plain(v) for k, v in item.items() if k in ("analysis", "ratings")}
        for affected in refs or [{"ref": ""}]:
            owner = named.get(str(affected.get("ref")), "(the whole)")
            found.setdefault(owner, {})["vulnerability", str(item.get("id"))] = said


def _renamed(value: Any, named: dict[str, str], depth: int = 0) -> Any:
    """A value whose references are replaced by the names of what they point to."""
    if depth > MOST_DEPTH:
        return None
    if isinstance(value, dict):
        return {
            k: named.get(str(v), v) if k == "ref" and isinstance(v, str) else _renamed(v, named, depth + 1)
            for k, v in value.items()
        }
    return [_renamed(item, named, depth + 1) for item in value] if isinstance(value, list) else value


def _plain(value: Any, depth: int = 0) -> Any:
    """A value without references and without order: lists sorted by their text."""
    if depth > MOST_DEPTH:
        return None
    if isinstance(value, dict):
        return {k: _plain(v, depth + 1) for k, v in value.items() if k != "bom-ref"}
    if isinstance(value, list):
        return sorted((_plain(item, depth + 1) for item in value), key=_text)
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()

"""A Release: what ships together. Its digest is what evidence, approvals, waivers and verdicts bind to."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from assay.core.canonical import SCHEMA, Schema, digest_of
from assay.core.finding import Json
from assay.core.subject import Contract


class Role(StrEnum):
    """What a material is to the release. Holdout and champion judge it: whoever swaps them makes another Release."""

    MODEL = "model"
    PREPROCESSING = "preprocessing"
    GUARD_RULES = "guard-rules"
    CODE = "code"
    ARTIFACT = "artifact"
    TRAINING_DATA = "training-data"
    HOLDOUT = "holdout"
    CHAMPION = "champion"
    ENVIRONMENT = "environment"


SHIPPED = frozenset({Role.MODEL, Role.PREPROCESSING, Role.GUARD_RULES, Role.CODE, Role.ARTIFACT})


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """One file or folder of a release. `name` is the subject's name; `uri` is relative to the project.

    A folder also lists its `files`: path relative to the folder → sha256 in hex, so that a changed one can be named.
    """

    name: str
    role: Role
    uri: str
    digest: str
    files: dict[str, str] = {}


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures of a release rest on besides its files, as its manifest says.

    `contract` says what an attacker can change; `model` and `reads` (by role) hold the facts about the model and about
    whatever trains or judges it: label, positive value, dropped columns, inputs. Whoever is judged writes them, so they
    are shown to those who approve, and a policy can pin their digest.
    """

    contract: Contract = Contract()
    model: dict[str, Json] = {}
    reads: dict[str, dict[str, Json]] = {}

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the canonical JSON (RFC 8785) of the terms."""
        return digest_of(self)


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """The set that ships together, and the terms on which it is judged. `threshold` is by model name.

    `code` is the training code's commit as declared in the manifest, "" where nothing records it.
    """

    schema: Schema = SCHEMA
    system: str
    materials: tuple[Material, ...]
    threshold: dict[str, float]
    terms: Terms
    code: str = ""
    declared: dict[str, Json] = {}

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the canonical JSON (RFC 8785) of the release."""
        return digest_of(self)

    def shipped(self) -> dict[str, str]:
        """Every file that ships: path relative to the project → sha256 in hex."""
        found: dict[str, str] = {}
        for m in self.materials:
            if m.role in SHIPPED:
                found.update(paths_of(m))
        return found

    def material(self, name: str) -> Material | None:
        """The material of that subject name, if it is part of the release."""
        return next((m for m in self.materials if m.name == name), None)


def paths_of(material: Material) -> dict[str, str]:
    """The files of a material: path relative to the project → sha256 in hex; none of what is behind an address."""
    if not material.digest:
        return {}
    inside = {f"{material.uri}/{name}": hex_ for name, hex_ in material.files.items()}
    return inside or {material.uri: material.digest.removeprefix("sha256:")}


def differences(old: Release, new: Release) -> tuple[str, ...]:
    """What makes `new` another release than `old`, in plain words; empty if nothing does."""
    said: list[str] = []
    if old.system != new.system:
        said.append(f"system {old.system} → {new.system}")
    for name in sorted(set(old.threshold) | set(new.threshold)):
        a, b = old.threshold.get(name), new.threshold.get(name)
        if a != b:
            said.append(f"threshold of {name} {_number(a)} → {_number(b)}")
    before, after = {m.name: m for m in old.materials}, {m.name: m for m in new.materials}
    for name in sorted(set(before) | set(after)):
        x, y = before.get(name), after.get(name)
        if x is None or y is None:
            said.append(f"{name} was {'added' if x is None else 'removed'}")
        elif (x.digest, x.uri, x.role) != (y.digest, y.uri, y.role):
            said.append(f"{x.role} {name} changed ({y.uri})")
    said += _terms(old.terms, new.terms)
    if old.code != new.code:
        said.append("training code changed")
    if old.declared != new.declared:
        said.append("declared facts changed")
    if not said and old.digest != new.digest:
        said.append("other facts changed")
    return tuple(said)


def _terms(old: Terms, new: Terms) -> list[str]:
    said: list[str] = []
    before, after = old.contract.features, new.contract.features
    changed = [name for name in sorted(set(before) | set(after)) if before.get(name) != after.get(name)]
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        said.append(f"feature contract of {', '.join(changed[:5])}{more} changed")
    if old.contract.constraints != new.contract.constraints:
        said.append("constraints changed")
    if old.contract.attacker != new.contract.attacker:
        said.append("what `attacker:` says changed")
    if digest_of(old.model) != digest_of(new.model):  # a list reads back where a tuple was written
        said.append("facts about the model changed")
    for role in sorted(set(old.reads) | set(new.reads)):
        if digest_of(old.reads.get(role)) != digest_of(new.reads.get(role)):
            said.append(f"facts about its {role} changed")
    return said


def _number(value: float | None) -> str:
    return "none" if value is None else repr(value)

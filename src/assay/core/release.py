"""A Release: what ships together. Its digest is what evidence, approvals, waivers and verdicts bind to."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from assay.core.canonical import SCHEMA, digest_of
from assay.core.finding import Json


class Role(StrEnum):
    """What a material is to the release."""

    MODEL = "model"
    PREPROCESSING = "preprocessing"
    GUARD_RULES = "guard-rules"
    TRAINING_DATA = "training-data"
    ENVIRONMENT = "environment"


SHIPPED = frozenset({Role.MODEL, Role.PREPROCESSING, Role.GUARD_RULES})


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """One file or folder of a release. `name` is the subject's name; `uri` is relative to the project."""

    name: str
    role: Role
    uri: str
    digest: str


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """The set that ships together. `threshold` is by model name; `contract` digests the input schema and features.

    `code` is the training code's commit as declared in the manifest, "" where nothing records it.
    """

    schema: str = SCHEMA
    system: str
    materials: tuple[Material, ...]
    threshold: dict[str, float]
    contract: str
    code: str = ""
    declared: dict[str, Json] = {}

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the canonical JSON (RFC 8785) of the release."""
        return digest_of(self)

    def material(self, name: str) -> Material | None:
        """The material of that subject name, if it is part of the release."""
        return next((m for m in self.materials if m.name == name), None)

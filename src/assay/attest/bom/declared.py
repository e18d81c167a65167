"""What a model's own papers say of it: the README's front matter, config.json, adapters, merges, MLflow's MLmodel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from assay.attest.bom.licences import LOOKED_AT, Licence, is_licence_file, licence_in, named_licence
from assay.attest.bom.words import clean
from assay.core.errors import os_words
from assay.formats.texts.documents import parse_json, parse_yaml

MOST_PAPER = 4 << 20
_MOST_LISTED = 100
_CONFIG = (
    *("model_type", "torch_dtype", "dtype", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("max_position_embeddings", "num_labels", "num_parameters", "transformers_version", "quantization_config"),
)
_ADAPTER = ("peft_type", "r", "lora_alpha", "target_modules", "task_type", "revision")
_MLMODEL = ("mlflow_version", "model_uuid", "run_id", "utc_time_created", "model_size_bytes")
_CARD = (
    "language",
    "library_name",
    "pipeline_tag",
    "model_name",
    "tags",
    "metrics",
    "co2_eq_emissions",
    "license_name",
)
_SECTIONS = {
    "useCases": re.compile(r"(?i)(?:intended|direct|downstream)?\s*uses?(?:\s*cases?)?|intended uses?.*|how to use"),
    "technicalLimitations": re.compile(r"(?i).*limitations?.*"),
    "ethicalConsiderations": re.compile(r"(?i).*(?:ethical|bias|risks).*"),
    "users": re.compile(r"(?i)(?:intended )?users?"),
}


class Ancestor(msgspec.Struct, frozen=True, order=True):
    """A model that this one was made from, as declared; `relation` is how (base, adapter, merge, finetune)."""

    name: str
    relation: str = ""
    revision: str = ""


class Papers(msgspec.Struct, frozen=True, kw_only=True):
    """What the files of one folder declare. `facts` by name, `sections` of the model card, `gaps` what broke off."""

    task: str = ""
    family: str = ""
    architecture: str = ""
    licences: tuple[Licence, ...] = ()
    datasets: tuple[str, ...] = ()
    ancestors: tuple[Ancestor, ...] = ()
    facts: dict[str, Any] = {}
    sections: dict[str, str] = {}
    gaps: dict[str, str] = {}
    found: bool = False

    def joined(self, other: Papers) -> Papers:
        """Both; what this one says comes first."""
        return Papers(
            task=self.task or other.task,
            family=self.family or other.family,
            architecture=self.architecture or other.architecture,
            licences=tuple(dict.fromkeys(self.licences + other.licences)),
            datasets=tuple(dict.fromkeys(self.datasets + other.datasets)),
            ancestors=tuple(dict.fromkeys(self.ancestors + other.ancestors)),
            facts={**other.facts, **self.facts},
            sections={**other.sections, **self.sections},
            gaps={**other.gaps, **self.gaps},
            found=self.found or other.found,
        )


def read_paper(path: Path, name: str) -> Papers | None:
    """What one file declares, by its name; None for a file that is no paper. Damage is a gap; nothing is raised."""
    base = name.rpartition("/")[2]
    lower = base.lower()
    readers = {
        "readme.md": _card,
        "config.json": _config,
        "adapter_config.json": _adapter,
        "mergekit_config.yml": _merge,
        "mergekit_config.yaml": _merge,
        "mlmodel": _mlmodel,
        "model_index.json": _index,
    }
    reader = readers.get(lower)
    if reader is None and not is_licence_file(base):
        return None
    try:
        with open(path, "rb") as stream:
            data = stream.read(MOST_PAPER + 1)
    except OSError as error:
        return Papers(gaps={name: f"cannot be read: {os_words(error)}"})
    if reader is None:
        found = licence_in(data[: LOOKED_AT * 4].decode("utf-8", "replace"))
        return Papers(licences=(found,)) if found is not None else None
    if len(data) > MOST_PAPER:
        return Papers(gaps={name: f"is larger than {MOST_PAPER >> 20} MB, and what it declares was not read"})
    said, gap = reader(data)
    return msgspec.structs.replace(said, gaps={name: gap}) if gap else said


Read = tuple[Papers, str]


def _card(data: bytes) -> Read:
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    parts = re.match(r"---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", text, re.DOTALL)
    sections = _sections(text[parts.end() :] if parts else text)
    if parts is None:
        torn = text.startswith("---\n") and re.match(r"---\n[\w-]+:", text) is not None
        return Papers(sections=sections), "has front matter that does not end" if torn else ""
    document = parse_yaml(parts[1].encode())
    value = document.values[0] if document.values and isinstance(document.values[0], dict) else {}
    facts = {key: value[key] for key in _CARD if key in value}
    relation = _text(value.get("base_model_relation"))
    licences = tuple(
        found for said in _listed(value.get("license")) + _listed(value.get("license_name"))
        if (found := named_licence(said)) is not None
    )  # fmt: skip
    said = Papers(
        task=_text(value.get("pipeline_tag")),
        licences=licences[:_MOST_LISTED],
        datasets=tuple(clean(d, 200) for d in _listed(value.get("datasets"))[:_MOST_LISTED]),
        ancestors=tuple(Ancestor(clean(b, 200), relation or "base") for b in _listed(value.get("base_model"))),
        facts=facts,
        sections=sections,
        found=bool(value),
    )
    return said, f"front matter {document.gap}" if document.gap else ""


def _sections(text: str) -> dict[str, str]:
    """The first paragraph below each heading of a model card that has a place in CycloneDX."""
    found: dict[str, str] = {}
    for match in re.finditer(r"(?m)^#{1,4}[ \t]+([^\n]{1,100})\n+(?!#)([^\n]+(?:\n[^\n#]+)*)", text[:200_000]):
        for key, pattern in _SECTIONS.items():
            if key not in found and pattern.fullmatch(match[1].strip(" #:*")):
                found[key] = clean(" ".join(match[2].split()), 1000)
    return found


def _config(data: bytes) -> Read:
    value, gap = _object(data)
    architectures = _listed(value.get("architectures"))
    family = _text(value.get("model_type"))
    facts = {key: value[key] for key in _CONFIG if key in value}
    ancestor = _text(value.get("_name_or_path"))
    if ancestor:
        facts["name_or_path"] = ancestor
    architecture = clean(", ".join(architectures), 200)
    return Papers(family=family, architecture=architecture, facts=facts, found=bool(family or architecture)), gap


def _adapter(data: bytes) -> Read:
    value, gap = _object(data)
    base, revision = _text(value.get("base_model_name_or_path")), _text(value.get("revision"))
    facts = {f"adapter.{key}": value[key] for key in _ADAPTER if value.get(key) is not None}
    ancestors = (Ancestor(base, "adapter", revision),) if base else ()
    return Papers(task=_text(value.get("task_type")), ancestors=ancestors, facts=facts, found=bool(value)), gap


def _merge(data: bytes) -> Read:
    document = parse_yaml(data)
    value = document.values[0] if document.values and isinstance(document.values[0], dict) else {}
    names: dict[str, None] = {}
    pending: list[Any] = [value.get("models"), value.get("slices"), {"model": value.get("base_model")}]
    for _ in range(10_000):
        if not pending:
            break
        item = pending.pop()
        if isinstance(item, list):
            pending += item
        elif isinstance(item, dict):
            model = item.get("model")
            text = model if isinstance(model, str) else _path(model)
            if text:
                names[clean(text, 200)] = None
            pending += [v for v in item.values() if isinstance(v, (list, dict))]
    facts = {"merge.method": _text(value.get("merge_method"))}
    ancestors = tuple(Ancestor(name, "merge") for name in sorted(names)[:_MOST_LISTED])
    return Papers(ancestors=ancestors, facts=facts, found=bool(names)), document.gap


def _path(model: Any) -> str:
    """mergekit's longer form: {model: {model: {path: …}}}."""
    for _ in range(3):
        if isinstance(model, dict):
            model = model.get("path") or model.get("model")
    return model if isinstance(model, str) else ""


def _mlmodel(data: bytes) -> Read:
    document = parse_yaml(data)
    value = document.values[0] if document.values and isinstance(document.values[0], dict) else {}
    flavors = value.get("flavors")
    facts: dict[str, Any] = {f"mlflow.{key}": value[key] for key in _MLMODEL if value.get(key) is not None}
    family = ""
    if isinstance(flavors, dict):
        facts["mlflow.flavors"] = sorted(flavors)[:_MOST_LISTED]
        own = [name for name in flavors if name != "python_function"]
        family = clean(own[0], 100) if len(own) == 1 else ""
    signature = value.get("signature")
    if isinstance(signature, dict):
        facts["mlflow.signature"] = {str(k): v for k, v in signature.items() if isinstance(v, str)}
    return Papers(family=family, facts=facts, found=bool(value)), document.gap


def _index(data: bytes) -> Read:
    value, gap = _object(data)
    kind = _text(value.get("_class_name"))
    facts = {"diffusers.class": kind, "diffusers.version": _text(value.get("_diffusers_version"))}
    return Papers(architecture=kind, facts=facts, found=bool(kind)), gap


def _object(data: bytes) -> tuple[dict[str, Any], str]:
    document = parse_json(data)
    value = document.values[0] if document.values else None
    return (value, document.gap) if isinstance(value, dict) else ({}, document.gap)


def _text(value: Any) -> str:
    return clean(value, 200) if isinstance(value, str) else ""


def _listed(value: Any) -> list[str]:
    """A text, or the texts of a list."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)][:_MOST_LISTED] if isinstance(value, list) else []

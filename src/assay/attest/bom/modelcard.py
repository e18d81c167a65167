"""A model as CycloneDX's component with its modelCard: parameters, measures, considerations, pedigree."""

from __future__ import annotations

import re
from typing import Any

from assay.attest.bom.declared import Ancestor
from assay.attest.bom.inspection import Seen
from assay.attest.bom.licences import licence_choices
from assay.attest.bom.parts import Model
from assay.attest.bom.words import DECLARED, MEASURED, clean, named, properties
from assay.core.finding import Measure

_SHARD = re.compile(r"[-_.]\d+-of-\d+(\.\w+)$")


def model_component(ref: str, model: Model, files: list[Seen], data: list[str]) -> dict[str, Any]:
    """The component; `data` are the references of its data sets."""
    component: dict[str, Any] = {"type": "machine-learning-model", "bom-ref": ref, "name": named(model.name)}
    if len(files) == 1 and files[0].digests is not None:
        component["hashes"] = hashes(files[0])
    if model.papers.licences:
        component["licenses"] = licence_choices(model.papers.licences)
    if model.papers.ancestors:
        component["pedigree"] = {
            "ancestors": [_ancestor(item) for item in sorted(set(model.papers.ancestors))],
            "notes": "as declared by the model's own papers; nothing here was compared with its ancestors' weights",
        }
    card = _card(ref, model, files, data)
    if card:
        component["modelCard"] = card
    said = properties(MEASURED, _totals(files)) + properties(DECLARED, {**model.papers.facts, **model.facts})
    if said:
        component["properties"] = said
    return component


def hashes(seen: Seen) -> list[dict[str, str]]:
    """Both digests of a file."""
    assert seen.digests is not None
    return [{"alg": "SHA-256", "content": seen.digests.sha256}, {"alg": "BLAKE3", "content": seen.digests.blake3}]


def _totals(files: list[Seen]) -> dict[str, Any]:
    """What the files of a model measure together: shards are added up, other files (the same model in another format,
    or quantized otherwise) are told apart."""
    found: dict[str, Any] = {"formats": sorted({seen.format for seen in files})}
    for key in ("tensors", "parameters"):
        totals: dict[str, int] = {}
        for seen in files:
            value = seen.measured.get(key)
            if isinstance(value, int):
                name = _SHARD.sub(r"\1", seen.name)
                totals[name] = totals.get(name, 0) + value
        if totals:
            found[key] = next(iter(totals.values())) if len(totals) == 1 else totals
    return found


def _ancestor(item: Ancestor) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "machine-learning-model", "name": item.name}
    if item.revision:
        found["version"] = item.revision
    found["properties"] = properties(DECLARED, {"relation": item.relation or "base"})
    return found


def _card(ref: str, model: Model, files: list[Seen], data: list[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    if model.approach:
        parameters["approach"] = {"type": model.approach}
    papers = model.papers
    for key, value in (
        ("task", papers.task),
        ("architectureFamily", papers.family),
        ("modelArchitecture", papers.architecture),
    ):
        if value:
            parameters[key] = value
    if data:
        parameters["datasets"] = [{"ref": name} for name in data]
    for key in ("inputs", "outputs"):
        ports = [port for seen in files for port in (seen.inputs if key == "inputs" else seen.outputs)]
        if ports:
            parameters[key] = [{"format": clean(port, 200)} for port in dict.fromkeys(ports)]
    card: dict[str, Any] = {}
    if parameters:
        card["modelParameters"] = parameters
    if model.measures:
        card["quantitativeAnalysis"] = {"performanceMetrics": [_metric(m) for m in model.measures]}
    considered = _considerations({**papers.sections, **model.sections})
    if considered:
        card["considerations"] = considered
    return {"bom-ref": f"card:{ref}", **card} if card else {}


def _metric(measure: Measure) -> dict[str, Any]:
    found: dict[str, Any] = {"type": clean(measure.key, 200), "value": _number(measure.value, measure.unit)}
    if measure.low is not None and measure.high is not None:
        found["confidenceInterval"] = {
            "lowerBound": _number(measure.low, measure.unit),
            "upperBound": _number(measure.high, measure.unit),
        }
    if measure.n is not None:
        found["slice"] = f"n = {measure.n}"
    return found


def _number(value: float | None, unit: str) -> str:
    return "not measured" if value is None else f"{value!r} {unit}".strip()


def _considerations(sections: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("users", "useCases", "technicalLimitations"):
        if sections.get(key):
            found[key] = [sections[key]]
    if sections.get("ethicalConsiderations"):
        found["ethicalConsiderations"] = [{"name": sections["ethicalConsiderations"]}]
    return found

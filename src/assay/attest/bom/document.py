"""A BOM as CycloneDX 1.6 JSON: the same bytes for the same input, in an order that depends on nothing else.

Source: CycloneDX 1.6 (ECMA-424), bom-1.6.schema.json.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import msgspec

from assay.attest.bom.environment import Installed
from assay.attest.bom.inspection import Seen
from assay.attest.bom.licences import licence_choices
from assay.attest.bom.modelcard import hashes, model_component
from assay.attest.bom.parts import Data, Model, Whole
from assay.attest.bom.vulnerabilities import stamp, vulnerabilities
from assay.attest.bom.words import DECLARED, MEASURED, Properties, named, open_properties, package_url, properties
from assay.core.canonical import digest_bytes
from assay.core.version import __version__
from assay.formats.dependencies.gathered import Listed

SPEC = "1.6"
NOTICE = (
    "Properties named assay:measured:* were read from the bytes; assay:declared:* repeat what papers and manifests say "
    "and were not checked; assay:open says what could not be read or told."
)


def document(whole: Whole, moment: datetime | None = None) -> dict[str, Any]:
    """The BOM as plain values. Without `moment` it carries no time."""
    made = _Document(whole).build()
    digest = digest_bytes(msgspec.json.encode(made, order="sorted"))
    metadata = {"timestamp": stamp(moment), **made["metadata"]} if moment is not None else made["metadata"]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        **made,
        "metadata": metadata,
    }


def encode(bom: dict[str, Any]) -> bytes:
    """The BOM's bytes: indented JSON, UTF-8, with a last line end."""
    return msgspec.json.format(msgspec.json.encode(bom), indent=2) + b"\n"


class _Document:
    """A BOM under construction: components by reference, and what depends on what."""

    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.components: dict[str, dict[str, Any]] = {}
        self.depends: dict[str, set[str]] = {}
        self.files: dict[str, str] = {}
        self.seen = {seen.name: seen for seen in whole.files}
        self.data: dict[str, str] = {}
        self.root = f"root:{named(whole.name)}"

    def build(self) -> dict[str, Any]:
        whole = self.whole
        self.depends[self.root] = set()
        for seen in whole.files:
            self.files[seen.name] = self._add(f"file:{named(seen.name)}", _file(seen))
        for item in whole.data:
            self.data[item.name] = self._data(item)
        for model in whole.models:
            self._model(model)
        self._packages()
        used = {ref for refs in self.depends.values() for ref in refs}
        self.depends[self.root] |= {ref for ref in self.components if ref not in used}
        made: dict[str, Any] = {
            "metadata": self._metadata(),
            "components": [self.components[ref] for ref in sorted(self.components)],
            "dependencies": [
                {"ref": ref, **({"dependsOn": sorted(needs)} if needs else {})}
                for ref, needs in sorted(self.depends.items())
            ],
        }
        if whole.advisories is not None:
            made["vulnerabilities"] = vulnerabilities(whole.advisories, whole.statements)
        if whole.training is not None:
            made["formulation"] = [self._formula()]
        return made

    def _add(self, ref: str, component: dict[str, Any]) -> str:
        """Keep a component under a reference that no other has."""
        unique, number = ref, 1
        while unique in self.components or unique == self.root:
            number += 1
            unique = f"{ref}#{number}"
        self.components[unique] = {"type": component.pop("type"), "bom-ref": unique, **component}
        self.depends[unique] = set()
        return unique

    def _data(self, item: Data) -> str:
        known = [self.seen[name] for name in item.files if name in self.seen]
        content = properties(DECLARED, item.facts)
        data: dict[str, Any] = {"type": "dataset", "name": named(item.name)}
        if content:
            data["contents"] = {"properties": content}
        component: dict[str, Any] = {"type": "data", "name": named(item.name), "data": [data]}
        if len(known) == 1 and known[0].digests is not None:
            component["hashes"] = hashes(known[0])
        if not known:
            component["properties"] = properties(DECLARED, {"known-by": "its name only: no file of it was here"})
        ref = self._add(f"data:{named(item.name)}", component)
        self.depends[ref] |= {self.files[seen.name] for seen in known}
        return ref

    def _model(self, model: Model) -> None:
        known = [self.seen[name] for name in model.files if name in self.seen]
        weights = [seen for seen in known if seen.role == "model"] or known
        for name in model.papers.datasets:
            if name not in self.data:
                self.data[name] = self._data(Data(name=name))
        data = [self.data[name] for name in dict.fromkeys(model.data + model.papers.datasets) if name in self.data]
        ref = f"model:{named(model.name)}"
        ref = self._add(ref, model_component(ref, model, weights, data))
        self.depends[ref] |= {self.files[seen.name] for seen in known} | set(data)

    def _packages(self) -> None:
        """Packages that files list and those that are installed; an installed one answers a list that fixes none."""
        environment = self.whole.environment
        installed = {item.name: item for item in environment.packages} if environment is not None else {}
        refs: dict[str, str] = {}
        grouped: dict[str, list[Listed]] = {}
        for item in self.whole.packages:
            package = item.package
            version = package.version or (installed[package.name].version if package.name in installed else "")
            grouped.setdefault(package_url(package.ecosystem, package.name, version), []).append(item)
        owned = {package_url("pypi", own.name, own.version): own for own in installed.values()}
        for url in owned:
            grouped.setdefault(url, [])
        for url, group in sorted(grouped.items()):
            ref = self._add(url, _library(url, group, owned.get(url)))
            if url in owned:
                refs[owned[url].name] = ref
        for own in owned.values():
            self.depends[refs[own.name]] |= {refs[need] for need in own.needs if need in refs}
        if environment is not None and environment.python:
            told = {"type": "platform", "name": "python", "version": environment.python}
            self._add("platform:python", told)

    def _metadata(self) -> dict[str, Any]:
        whole = self.whole
        root: dict[str, Any] = {"type": whole.kind, "bom-ref": self.root, "name": named(whole.name)}
        if whole.papers.licences:
            root["licenses"] = licence_choices(whole.papers.licences)
        said = properties(MEASURED, whole.measured) + properties(DECLARED, whole.facts)
        installed = whole.environment.gaps if whole.environment is not None else ()
        said += open_properties((*whole.gaps, *installed))
        if said:
            root["properties"] = said
        tool = {"type": "application", "name": "assay", "version": __version__}
        return {
            "tools": {"components": [tool]},
            "component": root,
            "properties": [{"name": "assay:notice", "value": NOTICE}],
        }

    def _formula(self) -> dict[str, Any]:
        training = self.whole.training
        assert training is not None
        inputs = [{"resource": {"ref": self.data[name]}} for name in training.data if name in self.data]
        workflow: dict[str, Any] = {"bom-ref": "workflow:training", "uid": "training", "taskTypes": ["build"]}
        workflow["name"] = f"training of {named(training.model)}"
        if inputs:
            workflow["inputs"] = inputs
        said = properties(DECLARED, training.facts)
        if said:
            workflow["properties"] = said
        return {"bom-ref": "formula:training", "workflows": [workflow]}


def _file(seen: Seen) -> dict[str, Any]:
    component: dict[str, Any] = {"type": "file", "name": named(seen.name)}
    if seen.digests is not None:
        component["hashes"] = hashes(seen)
    said: Properties = properties(MEASURED, seen.measured) + open_properties(seen.gaps)
    if said:
        component["properties"] = said
    return component


def _library(url: str, group: list[Listed], own: Installed | None) -> dict[str, Any]:
    name = group[0].package.name if group else own.name if own is not None else ""
    version = own.version if own is not None else group[0].package.version
    component: dict[str, Any] = {"type": "library", "name": name}
    if version:
        component["version"] = version
    component["purl"] = url
    if own is not None and own.licences:
        component["licenses"] = licence_choices(own.licences)
    places = sorted({uri for item in group for uri in (item.uri, *item.also)})
    asked = sorted({item.package.asked for item in group if item.package.asked})
    problems = sorted({item.package.problem for item in group if item.package.problem and own is None})
    said = properties(
        DECLARED, {"listed-in": [named(p) for p in places[:50]], "asked": asked[:50], "problem": "; ".join(problems)}
    )
    if own is not None:
        said += properties(MEASURED, {"installed": True})
    if said:
        component["properties"] = said
    return component

"""What the tests of the BOM share: a model repository in a few bytes, written the same way every time."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


class Wheel:
    """A class that no list knows."""


def safetensors(path: Path, rows: int = 2, **metadata: str) -> None:
    """One tensor `w` of rows × 3 float32."""
    size = rows * 12
    header: dict[str, Any] = {"w": {"dtype": "F32", "shape": [rows, 3], "data_offsets": [0, size]}}
    if metadata:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))


def repository(folder: Path) -> Path:
    """A model with its card, an adapter's configuration, a licence, requirements, a table and a pickle."""
    folder.mkdir(parents=True, exist_ok=True)
    safetensors(folder / "model.safetensors", format="pt")
    config = {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "_name_or_path": "/home/" + "alice/models/bert",
    }
    (folder / "config.json").write_text(json.dumps(config))
    adapter = {"base_model_name_or_path": "acme/base", "peft_type": "LORA", "r": 8}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    (folder / "README.md").write_text(
        "---\nlicense: apache-2.0\nbase_model: acme/bert\ndatasets: [squad]\npipeline_tag: fill-mask\n---\n"
        "# Model\n\n## Intended uses\n\nTo fill masks.\n\n## Limitations\n\nEnglish only.\n"
    )
    (folder / "LICENSE").write_text("  Apache License\n  Version 2.0, January 2004\n")
    (folder / "requirements.txt").write_text("jinja2==2.4.1\ntorch==2.1.0+cu118\nrequests>=2\n")
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    (folder / "state.pkl").write_bytes(pickle.dumps({"a": [1, 2]}, protocol=4))
    return folder


def database(path: Path, *, days: float = 1, **more: Any) -> Path:
    """An OSV database with one record, on jinja2 before 2.11.3."""
    changed = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.11.3"}]}]
    affected = [{"package": {"name": "Jinja2", "ecosystem": "PyPI"}, "ranges": ranges}]
    record = {"id": "GHSA-1", "aliases": ["CVE-2026-1"], "modified": changed, "affected": affected, **more}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("GHSA-1.json", json.dumps(record))
    return path


def component(bom: dict[str, Any], ref: str) -> dict[str, Any]:
    """The component of that reference."""
    (found,) = [c for c in bom["components"] if c["bom-ref"] == ref]
    return found


def said(component: dict[str, Any]) -> dict[str, str]:
    """A component's properties by name."""
    return {item["name"]: item["value"] for item in component.get("properties", [])}

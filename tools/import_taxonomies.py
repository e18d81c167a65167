"""Rebuild src/assay/taxonomy/data from a folder of framework lists: ids, short names, edition, url; no prose.

python tools/import_taxonomies.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

OUT = Path(__file__).parent.parent / "src/assay/taxonomy/data"

# file stem -> (tag prefix, lists to take items from, suffix to strip from ids, verified)
SOURCES: dict[str, tuple[str, tuple[str, ...], str, bool]] = {
    "mitre_atlas": ("atlas", ("tactics", "techniques", "mitigations"), "", True),
    "owasp_ml_top10_2023": ("owasp-ml-2023", ("items",), ":2023", True),
    "owasp_llm_top10_2025": ("owasp-llm-2025", ("items",), ":2025", True),
    "owasp_agentic_top10_2026": ("owasp-agentic-2026", ("items",), ":2026", True),
    "owasp_aisvs_1_0": ("owasp-aisvs", ("sections", "requirements"), "", True),
    "owasp_ai_exchange_controls": ("owasp-ai-exchange", ("controls",), "", True),
    "owasp_ai_testing_guide": ("owasp-aitg", ("items",), "", True),
    "nist_ai_rmf_1_0": ("nist-ai-rmf", ("categories", "subcategories"), "", True),
    "nist_ai_100_2_e2025": ("nist-aml", ("items",), "", True),
    "nist_ai_600_1": ("nist-genai", ("risks",), "", True),
    "eu_ai_act": ("eu-ai-act", ("items",), "", True),
    "iso_iec_42001_annex_a": ("iso-42001", ("items",), "", True),
    "cosai_risk_map": ("cosai", ("risks", "controls"), "", True),
    "csa_aicm": ("csa-aicm", ("domains", "model_security"), "", True),
    "google_saif_risks": ("google-saif", ("items",), "", True),
    "ethical_mlsecops_top10": ("mlsecops-top10", ("items",), "", True),
    "aidefend": ("aidefend", ("items",), "", True),
    "enisa": ("enisa", ("threats", "layers"), "", False),  # its file says: from memory, not re-read
    "openssf_mlsecops": ("openssf-mlsecops", ("stages",), "", False),  # its file says: names are approximate
}


def items_of(data: dict, lists: tuple[str, ...], suffix: str) -> list[list]:
    """[id, short name, verified] rows; a plain string is its own id."""
    rows = []
    for name in lists:
        for item in data[name]:
            if isinstance(item, str):
                rows.append([item.replace(" ", "-"), item, True])
            else:
                label = item.get("name") or item.get("title")
                rows.append([item["id"].removesuffix(suffix), label or item["id"], bool(label) or "level" in item])
    return rows


def main(folder: Path) -> None:
    """Write frameworks.json and crosswalk.json."""
    frameworks, prefixes = {}, {}
    for stem, (prefix, lists, suffix, verified) in SOURCES.items():
        data = json.loads((folder / f"{stem}.json").read_text("utf-8"))
        edition = data["version"] if isinstance(data["version"], str) else str(data["version"].get("schemaVersion"))
        prefixes[stem] = (prefix, suffix)
        frameworks[prefix] = {
            "name": data["framework"],
            "edition": edition,
            "url": data["url"],
            "verified": verified,
            "items": items_of(data, lists, suffix),
        }
    topics = {}
    for row in json.loads((folder / "crosswalk.json").read_text("utf-8"))["checks"]:
        tags = []
        for key, ids in row["evidence_for"].items():
            prefix, suffix = prefixes[key.partition(".")[0]]
            tags += [f"{prefix}:{i.removesuffix(suffix)}" for i in ids]
        topics[row["check"]] = {"title": row["title"], "tags": tags}
    OUT.mkdir(parents=True, exist_ok=True)
    for name, value in (("frameworks", frameworks), ("topics", topics)):
        text = json.dumps(value, ensure_ascii=False, indent=0, sort_keys=True)
        (OUT / f"{name}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

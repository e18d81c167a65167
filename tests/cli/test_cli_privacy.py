"""Customers' cells stay out of every report, and out of what Assay keeps beside a project."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from cli_tools import assay, copy, mend

pytest.importorskip("lightgbm")
FORMATS = ("text", "json", "sarif") + (("html",) if importlib.util.find_spec("assay.render.html") else ())
NAME, NOTE, NUMBER, WORD = "Zaphod Beeblebrox", "quokka-7731-note", "987651.23", "xylophonist"


@pytest.fixture(scope="module")
def told(templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over rows with marked cells, written in every format; gives the folder of what was written."""
    folder = tmp_path_factory.mktemp("private")
    project = copy(templates / "compromised", folder / "project")
    for part in ("train", "holdout"):
        path = project / f"data/{part}.csv"
        head, *rows = path.read_text("utf-8").splitlines()
        amount, merchant = (head.split(",").index(c) for c in ("amount", "merchant"))
        out = [f"{head},customer,note"]
        for i, row in enumerate(rows):
            cells = row.split(",")
            cells[amount] = NUMBER if i == 3 else cells[amount]
            cells[merchant] = WORD if i == 7 else cells[merchant]
            out.append(",".join([*cells, f"{NAME} {i % 500}", f"{NOTE} {i}"]))
        path.write_text("\n".join([*out, out[5], out[5]]) + "\n", "utf-8")
    mend(project / "assay.yaml", "drop: [upload]", "drop: [upload, note]")
    written = folder / "written"
    written.mkdir()
    assert assay("key", "new", "me", "--dir", folder).code == 0
    sign = ("--key", folder / "me.key", "--evidence-out", written / "evidence.json")
    done = assay("run", project, *sign, "-f", "json", "-o", written / "report.json")
    assert done.code == 1, done
    (written / "first.txt").write_text(done.out + done.err, "utf-8")
    for format_ in FORMATS:
        shown = assay("report", written / "report.json", "-f", format_)
        assert shown.code == 0
        (written / f"again.{format_}").write_text(shown.out, "utf-8")
    assert "high[data.schema]" in done.out
    assert "data.duplicates" in done.out + (written / "report.json").read_text("utf-8")
    return folder


@pytest.mark.parametrize("marker", [NAME, NOTE, NUMBER, WORD])
def test_no_cell_is_in_any_report(told: Path, marker: str) -> None:
    assert any(marker.encode() in p.read_bytes() for p in (told / "project/data").iterdir())
    written = sorted((told / "written").iterdir())
    assert len(written) == 3 + len(FORMATS)
    for path in written:
        assert marker.encode() not in path.read_bytes(), path.name


@pytest.mark.parametrize("marker", [NAME, NOTE, NUMBER, WORD])
def test_no_cell_is_in_what_is_kept_beside_the_project(told: Path, marker: str) -> None:
    kept = [p for p in (told / "project/.assay").rglob("*") if p.is_file()]
    assert any(p.name.startswith("ledger.db") for p in kept)
    for path in kept:
        assert marker.encode() not in path.read_bytes(), path.name


def test_no_evidence_holds_a_cell_even_unwrapped(told: Path) -> None:
    import base64

    import msgspec

    envelope = msgspec.json.decode((told / "written/evidence.json").read_bytes())
    inside = base64.b64decode(envelope["payload"])
    assert b"data.schema" in inside
    for marker in (NAME, NOTE, NUMBER, WORD):
        assert marker.encode() not in inside

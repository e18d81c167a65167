"""`assay threats`, `assay rescan`, and a threat pack in `scan` and `run`."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
from cli_tools import assay, one_line

PACK = (
    "threats: org\nversion: {}\nissued: 2026-11-20\nnames: {{dangerous: {{collections.OrderedDict: hides a gadget}}}}\n"
)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A project with a pickle, a publisher's key, and the publisher's packs 1 and 2."""
    assert assay("key", "new", "pub", cwd=tmp_path).code == 0
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(OrderedDict(a=1)))
    for version in (1, 2):
        (tmp_path / f"v{version}").mkdir()
        (tmp_path / f"v{version}/threats.yaml").write_text(PACK.format(version))
        assert assay("sign", f"v{version}/threats.yaml", "--key", "pub.key", cwd=tmp_path).code == 0
    key = assay("key", "show", "pub.pub", cwd=tmp_path).out.splitlines()[0]
    (tmp_path / "assay.yaml").write_text(
        f'system: {{name: s}}\nsubjects: {{a: {{artifact: a.pkl}}}}\nthreats: {{pack: threats.yaml, key: "{key}"}}\n'
    )
    return tmp_path


def test_a_pack_signs_verifies_and_shows(desk: Path) -> None:
    held = assay("verify", "v1/threats.yaml", "--key", "pub.pub", cwd=desk)
    assert (held.code, held.out) == (0, "holds: threat pack org 1\n")
    shown = assay("threats", "show", "v1/threats.yaml", "--key", "pub.pub", cwd=desk)
    assert shown.code == 0
    assert "threat pack org version 1" in shown.out
    assert "1 dangerous, 0 safe" in shown.out
    assert one_line(assay("threats", "show", "v1/threats.yaml", cwd=desk), "nobody is trusted", code=2)


def test_scan_judges_by_it(desk: Path) -> None:
    assert assay("scan", "a.pkl", cwd=desk).code == 0
    by = ("--threats", "v1/threats.yaml", "--threats-key", "pub.pub")
    found = assay("scan", "a.pkl", *by, "--format", "json", cwd=desk)
    assert found.code == 1
    [outcome] = [o for o in json.loads(found.out)["body"]["outcomes"] if o["check"] == "artifact.pickle-code"]
    assert outcome["threats"]["version"] == 1
    assert outcome["findings"][0]["severity"] == "critical"
    assert "hides a gadget (threat pack org 1)" in outcome["findings"][0]["evidence"]["why"]
    assert one_line(assay("scan", "a.pkl", *by[:2], cwd=desk), "--threats-key", code=2)


def test_a_changed_pack_is_refused(desk: Path) -> None:
    (desk / "v1/threats.yaml").write_text(PACK.format(1) + "packages: {popular: [x]}\n")
    by = ("--threats", "v1/threats.yaml", "--threats-key", "pub.pub")
    assert one_line(assay("scan", "a.pkl", *by, cwd=desk), "changed after its owner signed it", code=1)


def test_update_takes_newer_ones_only(desk: Path) -> None:
    assert one_line(assay("run", cwd=desk), "threats.yaml", code=2)
    first = assay("threats", "update", "v1/threats.yaml", cwd=desk)
    assert first.code == 0, first.err
    assert "took threat pack org 1" in first.out
    assert "held already" in assay("threats", "update", "v1/threats.yaml", cwd=desk).out
    assert "took threat pack org 2, was 1" in assay("threats", "update", "v2/threats.yaml", cwd=desk).out
    before = (desk / "threats.yaml").read_bytes()
    assert one_line(assay("threats", "update", "v1/threats.yaml", cwd=desk), "older than version 2", code=1)
    (desk / "v2/threats.yaml.sig").write_text("{}")
    assert assay("threats", "update", "v2/threats.yaml", cwd=desk).code == 1
    assert (desk / "threats.yaml").read_bytes() == before


def test_run_then_a_newer_pack_then_rescan(desk: Path) -> None:
    assert assay("threats", "update", "v1/threats.yaml", cwd=desk).code == 0
    manifest = (desk / "assay.yaml").read_text()
    (desk / "assay.yaml").write_text(manifest.partition("threats:")[0])
    assert assay("run", cwd=desk).code == 0
    (desk / "assay.yaml").write_text(manifest)
    again = ("rescan", "--since", "threats.yaml", "--key", "pub.pub")
    found = assay(*again, cwd=desk)
    assert (found.code, "imports collections.OrderedDict" in found.out or "calls" in found.out) == (1, True)
    second = assay(*again, cwd=desk)
    assert (second.code, "1 were judged by this pack already" in second.err) == (0, True)
    assert assay("run", cwd=desk).code == 1, "the remembered outcome was made without the pack"


def test_rescan_without_a_ledger_is_one_line(desk: Path) -> None:
    done = assay("rescan", "--since", "v1/threats.yaml", "--key", "pub.pub", cwd=desk)
    assert one_line(done, "there is no ledger", code=2)


def test_a_manifest_cannot_name_a_pack_outside(desk: Path) -> None:
    manifest = (desk / "assay.yaml").read_text()
    (desk / "assay.yaml").write_text(manifest.replace("pack: threats.yaml", "pack: ../threats.yaml"))
    assert one_line(assay("run", cwd=desk), "inside the project", code=2)

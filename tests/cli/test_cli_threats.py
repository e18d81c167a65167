"""`assay threats`, `assay rescan`, and a threat pack in `scan` and `run`."""

from __future__ import annotations

import json
import os
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
    for _ in range(2):
        found = assay(*again, cwd=desk)
        assert (found.code, "collections.OrderedDict" in found.out) == (1, True), "told until it is mended"
    (desk / "a.pkl").write_bytes(pickle.dumps([1]))
    assert assay("run", "--only", "artifact.*", cwd=desk).code == 0
    only = ("--only", "artifact.pickle-code")
    assert assay(*again, *only, cwd=desk).code == 0
    assert "found clean by this pack before" in assay(*again, *only, cwd=desk).err


def test_a_cut_off_update_is_mended_by_the_next(desk: Path) -> None:
    assert assay("threats", "update", "v1/threats.yaml", cwd=desk).code == 0
    (desk / "threats.yaml.sig").write_bytes((desk / "v2/threats.yaml.sig").read_bytes())
    assert assay("threats", "update", "v2/threats.yaml", cwd=desk).code == 0
    assert assay("threats", "show", cwd=desk).code == 0
    (desk / "threats.yaml.sig").write_bytes((desk / "v1/threats.yaml.sig").read_bytes())
    assert one_line(assay("threats", "update", "v1/threats.yaml", cwd=desk), "older than version 2", code=1)


def test_a_malformed_pack_is_not_signed_as_a_model(desk: Path) -> None:
    (desk / "bad.yaml").write_text("threats: org\nversion: 9223372036854775808\n")
    assert one_line(assay("sign", "bad.yaml", "--key", "pub.key", cwd=desk), "bad.yaml", code=2)


def test_a_pipe_holds_nobody_up(desk: Path) -> None:
    os.mkfifo(desk / "pipe.yaml")
    assert assay("threats", "show", "pipe.yaml", "--key", "pub.pub", cwd=desk).code in (1, 2)


def test_what_a_pack_lists_as_safe_is_told_and_what_it_refuses_cannot_be_allowed(desk: Path) -> None:
    (desk / "c.pkl").write_bytes(b"cmylib.models\nScaler\n.")
    head = "threats: org\nversion: 3\nissued: 2026-11-20\n"
    by = ("scan", "c.pkl", "--threats", "t.yaml", "--threats-key", "pub.pub")
    (desk / "t.yaml").write_text(head + "names: {safe: {mylib.models: [Scaler]}}\n")
    assert assay("sign", "t.yaml", "--key", "pub.key", cwd=desk).code == 0
    done = assay(*by, cwd=desk)
    assert (done.code, "threat pack org 3 lists as safe" in done.out) == (0, True)
    (desk / "t.yaml").write_text(head.replace("3", "4", 1) + "names: {dangerous: {mylib: a gadget}}\n")
    assert assay("sign", "t.yaml", "--key", "pub.key", cwd=desk).code == 0
    key = assay("key", "show", "pub.pub", cwd=desk).out.splitlines()[0]
    (desk / "assay.yaml").write_text(
        "system: {name: s}\nsubjects: {m: {model: c.pkl, allow: [mylib.models.Scaler], allow_until: 2099-01-01}}\n"
        f'threats: {{pack: t.yaml, key: "{key}"}}\n'
    )
    done = assay("run", "--only", "artifact.pickle-code", cwd=desk)
    assert (done.code, "critical[artifact.pickle-code]" in done.out) == (1, True)


def test_rescan_without_a_ledger_is_one_line(desk: Path) -> None:
    done = assay("rescan", "--since", "v1/threats.yaml", "--key", "pub.pub", cwd=desk)
    assert one_line(done, "there is no ledger", code=2)


def test_a_manifest_cannot_name_a_pack_outside(desk: Path) -> None:
    manifest = (desk / "assay.yaml").read_text()
    (desk / "assay.yaml").write_text(manifest.replace("pack: threats.yaml", "pack: ../threats.yaml"))
    assert one_line(assay("run", cwd=desk), "inside the project", code=2)

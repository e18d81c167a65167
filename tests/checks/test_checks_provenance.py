"""data.provenance: another byte is critical, a missing file high, a missing fact told; a torn manifest is open."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from checks_tools import Bench, finding, said

pytest.importorskip("duckdb")
CHECK = "data.provenance"
ROWS = "a,b\n1,2\n3,4\n"
FACTS = (
    "source: us\nlicence: CC0-1.0\nconsent: no personal data\ncollected: {from: 2024-01-01, to: 2024-02-01}\n"
    "collected_by: data team\n"
)


def written(bench: Bench, text: str = FACTS, **files: str) -> str:
    """A table and its manifest, with the digests of what the files are now. Gives the table's name."""
    name = bench.table(ROWS, provenance="made.yaml")
    for file, content in files.items():
        (bench.folder / file).write_text(content)
    lines = [
        f"  {f}: {{sha256: '{hashlib.sha256((bench.folder / f).read_bytes()).hexdigest()}'}}" for f in ("t.csv", *files)
    ]
    (bench.folder / "made.yaml").write_text(text + "files:\n" + "\n".join(lines) + "\n")
    return name


def test_files_that_are_what_they_were_pass(bench: Bench) -> None:
    outcome = bench.ask(CHECK, written(bench, raw="x"))
    assert (str(outcome.status), outcome.complete, said(outcome)) == ("pass", True, [])


def test_a_changed_file_is_critical_and_a_missing_one_high(bench: Bench) -> None:
    name = written(bench, raw="x", gone="y")
    (bench.folder / "raw").write_text("z")
    (bench.folder / "gone").unlink()
    assert said(bench.ask(CHECK, name)) == [
        ("critical", "raw is not the file that its manifest names: its SHA-256 is another"),
        ("high", "gone is named by the manifest and is not there"),
    ]


def test_one_bit_of_the_table_itself(bench: Bench) -> None:
    name = written(bench)
    (bench.folder / "t.csv").write_text(ROWS.replace("4", "5"))
    assert str(finding(bench.ask(CHECK, name), "t.csv is not the file").severity) == "critical"


def test_facts_that_are_not_said(bench: Bench) -> None:
    assert [s for s, _ in said(bench.ask(CHECK, written(bench, "source: ' '\n")))] == ["medium"] * 3 + ["low"] * 2


def test_a_table_that_its_manifest_does_not_name(bench: Bench) -> None:
    written(bench)
    name = bench.table(ROWS, "other", provenance="made.yaml")
    assert said(bench.ask(CHECK, name)) == [("high", "its manifest does not name this table: nothing vouches for it")]


def test_without_a_manifest_the_question_is_not_asked(bench: Bench) -> None:
    outcome = bench.ask(CHECK, bench.table(ROWS))
    assert (str(outcome.status), "provenance" in outcome.reason) == ("not-applicable", True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "files: {}\n",
        "files: {../t.csv: {sha256: '" + "0" * 64 + "'}}\n",
        "files: {/t.csv: {sha256: '" + "0" * 64 + "'}}\n",
        "files: {t.csv: {sha256: short}}\n",
        "files: {t.csv: {sha256: '" + "0" * 64 + "', size: 3}}\n",
        "files: {t.csv: {sha256: '" + "0" * 64 + "'}}\nlicense: x\n",
        "files: {t.csv: {sha256: '" + "0" * 64 + "'}}\ncollected: {from: 2024-02-01, to: 2024-01-01}\n",
        "files: [\n",
        "\0",
    ],
)
def test_a_torn_manifest_is_open(bench: Bench, text: str) -> None:
    name = bench.table(ROWS, provenance="made.yaml")
    (bench.folder / "made.yaml").write_text(text)
    outcome = bench.ask(CHECK, name)
    assert (str(outcome.status), outcome.findings, "made.yaml" in outcome.reason) == ("open", (), True)


def test_a_declared_manifest_that_is_not_there_is_open(bench: Bench) -> None:
    outcome = bench.ask(CHECK, bench.table(ROWS, provenance="gone.yaml"))
    assert (str(outcome.status), "gone.yaml" in outcome.reason) == ("open", True)


def test_a_link_out_of_the_folder_is_not_followed(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    away: Path = tmp_path_factory.mktemp("away") / "x"
    away.write_text("x")
    name = written(bench, raw="x")
    (bench.folder / "raw").unlink()
    (bench.folder / "raw").symlink_to(away)
    assert str(bench.ask(CHECK, name).status) == "open"

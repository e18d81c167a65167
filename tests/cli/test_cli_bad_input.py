"""Bad input to `run`, `data` and `scan`: one clear line or an open outcome, the right exit code, nothing lost."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_tools import Done, assay, mend, one_line, outcomes, shell


def run(project: Path, *words: object) -> Done:
    """`assay run` without the checks that need a worker."""
    return assay("run", project, "--only", "artifact.*", *words)


def manifest(text: str) -> Callable[[Path], None]:
    return lambda p: mend(p / "assay.yaml", "policy: policy.yaml", f"policy: policy.yaml\n{text}")


@pytest.mark.parametrize(
    ("spoil", "texts"),
    [
        (lambda p: (p / "assay.yaml").unlink(), ("assay.yaml", "no such file", "assay init")),
        (lambda p: (p / "assay.yaml").write_bytes(b""), ("assay.yaml",)),
        (lambda p: (p / "assay.yaml").write_bytes(b"\xff\xfe\x00\x01"), ("assay.yaml", "UTF-8")),
        (lambda p: (p / "assay.yaml").write_text("[" * 5000), ("assay.yaml",)),
        (lambda p: (p / "assay.yaml").write_text("system: {name: x"), ("assay.yaml:",)),
        (lambda p: (p / "assay.yaml").write_text("- a\n- b\n"), ("assay.yaml",)),
        (manifest("bogus: 1"), ("assay.yaml:5", "unknown key", "bogus")),
        (manifest("system: {name: again}"), ("assay.yaml:5", "duplicate key 'system'")),
        (manifest("features: &a {}\nchecks: *a"), ("assay.yaml:5", "aliases are not allowed")),
        (manifest("checks: {artifact.pickle-cod: {}}"), ("artifact.pickle-cod", "did you mean artifact.pickle-code?")),
        (manifest("checks: {artifact.pickle-code: {strickt: true}}"), ("strickt", "did you mean strict?")),
        (manifest("checks: {artifact.pickle-code: {strict: maybe}}"), ("strict", "bool")),
        (manifest("checks: {supply.vulnerabilities: {max_age_days: -1}}"), ("max_age_days", "float, above 0")),
        (manifest("checks: {robustness.evasion: {queries: 1}}"), ("queries", "int, at least 10")),
        (manifest("release: nope"), ("nope", "is not a model subject")),
        (manifest("subjects: {}"), ("duplicate key",)),
        (lambda p: mend(p / "assay.yaml", "model: model.safetensors", "model: ../outside"), ("inside the project",)),
        (lambda p: mend(p / "assay.yaml", "model: model.safetensors", "model: /etc/passwd"), ("inside the project",)),
        (lambda p: (p / "model.safetensors").unlink(), ("model.safetensors", "no such file")),
        (lambda p: (p / "policy.yaml").unlink(), ("policy.yaml", "no such file")),
        (lambda p: mend(p / "policy.yaml", "require:", "requires:"), ("policy.yaml", "requires")),
        (lambda p: mend(p / "policy.yaml", "critical", "dreadful"), ("policy.yaml",)),
        (lambda p: (p / ".assay").write_text("a file"), (".assay", "cannot be written")),
    ],
)  # fmt: skip
def test_a_project_that_is_wrong_is_one_line(tiny: Path, spoil: Callable[[Path], None], texts: tuple[str, ...]) -> None:
    spoil(tiny)
    assert one_line(assay("run", tiny), *texts, code=2)


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket"])
def test_a_subject_that_is_no_file_is_one_line_and_never_waits(tiny: Path, kind: str) -> None:
    path = tiny / "model.safetensors"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        import socket

        server = socket.socket(socket.AF_UNIX)
        here = Path.cwd()
        os.chdir(tiny)
        server.bind("model.safetensors")
        os.chdir(here)
        server.close()
    assert one_line(run(tiny), "model.safetensors", code=2)


def test_a_manifest_with_no_subject_is_one_line(tiny: Path) -> None:
    mend(tiny / "assay.yaml", "subjects:\n  model: {model: model.safetensors}\n", "")
    assert one_line(run(tiny), "names no subject", code=2)


def test_a_fine_project_waits_only_for_people(tiny: Path) -> None:
    done = run(tiny)
    assert done.code == 3
    assert "no valid approval by security" in done.out
    assert "INDETERMINATE" in done.out.splitlines()[-1]


def test_a_damaged_memory_is_only_forgotten(tiny: Path) -> None:
    first = run(tiny, "-f", "json")
    for path in (tiny / ".assay/cache").rglob("*.json"):
        path.write_bytes(b"\x00junk")
    assert outcomes(run(tiny, "-f", "json")) == outcomes(first)
    shutil.rmtree(tiny / ".assay/cache")
    (tiny / ".assay/cache").write_text("in the way")
    assert outcomes(run(tiny, "-f", "json")) == outcomes(first)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda f: (f / "ledger.db").write_bytes(os.urandom(9000)), "not a ledger"),
        (lambda f: os.truncate(f / "ledger.db", 5000), "damaged"),
        (lambda f: ((f / "ledger.db").unlink(), (f / "ledger.db").mkdir()), "folder"),
        (lambda f: (f / "ledger.key").unlink(), "log key"),
        (lambda f: (f / "ledger.key").write_text("junk"), "PEM"),
    ],
)
def test_a_ledger_that_is_damaged_is_told_and_left_alone(
    tiny: Path, spoil: Callable[[Path], object], text: str
) -> None:
    run(tiny)
    spoil(tiny / ".assay")
    before = (tiny / ".assay/ledger.db").stat()
    assert one_line(run(tiny), text, code=2)
    assert (tiny / ".assay/ledger.db").stat().st_ino == before.st_ino
    assert assay("log", "verify", "--ledger", tiny / ".assay/ledger.db").code in (1, 2)


def test_a_clock_set_back_is_survived(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime

    from assay.engine.plan import Settings
    from assay.flow.project import run_project

    for year in (2030, 2020):
        ran = run_project(tiny, Settings(only=("artifact.*",)), clock=lambda y=year: datetime(y, 1, 1, tzinfo=UTC))  # type: ignore[misc]
        assert ran.dossier.report.run.started.year == year
    assert assay("log", "verify", "--ledger", tiny / ".assay/ledger.db").code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_one_line_and_loses_nothing(tiny: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        project = Path(shutil.copytree(tiny, disk / "project"))
        assert run(project).code == 3
        with pytest.raises(OSError, match="No space"):
            (disk / "fill").write_bytes(bytes(1 << 20))
        assert one_line(run(project), "full", code=2)
        key = assay("key", "new", "zed", "--dir", disk)
        assert (key.code, len(key.err.splitlines())) == (2, 1)
        assert one_line(assay("scan", project, "-f", "json", "-o", disk / "x.json"), "no space left", code=2)
        (disk / "fill").unlink()
        assert assay("log", "verify", "--ledger", project / ".assay/ledger.db").out.startswith("holds: 1 entries")
        assert run(project).code == 3
        assert assay("log", "verify", "--ledger", project / ".assay/ledger.db").out.startswith("holds: 2 entries")
    finally:
        subprocess.run(["umount", disk], check=True)


def unprivileged(*words: object) -> Done:
    """The command line as nobody."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("nobody to be: no setpriv here")
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-P", "-m", "assay.cli.main", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if os.geteuid() == 0 and ("assay" not in done.stderr + done.stdout or "No module" in done.stderr):
        pytest.skip("nobody cannot run this Python")
    assert "Traceback" not in done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def open_folder(tiny: Path) -> Path:
    """A project that nobody owns, in folders that nobody may enter."""
    for parent in [tiny, *tiny.parents]:
        if parent.stat().st_uid == os.geteuid() and str(parent) not in ("/", "/tmp"):
            parent.chmod(parent.stat().st_mode | 0o755)
    for path in [tiny, *tiny.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
    return tiny


def test_a_project_that_cannot_be_written_is_one_line(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    try:
        assert one_line(unprivileged("run", open_folder), ".assay", "permission denied", code=2)
    finally:
        open_folder.chmod(0o755)


def test_a_file_that_cannot_be_read_is_one_line_for_run_and_open_for_scan(open_folder: Path) -> None:
    model = open_folder / "model.safetensors"
    model.chmod(0)
    assert one_line(unprivileged("run", open_folder), "model.safetensors", "permission denied", code=2)
    done = unprivileged("scan", model, "-f", "json")
    assert done.code == 3
    assert {o["status"] for o in outcomes(done).values()} == {"open", "not-applicable"}
    assert [o["check"] for o in outcomes(done).values() if o["status"] != "open"] == ["supply.vulnerabilities"]


# What follows asks workers, so it is kept short.


def test_no_table_to_speak_of(tmp_path: Path) -> None:
    assert one_line(assay("data", "check", tmp_path / "gone.csv"), "gone.csv", "no such file", code=2)
    assert one_line(assay("data", "check", tmp_path), "not a regular file", code=2)
    os.mkfifo(tmp_path / "pipe.csv")
    assert one_line(assay("data", "check", tmp_path / "pipe.csv"), "not a regular file", code=2)


BAD_TABLES = {
    "empty.csv": b"",
    "header.csv": b"a,y\n",
    "cell.csv": b"a,y\n1,0\n" + b"x" * 10_000_000 + b",1\n",
    "one_class.csv": b"a,y\n" + b"1,1\n" * 50,
    "torn.parquet": b"PAR1" + os.urandom(500),
    "packed.csv": gzip.compress(b"a,y\n1,0\n"),
    "binary.csv": bytes(range(256)) * 20,
}


UNASKED = ("data.split-leakage", "data.split-column", "data.annotators", "data.provenance", "data.representation")


@pytest.mark.usefixtures("here")
def test_tables_that_cannot_be_judged_are_open(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    from assay.core.subject import Contract, Kind, Subject
    from assay.engine.plan import Settings
    from assay.flow.examine import examine_loose

    subjects = {}
    for name, data in BAD_TABLES.items():
        (tmp_path / name).write_bytes(data)
        facts = {"label": "y", "positive": 1}
        subjects[name] = Subject(name=name, kind=Kind.DATASET, uri=str(tmp_path / name), options=facts)
    asked = [(Kind.DATASET, name) for name in subjects]
    report = examine_loose(subjects, asked, Contract(), Settings(jobs=2))
    for o in report.body.outcomes:
        if o.check in UNASKED:
            assert str(o.status) in ("open", "not-applicable")
        elif o.subject == "one_class.csv" and o.check == "data.personal-data":
            assert (str(o.status), o.measures[0].value) == ("pass", 0.0), "it reads cells and needs no label"
        elif o.subject == "one_class.csv" and o.check == "data.text-triggers":
            assert str(o.status) == "not-applicable", "it has no texts"
        elif o.subject == "one_class.csv" and o.check == "data.odd-values":
            assert str(o.status) == "pass", "of one value everywhere none is odd"
        elif o.subject == "one_class.csv" and o.check == "data.duplicates":
            assert o.measures[0].value == pytest.approx(49 / 50)
        else:
            assert (str(o.status), "broke" in o.reason) == ("open", False), (o.check, o.subject, o.reason)
            assert 10 < len(o.reason) < 400


def test_a_limit_of_time_or_memory_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pkl.gz"
    path.write_bytes(gzip.compress(b"\x80\x04" + b"N0" * (32 << 20) + b"N."))
    done = assay("scan", path, "--timeout", "0.3", "--only", "artifact.pickle-code", "-f", "json")
    (outcome,) = outcomes(done).values()
    assert (done.code, outcome["status"]) == (3, "open")
    assert "stopped at its limit of 0.3 s" in outcome["reason"]


@pytest.mark.usefixtures("here")
def test_a_table_with_odd_cells_is_examined_all_the_same(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    rows = [f"{i},{i % 3},{'nan' if i % 7 else 'inf'},{i % 2}" for i in range(300)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c,y", *rows, "banana,1,2,0"]) + "\n")
    done = assay("data", "check", tmp_path / "t.csv", "--label", "y", "-f", "json")
    found = outcomes(done)
    assert done.code == 1
    assert all("broke" not in o["reason"] for o in found.values())
    messages = [f["message"] for f in found["data.schema", "t.csv"]["findings"]]
    assert any("infinite" in m for m in messages)
    assert any("1 word among" in m for m in messages)


@pytest.mark.usefixtures("here")
def test_a_project_whose_model_does_not_fit_its_rows(robust: Path) -> None:
    holdout = robust / "data/holdout.csv"
    lines = holdout.read_text("utf-8").splitlines()
    place = lines[0].split(",").index("cards_on_device")
    cut = [",".join(c for i, c in enumerate(line.split(",")) if i != place) for line in lines]
    holdout.write_text("\n".join(cut) + "\n", "utf-8")
    done = assay("run", robust, "--only", "performance.*", "--only", "robustness.*", "-f", "json")
    found = outcomes(done)
    assert done.code == 3
    for check in ("performance.holdout", "robustness.evasion"):
        outcome = found[check, "model"]
        assert (outcome["status"], "cards_on_device" in outcome["reason"]) == ("open", True), outcome["reason"]


def test_a_torn_pickle_is_one_open_outcome(tmp_path: Path, evil: Path) -> None:
    torn = tmp_path / "torn.pkl"
    torn.write_bytes(evil.read_bytes()[:20])
    done = shell("scan", torn)
    assert (done.code, done.err) == (3, "")
    assert "open[artifact.pickle-code, artifact.unsafe-format]  could not be judged: " in done.out

"""`assay harden TABLE`: what it says, its exit codes, and that bad input is one line with nothing written."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cli_tools import assay, one_line, start

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pytest.importorskip("lightgbm", reason="the ml extra is not installed")

from assay.adapters.suspects import About, write_suspects  # noqa: E402
from assay.cli.common import stoppable  # noqa: E402
from assay.core.canonical import digest_file  # noqa: E402
from assay.core.errors import InputError  # noqa: E402
from assay.core.suspects import Suspects  # noqa: E402

pytestmark = pytest.mark.usefixtures("here")


def text(n: int, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).round(4)
    y = (x.sum(axis=1) > 0.5).astype(int)
    return "a,b,c,y\n" + "".join(f"{r[0]},{r[1]},{r[2]},{v}\n" for r, v in zip(x, y, strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table, a holdout, and suspects of the table: rows 3 and 4 were injected, 4 and 7 have an odd value."""
    table = tmp_path / "t.csv"
    table.write_text(text(400), "utf-8")
    (tmp_path / "h.csv").write_text(text(300, 1), "utf-8")
    found = [
        Suspects(check=c, rows=r, scores=(1.0,) * len(r), flagged=(True,) * len(r), reasons=(w,) * len(r))
        for c, r, w in (
            ("data.injected-rows", (3, 4), "b is surprising given the rest"),
            ("data.odd-values", (7, 4), "c lies far outside"),
        )
    ]
    statuses = {"data.injected-rows": "fail", "data.odd-values": "fail"}
    about = About(digest=digest_file(table), checks={"data.odd-values": 2}, statuses=statuses)
    write_suspects(found, tmp_path / "s.parquet", about)
    return tmp_path


HARDEN: tuple[Any, ...] = ("harden", "t.csv", "--label", "y", "--suspects", "s.parquet")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_text_says_what_was_done_why_and_to_what_effect(folder: Path) -> None:
    done = assay(*HARDEN, "--holdout", "h.csv", cwd=folder)
    assert (done.code, done.err) == (0, "")
    for words in (
        "changed  3 of 400 rows (0.75%): 2 removed, 1 down-weighted",
        "data.injected-rows     2 flagged; 2 removed",
        "row      3 removed: data.injected-rows: b is surprising given the rest",
        "row      4 removed: data.injected-rows: b is surprising given the rest; data.odd-values: c lies far outside",
        "row      7 down-weighted: data.odd-values",
        "on 300 untouched rows",
        "average_precision",
        "proved   every cell of the result was read again; the patch gives the source byte for byte",
        "weights are in assay_weight",
        "the patch holds the 2 removed rows: keep it like the data itself",
    ):
        assert words in done.out, words
    assert names(folder) == ["h.csv", "s.parquet", "t.csv", "t.patch.json", "t.sanitised.csv"]


def test_json_says_the_same_and_holds_no_row(folder: Path) -> None:
    done = assay(*HARDEN, "--holdout", "h.csv", "-f", "json", cwd=folder)
    said = json.loads(done.out)
    assert said["schema"] == "assay/1"
    assert said["counts"] == {"remove": 2, "relabel": 0, "down-weight": 1}
    assert [(c["row"], c["action"]) for c in said["changes"]] == [(3, "remove"), (4, "remove"), (7, "down-weight")]
    assert said["measured"]["on"] == "holdout"
    assert {f["name"] for f in said["measured"]["figures"]} >= {"roc_area", "average_precision"}
    record = (folder / "t.csv").read_text("utf-8").splitlines()[4]
    assert record not in done.out
    assert record in (folder / "t.patch.json").read_text("utf-8")


def test_apply_and_revert_go_there_and_back(folder: Path) -> None:
    assert assay(*HARDEN, cwd=folder).code == 0
    done = assay("harden", "t.sanitised.csv", "--revert", "t.patch.json", "-o", "back.csv", cwd=folder)
    assert (done.code, done.err) == (0, "")
    assert "the same bytes as then" in done.out
    assert (folder / "back.csv").read_bytes() == (folder / "t.csv").read_bytes()
    done = assay("harden", "t.csv", "--apply", "t.patch.json", "-o", "again.csv", "-f", "json", cwd=folder)
    assert json.loads(done.out)["done"] == "applied"
    assert (folder / "again.csv").read_bytes() == (folder / "t.sanitised.csv").read_bytes()
    one_line(assay("harden", "h.csv", "--apply", "t.patch.json", cwd=folder), "its digest differs", code=1)
    one_line(assay("harden", "h.csv", "--revert", "t.patch.json", cwd=folder), "not what the patch made", code=1)
    line = assay("harden", "t.csv", "--apply", "t.patch.json", "--label", "y", cwd=folder)
    one_line(line, "--label does nothing where a patch says all", code=2)
    both = assay("harden", "t.csv", "--apply", "t.patch.json", "--revert", "t.patch.json", cwd=folder)
    one_line(both, "two ways", code=2)


def test_what_is_there_stays(folder: Path) -> None:
    (folder / "t.sanitised.csv").write_text("mine", "utf-8")
    one_line(assay(*HARDEN, cwd=folder), "is there already", code=2)
    assert (folder / "t.sanitised.csv").read_text("utf-8") == "mine"
    assert assay(*HARDEN, "--force", cwd=folder).code == 0
    before = (folder / "t.csv").read_bytes()
    one_line(assay(*HARDEN, "--force", "-o", "t.csv", cwd=folder), "the source itself", code=2)
    one_line(assay(*HARDEN, "--force", "--patch", "t.csv", cwd=folder), "the source itself", code=2)
    one_line(assay(*HARDEN, "-o", "o.parquet", "--force", cwd=folder), "another suffix", code=2)
    one_line(assay(*HARDEN, "-o", "o.csv", "--patch", "o.csv", cwd=folder), "both --output and --patch", code=2)
    one_line(assay(*HARDEN, "-o", "no/o.csv", cwd=folder), "folder does not exist", code=2)
    both = (*HARDEN, "--force", "--holdout", "h.csv")
    one_line(assay(*both, "-o", "h.csv", cwd=folder), "is read by this command", code=2)
    one_line(assay(*both, "--patch", "s.parquet", cwd=folder), "is read by this command", code=2)
    assert (folder / "t.csv").read_bytes() == before


def test_options_of_the_other_kind_are_refused(folder: Path) -> None:
    assert one_line(assay("harden", "t.csv", "--to", "onnx", cwd=folder), "--to is for models", code=2)
    assert one_line(assay("harden", "t.csv", "--weak-sandbox", cwd=folder), "--weak-sandbox is for models", code=2)
    (folder / "m.pkl").write_bytes(b"\x80\x04N.")
    assert one_line(assay("harden", "m.pkl", "--most", "0.1", cwd=folder), "--most is for tables", code=2)
    assert one_line(assay("harden", "m.pkl", "--seed", "1", cwd=folder), "--seed is for tables", code=2)
    assert one_line(assay(*HARDEN, "--strongest", "data.odd-values", cwd=folder), "is not CHECK=N", code=2)
    assert one_line(assay(*HARDEN, "--strongest", "data.x=3", cwd=folder), "data.x is not in", code=2)
    assert one_line(assay("harden", "t.csv", "--only", "data.nothing", cwd=folder), "no check is called", code=2)


@pytest.mark.parametrize(
    ("content", "label", "says", "code"),
    [
        (b"", "y", "is empty", 2),
        (b"a,y\n", "y", "has columns but no rows", 2),
        (b"a,y\n1,1\n", "y", "one class only", 3),
        (b"a,y\n1,0\n2,1\n", "z", "has no column 'z'", 2),
        (b"a,y\n1,\n2,\n", "y", "have no label", 3),
        (b"a,y\n1,nan\n2,1\n3,0\n", "y", "1 rows have no label", 3),
        (b"a,y\n1,1\n2,1\n", "y", "one class only", 3),
        (b"a,a,y\n1,2,1\n", "y", "two columns named", 2),
        (b"a,y\n1,2,3\n4,1\n", "y", "has 3 values where 2 are expected", 2),
        (b"a,y\n\xff\xfe,1\n2,0\n", "y", "not UTF-8", 2),
        (b"PAR1" + b"\x00" * 40 + b"PAR1", "y", "torn or damaged Parquet", 2),
        (b"ARROW1\x00\x00" + b"\x07" * 40, "y", "torn or damaged Arrow", 2),
        (b"a\x00b", "y", "holds NUL bytes", 2),
    ],
    ids=lambda value: str(value)[:18] if isinstance(value, bytes) else "",
)
def test_bad_tables_are_one_line(content: bytes, label: str, says: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    one_line(assay("harden", "t.csv", "--label", label, cwd=tmp_path), says, code=code)
    assert names(tmp_path) == ["t.csv"]


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    assert one_line(assay("harden", "gone.csv", cwd=tmp_path), "does not exist", code=2)
    assert one_line(assay("harden", "gone.parquet", "--apply", "p.json", cwd=tmp_path), "does not exist", code=2)


def test_too_many_rows_are_exit_1_and_nothing_is_written(folder: Path) -> None:
    line = one_line(assay(*HARDEN, "--most", "0.001", cwd=folder), "3 of 400 rows would be changed", code=1)
    assert "nothing is written" in line
    assert names(folder) == ["h.csv", "s.parquet", "t.csv"]


def test_a_torn_patch_is_one_line(folder: Path) -> None:
    assert assay(*HARDEN, cwd=folder).code == 0
    patch = folder / "t.patch.json"
    whole = patch.read_bytes()
    patch.write_bytes(whole[: len(whole) // 2])
    one_line(assay("harden", "t.csv", "--apply", "t.patch.json", "-o", "o.csv", cwd=folder), "is torn", code=2)
    patch.write_bytes(whole.replace(b'"row":7', b'"row":7000'))
    one_line(assay("harden", "t.csv", "--apply", "t.patch.json", "-o", "o.csv", cwd=folder), "rows outside", code=2)
    patch.write_bytes(whole.replace(b'"new_weight":0.1', b'"new_weight":0.9'))
    one_line(assay("harden", "t.csv", "--apply", "t.patch.json", "-o", "o.csv", cwd=folder), "another table", code=1)
    removed = (folder / "t.csv").read_text("utf-8").splitlines()[4]
    patch.write_bytes(whole.replace(removed.encode(), removed[::-1].encode()))
    back = assay("harden", "t.sanitised.csv", "--revert", "t.patch.json", "-o", "o.csv", cwd=folder)
    one_line(back, "does not give the source again", code=1)
    assert not (folder / "o.csv").exists()


def test_a_check_that_could_not_look_is_said_and_is_exit_3(folder: Path) -> None:
    (folder / "few.csv").write_text(text(60), "utf-8")
    checks = ("--only", "data.label-flips", "--only", "data.odd-values", "-j", "1")
    done = assay("harden", "few.csv", "--label", "y", *checks, cwd=folder)
    assert done.code == 3
    assert "open: 60 rows are too few" in done.out
    assert "what could not be looked at is not sanitised" in done.out
    assert (folder / "few.sanitised.csv").read_bytes() == (folder / "few.csv").read_bytes()
    done = assay("harden", "few.csv", "--label", "y", "--force", "--only", "data.label-flips", cwd=folder)
    one_line(done, "no check could look", "too few", code=3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_copy_of_the_rows(number: signal.Signals, folder: Path) -> None:
    (folder / "big.csv").write_text(text(4000), "utf-8")
    (folder / "tmp").mkdir()
    before = names(folder)
    env = {**os.environ, "TMPDIR": str(folder / "tmp")}
    run = start("harden", "big.csv", "--label", "y", "--only", "data.label-flips", cwd=folder, env=env)
    for _ in range(1200):
        if any((folder / "tmp").glob("assay-sanitise-*/big.csv")) or run.poll() is not None:
            break
        time.sleep(0.05)
    assert run.poll() is None
    run.send_signal(number)
    _, err = run.communicate(timeout=60)
    assert (run.returncode, err.splitlines()) == (130, ["assay: interrupted"])
    assert list((folder / "tmp").glob("assay-sanitise-*")) == []
    assert names(folder) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_a_library_swallows_is_not_lost(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def swallowed() -> None:
        with stoppable() as still:
            with suppress(KeyboardInterrupt):
                signal.raise_signal(number)
            with pytest.raises(KeyboardInterrupt):
                still()

    def made_another() -> None:
        with stoppable():
            try:
                signal.raise_signal(number)
            except KeyboardInterrupt:
                raise ValueError from None

    for run in (swallowed, made_another):
        with pytest.raises(KeyboardInterrupt):
            run()
    assert signal.getsignal(number) is before
    with stoppable() as still:
        still()


def test_a_limit_on_the_size_of_files_is_one_line() -> None:
    with pytest.raises(InputError, match=r"t\.csv: cannot be written: file too large .*ulimit -f"), stoppable():
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), "t.csv")
    with pytest.raises(OSError, match="Bad address"), stoppable():
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))


def test_an_injected_line_is_refused(folder: Path) -> None:
    assert assay(*HARDEN, cwd=folder).code == 0
    made = json.loads((folder / "t.patch.json").read_text("utf-8"))
    made["label"], change = "y", next(c for c in made["changes"] if c["row"] == 7)
    change.pop("new_weight")
    change |= {"action": "relabel", "old_label": "0", "new_label": "1\n9,9,9,1"}
    made["counts"] = {"remove": 2, "relabel": 1, "down-weight": 0}
    (folder / "f.json").write_text(json.dumps(made), "utf-8")
    line = assay("harden", "t.csv", "--apply", "f.json", "-o", "o.csv", cwd=folder)
    one_line(line, "what it writes into row 7 is more than one cell", code=2)
    assert not (folder / "o.csv").exists()

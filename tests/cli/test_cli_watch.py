"""`assay watch`: exit codes, the JSON's contract, saved references, states that go on, and odd tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import assay, one_line, start

pytest.importorskip("duckdb")


def table(path: Path, n: int = 400, seed: int = 0, move: float = 0.0) -> Path:
    rng = np.random.default_rng(seed)
    rows = zip(rng.normal(move, 1, n), rng.choice(list("xyz"), n), rng.integers(0, 6, n), range(n), strict=True)
    path.write_text("a,b,c,row\n" + "".join(f"{a:.5f},{b},{c},{i}\n" for a, b, c, i in rows))
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return table(tmp_path / "before.csv"), table(tmp_path / "now.csv", seed=1)


def watched(*words: Any, code: int, **options: Any) -> dict[str, Any]:
    done = assay("watch", *words, "-f", "json", **options)
    assert done.code == code, done.err
    said: dict[str, Any] = json.loads(done.out)
    return said


def test_no_drift_is_exit_0_and_every_column_has_its_figures(pair: tuple[Path, Path]) -> None:
    said = watched(*pair, "--id", "row", code=0)
    assert (said["verdict"], said["alarm"]) == ("no drift", False)
    assert {c["name"] for c in said["columns"]} == {"a", "b", "c"}
    for column in said["columns"]:
        assert {"effect", "low", "high", "p", "p_adjusted", "flagged"} <= column.keys() | {"flagged"}
        assert column["low"] <= column["effect"] <= column["high"]


def test_drift_is_exit_1_and_names_the_column(pair: tuple[Path, Path], tmp_path: Path) -> None:
    moved = table(tmp_path / "moved.csv", seed=2, move=1.0)
    said = watched(pair[0], moved, "--id", "row", code=1)
    assert [c["name"] for c in said["columns"] if c.get("flagged")] == ["a"]
    assert (said["verdict"], said["alarm"]) == ("drift", True)
    done = assay("watch", pair[0], moved, "--id", "row")
    assert (done.code, "column a drifted" in done.out) == (1, True)
    page = tmp_path / "page.html"
    assert assay("watch", pair[0], moved, "--id", "row", "-f", "html", "-o", page).code == 1
    assert len(page.read_bytes()) < 300_000


def test_a_saved_reference_says_the_same_without_the_rows(pair: tuple[Path, Path], tmp_path: Path) -> None:
    saved = tmp_path / "reference.json"
    assert assay("watch", pair[0], "--save-reference", saved, "--id", "row").code == 0
    assert saved.stat().st_size < 10_000
    again, first = (watched(p, pair[1], "--id", "row", code=0) for p in (saved, pair[0]))
    assert again["columns"] == first["columns"]
    saved.write_bytes(saved.read_bytes()[:-40])
    assert one_line(assay("watch", saved, pair[1]), "torn", code=2)


def test_what_a_reference_contradicts_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    saved = tmp_path / "reference.json"
    assay("watch", pair[0], "--save-reference", saved)
    content = json.loads(saved.read_text())
    content["profile"]["rows"] += 1
    saved.write_text(json.dumps(content))
    assert one_line(assay("watch", saved, pair[1]), "contradicts itself", code=2)


def test_a_state_goes_on_over_looks(pair: tuple[Path, Path], tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    words = (pair[0], "--id", "row", "--state", state)
    for number in range(4):
        calm = table(tmp_path / f"calm{number}.csv", 150, seed=10 + number)
        assert assay("watch", words[0], calm, *words[1:]).code == 0
    before = state.read_bytes()
    assert assay("watch", words[0], tmp_path / "calm3.csv", *words[1:]).code == 3, "a table counts once"
    assert state.read_bytes() == before
    codes = [
        assay("watch", words[0], table(tmp_path / f"moved{n}.csv", 150, seed=20 + n, move=0.8), *words[1:]).code
        for n in range(4)
    ]
    assert codes[-1] == 1
    assert assay("watch", words[0], table(tmp_path / "again.csv", 150, seed=40), *words[1:]).code == 1, "it stays rung"
    assert one_line(assay("watch", pair[1], tmp_path / "calm0.csv", "--state", state), "another reference", code=2)
    assert one_line(assay("watch", *words[:1], pair[1], *words[1:], "--alpha", "0.1"), "keeps a level", code=2)
    state.write_bytes(b"{}")
    assert one_line(assay("watch", *words[:1], pair[1], *words[1:]), "no state of a watch", code=2)


ODD = {
    "empty.csv": "",
    "head.csv": "a,b,c,row\n",
    "one.csv": "a,b,c,row\n1,x,2,0\n",
    "nulls.csv": "a,b,c,row\n" + ",,,\n" * 60,
    "constant.csv": "a,b,c,row\n" + "1,x,1,1\n" * 60,
    "mixed.csv": "a,b,c,row\n" + "1,x,1,1\nsoon,2,nan,inf\n" * 40,
    "twice.csv": "a,a\n1,2\n",
    "ragged.csv": "a,b,c,row\n1,x,2,0\n1,x\n",
    "other.csv": "q,r\n" + "1,2\n" * 60,
    "latin.csv": b"a,b,c,row\n" + b"1,\xe9,2,0\n" * 60,
    "zones.csv": "a,b,c,row\n" + "2024-01-01T00:00:00+02:00,x,1,1\n2024-01-01T00:00:00Z,x,1,1\n" * 30,
    "wide.csv": ",".join(f"c{i}" for i in range(500)) + "\n" + (",".join("1" for _ in range(500)) + "\n") * 40,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_tables_end_in_a_line_or_a_finding(pair: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    content = ODD[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for words in ((pair[0], path), (path, pair[1])):
        done = assay("watch", *words)
        assert done.code in (1, 2, 3)
        assert "Traceback" not in done.err
        assert "defect" not in done.err


def test_wrong_use_is_one_line(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert one_line(assay("watch", pair[0], tmp_path / "gone.csv"), "does not exist", code=2)
    assert one_line(assay("watch", pair[0], pair[1], "--label", "nothing"), "no column 'nothing'", code=2)
    assert one_line(assay("watch", pair[0], pair[1], "--label", "a", "--score", "a"), "cannot be both", code=2)
    assert "Error" in assay("watch", pair[0]).err


def test_outputs_never_replace_inputs(pair: tuple[Path, Path]) -> None:
    before = pair[0].read_bytes()
    done = assay("watch", pair[0], "--save-reference", pair[0])
    assert (done.code, pair[0].read_bytes()) == (2, before)


def scores(path: Path, n: int, seed: int, *, move: float = 0.0, bend: float = 0.0, labels: bool = True) -> Path:
    rng = np.random.default_rng(seed)
    logit = rng.normal(move - 1, 1.6, n)
    truth = rng.random(n) < 1 / (1 + np.exp(-(logit + bend)))
    lines = [
        f"k{i},{1 / (1 + np.exp(-v)):.5f}" + (f",{int(y)}" if labels else "")
        for i, (v, y) in enumerate(zip(logit, truth, strict=True))
    ]
    path.write_text("key,score" + (",y" if labels else "") + "\n" + "\n".join(lines) + "\n")
    late = [f"k{i},{int(y)}" for i, y in enumerate(truth) if rng.random() < 0.4]
    path.with_suffix(".late.csv").write_text("key,y\n" + "\n".join([*late, "stranger,1", "k0,1", "k0,0"]) + "\n")
    return path


def measures(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {m["name"]: m for o in said["report"]["body"]["outcomes"] for m in o["measures"]}


def test_performance_without_labels_and_with_late_ones(tmp_path: Path) -> None:
    before = scores(tmp_path / "before.csv", 6000, 0)
    words = (before, "--label", "y", "--score", "score", "--id", "key")
    now = scores(tmp_path / "now.csv", 2000, 1, labels=False)
    found = measures(
        watched(words[0], now, *words[1:], "--labels", now.with_suffix(".late.csv"), "--key", "key", code=0)
    )
    for name in ("recall", "precision"):
        guess, known = found[f"performance.unlabelled.{name}"], found[f"performance.late_labels.{name}"]
        assert guess["low"] < known["high"]
        assert known["low"] < guess["high"]
    assert "1 labels of no row" in found["performance.late_labels.labelled"]["method"]
    bent = scores(tmp_path / "bent.csv", 2000, 2, bend=-1.5, labels=False)
    late = ("--labels", bent.with_suffix(".late.csv"), "--key", "key")
    done = assay("watch", words[0], bent, *words[1:], *late)
    assert done.code == 1
    assert "no longer means the same chance" in done.out
    done = assay("watch", *words[:1], bent, *words[1:], *late[:2])
    assert (done.code, "go together" in done.err) == (2, True)
    done = assay("watch", words[0], bent, *words[1:], "--labels", late[1], "--key", "nokey")
    assert (done.code, "has no column 'nokey'" in done.out) == (3, True)


def test_rows_that_are_torn_apart_are_found_together_alone(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")

    def tied(name: str, seed: int, tie: bool) -> Path:
        rng = np.random.default_rng(seed)
        a = rng.normal(size=1500)
        b = a + 0.3 * rng.normal(size=1500)
        b = b if tie else rng.permutation(b)
        path = tmp_path / name
        path.write_text("a,b\n" + "".join(f"{x:.4f},{y:.4f}\n" for x, y in zip(a, b, strict=True)))
        return path

    before, same, torn = tied("before.csv", 0, True), tied("same.csv", 5, True), tied("torn.csv", 2, False)
    assert assay("watch", before, same, "--joint").code == 0
    assert assay("watch", before, torn).code == 0, "no column shows it"
    done = assay("watch", before, torn, "--joint")
    assert (done.code, "rows can be told from the reference's" in done.out) == (1, True)
    saved = tmp_path / "saved.json"
    assay("watch", before, "--save-reference", saved)
    assert "holds none" in assay("watch", saved, torn, "--joint").err


def test_an_alarm_is_written_down_as_a_notice_and_quiet_is_not(pair: tuple[Path, Path], tmp_path: Path) -> None:
    ledger, moved = tmp_path / "ledger.db", table(tmp_path / "moved.csv", seed=2, move=1.0)
    assert assay("watch", *pair, "--id", "row", "--ledger", ledger).code == 0
    assert not ledger.exists()
    done = assay("watch", pair[0], moved, "--id", "row", "--ledger", ledger)
    assert (done.code, "entry 0" in done.err) == (1, True)
    assert "drift" in assay("log", "list", "--ledger", ledger).out
    payload = json.loads(assay("log", "show", "0", "--ledger", ledger).out)["payload"]
    assert list(payload["columns"]) == ["a"]
    assert assay("log", "verify", "--ledger", ledger).code == 0


def test_an_engine_that_is_none_is_one_line(pair: tuple[Path, Path]) -> None:
    assert one_line(assay("watch", *pair, "--engine", "sparc"), "no engine", code=2)
    assert "--joint" in assay("watch", *pair, "--engine", "spark", "--joint").err
    assert "--labels" in assay("watch", *pair, "--engine", "spark", "--labels", pair[0], "--key", "row").err


def test_facts_that_a_saved_reference_lacks_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    saved = tmp_path / "reference.json"
    assert assay("watch", pair[0], "--save-reference", saved, "--id", "row").code == 0
    one_line(assay("watch", saved, pair[1], "--score", "a"), "drawn without score", code=2)
    one_line(assay("watch", saved, pair[1], "--id", "a"), "drawn with id 'row'", code=2)
    for reference in (saved, pair[0]):
        one_line(assay("watch", reference, pair[1], "--id", "row", "--drop", "nosuch"), "nosuch", code=2)
        one_line(assay("watch", reference, pair[1], "--id", "row", "--source", "nosuch"), "nosuch", code=2)


def test_another_threshold_than_the_saved_reference_has_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(400)
    (tmp_path / "t.csv").write_text("s,y\n" + "".join(f"{s:.4f},{int(s > rng.random())}\n" for s in scores))
    words = ("--score", "s", "--label", "y")
    saved = tmp_path / "reference.json"
    assert assay("watch", tmp_path / "t.csv", *words, "--threshold", "0.7", "--save-reference", saved).code == 0
    line = one_line(assay("watch", saved, tmp_path / "t.csv", *words, "--threshold", "0.9"), code=2)
    assert "drawn with threshold 0.7" in line
    assert assay("watch", saved, tmp_path / "t.csv", *words).code == 0


def test_a_dropped_column_of_a_saved_reference_is_not_compared(pair: tuple[Path, Path], tmp_path: Path) -> None:
    saved, moved = tmp_path / "reference.json", table(tmp_path / "moved.csv", seed=2, move=1.0)
    assert assay("watch", pair[0], "--save-reference", saved, "--id", "row").code == 0
    assert assay("watch", saved, moved).code == 1
    said = watched(saved, moved, "--drop", "a", code=0)
    assert "a" not in {c["name"] for c in said["columns"] if c.get("seen") != "added"}


def test_a_folder_with_more_than_parquet_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    pq, csv = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.csv")
    folder = tmp_path / "parts"
    folder.mkdir()
    pq.write_table(csv.read_csv(pair[1]), folder / "1.parquet")
    (folder / "_SUCCESS").write_text("")
    (folder / ".2.parquet").write_text("another tool's draft")
    assert assay("watch", pair[0], folder, "--id", "row").code == 0
    (folder / "more.csv").write_text("a\n1\n")
    one_line(assay("watch", pair[0], folder, "--id", "row"), "more.csv", code=2)


FORGED: dict[str, Any] = {
    "a column gone": lambda s: (s["pool"]["columns"].pop(0), s["stakes"].pop("a")),
    "a stake gone": lambda s: s["stakes"].pop("a"),
    "no rows": lambda s: s["pool"].update(rows=0),
    "negative counts": lambda s: s["pool"]["columns"][0].update(counts=[-c for c in s["pool"]["columns"][0]["counts"]]),
    "other edges": lambda s: s["pool"]["columns"][0].update(edges=[0.0], counts=[400, 400]),
    "a better in debt": lambda s: s["stakes"]["a"].update(shares=[-5.0, *s["stakes"]["a"]["shares"][1:]]),
    "too few betters": lambda s: s["stakes"]["a"].update(shares=[]),
    "bets not made": lambda s: s["stakes"]["a"].update(bets=7),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_state_that_contradicts_its_reference_is_refused(pair: tuple[Path, Path], tmp_path: Path, kind: str) -> None:
    saved, state = tmp_path / "reference.json", tmp_path / "state.json"
    assay("watch", pair[0], "--save-reference", saved, "--id", "row")
    assert assay("watch", saved, pair[1], "--state", state).code == 0
    known = json.loads(state.read_text())
    stake = known["stakes"]["a"]
    known["stakes"]["a"] = (
        dict(zip(("shares", "highest", "bets", "rang"), stake, strict=False)) if isinstance(stake, list) else stake
    )
    FORGED[kind](known)
    state.write_text(json.dumps(known))
    again = table(tmp_path / "again.csv", seed=3)
    one_line(assay("watch", saved, again, "--state", state), "no state of", code=2)


def test_two_looks_at_once_are_both_kept(pair: tuple[Path, Path], tmp_path: Path) -> None:
    saved, state = tmp_path / "reference.json", tmp_path / "state.json"
    assay("watch", pair[0], "--save-reference", saved, "--id", "row")
    looks = [table(tmp_path / f"look{i}.csv", seed=10 + i) for i in range(3)]
    running = [start("watch", saved, path, "--state", state) for path in looks]
    assert [one.wait(120) for one in running] == [0, 0, 0]
    for one in running:
        one.communicate()
    assert len(json.loads(state.read_text())["looks"]) == 3


@pytest.mark.parametrize("text", ['{"a":' * 60_000, '{"schema":"assay/1","facts":' + "[" * 60_000])
def test_a_deep_reference_is_one_line(pair: tuple[Path, Path], tmp_path: Path, text: str) -> None:
    deep = tmp_path / "deep.json"
    deep.write_text(text)
    one_line(assay("watch", deep, pair[1]), code=2)
    assert assay("watch", pair[0], pair[1], "--id", "row", "--state", deep).code == 2

"""`assay watch --state`: what an alarm says, what stands afterwards, which looks are noted, and the JSON's keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import assay

pytest.importorskip("duckdb")

KEYS = {
    "name", "kind", "seen", "role", "effect", "low", "high", "p", "p_adjusted", "flagged", "missing_before",
    "missing_now", "new", "reason",
}  # fmt: skip


def table(path: Path, n: int = 400, seed: int = 0, move: float = 0.0, columns: str = "abc") -> Path:
    rng = np.random.default_rng(seed)
    held = {"a": rng.normal(move, 1, n).round(5), "b": rng.choice(list("xyz"), n), "c": rng.integers(0, 6, n)}
    rows = zip(*(held[c] for c in columns), strict=True)
    path.write_text(",".join(columns) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


class Watch:
    """A reference, a state and a ledger in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.before = folder, table(folder / "before.csv")
        self.state, self.ledger = folder / "state.json", folder / "ledger.db"

    def look(self, name: str, *options: Any, code: int, **made: Any) -> dict[str, Any]:
        path = self.folder / name if not made else table(self.folder / name, **made)
        words = ("watch", self.before, path, "--state", self.state, "--ledger", self.ledger, "-f", "json")
        done = assay(*words, *options)
        assert done.code == code, done.out + done.err
        said: dict[str, Any] = json.loads(done.out)
        self.err = done.err
        return said

    def notices(self) -> list[dict[str, Any]]:
        if not self.ledger.exists():
            return []
        n = len(assay("log", "list", "--ledger", self.ledger).out.splitlines())
        shown = (assay("log", "show", i, "--ledger", self.ledger).out for i in range(n))
        return [json.loads(s)["payload"] for s in shown]


@pytest.fixture
def kept(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


def findings(said: dict[str, Any]) -> list[dict[str, Any]]:
    return [f for o in said["report"]["body"]["outcomes"] for f in o["findings"]]


def column(said: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in said["columns"] if c["name"] == name)
    return found


def test_an_alarm_says_direction_effect_and_interval(kept: Watch) -> None:
    said = kept.look("moved.csv", seed=2, move=1.0, code=1)
    (found,) = findings(said)
    assert (found["severity"], found["location"]["column"], said["new"]) == ("high", "a", True)
    assert "values are higher" in found["message"]
    assert "rang" not in found["message"]
    a = column(said, "a")
    assert (a["flagged"], a["p"], a["effect"]) == (True, None, pytest.approx(found["evidence"]["effect"], abs=1e-6))
    assert a["low"] <= a["effect"] <= a["high"]
    assert f"[{a['low']:.3f}, {a['high']:.3f}]" in found["message"]
    assert all(c.keys() == KEYS for c in said["columns"])


def test_a_small_effect_is_a_medium_finding_and_below_the_least_one_is_none(kept: Watch) -> None:
    kept.before = table(kept.folder / "large.csv", n=30_000)
    few = kept.folder / "few.json"
    kept.state = few
    said = kept.look("moved.csv", seed=2, move=0.3, n=20_000, code=1)
    assert [(f["severity"], f["location"]["column"]) for f in findings(said)] == [("medium", "a")]
    kept.state = kept.folder / "quiet.json"
    said = kept.look("moved.csv", "--least-effect", 0.5, code=0)
    assert [f["severity"] for f in findings(said)] == ["info"]
    assert (said["verdict"], said["new"], column(said, "a")["flagged"]) == ("no drift", False, False)
    said = kept.look("far.csv", "--least-effect", 0.5, seed=3, move=2.0, n=20_000, code=1)
    assert (said["new"], column(said, "a")["flagged"]) == (True, True), "it counts from the first look that shows it"


def test_an_alarm_stands_under_its_own_look_and_is_noted_once(kept: Watch) -> None:
    kept.look("moved.csv", seed=2, move=1.0, code=1)
    innocent = kept.look("calm.csv", seed=3, code=1)
    (stands,) = findings(innocent)
    assert stands["severity"] == "medium"
    assert "rang at look 1; this look adds nothing" in stands["message"]
    assert "delete the file" in stands["fix"]
    assert (innocent["alarm"], innocent["new"], column(innocent, "a")["flagged"]) == (True, False, False)
    still = kept.look("more.csv", seed=4, move=1.0, code=1)
    assert "rang at look 1, and this table shows it still: values are higher" in findings(still)[0]["message"]
    assert (still["new"], column(still, "a")["flagged"]) == (False, True)
    again = kept.look("moved.csv", code=1)
    assert (again["new"], "already" in kept.err) == (True, True)
    (notice,) = kept.notices()
    assert (list(notice["columns"]), notice["subject"].endswith("moved.csv")) == (["a"], True)


def test_the_closing_line_says_what_it_is(kept: Watch) -> None:
    ends = {}
    for name, move in (("calm", 0.0), ("moved", 1.0), ("after", 0.0)):
        path = table(kept.folder / f"{name}.csv", seed=len(name), move=move)
        ends[name] = assay("watch", kept.before, path, "--state", kept.state).out.splitlines()[-1]
    assert ends == {"calm": "no drift", "moved": "drift", "after": "drift: an alarm of an earlier look stands"}
    done = assay("watch", kept.before, kept.folder / "moved.csv", "-f", "json")
    assert json.loads(done.out)["verdict"] == "drift", "JSON alone"


def test_a_column_that_is_gone_is_told_at_every_look(kept: Watch) -> None:
    for number in range(2):
        said = kept.look(f"lack{number}.csv", seed=5 + number, columns="ab", code=1)
        (found,) = findings(said)
        assert (found["message"], found["severity"], said["new"]) == ("column c is gone", "high", True)
    kept.look("whole.csv", seed=9, code=0)
    said = kept.look("moved.csv", seed=10, move=2.0, code=1)
    assert column(said, "a")["flagged"]
    kept.look("last.csv", seed=11, code=1)


def test_a_column_that_came_late_may_ring(kept: Watch) -> None:
    kept.look("lack.csv", seed=5, columns="bc", code=1)
    assert column(kept.look("moved.csv", seed=6, move=2.0, code=1), "a")["flagged"]
    kept.look("after.csv", seed=7, code=1)
    assert json.loads(kept.state.read_text())["stakes"]["a"]["rang"] == 2


def test_a_state_from_before_alarms_were_kept_apart_stays_rung(kept: Watch) -> None:
    kept.look("moved.csv", seed=2, move=1.0, code=1)
    held = json.loads(kept.state.read_text())
    del held["stakes"]["a"]["told"], held["told"]
    kept.state.write_text(json.dumps(held))
    said = kept.look("calm.csv", seed=3, code=1)
    assert (said["new"], "rang at look 1" in findings(said)[0]["message"]) == (False, True)
    held["stakes"]["a"]["told"] = 9
    kept.state.write_text(json.dumps(held))
    assert assay("watch", kept.before, kept.folder / "calm.csv", "--state", kept.state).code == 2


def test_a_notice_says_what_it_takes_to_do_it_again(kept: Watch) -> None:
    words = ("--drop", "c", "--seed", 3, "--least-effect", 0.01, "--alpha", 0.02)
    kept.look("moved.csv", *words, seed=2, move=1.0, code=1)
    (notice,) = kept.notices()
    assert (notice["alpha"], notice["least_effect"], notice["seed"]) == (0.02, 0.01, 3)
    assert notice["declared"] == {"drop": ["c"]}
    assert notice["reference"] == str(kept.before)
    assert notice["reference_digest"].startswith("sha256:")
    assert notice["tool"].startswith("assay/")


def test_notices_of_before_that_was_kept_are_read() -> None:
    import msgspec

    from assay.flow.notices import Notice

    old = b'{"schema":"assay/1","notice":"drift","subject":"x","nature":"","columns":{},"said":["s"],"findings":1}'
    assert msgspec.json.decode(old, type=Notice).line == "drift: s"


def test_what_else_stays_open_does_not_undo_a_look(kept: Watch) -> None:
    rng = np.random.default_rng(0)
    for name in ("before", "now"):
        lines = (f"{s:.4f},{int(s > rng.random())}" for s in rng.random(400))
        (kept.folder / f"{name}.csv").write_text("s,y\n" + "\n".join(lines) + "\n")
    options = ("--label", "y", "--score", "s", "--threshold", 7)
    kept.look("now.csv", *options, code=3)
    assert len(json.loads(kept.state.read_text())["looks"]) == 1


def test_a_look_of_few_rows_is_open_and_not_counted(tmp_path: Path) -> None:
    table(tmp_path / "ref.parquet")
    table(tmp_path / "few.parquet", 5, move=1000.0)
    asked = ("watch", tmp_path / "ref.parquet", tmp_path / "few.parquet", "--state", tmp_path / "s.json")
    for _ in range(2):
        done = assay(*asked)
        assert (done.code, "too few for a look" in done.out) == (3, True)
    assert not (tmp_path / "s.json").exists()

"""Which row gets which action; what is set aside; how two models are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.core.subject import Kind, Subject
from assay.core.suspects import Suspects
from assay.harden.plan import Labels, kept_copies, planned, pointed_at, renumbered

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pytest.importorskip("lightgbm", reason="the ml extra is not installed")

from assay.adapters.tables import Dataset, open_dataset  # noqa: E402
from assay.harden.apart import also_measured, copies, known_good, set_aside  # noqa: E402
from assay.harden.before_after import compared, recall_at, verdict, weighted_roc_area  # noqa: E402
from assay.stats.classifier import roc_area  # noqa: E402


def said(check: str, *rows: int, flagged: bool = True, reason: str = "why") -> Suspects:
    n = len(rows)
    scores = tuple(float(n - i) for i in range(n))
    return Suspects(check=check, rows=rows, scores=scores, flagged=(flagged,) * n, reasons=(reason,) * n)


def labels(doubt: dict[int, float], *, certain: bool = True) -> Labels:
    target = np.array([True, False] * 5)
    return Labels(target, {True: certain, False: True}, {True: 0, False: 1}, doubt)


def sure(*found: Suspects) -> frozenset[tuple[str, int]]:
    return frozenset((s.check, r) for s in found for r, f in zip(s.rows, s.flagged, strict=True) if f)


def actions(*found: Suspects, choice: Any = "auto", by: Labels | None = None, **more: Any) -> dict[int, str]:
    changes = planned(pointed_at(found, **more), choice, by, sure(*found))
    return {c.row: c.action for c in changes}


def test_each_check_has_its_action_and_the_stronger_counts() -> None:
    flips, injected, odd = (
        said("data.label-flips", 0, 1, 2),
        said("data.injected-rows", 2, 3),
        said("data.odd-values", 3, 4),
    )
    by = labels({0: 0.95, 1: 0.5, 2: 0.99})
    assert actions(flips, injected, odd, by=by) == {
        0: "relabel",
        1: "down-weight",
        2: "remove",
        3: "remove",
        4: "down-weight",
    }
    both = next(c for c in planned(pointed_at([flips, injected]), "auto", by, sure(flips, injected)) if c.row == 2)
    assert both.checks == ("data.injected-rows", "data.label-flips")
    assert len(both.reasons) == len(both.scores) == 2
    assert both.doubt == 0.99


def test_a_label_is_changed_only_where_the_other_one_is_known() -> None:
    flips = said("data.label-flips", 0, 1)
    strong = {0: 0.99, 1: 0.99}
    assert actions(flips, by=labels(strong, certain=False)) == {0: "relabel", 1: "down-weight"}
    assert actions(flips, by=labels({})) == {0: "down-weight", 1: "down-weight"}
    assert actions(flips, by=None) == {0: "down-weight", 1: "down-weight"}
    assert actions(flips, by=labels({}), choice="relabel") == {0: "relabel", 1: "relabel"}
    assert actions(said("data.odd-values", 0), by=labels({}), choice="relabel") == {0: "down-weight"}
    assert actions(flips, by=labels(strong), choice="remove") == {0: "remove", 1: "remove"}


def test_rows_that_no_check_flags_stay_unless_they_are_asked_for() -> None:
    quiet = said("data.label-flips", 4, 2, 0, flagged=False)
    by = labels({4: 0.99, 2: 0.99, 0: 0.99})
    assert actions(quiet, by=by) == {}
    assert actions(quiet, by=by, strongest={"data.label-flips": 2}) == {2: "down-weight", 4: "down-weight"}
    changes = planned(pointed_at([quiet], {"data.label-flips": 1}), "auto", by, sure(quiet))
    assert changes[0].reasons == ("among the 1 strongest, as asked",)


def test_one_of_each_group_of_copies_stays() -> None:
    found = Suspects(
        check="data.near-duplicates", rows=(7, 3, 5, 8, 9), scores=(1.0,) * 5, flagged=(True,) * 5,
        reasons=("row 3 is nearly the same (1 differ)", "row 7 is nearly the same", "row 7 is nearly the same",
                 "row 9 is nearly the same", "row 8 is nearly the same"),
    )  # fmt: skip
    assert kept_copies(pointed_at([found])) == {("data.near-duplicates", 3), ("data.near-duplicates", 8)}
    assert actions(found) == {5: "down-weight", 7: "down-weight", 9: "down-weight"}
    assert actions(found, choice="remove") == {5: "remove", 7: "remove", 9: "remove"}
    there = renumbered([found], np.arange(100, 120))[0]
    assert there.rows == (107, 103, 105, 108, 109)
    assert there.reasons[0] == "row 103 is nearly the same (1 differ)"


def table(folder: Path, name: str, columns: dict[str, Any], **options: Any) -> Dataset:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    return open_dataset(Subject(name=name, kind=Kind.DATASET, uri=name, options=options), folder)


def test_what_is_set_aside_shares_nothing_with_the_rest(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    entity = rng.integers(0, 200, 1000)
    columns = {"who": entity, "when": np.arange(1000) // 10, "x": rng.integers(0, 400, 1000), "y": np.arange(1000) % 2}
    data = table(tmp_path, "a.csv", columns, label="y", positive=1, entity="who", drop=["when"])
    rows, rule = set_aside(data, data.target(), 0.2, 1)
    assert 100 < len(rows) < 300
    assert "by class" in rule
    assert "one who" in rule
    rest = np.setdiff1d(np.arange(1000), rows)
    assert not set(entity[rows]) & set(entity[rest])
    assert (set_aside(data, data.target(), 0.2, 1)[0] == rows).all()
    timed = table(tmp_path, "b.csv", columns, label="y", positive=1, time="when", drop=["who"])
    rows, rule = set_aside(timed, timed.target(), 0.2, 1)
    assert rows.tolist() == list(range(800, 1000))
    assert rule == "the last 20% by when"
    few = table(tmp_path, "c.csv", {k: v[:200] for k, v in columns.items()}, label="y", positive=1)
    rows, why = set_aside(few, few.target(), 0.2, 1)
    assert len(rows) == 0
    assert "too few" in why


def test_rows_of_another_table_are_known_again(tmp_path: Path) -> None:
    mine = table(tmp_path, "m.csv", {"x": [1, 2, 3, 4, 4, 4], "y": [0, 1, 0, 1, 1, 0]}, label="y", positive=1)
    good = table(tmp_path, "g.csv", {"x": [3, 2, 1], "y": [0, 0, 0]}, label="y", positive=1)
    assert known_good(mine, good, frozenset()).tolist() == [True, False, True, False, False, False]
    assert also_measured(mine, good, np.array([0])).tolist() == [False, False, True, False, False, False]
    found = copies(mine, 3, 3, np.array([], dtype=int))
    assert found is not None
    assert found.rows == (3, 4, 5)
    assert actions(found) == {4: "remove", 5: "remove"}
    assert copies(mine, 3, 2, np.array([], dtype=int)) is None
    assert copies(mine, 3, 2, np.array([5])) is not None


def test_weighted_figures_are_those_of_repeated_rows() -> None:
    rng = np.random.default_rng(3)
    target = rng.random(80) < 0.4
    scores = np.round(rng.random(80) + 0.4 * target, 1)
    weights = rng.integers(0, 4, (3, 80)).astype(float)
    for place, w in enumerate(weights):
        again = np.repeat(np.arange(80), w.astype(int))
        assert weighted_roc_area(scores, target, weights)[place] == pytest.approx(
            roc_area(scores[again], target[again])
        )
        negatives = np.sort(scores[again][~target[again]])[::-1]
        allowed = [t for t in np.unique(scores) if (negatives >= t).mean() <= 0.2]
        best = (scores[again][target[again]] >= min(allowed)).mean() if allowed else 0.0
        assert recall_at(scores, target, weights, 0.2)[place] == pytest.approx(best)


def test_better_worse_and_no_difference() -> None:
    rng = np.random.default_rng(0)
    target = rng.random(600) < 0.3
    good, bad = target + rng.normal(0, 0.5, 600), target + rng.normal(0, 1.5, 600)
    assert verdict(compared(bad, good, target, 0)) == "better"
    worse = compared(good, bad, target, 0)
    assert verdict(worse) == "worse"
    assert all(f.low <= f.difference <= f.high < 0 for f in worse)
    assert verdict(compared(good, good, target, 0)) == "no difference that could be told"
    noise = [
        verdict(compared(target + rng.normal(0, 1, 600), target + rng.normal(0, 1, 600), target, s)) for s in range(4)
    ]
    assert noise.count("no difference that could be told") >= 3


def test_every_check_that_has_an_action_exists() -> None:
    from assay.engine.registry import check_ids
    from assay.harden.plan import BY_CHECK, COPIES

    assert set(BY_CHECK) | COPIES <= set(check_ids(Kind.DATASET))


def test_one_row_of_a_flood_stays() -> None:
    whys = pointed_at(
        [said("data.near-duplicates", 4, 9, 12, reason="one of 3 rows that are nearly the same as row 9")]
    )
    assert kept_copies(whys) == {("data.near-duplicates", 4)}

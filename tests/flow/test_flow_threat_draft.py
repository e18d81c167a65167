"""What `assay attack init` drafts of numbers: ranges that rows to come keep, and that the rows at hand keep always."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pytest.importorskip("duckdb", reason="the ml extra is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from assay.config.manifest import Threat  # noqa: E402
from assay.config.strict_yaml import convert, parse  # noqa: E402
from assay.core.errors import InputError  # noqa: E402
from assay.core.subject import Attacker  # noqa: E402
from assay.engine.registry import load, resolve_parameters  # noqa: E402
from assay.flow.threat_draft import draft_threat  # noqa: E402

COLUMNS = {
    "share": lambda rng, n: rng.uniform(0, 1, n),
    "amount": lambda rng, n: np.round(rng.exponential(100, n), 2),
    "count": lambda rng, n: rng.geometric(0.05, n) - 1,
    "change": lambda rng, n: rng.normal(0, 5, n),
    "owed": lambda rng, n: -rng.exponential(10, n),
}


def drafted(folder: Path, columns: dict[str, Any]) -> dict[str, Any]:
    lines = [",".join([*columns, "y"])]
    lines += [",".join([*(repr(v.item()) for v in row), str(i % 2)]) for i, row in enumerate(zip(*columns.values()))]  # noqa: B905
    file = folder / "rows.csv"
    file.write_text("\n".join(lines), "utf-8")
    return parse(draft_threat(file, {"label": "y", "positive": 1}).encode(), "the draft").value["features"]


def test_a_tail_is_drafted_longer_than_it_was_seen_and_an_end_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    before = {name: draw(rng, 2000) for name, draw in COLUMNS.items()}
    told = drafted(tmp_path, before)
    assert (told["share"]["min"], told["share"]["max"]) == (0, 1), "nobody has more than all"
    assert told["amount"]["min"] == told["count"]["min"] == 0, "what was never negative is not"
    assert told["owed"]["max"] == 0
    for name, sign in (("amount", 1), ("count", 1), ("change", 1), ("change", -1), ("owed", -1)):
        seen = np.sort(sign * before[name])
        end = sign * told[name]["max" if sign > 0 else "min"]
        assert end >= seen[-1] + 0.9 * (seen[-1] - np.quantile(seen, 0.99)), name
    later = {name: draw(rng, 2000) for name, draw in COLUMNS.items()}
    out = {n: int(((v < told[n]["min"]) | (v > told[n]["max"])).sum()) for n, v in later.items()}
    assert sum(out.values()) == 0, out


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 200), step=st.sampled_from([0.0, 1.0, 0.25, 5.0]))
def test_the_rows_at_hand_keep_their_draft(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, step: float
) -> None:
    x = np.random.default_rng(seed).standard_t(2, n) * 20
    x = np.round(x / step) * step if step else x
    told = drafted(tmp_path_factory.mktemp("rows"), {"x": x})["x"]
    if "min" not in told:
        assert told.get("mutable") is False, "what never varies, or names the row, has no range"
        return
    assert told["min"] <= x.min()
    assert x.max() <= told["max"]
    if told.get("step"):
        places = (np.array([*x, told["max"]]) - told["min"]) / told["step"]
        assert places == pytest.approx(np.round(places), abs=1e-6)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_numbers_that_no_attack_can_measure_are_refused_by_name(tmp_path: Path) -> None:
    """Their spread is no number: the draft was refused as text where it should name a number, after four warnings."""
    with pytest.raises(InputError, match="column 'x' holds numbers beyond 1e\\+50"):
        drafted(tmp_path, {"x": np.array([1.0, 2.0, -1e308, 1e308] * 30), "z": np.arange(120.0)})


def test_a_column_with_a_role_is_named_for_a_model_that_reads_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file = tmp_path / "rows.csv"
    rows = zip(rng.normal(size=200), rng.uniform(1, 9, 200).round(3), [0, 1] * 100, strict=True)
    file.write_text("x,sample_weight,y\n" + "\n".join(f"{a},{b},{c}" for a, b, c in rows), "utf-8")
    text = draft_threat(file, {"label": "y", "positive": 1})
    assert '  # "sample_weight": {mutable: false}    # taken for the weight: by its header and its values' in text
    assert set(parse(text.encode(), "the draft").value["features"]) == {"x"}, "rows that lack it break nothing"


def test_flags_and_codes_have_no_tail_however_rare_their_ends(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    told = drafted(tmp_path, {
        "x": rng.normal(size=2000), "rare": (rng.random(2000) < 0.006).astype(int),
        "code": rng.choice([0, 1, 3, 4], 2000, p=[0.6, 0.39, 0.005, 0.005]),
    })  # fmt: skip
    assert [(told[n]["min"], told[n]["max"]) for n in ("rare", "code")] == [(0, 1), (0, 4)]


def test_a_policy_that_says_nothing_asks_for_the_attack_that_is_drafted(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)), "utf-8")
    text = draft_threat(file, {"label": "y", "positive": 1})
    drafted = convert(parse(text.encode(), "the draft"), Threat).attacker
    unset = resolve_parameters(load("robustness.evasion"), {})
    assert drafted.answers(unset) == Attacker().answers(unset)
    assert "contract: {digest: …}" in text, "it says what a policy must ask for where another attack is declared"

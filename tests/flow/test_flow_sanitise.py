"""Sanitising a table: planted flips are found and mended, clean rows are left alone, and everything can be undone."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.core.canonical import digest_bytes, digest_file
from assay.core.errors import CouldNotLook, InputError, UsageError, VerificationError
from assay.core.finding import Finding
from assay.core.suspects import Suspects
from assay.engine.plan import Settings
from in_process import no_workers

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pytest.importorskip("lightgbm", reason="the ml extra is not installed")

from assay.adapters.suspects import About, about_report, read_suspects, undecided, write_suspects  # noqa: E402
from assay.flow.data import ask_table  # noqa: E402
from assay.flow.sanitise import sanitise  # noqa: E402
from assay.flow.sanitise_asked import Asked  # noqa: E402
from assay.flow.sanitise_files import apply_patch, revert_patch  # noqa: E402
from assay.harden.patch import encode_patch, read_patch  # noqa: E402
from assay.harden.sanitised import Sanitised  # noqa: E402

pytestmark = pytest.mark.usefixtures("here")
FACTS = {"label": "y", "positive": 1}
FLIPS = Settings(only=("data.label-flips",), jobs=1)


def rows(n: int, seed: int) -> dict[str, Any]:
    """A table that trees learn well: six numbers, a source, a label."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    z = x @ [1.5, -1, 1, 0.5, 0, 0] + x[:, 0] * x[:, 1] + rng.normal(0, 0.2, n)
    return {**{f"x{i}": np.round(x[:, i], 4) for i in range(6)}, "y": (z > 0.8).astype(int)}


def write(path: Path, table: dict[str, Any]) -> Path:
    if path.suffix == ".csv":
        lines = [",".join(table), *(",".join(map(str, r)) for r in zip(*table.values(), strict=True))]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path
    pa = pytest.importorskip("pyarrow")
    made = pa.table({name: pa.array(values) for name, values in table.items()})
    if path.suffix == ".parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(made, path)
    else:
        with pa.ipc.new_file(path, made.schema) as writer:
            writer.write_table(made)
    return path


def told(path: Path, of: Path, **checks: list[int]) -> Path:
    """A file of suspects as `assay data check --suspects` would write it."""
    found = [
        Suspects(
            check=f"data.{name.replace('_', '-')}", rows=tuple(mine), scores=tuple(float(-r) for r in mine),
            flagged=(True,) * len(mine), reasons=("told",) * len(mine),
        )
        for name, mine in checks.items()
    ]  # fmt: skip
    about = About(digest=digest_file(of), checks={s.check: 3 for s in found}, statuses={s.check: "fail" for s in found})
    write_suspects(found, path, about)
    return path


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[int], Sanitised]:
    """A table with 30% of its positives said to be negative, sanitised with trusted rows and a clean holdout."""
    folder = tmp_path_factory.mktemp("planted")
    table = rows(2000, 1)
    rng = np.random.default_rng(0)
    flipped = (table["y"] == 1) & (rng.random(2000) < 0.3)
    write(folder / "t.csv", {**table, "y": np.where(flipped, 0, table["y"])})
    write(folder / "good.csv", rows(800, 2))
    write(folder / "hold.csv", rows(3000, 3))
    asked = Asked(trusted=folder / "good.csv", holdout=folder / "hold.csv")
    with no_workers():
        done = sanitise(folder / "t.csv", FACTS, asked, FLIPS)
    return folder, set(np.flatnonzero(flipped).tolist()), done


@pytest.mark.heavy
def test_mostly_planted_rows_are_changed_and_the_model_is_better(planted: tuple[Path, set[int], Sanitised]) -> None:
    _, truth, done = planted
    changed = {c.row for c in done.changes}
    assert len(changed & truth) >= 0.5 * len(truth)
    assert len(changed & truth) >= 0.8 * len(changed)
    assert done.counts["relabel"] > done.counts["down-weight"]
    assert done.counts["remove"] == 0
    assert done.measured is not None
    assert (done.measured.on, done.measured.rows, done.measured.verdict) == ("holdout", 3000, "better")
    area = next(f for f in done.measured.figures if f.name == "average_precision")
    assert 0 < area.low <= area.after - area.before <= area.high + 1e-9
    assert all(c.reasons[0] for c in done.changes)
    assert all((c.record, c.old_label, c.new_label) == (None, None, None) for c in done.changes)


def test_the_patch_is_applied_and_taken_off_exactly(planted: tuple[Path, set[int], Sanitised]) -> None:
    folder, _, done = planted
    source, result, patch = folder / "t.csv", folder / "t.sanitised.csv", folder / "t.patch.json"
    again = apply_patch(source, patch, folder / "again.csv")
    assert (folder / "again.csv").read_bytes() == result.read_bytes()
    assert again.same_bytes
    back = revert_patch(result, patch, folder / "back.csv")
    assert (folder / "back.csv").read_bytes() == source.read_bytes()
    assert back.same_bytes
    with pytest.raises(VerificationError, match="not the table that the patch was made for"):
        apply_patch(result, patch, folder / "no.csv")
    with pytest.raises(VerificationError, match="not what the patch made"):
        revert_patch(source, patch, folder / "no.csv")
    other = write(folder / "other.csv", rows(50, 9))
    with pytest.raises(VerificationError):
        revert_patch(other, patch, folder / "no.csv")
    assert not (folder / "no.csv").exists()
    assert read_patch(patch).counts == done.counts


def test_clean_rows_are_left_alone_and_a_part_is_set_aside(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(600, 5))
    done = sanitise(path, FACTS, Asked(), FLIPS)
    assert len(done.changes) <= 6
    assert done.aside is not None
    assert 90 <= done.aside.rows <= 120
    assert "seed 0" in done.aside.rule
    if not done.changes:
        assert (tmp_path / "t.sanitised.csv").read_bytes() == path.read_bytes()
        assert done.not_measured == "nothing was changed"
    again = sanitise(path, FACTS, Asked(output=tmp_path / "b.csv", patch=tmp_path / "b.json"), FLIPS)
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "t.patch.json").read_bytes()
    assert again.aside == done.aside


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_each_format_stays_what_it_is(kind: str, tmp_path: Path) -> None:
    table = rows(600, 7)
    path = write(tmp_path / f"t.{kind}", table)
    holdout = write(tmp_path / "h.csv", rows(300, 8))
    suspects = told(tmp_path / "s.parquet", path, injected_rows=[3, 5], odd_values=[5, 9], label_flips=[11])
    done = sanitise(path, FACTS, Asked(suspects=suspects, holdout=holdout), Settings(jobs=1))
    assert {c.row: c.action for c in done.changes} == {3: "remove", 5: "remove", 9: "down-weight", 11: "down-weight"}
    assert next(c.checks for c in done.changes if c.row == 5) == ("data.injected-rows", "data.odd-values")
    assert (done.rows, done.left, done.weight) == (600, 598, "assay_weight")
    assert done.measured is not None
    assert done.measured.verdict == "no difference that could be told"
    result, patch = tmp_path / f"t.sanitised.{kind}", tmp_path / "t.patch.json"
    assert result.read_bytes()[:4] == path.read_bytes()[:4]
    back = revert_patch(result, patch, tmp_path / f"back.{kind}")
    assert back.rows == 600
    if kind == "csv":
        assert (tmp_path / "back.csv").read_bytes() == path.read_bytes()
        lines = result.read_text("utf-8").splitlines()
        assert lines[0].endswith(",y,assay_weight")
        assert [line.rsplit(",", 1)[1] for line in lines[1:]].count("0.1") == 2
    assert apply_patch(path, patch, tmp_path / f"again.{kind}").rows == 598


def test_a_declared_weight_is_multiplied(tmp_path: Path) -> None:
    table = {**rows(600, 7), "w": np.full(600, 2.0), "assay_weight": np.arange(600)}
    path = write(tmp_path / "t.csv", table)
    suspects = told(tmp_path / "s.parquet", path, odd_values=[9])
    asked = Asked(suspects=suspects, down_to=0.25)
    done = sanitise(path, {**FACTS, "weight": "w", "drop": ["assay_weight"]}, asked, Settings(jobs=1))
    assert done.weight == "w"
    assert (tmp_path / "t.sanitised.csv").read_text("utf-8").splitlines()[10].split(",")[7] == "0.5"
    asked = Asked(suspects=suspects, output=tmp_path / "o.csv", patch=tmp_path / "o.json")
    done = sanitise(path, FACTS, asked, Settings(jobs=1))
    assert done.weight == "assay_weight_2"
    assert any("was taken for a feature" in note for note in done.notes)
    assert "--holdout" in done.not_measured


def test_trusted_rows_are_never_changed(tmp_path: Path) -> None:
    table = rows(600, 7)
    path = write(tmp_path / "t.csv", table)
    trusted = write(tmp_path / "g.csv", {k: v[:10] for k, v in table.items()})
    suspects = told(tmp_path / "s.parquet", path, injected_rows=[3, 9, 10, 11])
    done = sanitise(path, FACTS, Asked(suspects=suspects, trusted=trusted), Settings(jobs=1))
    assert [c.row for c in done.changes] == [10, 11]
    assert done.trusted == 2


def test_a_holdout_needs_no_source_and_shares_no_entity(tmp_path: Path) -> None:
    table = {**rows(600, 7), "src": np.arange(600) % 7, "who": np.arange(600)}
    path = write(tmp_path / "t.csv", table)
    holdout = write(tmp_path / "h.csv", {**rows(300, 8), "who": np.arange(550, 850)})
    suspects = told(tmp_path / "s.parquet", path, injected_rows=[3])
    facts = {**FACTS, "source": "src", "entity": "who"}
    done = sanitise(path, facts, Asked(suspects=suspects, holdout=holdout), Settings(jobs=1))
    assert done.measured is not None
    assert (done.measured.left_out, done.measured.learned_before, done.measured.learned_after) == (50, 550, 549)
    copy = write(tmp_path / "same.csv", table)
    asked = Asked(suspects=suspects, holdout=copy, force=True)
    with pytest.raises(InputError, match="is the table itself"):
        sanitise(path, facts, asked, Settings(jobs=1))


def test_half_of_the_trusted_rows_is_kept_from_the_checks(tmp_path: Path) -> None:
    table = rows(800, 1)
    flipped = (table["y"] == 1) & (np.random.default_rng(0).random(800) < 0.4)
    path = write(tmp_path / "t.csv", {**table, "y": np.where(flipped, 0, table["y"])})
    trusted = write(tmp_path / "g.csv", rows(600, 2))
    done = sanitise(path, FACTS, Asked(trusted=trusted), FLIPS)
    assert done.aside is None
    assert done.changes
    assert done.measured is not None
    assert done.measured.on == "trusted"
    assert 250 <= done.measured.rows <= 350


def test_too_much_is_refused_and_nothing_written(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(100, 7))
    suspects = told(tmp_path / "s.parquet", path, injected_rows=list(range(30)))
    with pytest.raises(VerificationError, match=r"30 of 100 rows would be changed, more than --most 0\.2"):
        sanitise(path, FACTS, Asked(suspects=suspects), Settings(jobs=1))
    positives = np.flatnonzero(rows(100, 7)["y"]).tolist()
    suspects = told(tmp_path / "s.parquet", path, injected_rows=positives)
    with pytest.raises(VerificationError, match="one class only"):
        sanitise(path, FACTS, Asked(suspects=suspects, most=1.0), Settings(jobs=1))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.parquet", "t.csv"]


def test_suspects_of_another_table_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(100, 7))
    other = write(tmp_path / "o.csv", rows(100, 8))
    suspects = told(tmp_path / "s.parquet", other, injected_rows=[1])
    with pytest.raises(InputError, match="of another table"):
        sanitise(path, FACTS, Asked(suspects=suspects), Settings(jobs=1))
    suspects = told(tmp_path / "s.parquet", path, injected_rows=[100])
    with pytest.raises(InputError, match="rows outside the 100"):
        sanitise(path, FACTS, Asked(suspects=suspects), Settings(jobs=1))
    about, found = read_suspects(suspects)
    assert (about.digest, found[0].rows) == (digest_file(path), (100,))
    suspects.write_bytes(suspects.read_bytes()[:-30])
    with pytest.raises(InputError, match="no table of suspects"):
        read_suspects(suspects)
    with pytest.raises(InputError, match="no table of suspects"):
        read_suspects(write(tmp_path / "p.parquet", rows(10, 1)))


def test_labels_that_cannot_be_used_are_said_before_anything(tmp_path: Path) -> None:
    table = rows(50, 7)
    for name, label, why in (
        ("one.csv", ["1"] * 50, "one class only"),
        ("null.csv", ["", *map(str, table["y"][1:])], "1 rows have no label"),
        ("none.csv", [""] * 50, "50 rows have no label"),
    ):
        path = write(tmp_path / name, {**table, "y": label})
        with pytest.raises(CouldNotLook, match=why):
            sanitise(path, FACTS, Asked(), FLIPS)
    with pytest.raises(InputError, match="has no column 'z'"):
        sanitise(path, {"label": "z"}, Asked(), FLIPS)
    with pytest.raises(UsageError, match="needs --label"):
        sanitise(path, {}, Asked(action="relabel"), FLIPS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["none.csv", "null.csv", "one.csv"]


def test_without_removed_rows_a_patch_is_applied_and_not_reverted(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(100, 7))
    suspects = told(tmp_path / "s.parquet", path, injected_rows=[4])
    sanitise(path, {}, Asked(suspects=suspects, keep_rows=False), Settings(jobs=1))
    patch = tmp_path / "t.patch.json"
    assert path.read_text("utf-8").splitlines()[5] not in patch.read_text("utf-8")
    apply_patch(path, patch, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "t.sanitised.csv").read_bytes()
    with pytest.raises(VerificationError, match="--no-rows"):
        revert_patch(tmp_path / "t.sanitised.csv", patch, None)
    assert msgspec.json.decode(patch.read_bytes())["rows_kept"] is False


def test_copies_that_flood_the_table_are_taken_out_but_one(tmp_path: Path) -> None:
    table = rows(800, 7)
    flood = {k: np.concatenate([v, np.full(40, v[17])]) for k, v in table.items()}
    path = write(tmp_path / "t.csv", flood)
    done = sanitise(path, FACTS, Asked(aside=0), Settings(only=("data.duplicates",), jobs=1))
    assert [c.row for c in done.changes] == list(range(800, 840))
    assert (done.counts["remove"], done.first_copies) == (40, 1)
    assert done.looked[0].flagged == 41


def said(path: Path, of: Path, found: list[Suspects], **about: Any) -> Path:
    """A file of suspects that says this of itself."""
    write_suspects(found, path, About(digest=digest_file(of), **about))
    return path


ROW = Suspects(check="data.odd-values", rows=(9,), scores=(1.0,), flagged=(True,), reasons=("far",))


def test_a_file_of_suspects_says_how_its_checks_ended(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(100, 7))
    checks = {"data.odd-values": 1, "data.label-flips": 1, "data.schema": 1}

    def done(name: str, **about: Any) -> Sanitised:
        suspects = said(tmp_path / f"{name}.parquet", path, [ROW], checks=checks, **about)
        return sanitise(path, FACTS, Asked(suspects=suspects, force=True), Settings(jobs=1))

    ended = {"data.odd-values": "fail", "data.label-flips": "open", "data.schema": "pass"}
    some = done("open", statuses=ended, reasons={"data.label-flips": "too few"}, undecided={"data.odd-values": 2})
    assert some.open
    assert {k.check: (k.status, k.reason) for k in some.looked} == {
        "data.label-flips": ("open", "too few"), "data.odd-values": ("fail", ""),
    }  # fmt: skip
    assert any("written without data.duplicates, data.injected-rows" in note for note in some.notes)
    assert any("2 combination(s) of values would work as a trigger" in note for note in some.notes)
    assert not done("all", statuses={**ended, "data.label-flips": "pass"}).open
    assert done("part", statuses={**ended, "data.label-flips": "pass"}, partial=("data.odd-values",)).open
    silent = done("silent")
    assert silent.open
    assert silent.looked[0].reason.startswith("the file does not say how it ended")
    for about in ({"checks": {"data.nothing": 1}}, {"statuses": {"data.nothing": "pass"}}):
        suspects = said(tmp_path / "u.parquet", path, [ROW], **about)
        with pytest.raises(InputError, match=r"not known here: data\.nothing"):
            sanitise(path, FACTS, Asked(suspects=suspects, force=True), Settings(jobs=1))
    suspects = said(tmp_path / "u.parquet", path, [msgspec.structs.replace(ROW, check="evil.check")])
    with pytest.raises(InputError, match=r"not known here: evil\.check"):
        sanitise(path, FACTS, Asked(suspects=suspects, force=True), Settings(jobs=1))
    endless = msgspec.structs.replace(ROW, reasons=("row " + "9" * 6000,))
    for torn in (
        said(tmp_path / "u.parquet", path, [ROW], statuses={"data.odd-values": "fine"}),
        said(tmp_path / "v.parquet", path, [endless]),
    ):
        with pytest.raises(InputError, match="no table of suspects"):
            read_suspects(torn)


def test_what_is_told_of_a_report_is_what_it_says(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(60, 7))
    report, _ = ask_table(path, FACTS, Settings(only=("data.label-flips", "data.odd-values"), jobs=1))
    about = about_report(report, "sha256:0")
    assert about.statuses["data.label-flips"] == "open"
    assert "too few" in about.reasons["data.label-flips"]
    assert set(about.checks) == set(about.statuses) == {"data.label-flips", "data.odd-values"}
    said_so = {"message": "m", "location": {"uri": "t"}, "severity": "info", "evidence": {"undecided": 3}}
    note = msgspec.convert({**said_so, "key": "undecided"}, Finding)
    assert undecided([note, msgspec.structs.replace(note, key="other")]) == 3


def test_floods_are_found_from_a_file_of_suspects_too(tmp_path: Path) -> None:
    table = rows(800, 7)
    path = write(tmp_path / "t.csv", {k: np.concatenate([v, np.full(20, v[17])]) for k, v in table.items()})
    ended: dict[str, Any] = {"checks": {"data.duplicates": 1}, "statuses": {"data.duplicates": "fail"}}
    suspects = said(tmp_path / "s.parquet", path, [], **ended)
    done = sanitise(path, FACTS, Asked(suspects=suspects), Settings(jobs=1))
    assert [c.row for c in done.changes] == list(range(800, 820))
    assert done.looked[0].flagged == 21
    with pytest.raises(CouldNotLook, match="names no row"):
        sanitise(path, FACTS, Asked(suspects=suspects, force=True), Settings(skip=("data.duplicates",), jobs=1))


def test_nothing_that_comes_during_the_run_is_written_over(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(100, 7))
    suspects = told(tmp_path / "s.parquet", path, odd_values=[9])
    for late in ("t.sanitised.csv", "t.patch.json"):

        def appear(_: float, __: float, what: str = "", late: str = late) -> None:
            if what == "write":
                (tmp_path / late).write_text("mine", "utf-8")

        with pytest.raises(UsageError, match="is there already"):
            sanitise(path, FACTS, Asked(suspects=suspects), Settings(jobs=1), progress=appear)
        assert (tmp_path / late).read_text("utf-8") == "mine"
        (tmp_path / late).unlink()
        assert sorted(p.name for p in tmp_path.iterdir()) == ["s.parquet", "t.csv"]

    sanitise(path, FACTS, Asked(suspects=suspects), Settings(jobs=1))

    def back(_: float, __: float, what: str = "") -> None:
        (tmp_path / "b.csv").write_text(what, "utf-8")

    with pytest.raises(UsageError, match="is there already"):
        revert_patch(tmp_path / "t.sanitised.csv", tmp_path / "t.patch.json", tmp_path / "b.csv", progress=back)
    assert (tmp_path / "b.csv").read_text("utf-8") == "write"


@pytest.mark.parametrize("there", [True, False])
def test_a_table_and_its_patch_are_replaced_together(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.csv", rows(100, 7))
    suspects = told(tmp_path / "s.parquet", path, odd_values=[9])
    before = {}
    if there:
        sanitise(path, FACTS, Asked(suspects=suspects, down_to=0.5), Settings(jobs=1))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    real = os.replace

    def full(source: Any, target: Any) -> None:
        if str(target).endswith(".patch.json"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="no space left"):
        sanitise(path, FACTS, Asked(suspects=suspects, force=True), Settings(jobs=1))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_forged_patch_writes_no_row_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"a": list(range(20)), "y": [0, 1] * 10})
    lines = path.read_text("utf-8").splitlines(keepends=True)
    suspects = told(tmp_path / "s.parquet", path, injected_rows=[4])
    sanitise(path, {}, Asked(suspects=suspects), Settings(jobs=1))
    patch = read_patch(tmp_path / "t.patch.json")
    forged = "9,1\n9,0\n"
    source = "".join([*lines[:5], forged, *lines[6:]]).encode()
    side = msgspec.structs.replace(patch.source, digest=digest_bytes(source), content=digest_bytes(source))
    change = msgspec.structs.replace(patch.changes[0], record=forged)
    bad = msgspec.structs.replace(patch, source=side, changes=(change,))
    (tmp_path / "f.json").write_bytes(encode_patch(bad))
    with pytest.raises(VerificationError, match="not read as it was meant"):
        revert_patch(tmp_path / "t.sanitised.csv", tmp_path / "f.json", tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()

"""Answers that are kept: what was cut off goes on, nothing can be read out, what no longer holds is not believed."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from assay.adapters.endpoint.journal import MAGIC, OLDEST, RECORD, SALT, Journal, let_go, place_of, state_folder  # noqa: E402
from assay.adapters.endpoint.pace import Pace  # noqa: E402
from assay.adapters.endpoint.predictor import CHECKED, EndpointPredictor  # noqa: E402
from assay.adapters.remote.wire import Timing  # noqa: E402
from assay.attacks import sanity  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Kind, Subject  # noqa: E402

NAMES = ("amount", "hour")
LEARNT = 20
Serve = Callable[..., Any]


def rule(columns: dict[str, Any]) -> Any:
    return 1 / (1 + np.exp(-np.asarray(columns["amount"], float) + 0.2 * np.asarray(columns["hour"], float)))


def rows(n: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return pa.table({"amount": rng.normal(size=n), "hour": rng.integers(0, 24, n)})


@pytest.fixture
def data(dataset: Callable[..., Any]) -> Any:
    table = rows(20, 9).to_pydict()
    return dataset("\n".join(["amount,hour", *(f"{a},{h}" for a, h in zip(*table.values(), strict=True))]))


def opened(site: Any, data: Any, answers: Path | None, **options: Any) -> EndpointPredictor:
    subject = Subject(name="m", kind=Kind.MODEL, uri=site.oip, options={"wait": 1, **options})
    return EndpointPredictor(subject, data, answers=answers, timing=Timing(pause=lambda _: None))


def test_what_was_cut_off_asks_only_the_rest(serve: Serve, data: Any, tmp_path: Path) -> None:
    site, table = serve(NAMES, rule), rows(500)
    with opened(site, data, None, batch=50) as model:
        whole = model.scores(table)
    site.asked.clear()
    site.rows, site.after = 0, LEARNT + 200
    with opened(site, data, tmp_path, batch=50) as model:
        with pytest.raises(CouldNotLook, match="run again: 200 answers are kept"):
            model.scores(table)
        assert model.queries == LEARNT + 250, "what went out counts, the batch that was refused too"
    site.rows, site.after = 0, None
    with opened(site, data, tmp_path, batch=50) as model:
        assert np.array_equal(model.scores(table), whole)
        assert site.rows == LEARNT + CHECKED + 300 + 2, "and two of the new rows again, alone"
        assert "200 of 500 answers are ones that were kept from before" in model.notes
        assert model.queries == LEARNT + CHECKED + 500 + 2, "kept answers are queries of the attack all the same"
    assert max(site.asked.values()) <= 2 + 1
    site.rows = 0
    with opened(site, data, tmp_path, batch=50) as model:
        assert np.array_equal(model.scores(table), whole)
        assert site.rows == LEARNT + 25, "one in twenty of the kept answers is asked again"


def test_a_row_that_is_asked_again_in_a_run_is_sent_again(serve: Serve, data: Any, tmp_path: Path) -> None:
    site, table = serve(NAMES, rule), rows(40)
    for again in (False, True):
        with opened(site, data, tmp_path) as model:
            before = site.rows
            model.scores(table)
            assert site.rows - before == (CHECKED if again else 40)
            before = site.rows
            sanity.refuse_unstable(model, table)  # asks each row twice more
            assert site.rows - before == (4 if again else 80), "an earlier run asked them thrice, really"
            before = site.rows
            model.scores(table)
            assert site.rows - before == (2 if again else 40)
            before = site.rows
            if again:
                model.scores(table)
                assert site.rows - before == 40, "for the fifth time"


@pytest.mark.parametrize("when", ["throughout", "later"])
def test_a_model_that_draws_lots_is_caught_in_a_resumed_run_too(
    serve: Serve, data: Any, tmp_path: Path, when: str
) -> None:
    site, table = serve(NAMES, rule), rows(100)
    site.switches = {"noise"} if when == "throughout" else set()
    with opened(site, data, tmp_path) as model:
        model.scores(table)
    site.switches = {"noise"}
    with opened(site, data, tmp_path) as model, pytest.raises(CouldNotLook, match="the same row gets different scores"):
        sanity.refuse_unstable(model, table)


def test_answers_that_turn_out_stale_after_some_were_used_end_the_run(serve: Serve, data: Any, tmp_path: Path) -> None:
    site, table = serve(NAMES, rule), rows(100)
    with opened(site, data, tmp_path) as model:
        model.scores(table)
    with opened(site, data, tmp_path) as model:
        model.scores(table.slice(0, 5))
        site.scores = lambda columns: 1 - rule(columns)
        with pytest.raises(CouldNotLook, match="hold no more and are forgotten; run again"):
            model.scores(table)
    with opened(site, data, tmp_path) as model:
        model.scores(table)
        assert not any("kept from before" in note for note in model.notes)


def test_recorded_lots_are_drawn_again_as_they_fell(tmp_path: Path) -> None:
    first = Journal(tmp_path, "http://a", b"one")
    key = first.key(b"row")
    first.keep([(key, 0.25), (key, 0.75)])
    first.close()
    again = Journal(tmp_path, "http://a", b"one")
    assert [again.recall(again.key(b"row")) for _ in range(3)] == [0.25, 0.75, None]
    again.close()


def test_a_model_that_changed_under_the_same_version_is_asked_anew(serve: Serve, data: Any, tmp_path: Path) -> None:
    site, table = serve(NAMES, rule), rows(100)
    with opened(site, data, tmp_path) as model:
        old = model.scores(table)
    site.scores = lambda columns: 1 - rule(columns)
    with opened(site, data, tmp_path) as model:
        assert model.scores(table) == pytest.approx(1 - old)
        assert any("hold no more: 16 of 16 differ" in note for note in model.notes)
    site.version, site.rows = "8", 0
    with opened(site, data, tmp_path) as model:
        model.scores(table)
        assert site.rows == LEARNT + 100, "another version has another journal"
    assert len(list(tmp_path.glob("*.answers"))) == 2


def test_no_value_of_a_customer_lies_in_it(serve: Serve, data: Any, tmp_path: Path) -> None:
    site = serve(("amount", "name"), lambda c: np.full(len(c["name"]), 0.75), types="BYTES", named=True)
    table = pa.table({"amount": [4711.0, 0.5], "hour": [1, 2], "name": ["Erika Mustermann", "x"]})
    subject = Subject(name="m", kind=Kind.MODEL, uri=site.oip)
    with EndpointPredictor(subject, None, answers=tmp_path / "kept") as model:
        model.scores(table)
    (path,) = (tmp_path / "kept").glob("*.answers")
    content = path.read_bytes()
    assert len(content) == len(MAGIC) + SALT + 2 * RECORD.size
    assert b"Erika" not in content
    assert b"4711" not in content
    assert path.stat().st_mode & 0o777 == 0o600


@given(cut=st.integers(min_value=0, max_value=len(MAGIC) + SALT + 5 * RECORD.size), junk=st.binary(max_size=40))
def test_a_torn_file_loses_its_end_and_nothing_else(cut: int, junk: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = Journal(folder, "http://a", b"one")
        first.keep([(first.key(bytes([i])), float(i)) for i in range(5)])
        first.close()
        (path,) = folder.glob("*.answers")
        path.write_bytes(path.read_bytes()[:cut] + junk)
        again = Journal(folder, "http://a", b"one")
        found = [again.recall(again.key(bytes([i]))) for i in range(5)]
        whole = max(0, (cut - len(MAGIC) - SALT) // RECORD.size) if cut >= len(MAGIC) + SALT else 0
        assert all(value is None or value == i for i, value in enumerate(found))
        assert [value is not None for value in found[:whole]] == [True] * whole
        again.keep([(again.key(b"new"), 0.5)])
        again.close()
        last = Journal(folder, "http://a", b"one")
        assert last.recall(last.key(b"new")) == 0.5
        last.close()


def test_old_foreign_and_open_files_are_not_believed(tmp_path: Path) -> None:
    def made() -> Path:
        journal = Journal(tmp_path, "http://a", b"one")
        journal.keep([(journal.key(b"row"), 1.0)])
        journal.close()
        return next(tmp_path.glob("*.answers"))

    path = made()
    os.utime(path, (1, path.stat().st_mtime - OLDEST - 60))
    Journal(tmp_path, "http://a", b"another").close()
    assert not path.exists(), "what is too old goes, whoever opens a journal"
    old = Journal(tmp_path, "http://a", b"one")
    assert (old.earlier, old.lasting) == (0, True)
    old.close()
    path.chmod(0o666)
    open_ = Journal(tmp_path, "http://a", b"one")
    assert (open_.earlier, open_.lasting) == (0, False), "others can write to it"
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    link = Journal(tmp_path, "http://a", b"one")
    assert (link.earlier, link.lasting) == (0, False)
    assert not (tmp_path / "elsewhere").exists()


def test_without_a_folder_answers_are_kept_for_this_run_alone(serve: Serve, data: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file"):
        site = serve(NAMES, rule)
        with opened(site, data, folder) as model:
            model.scores(rows(30))
            assert any("could not be kept" in note for note in model.notes)
            site.after = 0
            with pytest.raises(CouldNotLook, match="answers could not be kept"):
                model.scores(rows(30, 1))


def _write(folder: Path, start: int) -> None:
    journal = Journal(folder, "http://a", b"one")
    for i in range(start, start + 200):
        journal.keep([(journal.key(str(i).encode()), float(i))])
    journal.close()


def test_two_processes_write_into_one_journal(tmp_path: Path) -> None:
    Journal(tmp_path, "http://a", b"one").close()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(tmp_path, start)) for start in (0, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = Journal(tmp_path, "http://a", b"one")
    assert found.earlier == 400
    assert [found.recall(found.key(str(i).encode())) for i in range(400)] == [float(i) for i in range(400)]
    found.close()


def test_a_pace_is_shared_by_all_who_ask(tmp_path: Path) -> None:
    now = [100.0]
    one, two = (Pace(2.0, tmp_path / "x.pace", lambda: now[0]) for _ in range(2))
    assert [one.turn(), two.turn(), one.turn()] == [0.0, 0.5, 1.0]
    now[0] += 10
    assert two.turn() == 0.0
    now[0] = 5.0  # another boot: the clock began anew
    assert one.turn() == 0.0


def test_what_is_let_go_is_asked_again(
    serve: Serve, data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    site, other, table = serve(NAMES, rule), serve(NAMES, rule), rows(60)
    for one in (site, other):
        with opened(one, data, state_folder()) as model:
            model.scores(table)
    let_go(site.oip)
    for one, asked in ((site, LEARNT + 60), (other, LEARNT + CHECKED)):
        one.rows = 0
        with opened(one, data, state_folder()) as model:
            model.scores(table)
        assert one.rows == asked


def test_only_a_run_that_was_cut_off_while_it_asked_is_replayed(
    serve: Serve, data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    site, table = serve(NAMES, rule), rows(60)
    kept = state_folder()
    with opened(site, data, kept, batch=20) as model:
        model.scores(table)  # whatever a check makes of the answers, it has them all
    let_go(site.oip)
    assert not list(kept.glob("*.answers"))
    site.after = site.rows + LEARNT + 40
    with opened(site, data, kept, batch=20) as model, pytest.raises(CouldNotLook, match="answers are kept"):
        model.scores(table)
    let_go(site.oip)
    assert list(kept.glob("*.answers"))
    assert not list(kept.glob("*.cut")), "the next run decides anew"


def test_a_mark_of_a_process_that_is_gone_keeps_nothing_beyond_the_run_that_went_on(
    serve: Serve, data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    site, kept = serve(NAMES, rule), state_folder()
    kept.mkdir(parents=True)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (kept / f"{place_of(site.oip)}-{gone.pid}.cut").touch()
    with opened(site, data, kept) as model:
        model.scores(rows(60))
    let_go(site.oip)
    assert not list(kept.glob("*.answers"))


def test_answers_that_another_process_is_using_are_left_alone(
    serve: Serve, data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    pytest.importorskip("fcntl")
    site, kept = serve(NAMES, rule), state_folder()
    with opened(site, data, kept) as model:
        model.scores(rows(60))
        ended = multiprocessing.get_context("fork").Process(target=let_go, args=(site.oip,))
        ended.start()
        ended.join()
        assert list(kept.glob("*.answers")), "another run of this address ended, this one goes on"
    let_go(site.oip)
    assert not list(kept.glob("*.answers"))

"""Rescan: the inventory of a ledger is examined again by a newer pack, and a Release that ships it is named."""

from __future__ import annotations

import pickle
import sqlite3
from collections import OrderedDict
from datetime import timedelta
from pathlib import Path

import pytest
from flow_world import GATE, NOW, OWNER, World

from assay.core.decision import Verdict
from assay.core.errors import InputError, StorageError, VerificationError
from assay.core.finding import Status
from assay.core.threats import ThreatPack
from assay.engine.plan import Settings
from assay.flow.book import open_book
from assay.flow.papers import trusted_threats
from assay.flow.rescan import Rescanned, rescan, write_rescan

CODE = Settings(only=("artifact.pickle-code",))


def pack(world: World, version: int = 2, dangerous: str = "collections.OrderedDict") -> ThreatPack:
    text = (
        f"threats: org\nversion: {version}\nissued: 2026-11-20\nnames: {{dangerous: {{{dangerous}: hides a gadget}}}}\n"
    )
    return trusted_threats(world.document(f"threats-{version}.yaml", text), OWNER.public)


def released(world: World) -> World:
    """A Release of a pickled model that a ledger's gate has allowed."""
    (world.project / "model.onnx").write_bytes(pickle.dumps(OrderedDict(a=1)))
    assert world.gate(world.everything(), key=GATE).decision.verdict is Verdict.ALLOW
    return world


def again(world: World, by: ThreatPack, now=NOW, write: bool = False) -> Rescanned:  # type: ignore[no-untyped-def]
    with open_book(world.root / "ledger.db", lambda: now) as book:
        found = rescan(by, world.project, [book], CODE, clock=lambda: now)
        if write:
            write_rescan(book, found)
    return found


def test_a_release_that_ships_it_is_named(world: World) -> None:
    found = again(released(world), pack(world))
    [outcome] = found.report.body.outcomes
    assert (outcome.status, outcome.subject) == (Status.FAIL, "model")
    assert outcome.threats is not None
    assert outcome.threats.version == 2
    [touched] = found.touched
    assert (touched.release, touched.found) == (world.release().digest, ("model.onnx",))


def test_an_expired_verdict_ships_nothing(world: World) -> None:
    found = again(released(world), pack(world), now=NOW + timedelta(days=31))
    assert found.report.body.outcomes[0].status is Status.FAIL
    assert found.touched == ()


def test_a_pack_that_says_nothing_of_it_finds_nothing(world: World) -> None:
    found = again(released(world), pack(world, dangerous="other.module"))
    assert found.report.body.outcomes[0].status is Status.PASS
    assert found.touched == ()


@pytest.mark.parametrize("change", ["gone", "other"])
def test_what_is_not_at_hand_stays_open(world: World, change: str) -> None:
    path = released(world).project / "model.onnx"
    release = world.release().digest
    path.unlink()
    if change == "other":
        path.write_bytes(b"other")
    found = again(world, pack(world))
    [outcome] = found.report.body.outcomes
    assert (outcome.status, outcome.complete) == (Status.OPEN, False)
    assert ("not here any more" if change == "gone" else "another file by now") in outcome.reason
    assert [(t.release, t.absent) for t in found.touched] == [(release, ("model.onnx",))]


def test_older_versions_that_no_release_ships_are_counted(world: World) -> None:
    released(world)
    (world.project / "model.onnx").write_bytes(pickle.dumps(OrderedDict(b=2)))
    world.gate([world.evidence()], key=GATE, now=NOW + timedelta(days=40))
    found = again(world, pack(world), now=NOW + timedelta(days=41))
    assert (len(found.report.body.outcomes), found.older) == (1, 1)


def test_what_the_same_pack_found_clean_is_asked_once(world: World) -> None:
    released(world)
    quiet = pack(world, dangerous="other.module")
    assert again(world, quiet, write=True).clean == 0
    second = again(world, quiet)
    assert (second.report.body.outcomes, second.clean) == ((), 1)
    assert len(again(world, pack(world, version=3, dangerous="other.module")).report.body.outcomes) == 1


def test_what_was_found_is_found_again(world: World) -> None:
    released(world)
    for _ in range(2):
        found = again(world, pack(world), write=True)
        assert found.report.body.outcomes[0].status is Status.FAIL
        assert len(found.touched) == 1


def test_what_was_not_at_hand_is_asked_when_it_is(world: World) -> None:
    path = released(world).project / "model.onnx"
    data = path.read_bytes()
    path.unlink()
    assert again(world, pack(world), write=True).report.body.outcomes[0].status is Status.OPEN
    path.write_bytes(data)
    assert again(world, pack(world)).report.body.outcomes[0].status is Status.FAIL


def test_one_check_vouches_for_no_other(world: World) -> None:
    released(world)
    by = pack(world)
    with open_book(world.root / "ledger.db", lambda: NOW) as book:
        other = Settings(only=("artifact.archive",))
        write_rescan(book, rescan(by, world.project, [book], other, clock=lambda: NOW))
    assert again(world, by).report.body.outcomes[0].status is Status.FAIL


def test_evidence_that_names_the_pack_hides_nothing(world: World) -> None:
    by = pack(world)
    (world.project / "model.onnx").write_bytes(pickle.dumps(OrderedDict(a=1)))
    said = world.report(change={"artifact.pickle-code": {"threats": by.ref}})
    papers = [world.evidence(said), *world.everything()[1:]]
    world.evidence(said)
    world.gate(papers, key=GATE)
    assert again(world, by).report.body.outcomes[0].status is Status.FAIL


def test_the_gate_reads_what_a_rescan_found(world: World) -> None:
    papers = [released(world).evidence(), *world.everything()[1:]]
    by = pack(world)
    again(world, by, write=True)
    decision = world.gate(papers, key=GATE).decision
    assert decision.verdict is Verdict.INDETERMINATE
    assert "a rescan of these bytes by org 2 has said otherwise" in "; ".join(decision.aside["artifact.pickle-code"])


def test_erased_evidence_hides_no_release_that_a_verdict_names(world: World) -> None:
    released(world)
    with open_book(world.root / "ledger.db", lambda: NOW) as book:
        [index] = [entry.index for entry in book.read(kind="evidence")]
        book.erase(index, "asked", "me")
    found = again(world, pack(world))
    assert [touched.found for touched in found.touched] == [("model.onnx",)]
    assert found.unread == 0


def test_a_ledger_that_was_edited_is_refused(world: World) -> None:
    released(world)
    with sqlite3.connect(world.root / "ledger.db") as database:
        database.execute("delete from entry where idx = (select max(idx) from entry)")
    with pytest.raises((VerificationError, StorageError)):
        again(world, pack(world))


def test_an_empty_ledger_is_told(world: World, tmp_path: Path) -> None:
    with open_book(tmp_path / "new.db") as book, pytest.raises(InputError, match="knows no artifact"):
        rescan(pack(world), world.project, [book], CODE)

"""Rescan: the inventory of a ledger is examined again by a newer pack, and a Release that ships it is named."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from datetime import timedelta
from pathlib import Path

import pytest
from flow_world import GATE, NOW, OWNER, World

from assay.core.decision import Verdict
from assay.core.errors import InputError
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


def test_the_same_pack_asks_once(world: World) -> None:
    released(world)
    assert again(world, pack(world), write=True).current == 0
    second = again(world, pack(world))
    assert (second.report.body.outcomes, second.current) == ((), 1)
    assert len(again(world, pack(world, version=3)).report.body.outcomes) == 1


def test_an_empty_ledger_is_told(world: World, tmp_path: Path) -> None:
    with open_book(tmp_path / "new.db") as book, pytest.raises(InputError, match="knows no artifact"):
        rescan(pack(world), world.project, [book], CODE)

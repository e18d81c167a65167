"""Threat packs at the gate: only a pack that it holds counts, and what a newer one supersedes is stale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flow_world import GATE, NOW, STRANGER, World

from assay.core.decision import Decision, Verdict
from assay.core.errors import UsageError, VerificationError
from assay.core.threats import PackRef
from assay.flow.papers import trusted_threats

CHECK = "artifact.pickle-code"


def pack(world: World, version: int, *, supersedes: int | None = None, name: str = "org", file: str = "") -> Path:
    text = f"threats: {name}\nversion: {version}\nissued: 2026-11-20\n"
    if supersedes is not None:
        text += f"supersedes: [{{check: {CHECK}, since: {supersedes}, why: a gadget was not known}}]\n"
    return world.document(file or f"{name}-{version}.yaml", text)


def ref(world: World, path: Path) -> PackRef:
    from flow_world import OWNER

    return trusted_threats(path, OWNER.public).ref


def judged_by(world: World, made_by: PackRef | None) -> list[Path]:
    """All papers of a Release in order, its outcomes judged by a pack."""
    papers = world.everything()
    change: dict[str, dict[str, Any]] = {CHECK: {"threats": made_by}}
    world.evidence(world.report(change=change))
    return papers


def aside(decision: Decision) -> str:
    return "; ".join(decision.aside.get(CHECK, ()))


def test_what_was_judged_without_a_pack_counts_until_one_supersedes_it(world: World) -> None:
    papers = judged_by(world, None)
    assert world.gate(papers).decision.verdict is Verdict.ALLOW
    assert world.gate(papers, threats=pack(world, 1)).decision.verdict is Verdict.ALLOW
    decision = world.gate(papers, threats=pack(world, 2, supersedes=2)).decision
    assert decision.verdict is Verdict.INDETERMINATE
    assert "judged without a threat pack, stale since org 2: a gadget was not known" in aside(decision)
    assert [(held.name, held.version) for held in decision.threats] == [("org", 2)]


def test_what_the_pack_in_force_judged_counts(world: World) -> None:
    path = pack(world, 2, supersedes=2)
    assert world.gate(judged_by(world, ref(world, path)), threats=path).decision.verdict is Verdict.ALLOW


def test_a_pack_that_the_gate_does_not_hold_counts_for_nothing(world: World) -> None:
    own = pack(world, 9, name="mine")
    for held in (None, pack(world, 1)):
        decision = world.gate(judged_by(world, ref(world, own)), threats=held).decision
        assert decision.verdict is Verdict.INDETERMINATE
        assert "mine 9, which this gate does not hold" in aside(decision)


def test_a_pack_of_the_same_name_and_version_with_other_content_is_another(world: World) -> None:
    path = pack(world, 2)
    real = ref(world, path)
    forged = PackRef(name=real.name, version=real.version, digest="sha256:" + "0" * 64)
    assert world.gate(judged_by(world, forged), threats=path).decision.verdict is Verdict.INDETERMINATE


def test_a_ledger_remembers_its_packs(world: World) -> None:
    first, second = pack(world, 1), pack(world, 2, supersedes=2)
    old = judged_by(world, ref(world, first))
    assert world.gate(old, key=GATE, threats=first).decision.verdict is Verdict.ALLOW
    assert world.gate(old, key=GATE, threats=second).decision.verdict is Verdict.INDETERMINATE
    forgotten = world.gate(old, key=GATE).decision
    assert forgotten.verdict is Verdict.INDETERMINATE
    assert "stale since org 2" in aside(forgotten)
    with pytest.raises(VerificationError, match="older than version 2"):
        world.gate(old, key=GATE, threats=first)
    with pytest.raises(VerificationError, match="another than the version 2"):
        world.gate(old, key=GATE, threats=pack(world, 2, file="other.yaml"))


def test_another_line_of_packs_drops_nothing_that_the_first_supersedes(world: World) -> None:
    old = judged_by(world, None)
    assert world.gate(old, key=GATE, threats=pack(world, 2, supersedes=2)).decision.verdict is Verdict.INDETERMINATE
    other = pack(world, 1, name="other")
    for threats in (other, None):
        decision = world.gate(old, key=GATE, threats=threats).decision
        assert decision.verdict is Verdict.INDETERMINATE
        assert "stale since org 2" in aside(decision)


def test_the_version_of_a_pack_is_that_of_its_bytes(world: World) -> None:
    first, second = pack(world, 1), pack(world, 2, supersedes=2)
    real = ref(world, first)
    assert world.gate(judged_by(world, real), key=GATE, threats=first).decision.verdict is Verdict.ALLOW
    forged = PackRef(name=real.name, version=99, digest=real.digest)
    decision = world.gate(judged_by(world, forged), key=GATE, threats=second).decision
    assert decision.verdict is Verdict.INDETERMINATE
    assert "claims threat pack org 99, which is org 1" in aside(decision)


def test_advisories_that_could_not_be_looked_up_are_refused_when_signed(world: World) -> None:
    from assay.flow.papers import sign_document

    head = "threats: org\nversion: 1\nissued: 2026-11-20\n"
    row = "{{id: X-1, modified: '2026-11-19T00:00:00Z', affected: [{{package: {{ecosystem: {}, name: a}}, {}}}]}}"
    ranges = "ranges: [{{type: ECOSYSTEM, events: [{{introduced: {}}}]}}]"
    path = world.root / "t.yaml"
    for ecosystem, versions in (("PyPI", "versions: ['1.0']"), ("PyPI", ranges.format("'0'"))):
        path.write_text(f"{head}advisories: [{row.format(ecosystem, versions)}]\n")
        assert sign_document(path, STRANGER, NOW)[0] == "threat pack"
    for ecosystem, versions in (
        ("pypi", "versions: ['1.0']"),
        ("PyPI", ranges.format("0")),
        ("PyPI", "versions: [1.0]"),
    ):
        path.write_text(f"{head}advisories: [{row.format(ecosystem, versions)}]\n")
        with pytest.raises(UsageError, match="X-1"):
            sign_document(path, STRANGER, NOW)


def test_a_pack_that_its_publisher_did_not_sign_is_refused(world: World) -> None:
    path = world.document("threats.yaml", "threats: org\nversion: 1\nissued: 2026-11-20\n", key=STRANGER)
    with pytest.raises(VerificationError):
        world.gate(judged_by(world, None), threats=path)
    path = pack(world, 1)
    path.write_text(path.read_text() + "packages: {popular: [acme-ml]}\n")
    with pytest.raises(VerificationError, match="changed after its owner signed it"):
        world.gate(judged_by(world, None), threats=path)


def test_a_version_is_signed_once(world: World) -> None:
    from assay.flow.papers import sign_document

    path = pack(world, 3)
    path.write_text(path.read_text() + "packages: {popular: [acme-ml]}\n")
    with pytest.raises(UsageError, match="version 3 was signed before"):
        sign_document(path, STRANGER, NOW)

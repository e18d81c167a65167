"""The gate over real papers: machines that share nothing join, and whatever is not in order is refused or told."""

from __future__ import annotations

import os
import shutil
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flow_world import (
    CAROL,
    DANA,
    DAY,
    GATE,
    HOUR,
    NOW,
    OWNER,
    POLICY,
    SAM,
    STRANGER,
    SUE,
    World,
    finding,
    forged,
    measure,
    roster,
)
from msgspec.structs import replace

from assay.attest import statement as st
from assay.attest.signature import sign_files, signature_path
from assay.core.decision import Verdict
from assay.core.errors import AssayError, UsageError, VerificationError
from assay.core.finding import Outcome, Severity, Status
from assay.core.release import Release
from assay.core.report import Report
from assay.core.subject import Kind, Subject
from assay.engine.registry import check_ids, load, resolve_parameters
from assay.engine.task import seed_for
from assay.flow.book import open_book
from assay.flow.papers import sign_report

A, D, I = Verdict.ALLOW, Verdict.DENY, Verdict.INDETERMINATE  # noqa: E741 - short in tables


def test_all_in_order_allows(world: World) -> None:
    decision = world.gate(world.everything()).decision
    assert decision.verdict is A, decision.trace
    assert decision.release == world.release().digest
    assert decision.policy.signed_by == OWNER.public.id


def test_bundles_of_two_machines_join(world: World) -> None:
    rest = world.everything()[1:]
    data = world.evidence(world.report(lambda c: c.startswith("data.")), DANA, "data.json")
    other = world.evidence(world.report(lambda c: not c.startswith("data.")), SAM, "other.json")
    assert world.gate([data, *rest]).decision.verdict is I
    assert world.gate([other, *rest]).decision.verdict is I
    gated = world.gate([data, other, *rest])
    assert gated.decision.verdict is A
    assert {(v.person, v.check.partition(".")[0]) for v in gated.joined.vouches} == {
        ("dana", "data"), ("sam", "artifact"), ("sam", "performance"), ("sam", "robustness"), ("sam", "supply"),
        ("sam", "theft"), ("sam", "privacy"), ("sam", "fairness"), ("sam", "explanation"),
    }  # fmt: skip


@pytest.mark.parametrize("lost", range(4))
def test_no_paper_can_be_missing(world: World, lost: int) -> None:
    papers = world.everything()
    left = papers[:lost] + papers[lost + 1 :]
    if lost == 0:
        with pytest.raises(VerificationError, match="no evidence was given"):
            world.gate(left)
    else:
        assert world.gate(left).decision.verdict is I


@pytest.mark.parametrize(
    "check", ["artifact.pickle-code", "artifact.unsafe-format", "data.schema", "performance.holdout"]
)
def test_a_check_that_nobody_ran_is_missing(world: World, check: str) -> None:
    papers = world.everything()
    world.evidence(world.report(lambda c: c != check))
    decision = world.gate(papers).decision
    assert decision.verdict is I
    assert any(f"{check} on" in t.reason for t in decision.trace)


def test_a_finding_denies_until_it_is_waived(world: World) -> None:
    papers = world.everything()
    found = finding("data.label-flips", "train")
    world.evidence(world.report(change={"data.label-flips": {"status": Status.FAIL, "findings": (found,)}}))
    assert world.gate(papers).decision.verdict is D
    waiver = world.waive(found.fingerprint, "security", SAM)
    assert world.gate([*papers, waiver]).decision.verdict is A
    old = world.waive(found.fingerprint, "security", SAM, at=NOW - 40 * DAY, expires=NOW + DAY)
    assert world.gate([*papers, old]).decision.verdict is D


def test_a_critical_finding_needs_two_waivers(world: World) -> None:
    papers = world.everything()
    found = finding("artifact.pickle-code", "model", Severity.CRITICAL)
    change: dict[str, dict[str, Any]] = {"artifact.pickle-code": {"findings": (found,), "status": Status.FAIL}}
    world.evidence(world.report(change=change))
    world.policy = world.document(
        "policy.yaml", POLICY.replace('  - outcome: {check: "artifact.*", status: pass}\n', "")
    )
    one, two = world.waive(found.fingerprint, "security", SAM), world.waive(found.fingerprint, "compliance", CAROL)
    assert world.gate([*papers, one]).decision.verdict is D
    assert world.gate([*papers, one, two]).decision.verdict is A
    own = world.waive(found.fingerprint, "compliance", DANA)
    assert world.gate([*papers, one, own]).decision.verdict is D


# Strangers and forgeries: refused by name, and nothing is decided


def refused(world: World, papers: list[Path], **changes: Any) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        world.gate(papers, **changes)
    return caught.value


def test_a_strangers_papers_are_refused_by_name(world: World) -> None:
    papers = world.everything()
    for path in (
        world.evidence(key=STRANGER, name="stranger-evidence.json"),
        world.approve("security", STRANGER, "stranger-approval.json"),
        world.waive("0" * 32, "security", STRANGER),
        world.write("stranger.sig", sign_files(world.project / "model.onnx", STRANGER, NOW)),
    ):
        error = refused(world, [*papers, path])
        assert path.name in error.where
        assert "not signed by any trusted key" in error.what


def test_a_strangers_policy_and_roster_are_refused_by_name(world: World) -> None:
    papers = world.everything()
    mine = world.document("mine.yaml", POLICY, STRANGER)
    assert "mine.yaml" in refused(world, papers, policy=mine).where
    people = world.document("people.yaml", roster(), STRANGER)
    assert "people.yaml" in refused(world, papers, roster=people).where


def test_a_policy_that_was_edited_after_signing_is_refused(world: World) -> None:
    papers = world.everything()
    world.policy.write_text(POLICY.replace("min: 0.6", "min: 0.1"))
    error = refused(world, papers)
    assert (error.what, Path(error.where).name) == ("was changed after its owner signed it", "policy.yaml")


def test_a_roster_that_was_edited_or_never_signed_is_refused(world: World) -> None:
    papers = world.everything()
    world.roster.write_text(roster().replace("[data-science]", "[security]"))
    assert "roster.yaml" in refused(world, papers).where
    signature_path(world.roster).unlink()
    assert "roster.yaml" in refused(world, papers).where


def test_one_kind_of_signature_never_stands_for_another(world: World) -> None:
    papers = world.everything()
    shutil.copy(signature_path(world.roster), signature_path(world.policy))
    assert "urn:assay:roster" in refused(world, papers).what
    world.policy = world.document("policy.yaml", POLICY)
    signature_path(world.policy).write_bytes(sign_files(world.policy, OWNER, NOW))
    assert "Sigstore bundle" in refused(world, papers).what
    as_paper = world.write("policy.json", signature_path(world.document("p.yaml", POLICY)).read_bytes())
    world.policy = world.document("policy.yaml", POLICY)
    assert "is no evidence" in refused(world, [*papers, as_paper]).what


def test_a_waiver_cannot_be_read_as_an_approval(world: World) -> None:
    papers = world.everything()[:2]
    waiver = world.waive("0" * 32, "security", SAM)

    def bend(said: dict[str, Any]) -> None:
        said["predicateType"] = st.APPROVAL

    assert "forged.json" in refused(world, [*papers, forged(waiver, bend)]).where
    assert world.gate([*papers, waiver]).decision.verdict is I


@pytest.mark.parametrize("paper", range(4))
def test_any_edit_of_any_paper_is_refused_by_name(world: World, paper: int) -> None:
    papers = world.everything()

    def bend(said: dict[str, Any]) -> None:
        said["predicate"]["note"] = "edited"

    papers[paper] = forged(papers[paper], bend, f"edited-{paper}.json")
    error = refused(world, papers)
    assert f"edited-{paper}.json" in error.where
    assert "not signed by any trusted key" in error.what


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"null", b'{"payload": 5}', b'{"payload": "e30="}', b"\xff" * 9, b"[" * 99999]
)
def test_what_is_no_paper_is_refused_by_name(world: World, content: bytes) -> None:
    junk = world.write("junk.json", content)
    error = refused(world, [*world.everything(), junk])
    assert (error.what, Path(error.where).name) == ("is not a signed paper", "junk.json")


# Replay: a word on one Release is no word on another


def test_evidence_for_another_release_denies_and_says_why(world: World) -> None:
    old = world.evidence(name="old.json")
    (world.project / "assay.yaml").write_text((world.project / "assay.yaml").read_text().replace("0.31", "0.29"))
    decision = world.gate([*world.everything(), old]).decision
    assert decision.verdict is D
    assert "threshold of model 0.29 → 0.31" in decision.trace[0].reason
    alone = world.gate([old, *world.everything()[1:]]).decision
    assert alone.verdict is I, "approvals speak of the new Release, the evidence of the old"


def test_an_approval_of_another_release_does_not_count(world: World) -> None:
    stale = world.approve("security", SAM, "stale.json")
    (world.project / "model.onnx").write_bytes(b"other weights")
    papers = [world.evidence(), world.sign_model(), world.approve("compliance", CAROL), stale]
    decision = world.gate(papers).decision
    assert decision.verdict is I
    assert "speaks of Release" in decision.trace[-1].reason


def test_an_approval_cannot_be_bound_to_two_releases(world: World) -> None:
    """The statement's subject and the word inside must agree."""
    from assay.core.decision import Approval
    from assay.flow.papers import release_subject

    word = Approval(release=world.release().digest, role="security", at=NOW - HOUR, expires=NOW + DAY)
    envelope = st.sign(st.APPROVAL, [release_subject("sha256:" + "0" * 64)], word, [SAM])
    papers = [*world.everything(), world.write("moved.json", envelope)]
    assert "another Release" in refused(world, papers).what


def test_evidence_cannot_be_bound_to_another_release_than_its_report(world: World) -> None:
    from assay.flow.papers import release_subject

    envelope = st.sign(st.EVIDENCE, [release_subject("sha256:" + "0" * 64)], world.report(), [DANA])
    assert "not about the Release it names" in refused(world, [world.write("moved.json", envelope)]).what


def test_two_bundles_that_saw_different_training_data_deny(world: World) -> None:
    first = world.report()
    train = "sha256:" + "12" * 32
    outcomes = tuple(replace(o, reads={"train": train}) for o in first.body.outcomes if o.subject == "model")
    second = replace(first, body=replace(first.body, outcomes=outcomes))
    decision = world.gate([*world.everything(), world.evidence(second, SAM, "second.json")]).decision
    assert decision.verdict is D
    assert "train is" in decision.trace[0].reason
    assert "12121212 in sam's evidence" in decision.trace[0].reason


def test_two_bundles_that_contradict_each_other_deny(world: World) -> None:
    change = {"data.schema": {"status": Status.FAIL, "findings": (finding("data.schema", "train", Severity.LOW),)}}
    second = world.evidence(world.report(change=change), SAM, "second.json")
    decision = world.gate([*world.everything(), second]).decision
    assert decision.verdict is D
    assert "data.schema on train is pass in dana's evidence and fail in sam's evidence" in decision.trace[0].reason


@pytest.mark.parametrize("started", [NOW + DAY, NOW - 40 * DAY])
def test_evidence_from_the_future_or_long_ago_never_allows(world: World, started: datetime) -> None:
    world.policy = world.document("policy.yaml", POLICY.replace("version: 3", "version: 3\nmax_age: 30d"))
    papers = world.everything()
    report = world.report()
    world.evidence(replace(report, run=replace(report.run, started=started)))
    assert world.gate(papers).decision.verdict is I


def test_a_clock_set_back_never_allows(world: World) -> None:
    papers = world.everything()
    assert world.gate(papers, now=NOW).decision.verdict is A
    assert world.gate(papers, now=NOW - 3 * HOUR).decision.verdict is I
    assert world.gate(papers, now=NOW + 8 * DAY).decision.verdict is I, "the approvals have expired"


# People who may no longer speak


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (", valid_until: '2026-11-21T11:00:00Z'", "no longer on the roster"),
        (", valid_from: '2026-11-22T00:00:00Z'", "not on the roster yet"),
        (f", revoked_keys: ['{SAM.public.text}']", "was revoked"),
    ],
    ids=["left", "not yet", "key revoked"],
)
def test_who_may_not_speak_now_is_refused(world: World, entry: str, said: str) -> None:
    papers = world.everything()
    world.roster = world.document("roster.yaml", roster(sam=entry))
    error = refused(world, papers)
    assert said in error.what
    assert "approval-security.json" in error.where


def test_who_was_removed_is_a_stranger(world: World) -> None:
    papers = world.everything()
    kept = "".join(line for line in roster().splitlines(True) if "sam" not in line)
    world.roster = world.document("roster.yaml", kept)
    assert "approval-security.json" in refused(world, papers).where


def test_a_time_without_a_zone_is_refused_not_a_crash(world: World) -> None:
    papers = world.everything()
    with pytest.raises(AssayError):
        world.roster = world.document("roster.yaml", roster(sam=", valid_until: '2027-01-01T00:00:00'"))
    world.roster = world.document("roster.yaml", roster())

    def naive(word: Any) -> bytes:
        from assay.flow.papers import release_subject

        return st.sign(st.APPROVAL, [release_subject(world.release().digest)], word, [SAM])

    word = {
        "release": world.release().digest,
        "role": "security",
        "at": "2026-11-21T11:00:00",
        "expires": "2027-01-01T00:00:00",
    }
    assert "malformed" in refused(world, [*papers, world.write("naive.json", naive(word))]).what


def test_the_author_cannot_approve_even_with_the_role(world: World) -> None:
    world.roster = world.document("roster.yaml", roster().replace("[data-science]", "[data-science, security]"))
    papers = world.everything()
    papers[2] = world.approve("security", DANA)
    decision = world.gate(papers).decision
    assert decision.verdict is I
    assert "dana is the author" in decision.trace[-1].reason


def test_a_signature_of_other_bytes_makes_nobody_the_author(world: World) -> None:
    papers = world.everything()
    (world.root / "other.bin").write_bytes(b"other")
    world.write("model.sig", sign_files(world.root / "other.bin", DANA, NOW - HOUR))
    decision = world.gate(papers).decision
    assert decision.verdict is I
    assert "author is unknown" in decision.trace[-1].reason


# Evidence that no honest run could have written


def resigned(world: World, report: Report) -> Path:
    return world.write("evidence.json", sign_report(report, DANA))


def with_outcome(report: Report, **changes: Any) -> Report:
    first = report.body.outcomes[0]
    return replace(report, body=replace(report.body, outcomes=(*report.body.outcomes, replace(first, **changes))))


def test_a_check_or_version_that_is_not_known_here_is_refused(world: World) -> None:
    papers = world.everything()
    resigned(world, with_outcome(world.report(), check="supply.sbom"))
    assert "'supply.sbom', a check that is not known here" in refused(world, papers).what
    resigned(world, with_outcome(world.report(), version=99))
    assert "version 99" in refused(world, papers).what


def without_model(release: Release) -> Release:
    return replace(release, materials=tuple(m for m in release.materials if m.role != "model"))


def hidden_file(release: Release) -> Release:
    twin = replace(release.materials[0], name="model.preprocessing", role="preprocessing", digest="sha256:" + "9" * 64)
    return replace(release, materials=(*release.materials, twin))


def wrong_files(release: Release) -> Release:
    return replace(
        release, materials=(replace(release.materials[0], files={"a.bin": "9" * 64}), *release.materials[1:])
    )


def named_twice(release: Release) -> Release:
    return replace(release, materials=(*release.materials, release.materials[-1]))


@pytest.mark.parametrize("bend", [without_model, hidden_file, wrong_files, named_twice])
def test_a_release_that_no_manifest_describes_is_refused(world: World, bend: Any) -> None:
    report = world.report()
    release = bend(report.body.release)
    error = refused(world, [resigned(world, replace(report, body=replace(report.body, release=release)))])
    assert "evidence.json" in error.where
    assert "Release" in error.what or "files of" in error.what


def test_a_measure_from_who_may_not_vouch_never_counts(world: World) -> None:
    """The policy wants security's figure; data science hides its own in another check's outcome."""
    head = "evidence:\n  - {check: 'performance.*', roles: [security]}\nrequire:"
    world.policy = world.document("policy.yaml", POLICY.replace("require:", head))
    honest = world.evidence(world.report(lambda c: c.startswith("performance.")), SAM, "sam.json")
    rest = world.everything()[1:]
    world.evidence(world.report(lambda c: not c.startswith("performance.")))
    mine = world.papers / "evidence.json"
    assert world.gate([honest, mine, *rest]).decision.verdict is A
    hidden = {"data.schema": {"measures": (measure(0.99),)}}
    poor = {"performance.holdout": {"measures": ()}}
    world.evidence(world.report(lambda c: not c.startswith("performance."), hidden))
    world.evidence(world.report(lambda c: c.startswith("performance."), poor), SAM, "sam.json")
    assert world.gate([honest, mine, *rest]).decision.verdict is I


def test_the_table_that_the_figures_rest_on_must_be_examined_too(world: World) -> None:
    """Recall on a holdout that shares rows with the training data is flattery; its checks cannot be left out."""
    report = world.report(change={"performance.holdout": {"reads": {"holdout": "sha256:" + "7" * 64}}})
    table = Subject(name="holdout", kind=Kind.DATASET, uri="h.csv", digest="sha256:" + "7" * 64)
    report = replace(report, body=replace(report.body, subjects=(*report.body.subjects, table)))
    papers = world.everything()
    resigned(world, report)
    decision = world.gate(papers).decision
    assert decision.verdict is I
    assert "data.label-flips on holdout was never asked" in decision.trace[1].reason
    said = replace(report.body.outcomes[0], subject="holdout", subject_digest=table.digest, measures=())
    checks = check_ids(Kind.DATASET)
    outcomes = (
        *report.body.outcomes,
        *(
            replace(
                said,
                check=c,
                version=load(c).spec.version,
                parameters=resolve_parameters(load(c), {}),
                seed=seed_for(0, c),
            )
            for c in checks
        ),
    )
    resigned(world, replace(report, body=replace(report.body, outcomes=outcomes)))
    assert world.gate(papers).decision.verdict is A


# What the gate leaves behind


def test_observe_signs_nothing_and_says_would(world: World) -> None:
    world.policy = world.document("policy.yaml", POLICY.replace("version: 3", "version: 3\nmode: observe"))
    gated = world.gate(world.everything(), key=GATE)
    assert (gated.decision.verdict, gated.decision.mode, gated.verdict, gated.proof) == (A, "observe", b"", None)


def test_a_verdict_needs_a_ledger(world: World) -> None:
    from assay.flow.gate import gate

    with pytest.raises(UsageError, match="needs a ledger"):
        gate(world.everything(), world.policy, world.roster, OWNER.public, OWNER.public, NOW, key=GATE)


def test_the_ledger_holds_evidence_decision_and_verdict(world: World) -> None:
    from assay.flow.book import open_book

    gated = world.gate(world.everything(), key=GATE)
    with open_book(world.root / "ledger.db", lambda: NOW) as book:
        kinds = [entry.kind for entry in book.read()]
    assert kinds == ["policy", "roster", "evidence", "signature", "approval", "approval", "decision", "verdict"]
    assert gated.proof is not None
    assert gated.proof.size == 7, "the checkpoint was taken before the verdict that carries it"


def test_the_dossier_merges_bundles_and_keeps_who_vouches(world: World) -> None:
    from assay.flow.dossier import dossier_of

    data = world.evidence(world.report(lambda c: c.startswith("data.")), DANA, "data.json")
    whole = world.evidence(world.report(), SAM, "whole.json")
    dossier = dossier_of(world.gate([data, whole, *world.everything()[1:]]))
    pairs = [(o.check, o.subject) for o in dossier.report.body.outcomes]
    assert len(pairs) == len(set(pairs)) == len(world.report().body.outcomes)
    assert {v.person for v in dossier.vouches if v.check == "data.schema"} == {"dana", "sam"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_paper_that_cannot_be_read_is_told(world: World) -> None:
    papers = world.everything()
    papers[0].chmod(0)
    with pytest.raises(AssayError, match=r"evidence\.json"):
        world.gate(papers)


def test_a_saved_bundle_reads_back_as_the_same_report(world: World) -> None:
    from assay.flow.saved import read_dossier

    report = world.report()
    assert read_dossier(world.evidence(report)).report == report
    assert isinstance(report.body.outcomes[0], Outcome)


# What a ledger was handed stays


def test_a_refusal_that_a_ledger_was_handed_cannot_be_left_out(world: World) -> None:
    papers = world.everything()
    refusal = world.approve("security", SUE, "refusal.json", decision="refuse", comment="leaks")
    assert world.gate([*papers, refusal], key=GATE).decision.verdict is D
    kept = world.gate(papers, key=GATE)
    assert kept.decision.verdict is D
    assert any(t.reason == "leaks" for t in kept.decision.trace)
    assert world.gate(papers).decision.verdict is A, "without the ledger nobody can know"


def test_who_refused_takes_it_back_at_the_same_ledger(world: World) -> None:
    papers = world.everything()
    refusal = world.approve("security", SUE, "refusal.json", decision="refuse", at=NOW - 2 * HOUR)
    world.gate([*papers, refusal], key=GATE)
    later = world.approve("security", SUE, "later.json")
    assert world.gate([*papers, later], key=GATE).decision.verdict is A
    assert world.gate(papers, key=GATE).decision.verdict is A


def test_what_was_said_of_another_release_is_not_counted(world: World) -> None:
    papers = world.everything()
    refusal = world.approve("security", SUE, "refusal.json", decision="refuse")
    world.gate([*papers, refusal], key=GATE)
    (world.project / "model.onnx").write_bytes(b"other weights")
    assert world.gate(world.everything(), key=GATE).decision.verdict is A


def test_an_approval_is_logged_once(world: World) -> None:
    papers = world.everything()
    for _ in range(2):
        assert world.gate(papers, key=GATE).decision.verdict is A
    with open_book(world.root / "ledger.db", lambda: NOW) as log:
        assert len(list(log.read(kind="approval"))) == 2


def test_the_author_cannot_be_left_out_of_a_ledgers_papers(world: World) -> None:
    """Carol signed the model and approves it: leaving out her signature, with another's instead, does not help."""
    evidence, security, compliance = (
        world.evidence(),
        world.approve("security", SAM),
        world.approve("compliance", CAROL),
    )
    signed = world.sign_model(CAROL)
    shutil.copy(signed, world.root / "carol.sig")
    assert world.gate([evidence, world.root / "carol.sig", security, compliance], key=GATE).decision.verdict is I
    other = world.sign_model(SUE)
    decision = world.gate([evidence, other, security, compliance], key=GATE).decision
    assert decision.verdict is I
    assert any("carol is the author" in t.reason for t in decision.trace)


def test_evidence_of_an_older_check_counts_for_nothing(world: World) -> None:
    old = {"artifact.pickle-code": {"version": load("artifact.pickle-code").spec.version - 1}}
    papers = [world.evidence(world.report(change=old)), *world.everything()[1:]]
    world.evidence(world.report(change=old))
    decision = world.gate(papers).decision
    assert decision.verdict is I
    assert any("the current one is" in t.reason for t in decision.trace)


def test_a_refusal_that_was_edited_in_the_ledger_stops_the_gate(world: World) -> None:
    papers = world.everything()
    refusal = world.approve("security", SUE, "refusal.json", decision="refuse")
    world.gate([*papers, refusal], key=GATE)
    with sqlite3.connect(world.root / "ledger.db") as connection:
        (index,) = connection.execute("SELECT max(idx) FROM entry WHERE kind = 'approval'").fetchone()
        connection.execute("UPDATE blob SET payload = ? WHERE idx = ?", (b"{}", index))
    with pytest.raises(VerificationError, match="not what was logged"):
        world.gate(papers, key=GATE)


@pytest.mark.parametrize("whose", ["sue", "dana"])
def test_a_word_that_was_erased_allows_nothing(world: World, whose: str) -> None:
    from assay.flow.memory import erase

    papers = world.everything()
    refusal = world.approve("security", SUE, "refusal.json", decision="refuse")
    world.gate([*papers, refusal], key=GATE)
    with open_book(world.root / "ledger.db", lambda: NOW) as log:
        gone = next(e for e in log.read() if e.actor == whose and e.kind in ("approval", "signature"))
        erase(log, gone.index, "requested", "cleo")
    decision = world.gate(papers, key=GATE).decision
    assert decision.verdict is (I if whose == "sue" else D), "dana's signature is gone, sue's refusal stands"
    assert any("a word on this Release was erased" in t.reason for t in decision.trace)
    (world.project / "model.onnx").write_bytes(b"other weights")
    assert world.gate(world.everything(), key=GATE).decision.verdict is A, "of another Release nothing was erased"


def test_a_policy_and_a_roster_are_not_erased(world: World) -> None:
    from assay.flow.memory import erase

    papers = world.everything()
    world.gate(papers, key=GATE)
    with open_book(world.root / "ledger.db", lambda: NOW) as log:
        kinds = {e.index: e.kind for e in log.read() if e.kind in ("policy", "roster")}
        for index, kind in kinds.items():
            with pytest.raises(UsageError, match=f"is a {kind}"):
                erase(log, index, "requested", "cleo")
        assert b"sam" not in b"".join(log.payload(log.entry(i)) for i, k in kinds.items() if k == "roster")
        log.erase(next(i for i, k in kinds.items() if k == "policy"), "by other means", "cleo")
    with pytest.raises(VerificationError, match="the policy by which this ledger decided was erased"):
        world.gate(papers, key=GATE)


def test_a_clock_that_was_set_back_revives_nothing(world: World) -> None:
    papers = world.everything()
    assert world.gate(papers, now=NOW + 60 * DAY, key=GATE).decision.verdict is not A, "the approvals have ended"
    with pytest.raises(VerificationError, match="before the newest entry"):
        world.gate(papers, now=NOW, key=GATE)


def test_a_policy_names_its_roster(world: World) -> None:
    world.policy = world.document("policy.yaml", POLICY.replace("version: 3", "version: 3\nroster: team"))
    assert world.gate(world.everything()).decision.verdict is A
    world.roster = world.document("roster.yaml", roster().replace("roster: team", "roster: lab"))
    with pytest.raises(VerificationError, match="asks for the roster team, this is lab"):
        world.gate(world.everything())


def test_a_revoking_roster_is_remembered_though_a_paper_is_refused(world: World) -> None:
    papers = world.everything()
    world.gate(papers, key=GATE)
    world.roster = world.document(
        "roster.yaml",
        "\n".join(x for x in roster().replace("version: 1", "version: 2").splitlines() if "carol" not in x) + "\n",
    )
    with pytest.raises(VerificationError, match="compliance"):
        world.gate(papers, key=GATE)
    world.roster = world.document("roster.yaml", roster())
    with pytest.raises(VerificationError, match="older than version 2"):
        world.gate(papers, key=GATE)


def test_two_gates_at_once_do_not_take_two_policies(world: World) -> None:
    """Whoever looked before the other wrote looks again after it wrote."""
    from assay.flow.memory import documents_of, write_documents
    from assay.flow.papers import trusted_policy, trusted_roster

    roster_ = trusted_roster(world.roster, OWNER.public)
    new = trusted_policy(world.policy, OWNER.public)
    old = trusted_policy(world.document("policy.yaml", POLICY.replace("version: 3", "version: 2")), OWNER.public)

    with (
        open_book(world.root / "ledger.db", lambda: NOW) as log,
        open_book(world.root / "ledger.db", lambda: NOW) as by,
    ):

        class Late:
            """A log that another gate writes to just after the first look."""

            size = property(lambda self: log.size)
            payload, read = log.payload, log.read

            def append(self, kind: str, *rest: Any) -> Any:
                if kind == "policy":
                    write_documents(by, documents_of(new, OWNER.public, roster_, OWNER.public), NOW)
                return log.append(kind, *rest)

        with pytest.raises(VerificationError, match="version 2 is older than version 3"):
            write_documents(Late(), documents_of(old, OWNER.public, roster_, OWNER.public), NOW)  # type: ignore[arg-type]


# A ledger goes back to no older policy and no older roster


@pytest.mark.parametrize(
    ("old", "wanted"), [("version: 2", "older than version 3"), ("version: 3", "another than the")]
)
def test_a_laxer_policy_does_not_come_back(world: World, old: str, wanted: str) -> None:
    papers = world.everything()
    assert world.gate(papers, key=GATE).decision.verdict is A
    lax = POLICY.replace("version: 3", old).replace("min: 0.6", "min: 0.1")
    world.policy = world.document("policy.yaml", lax)
    with pytest.raises(VerificationError, match=wanted):
        world.gate(papers, key=GATE)
    assert world.gate(papers).decision.verdict is A, "without the ledger nobody can know"


def test_a_newer_policy_is_taken_and_the_same_one_again(world: World) -> None:
    papers = world.everything()
    for version in (3, 4, 4):
        world.policy = world.document("policy.yaml", POLICY.replace("version: 3", f"version: {version}"))
        assert world.gate(papers, key=GATE).decision.verdict is A
    with open_book(world.root / "ledger.db", lambda: NOW) as book:
        assert [e.kind for e in book.read() if e.kind in ("policy", "roster")] == ["policy", "roster", "policy"]


def test_a_policy_of_another_name_is_another_policy(world: World) -> None:
    papers = world.everything()
    world.gate(papers, key=GATE)
    world.policy = world.document(
        "policy.yaml", POLICY.replace("policy: release\nversion: 3", "policy: canary\nversion: 1")
    )
    assert world.gate(papers, key=GATE).decision.verdict is A


def test_a_roster_with_a_revoked_key_does_not_come_back(world: World) -> None:
    papers = world.everything()
    world.roster = world.document("roster.yaml", roster().replace("version: 1", "version: 2"))
    world.gate(papers, key=GATE)
    world.roster = world.document("roster.yaml", roster())
    with pytest.raises(VerificationError, match="roster team version 1 is older than version 2 of this ledger"):
        world.gate(papers, key=GATE)


def test_what_is_no_policy_in_a_ledger_stops_the_gate(world: World) -> None:
    with open_book(world.root / "ledger.db", lambda: NOW) as book:
        book.append("policy", "sha256:" + "0" * 64, b"not a document", "someone")
    with pytest.raises(VerificationError, match="ledger entry 0: holds no policy"):
        world.gate(world.everything(), key=GATE)


def test_a_version_is_signed_once(world: World) -> None:
    from assay.attest.signature import write_signature
    from assay.flow.papers import sign_document

    path = world.policy
    assert sign_document(path, OWNER, NOW)[0] == "policy", "the same bytes may be signed again"
    for version in ("version: 3", "version: 2"):
        path.write_text(POLICY.replace("version: 3", version).replace("min: 0.6", "min: 0.1"))
        with pytest.raises(UsageError, match="version 3 was signed before"):
            sign_document(path, OWNER, NOW)
    path.write_text(POLICY.replace("version: 3", "version: 4"))
    write_signature(path, sign_document(path, OWNER, NOW)[1])
    assert world.gate(world.everything()).decision.verdict is A


# What judges it


def test_a_champion_brings_its_preprocessing(world: World) -> None:
    line = "  model: {model: model.onnx, data: train, threshold: 0.31}"
    text = (world.project / "assay.yaml").read_text()
    champion = "  champion: {model: old.onnx, data: train, threshold: 0.31, preprocessing: prep.onnx}"
    (world.project / "assay.yaml").write_text(text.replace(line, f"{line[:-1]}, champion: champion}}\n{champion}"))
    (world.project / "old.onnx").write_bytes(b"old")
    (world.project / "prep.onnx").write_bytes(b"prep")
    first = world.release()
    assert {m.name for m in first.materials if m.role == "champion"} == {"champion", "champion.preprocessing"}
    (world.project / "prep.onnx").write_bytes(b"a worse one")
    assert world.release().digest != first.digest


ATTACK = """\
  - measure: {name: robustness.evasion.recall_under_attack, min: 0.3, bound: lower95}
"""


@pytest.mark.parametrize(
    ("attacker", "parameters", "wanted"),
    [
        ("", "", A),
        ("attacker: {access: label, queries: 600, norm: cost, budget: 3}\n", "", A),
        ("attacker: {access: whitebox, norm: linf, budget: 0.0001}\n", "", I),
        ("attacker: {norm: linf, budget: 0.0001}\n", "{cost: 3}", I),
        ("attacker: {norm: linf, budget: 0.1}\n", "{norm: linf, budget: 0.1}", A),
        ("attacker: {norm: linf, budget: 0.0001}\n", "pinned", A),
    ],
    ids=["none", "drafted", "newcomer", "priced", "agreed", "pinned"],
)
def test_the_manifests_attacker_loosens_nothing(world: World, attacker: str, parameters: str, wanted: Verdict) -> None:
    manifest = world.project / "assay.yaml"
    manifest.write_text(manifest.read_text() + attacker)
    asked = resolve_parameters(load("robustness.evasion"), {"cost": 3} if parameters == "{cost: 3}" else {})
    left = replace(measure(), name="robustness.evasion.recall_under_attack")
    said = world.report(change={"robustness.evasion": {"measures": (left,), "parameters": asked}})
    text = POLICY + ATTACK
    if parameters == "pinned":
        text += f"  - contract: {{digest: '{world.release().terms.digest}'}}\n"
    elif parameters:
        text = text.replace("require:", f"parameters:\n  robustness.evasion: {parameters}\nrequire:")
    world.policy = world.document("policy.yaml", text)
    papers = world.everything()
    world.evidence(said)
    decision = world.gate(papers).decision
    assert decision.verdict is wanted, decision.trace
    if wanted is I:
        assert decision.aside["robustness.evasion"] == (
            "robustness.evasion ran with norm linf, the policy asks for cost",
        )


# What did not count is said


def test_what_was_set_aside_is_in_the_decision_and_evidences_nothing(world: World) -> None:
    from assay.flow.coverage import coverage_of

    loose = world.report(change={"robustness.evasion": {"parameters": {"cost": 0.1}}})
    decision = world.gate([world.evidence(loose, name="loose.json"), *world.everything()[1:]]).decision
    assert "robustness.evasion" not in decision.counted
    assert "the policy asks for" in decision.aside["robustness.evasion"][0]
    covered = {s for c in coverage_of(loose, decision) for e in c.entries if e.state == "evidenced" for s in e.checks}
    assert "robustness.evasion" not in covered
    assert "artifact.pickle-code" in covered


def test_what_the_decision_does_not_rest_on_is_said(world: World) -> None:
    from assay.flow.dossier import dossier_of
    from assay.render.text import render_text

    bent = world.report(
        change={
            "data.duplicates": {"status": Status.OPEN, "reason": "torn", "complete": False},
            "robustness.evasion": {"parameters": {"cost": 0.1}},
        }
    )
    world.policy = world.document(
        "policy.yaml", POLICY.replace("  - findings: {severity: high, unwaived_max: 0}\n", "")
    )
    papers = [world.evidence(bent, name="bent.json"), *world.everything()[1:]]
    dossier = dossier_of(world.gate(papers))
    assert [o.check for o in dossier.unread()] == ["data.duplicates"]
    text = render_text(dossier)
    assert "not asked  data.duplicates on train is open, and no rule reads it" in text
    assert "set aside  robustness.evasion ran with" in text


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ("robustness.evasion: {sandbox: banana}", "sandbox is full or weak"),
        ("'robustness.*': {access: whitebox}", r"no check is called 'robustness\.\*'"),
        ("robustness.evasions: {access: whitebox}", "did you mean robustness.evasion"),
        ("robustness.evasion: {acess: whitebox}", "did you mean access"),
        ("robustness.evasion: {queries: '600'}", "queries cannot be '600'"),
        ("robustness.evasion: {budget: 3}", "in norm cost `cost` says how far"),
        ("robustness.evasion: {norm: l2, cost: 3}", "in norm l2 `budget` says how far"),
    ],
)
def test_what_a_policy_asks_of_no_check_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, parameters: str, says: str
) -> None:
    """It asked for nothing, and the gate allowed what it was meant to forbid."""
    text = POLICY.replace("require:", f"parameters: {{{parameters}}}\nrequire:")
    with pytest.raises(UsageError, match=says):
        world.document("policy.yaml", text)
    with monkeypatch.context() as older:
        older.setattr("assay.flow.papers.require_known", lambda policy: None)
        world.policy = world.document("policy.yaml", text)
    with pytest.raises(UsageError, match=says):
        world.gate(world.everything())


def test_terms_that_are_pinned_may_say_the_norm_of_a_budget(world: World) -> None:
    text = POLICY.replace("require:", "parameters: {robustness.evasion: {budget: 3}}\nrequire:")
    digest = world.release().terms.digest
    assert world.document("policy.yaml", f"{text}  - contract: {{digest: '{digest}'}}\n").exists()


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("check: 'robustnes.*', roles: [security]", "no check is called"),
        ("check: robustness.evasoin, roles: [security]", "did you mean robustness.evasion"),
        ("check: robustness.evasion, roles: []", "names no role"),
    ],
)
def test_who_may_give_evidence_for_no_check_is_refused(world: World, rule: str, says: str) -> None:
    """Anybody's evidence would have counted, of what only some were meant to give."""
    with pytest.raises(UsageError, match=says):
        world.document("policy.yaml", POLICY.replace("require:", f"evidence: [{{{rule}}}]\nrequire:"))


def test_a_policy_may_allow_a_weak_sandbox(world: World) -> None:
    text = POLICY.replace("require:", "parameters: {performance.holdout: {sandbox: weak}}\nrequire:")
    world.policy = world.document("policy.yaml", text)
    assert world.gate(world.everything()).decision.verdict is not None

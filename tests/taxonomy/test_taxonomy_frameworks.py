"""Frameworks as data: every tag that anything speaks of exists, what is unverified says so, and no prose was copied."""

from __future__ import annotations

import re

import pytest

from assay.checks.index import INDEX
from assay.engine.registry import load
from assay.taxonomy.frameworks import (
    MITIGATION,
    MITIGATIONS,
    TOO_MUCH,
    _data,
    _items,
    crosswalk,
    crosswalk_subjects,
    frameworks,
    resolve,
)

GATE = {"gate.approvals", "gate.evidence", "gate.waivers"}
MANIFEST = {"manifest.system", "manifest.features", "manifest.training"}
COUNTS = {f.prefix: len(f.entries) for f in frameworks()}
ALL = [f"{prefix}:{entry}" for prefix in COUNTS for entry in _items(prefix)]


def test_every_tag_of_a_check_names_an_entry() -> None:
    for check_id in INDEX:
        tags = load(check_id).spec.tags
        assert tags, f"{check_id} names no framework's entry"
        assert [t for t in tags if resolve(t) is None] == [], check_id


def test_every_tag_of_the_crosswalk_names_an_entry() -> None:
    for subject in crosswalk_subjects():
        tags = crosswalk(subject)
        assert tags or load(subject).spec.tags, subject
        assert len(tags) == len(set(tags))
        assert [t for t in tags if resolve(t) is None] == [], subject


def test_every_tag_of_every_topic_names_an_entry() -> None:
    unknown = {t for topic in _data("topics").values() for t in topic["tags"] if resolve(t) is None}
    assert unknown == set()


def test_the_crosswalk_speaks_of_every_check_and_of_nothing_else() -> None:
    assert set(crosswalk_subjects()) == set(INDEX) | GATE | MANIFEST
    assert crosswalk("no.such-check") == ()


def test_no_check_claims_fairness_or_privacy_that_it_does_not_measure() -> None:
    """Checks that look at groups, for personal data or at what a model remembers are evidence for it; no other is."""
    honest = {
        "data.personal-data": {"nist-ai-rmf:MEASURE 2.10"},
        "data.representation": {"nist-ai-rmf:MEASURE 2.11"},
        "fairness.groups": {"nist-ai-rmf:MEASURE 2.11", "iso-42001:A.5.4", "owasp-aitg:AITG-APP-10"},
        "privacy.membership": {"nist-ai-rmf:MEASURE 2.10", "iso-42001:A.5.4"},
        "privacy.memorisation": {"nist-ai-rmf:MEASURE 2.10"},
        "privacy.dp-accounting": {"nist-ai-rmf:MEASURE 2.10"},
    }
    measured = ("nist-ai-rmf:MEASURE 2.10", "nist-ai-rmf:MEASURE 2.11", "iso-42001:A.5.4", "owasp-aitg:AITG-APP-10")
    for subject in crosswalk_subjects():
        own = load(subject).spec.tags if subject in INDEX else ()
        assert {*own, *crosswalk(subject)} & set(measured) == honest.get(subject, set()), subject


def test_measuring_an_attack_is_no_mitigation() -> None:
    named = {s: {t for t in crosswalk(s) if t.startswith(MITIGATION)} for s in crosswalk_subjects()}
    assert {s: tuple(tags) for s, tags in named.items() if tags} == MITIGATIONS
    assert all(resolve(t) for tags in MITIGATIONS.values() for t in tags)


def test_what_claims_too_much_would_be_claimed() -> None:
    topics, used = _data("topics"), _data("crosswalk")
    for subject, tag in TOO_MUCH:
        assert any(tag in topics[t]["tags"] for t in used[subject]), "nothing to leave out"
        assert tag not in crosswalk(subject)


def test_each_crosswalk_topic_exists() -> None:
    topics = _data("topics")
    assert {t for used in _data("crosswalk").values() for t in used} <= set(topics)


def test_each_framework_has_a_name_an_edition_a_source_and_entries() -> None:
    for one in frameworks():
        assert re.fullmatch(r"[a-z0-9-]+", one.prefix)
        assert one.name
        assert one.edition
        assert one.url.startswith("https://")
        assert len(one.entries) == len(_items(one.prefix)) > 0, "an id is listed twice"


@pytest.mark.parametrize(
    ("prefix", "count"),
    [("owasp-ml-2023", 10), ("owasp-llm-2025", 10), ("owasp-agentic-2026", 10), ("iso-42001", 38), ("nist-genai", 12)],
)
def test_lists_of_known_length_are_whole(prefix: str, count: int) -> None:
    """OWASP's lists have ten entries each, ISO/IEC 42001 Annex A 38 controls, NIST AI 600-1 twelve risks."""
    assert COUNTS[prefix] >= count


def test_names_are_labels_not_prose() -> None:
    for tag in ALL:
        info = resolve(tag)
        assert info is not None
        assert info.name
        assert len(info.name) <= 120, tag
        assert "\n" not in info.name
        assert info.name.isprintable()


def test_what_could_not_be_confirmed_is_marked() -> None:
    doubtful = {t for t in ALL if (info := resolve(t)) is not None and not info.verified}
    listed = _data("frameworks")
    for tag in ALL:
        prefix, _, entry = tag.partition(":")
        sure = listed[prefix]["verified"] and _items(prefix)[entry][1]
        assert (tag in doubtful) is not sure
    assert doubtful, "the lists that could not be confirmed are still told apart"


@pytest.mark.parametrize(
    "tag", ["", ":", "atlas", "atlas:", "atlas:AML.T9999", "nowhere:1", "atlas:AML.T0020:x", "ATLAS:AML.T0020"]
)
def test_what_is_no_entry_resolves_to_nothing(tag: str) -> None:
    assert resolve(tag) is None


def test_a_tag_says_what_it_names() -> None:
    info = resolve("atlas:AML.T0020")
    assert info is not None
    assert (info.id, info.tag) == ("AML.T0020", "atlas:AML.T0020")
    assert "Poison" in info.name

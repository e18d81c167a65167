"""Planted documents: where they are, that they are retrieved, and corpora that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.attacks.poisoning.rag import Bm25, Query, plant_documents, read_corpus, retrieval
from assay.core.errors import InputError

NOTES = tuple(f"the river town{i} lies near the hills and grows {c}" for i, c in enumerate(["rye", "oats"] * 40))
QUERIES = tuple(Query(f"what grows in town{i}", "only poison grows there") for i in (3, 17, 30))


def test_clean_documents_stay_in_order_and_planted_ones_are_where_it_says() -> None:
    planted = plant_documents(NOTES, QUERIES, 2, 0)
    held = set(planted.rows)
    assert len(planted.rows) == len(held) == 6
    assert tuple(d for i, d in enumerate(planted.documents) if i not in held) == NOTES
    for row, query in zip(planted.rows, planted.query, strict=True):
        assert QUERIES[query].text in planted.documents[row]
        assert QUERIES[query].payload in planted.documents[row]
    assert len({planted.documents[row] for row in planted.rows}) == 6
    assert planted == plant_documents(NOTES, QUERIES, 2, 0)
    assert planted.rows != plant_documents(NOTES, QUERIES, 2, 1).rows


def test_planted_documents_are_retrieved_and_the_payload_alone_is_not() -> None:
    told = retrieval(NOTES, QUERIES, 1, 0, k=1, others=["which town lies near the hills", "oats"])
    assert (told.success, told.payload_only, told.others) == (1.0, 0.0, 0.0)
    assert told.most == 1.0


def test_more_documents_take_more_places() -> None:
    shares = [retrieval(NOTES, QUERIES, each, 0, k=5).most for each in (1, 3, 5)]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_bm25_is_the_formula() -> None:
    import math

    found = Bm25(["a b", "a a c", "d"])
    assert found.top("a", 3) == (1, 0)
    assert found.top("zzz", 3) == ()
    rarity = math.log(1 + (3 - 1 + 0.5) / 1.5)
    assert rarity > 0
    assert found.top("d", 1) == (2,)


@given(st.lists(st.text(max_size=20), max_size=8), st.integers(1, 3), st.integers(0, 3))
def test_any_corpus_can_be_planted_in(documents: list[str], each: int, seed: int) -> None:
    planted = plant_documents(documents, QUERIES, each, seed)
    held = set(planted.rows)
    assert [d for i, d in enumerate(planted.documents) if i not in held] == documents


def test_nothing_to_plant_is_refused() -> None:
    with pytest.raises(ValueError, match="no queries"):
        plant_documents(NOTES, (), 1, 0)


def test_corpora_are_read(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "c.bin").write_bytes(b"\xff")
    assert read_corpus(tmp_path) == ("first", "second")
    lines = tmp_path / "x.jsonl"
    lines.write_text('"one"\n{"text": "two"}\n\n')
    assert read_corpus(lines) == ("one", "two")


@pytest.mark.parametrize("data", [b"", b"{", b'{"title": 1}', b"\xff\xfe", b"[" * 5000, b"7"])
def test_corpora_that_are_none_are_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_corpus(tmp_path / "x.jsonl")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_corpus(tmp_path / "absent")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match="UTF-8"):
        read_corpus(tmp_path / "t")

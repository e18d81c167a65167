"""Poisoned documents in a corpus that a language model retrieves from, and how often they are retrieved."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from assay.core.errors import InputError, os_words

MAX_DOCUMENTS, MAX_DOCUMENT, MAX_CORPUS = 200_000, 1_000_000, 512 * 1024**2
_WORD = re.compile(r"\w+", re.UNICODE)
_K1, _B = 1.5, 0.75  # Robertson and Zaragoza 2009
SUFFIXES = (".txt", ".md")


class Query(msgspec.Struct, frozen=True):
    """A question that the attacker wants answered falsely, and what the planted documents say: a claim, or an
    instruction to the model."""

    text: str
    payload: str


class PoisonedCorpus(msgspec.Struct, frozen=True, kw_only=True):
    """A corpus with planted documents and the truth about them.

    `rows` are their 0-based positions, sorted; `query` the position in `queries` that each was made for. The other
    documents are the clean ones, untouched and in order.
    """

    documents: tuple[str, ...]
    rows: tuple[int, ...]
    query: tuple[int, ...]
    queries: tuple[Query, ...]


class Retrieval(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of queries whose `k` best documents hold a planted one.

    `success`: of the target queries. `payload_only`: the same where the planted documents hold the payload without the
    query, as a document that merely says so would. `others`: of queries that nobody aimed at (None if none are given).
    `most` is the mean share of the k places that planted documents take.
    """

    k: int
    success: float
    payload_only: float
    most: float
    others: float | None = None


def read_corpus(path: Path) -> tuple[str, ...]:
    """Documents from a folder of .txt and .md files (by name), or a JSONL file of strings or of objects with `text`.

    Raises InputError for what is absent, torn, not UTF-8 or too large: 200,000 documents, 1 MB each, 512 MB together.
    """
    try:
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            _bounded(path, len(files), sum(p.stat().st_size for p in files))
            documents = [_decoded(p, p.read_bytes()) for p in files]
        else:
            _bounded(path, 0, path.stat().st_size)
            documents = [
                _text_of(path, n, line) for n, line in enumerate(path.read_bytes().split(b"\n")) if line.strip()
            ]
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=str(path), fix="check the path") from None
    _bounded(path, len(documents), 0)
    if not documents:
        raise InputError("holds no documents", where=str(path), fix="name a folder of .txt and .md files, or a JSONL")
    return tuple(documents)


def _bounded(path: Path, documents: int, size: int) -> None:
    if documents > MAX_DOCUMENTS or size > MAX_CORPUS:
        raise InputError("is too large a corpus", where=str(path), fix="take a sample of the documents")


def _decoded(path: Path, data: bytes) -> str:
    if len(data) > MAX_DOCUMENT:
        raise InputError(f"is longer than {MAX_DOCUMENT} bytes", where=str(path), fix="split it")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("is not UTF-8", where=str(path), fix="convert it") from None


def _text_of(path: Path, number: int, line: bytes) -> str:
    where = f"{path}:{number + 1}"
    if len(line) > MAX_DOCUMENT:
        raise InputError(f"is longer than {MAX_DOCUMENT} bytes", where=where, fix="split it")
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InputError("is no JSON", where=where, fix="write one document a line") from None
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise InputError("holds no text", where=where, fix='write a string, or {"text": "..."}')
    return text


def plant_documents(
    documents: Sequence[str], queries: Sequence[Query], each: int, seed: int, *, bare: bool = False
) -> PoisonedCorpus:
    """Put `each` documents for every query into the corpus, at random places.

    A planted document is the query, so that it is retrieved, followed by the payload, so that it does harm (with `bare`
    the payload alone). Copies differ by a word of their own, so that they are not the same text. Raises ValueError
    for no queries or fewer than one document each.

    Zou et al. 2024 (PoisonedRAG, arXiv:2402.07867), the black-box form; for instructions Greshake et al. 2023.
    """
    if not queries or each < 1:
        raise ValueError("no queries, or no documents to plant for them")
    rng = np.random.default_rng([seed, 47])
    new = [
        (place, _crafted(query, copy, bare=bare))
        for place, query in enumerate(queries)
        for copy in range(each)
    ]  # fmt: skip
    total = len(documents) + len(new)
    rows = np.sort(rng.choice(total, len(new), replace=False))
    order = rng.permutation(len(new))
    planted = {int(row): new[i] for row, i in zip(rows, order, strict=True)}
    clean = iter(documents)
    return PoisonedCorpus(
        documents=tuple(planted[i][1] if i in planted else next(clean) for i in range(total)),
        rows=tuple(map(int, rows)),
        query=tuple(planted[int(row)][0] for row in rows),
        queries=tuple(queries),
    )


_OPENINGS = ("In short:", "Answer:", "As confirmed:", "Note:", "Summary:", "In fact:", "Reply:", "Update:")


def _crafted(query: Query, copy: int, *, bare: bool) -> str:
    opening = _OPENINGS[copy % len(_OPENINGS)] + ("" if copy < len(_OPENINGS) else f" ({copy})")
    said = f"{opening} {query.payload}"
    return said if bare else f"{query.text} {said}"


class Bm25:
    """A plain BM25 retriever over words (Robertson and Zaragoza 2009), as a reference that anyone can repeat."""

    def __init__(self, documents: Sequence[str]) -> None:
        counted = [Counter(_words(d)) for d in documents]
        lengths = np.array([sum(c.values()) for c in counted], dtype=float)
        mean = float(lengths.mean()) if len(lengths) and lengths.any() else 1.0
        self._dampened = _K1 * (1 - _B + _B * lengths / mean)
        postings: dict[str, tuple[list[int], list[int]]] = {}
        for place, counts in enumerate(counted):
            for word, many in counts.items():
                where, often = postings.setdefault(word, ([], []))
                where.append(place)
                often.append(many)
        self._postings = {w: (np.array(a), np.array(b, dtype=float)) for w, (a, b) in postings.items()}
        self._size = len(documents)

    def top(self, query: str, k: int) -> tuple[int, ...]:
        """The positions of the `k` best documents, the best first; documents without any word of the query never."""
        scores = np.zeros(self._size)
        for word in set(_words(query)):
            if word in self._postings:
                where, often = self._postings[word]
                rarity = math.log(1 + (self._size - len(where) + 0.5) / (len(where) + 0.5))
                scores[where] += rarity * often * (_K1 + 1) / (often + self._dampened[where])
        order = np.argsort(-scores, kind="stable")[:k]
        return tuple(int(i) for i in order if scores[i] > 0)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def retrieval(
    documents: Sequence[str], queries: Sequence[Query], each: int, seed: int, *, k: int = 5, others: Sequence[str] = ()
) -> Retrieval:
    """Plant documents, and measure how often they are retrieved, with the payload alone as the baseline."""
    poisoned = plant_documents(documents, queries, each, seed)
    bare = plant_documents(documents, queries, each, seed, bare=True)
    retriever = Bm25(poisoned.documents)
    owned = dict(zip(poisoned.rows, poisoned.query, strict=True))
    tops = [retriever.top(q.text, k) for q in queries]
    hits = [sum(owned.get(i) == place for i in top) for place, top in enumerate(tops)]
    spilled = [any(i in owned for i in retriever.top(text, k)) for text in others]
    return Retrieval(
        k=k,
        success=float(np.mean([h > 0 for h in hits])),
        payload_only=_share(bare, k),
        most=float(np.mean(hits)) / k,
        others=float(np.mean(spilled)) if spilled else None,
    )


def _share(poisoned: PoisonedCorpus, k: int) -> float:
    retriever = Bm25(poisoned.documents)
    owned = dict(zip(poisoned.rows, poisoned.query, strict=True))
    found = [
        any(owned.get(i) == place for i in retriever.top(query.text, k)) for place, query in enumerate(poisoned.queries)
    ]
    return float(np.mean(found))

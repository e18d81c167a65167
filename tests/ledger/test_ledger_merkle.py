"""The tree against a naive reading of RFC 9162: every proof of every size to 70, and nothing forged gets through."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import VerificationError
from assay.ledger import merkle

SIZES = range(71)
LEAVES = [b"leaf %d" % number for number in SIZES]


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, as written."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 9162 section 2.1.3.1, as written."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """RFC 9162 section 2.1.4.1, as written."""
    n = len(leaves)
    if m == n:
        return [] if whole else [mth(leaves)]
    k = split(n)
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


@pytest.fixture(scope="module")
def tree() -> merkle.Tree:
    grown = merkle.Tree()
    for index, leaf in enumerate(LEAVES):
        assert grown.append(leaf) == index
    return grown


def test_known_roots() -> None:
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    # The root over one empty leaf, as the Certificate Transparency test data publish it.
    assert merkle.Tree([merkle.leaf_hash(b"")]).root().hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )


@pytest.mark.parametrize("size", SIZES)
def test_root_and_inclusion_equal_the_oracle(tree: merkle.Tree, size: int) -> None:
    root = mth(LEAVES[:size])
    assert tree.root(size) == root
    for index in range(size):
        proof = tree.inclusion(index, size)
        assert list(proof) == path(index, LEAVES[:size])
        merkle.verify_inclusion(merkle.leaf_hash(LEAVES[index]), index, size, proof, root)


@pytest.mark.parametrize("new", SIZES)
def test_consistency_equals_the_oracle(tree: merkle.Tree, new: int) -> None:
    roots = [tree.root(size) for size in range(new + 1)]
    for old in range(new + 1):
        proof = tree.consistency(old, new)
        assert list(proof) == (subproof(old, LEAVES[:new], True) if old else [])
        merkle.verify_consistency(old, new, proof, roots[old], roots[new])


@given(st.lists(st.integers(0, 40), max_size=12))
def test_all_ways_to_grow_agree(steps: list[int]) -> None:
    one, many, peaks = merkle.Tree(), merkle.Tree(), list[bytes]()
    size = 0
    for step in steps:
        leaves = [b"%d" % number for number in range(size, size + step)]
        many.extend(leaves)
        for leaf in leaves:
            merkle.push(peaks, one.append(leaf), merkle.leaf_hash(leaf))
        size += step
        assert one.size == many.size == size
        assert one.root() == many.root() == merkle.fold(peaks)
        assert one.peaks() == many.peaks() == peaks
        assert merkle.Tree(one.leaf(index) for index in range(size)).root() == one.root()


@settings(max_examples=300)
@given(st.data())
def test_a_changed_inclusion_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    tree = merkle.Tree(merkle.leaf_hash(leaf) for leaf in LEAVES[:size])
    proof, leaf, root = list(tree.inclusion(index)), tree.leaf(index), tree.root()
    change = data.draw(st.sampled_from(["leaf", "index", "size", "root", "step", "longer", "shorter"]))
    if change == "leaf":
        leaf = flip(data, leaf)
    elif change == "root":
        root = flip(data, root)
    elif change == "index":
        index = data.draw(st.integers(-2, size + 2).filter(lambda other: other != index))
    elif change == "size":
        size = 0
    elif change == "longer":
        proof.insert(data.draw(st.integers(0, len(proof))), bytes(32))
    elif proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        proof[at : at + 1] = [flip(data, proof[at])] if change == "step" else []
    else:
        return
    with pytest.raises(VerificationError):
        merkle.verify_inclusion(leaf, index, size, proof, root)


def test_a_proof_that_ends_below_the_root_is_refused() -> None:
    tree = merkle.Tree(merkle.leaf_hash(leaf) for leaf in LEAVES[:4])
    with pytest.raises(VerificationError):  # it leads to the right hash, but the log of 8 has one more level
        merkle.verify_inclusion(tree.leaf(0), 0, 8, tree.inclusion(0), tree.root())


@settings(max_examples=300)
@given(st.data())
def test_a_changed_consistency_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 70))
    old = data.draw(st.integers(1, new))
    tree = merkle.Tree(merkle.leaf_hash(leaf) for leaf in LEAVES[:new])
    proof, before, after = list(tree.consistency(old)), tree.root(old), tree.root()
    change = data.draw(st.sampled_from(["old root", "new root", "step", "longer", "shorter", "swapped"]))
    if change == "old root":
        before = flip(data, before)
    elif change == "new root":
        after = flip(data, after)
    elif change == "longer":
        proof.insert(data.draw(st.integers(0, len(proof))), bytes(32))
    elif change == "swapped":
        old, new = new + 1, old
    elif proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        proof[at : at + 1] = [flip(data, proof[at])] if change == "step" else []
    else:
        return
    with pytest.raises(VerificationError):
        merkle.verify_consistency(old, new, proof, before, after)


@pytest.mark.parametrize("ask", [(-1, 3), (3, 3), (0, 9)])
def test_there_is_no_proof_of_what_is_not_there(ask: tuple[int, int]) -> None:
    tree = merkle.Tree(merkle.leaf_hash(leaf) for leaf in LEAVES[:5])
    with pytest.raises(ValueError, match="in a tree of 5 leaves"):
        tree.inclusion(*ask)
    with pytest.raises(ValueError, match="in a tree of 5 leaves"):
        tree.root(6)
    with pytest.raises(ValueError, match="in a tree of 5 leaves"):
        tree.consistency(4, 6)


def flip(data: st.DataObject, value: bytes) -> bytes:
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    return (int.from_bytes(value, "big") ^ (1 << bit)).to_bytes(len(value), "big")

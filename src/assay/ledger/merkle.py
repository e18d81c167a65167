"""The Merkle tree of RFC 9162 (section 2.1): append, root, inclusion and consistency proofs, and their verification.

The verifying functions know nothing of how the tree is kept: an auditor needs only them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec

from assay.core.errors import VerificationError

EMPTY_ROOT = sha256(b"").digest()


class InclusionProof(msgspec.Struct, frozen=True):
    """That the leaf of hash `leaf` is entry `index` of the first `size`: hashes of 32 bytes, base64 in JSON."""

    index: int
    size: int
    leaf: bytes
    path: tuple[bytes, ...]

    def verify(self, root: bytes) -> None:
        """Return if it leads to `root`, the root of the first `size` leaves. Raises VerificationError."""
        verify_inclusion(self.leaf, self.index, self.size, self.path, root)


class ConsistencyProof(msgspec.Struct, frozen=True):
    """That the log of `new` entries begins with the log of `old` entries."""

    old: int
    new: int
    path: tuple[bytes, ...]

    def verify(self, old_root: bytes, new_root: bytes) -> None:
        """Return if it leads to both roots. Raises VerificationError."""
        verify_consistency(self.old, self.new, self.path, old_root, new_root)


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def push(peaks: list[bytes], size: int, leaf: bytes) -> None:
    """Add a leaf's hash to `peaks`, the roots of the complete subtrees of a tree of `size` leaves, largest first."""
    while size & 1:
        leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
        size >>= 1
    peaks.append(leaf)


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root hash over `peaks`."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


class Tree:
    """A tree in memory: the hash of every complete subtree, 64 bytes a leaf. Sizes and indices count leaves from 0.

    Leaves are only noted when they are added; the nodes above them are hashed, level by level, when first asked for.
    Not safe for several threads at once.
    """

    __slots__ = ("_built", "_levels", "_nodes", "size")

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._nodes: list[bytes] = []  # leaf hashes not yet in _levels
        self._built = 0  # leaves whose complete subtrees are all in _levels
        self._levels: list[bytearray] = [bytearray()]  # _levels[h] holds, 32 bytes each, the subtrees of 2**h leaves
        self.extend_hashes(hashes)

    def append(self, leaf: bytes) -> int:
        """Add one leaf (its bytes) and return its index."""
        self._nodes.append(sha256(b"\x00" + leaf).digest())
        index = self.size
        self.size = index + 1
        return index

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add many leaves."""
        self.extend_hashes([sha256(b"\x00" + leaf).digest() for leaf in leaves])

    def extend_hashes(self, hashes: Iterable[bytes]) -> None:
        """Add many leaves by their hashes."""
        self._nodes.extend(hashes)
        self.size = len(self._levels[0]) // 32 + len(self._nodes)

    def _build(self) -> None:
        """Bring every level up to the leaves that were added since."""
        if self._built == self.size:
            return
        level = self._levels[0]
        level += b"".join(self._nodes)
        self._nodes.clear()
        height = 0
        while len(level) >= 64:
            height += 1
            if height == len(self._levels):
                self._levels.append(bytearray())
            above = self._levels[height]
            start, end = len(above) * 2, len(level) // 64 * 64
            if start == end:
                break
            pairs = bytes(level[start:end])
            above += b"".join([sha256(b"\x01" + pairs[at : at + 64]).digest() for at in range(0, end - start, 64)])
            level = above
        self._built = self.size

    def leaf(self, index: int) -> bytes:
        """The hash of the leaf at `index`."""
        self._check(0 <= index < self.size, "index", index)
        self._build()
        return bytes(self._levels[0][32 * index : 32 * index + 32])

    def root(self, size: int | None = None) -> bytes:
        """The root hash of the first `size` leaves (all of them by default). ValueError if there are fewer."""
        end = self.size if size is None else size
        self._check(0 <= end <= self.size, "size", end)
        self._build()
        return self._hash(0, end) if end else EMPTY_ROOT

    def peaks(self) -> list[bytes]:
        """The roots of the complete subtrees, largest first: all that `push` needs to go on."""
        self._build()
        return self._peaks(0, self.size)

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """PATH(index, D[size]) of RFC 9162 section 2.1.3.1. ValueError unless index < size ≤ self.size."""
        end = self.size if size is None else size
        self._check(0 <= index < end <= self.size, "index or size", index)
        self._build()
        path, start = [], 0
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._hash(middle, end))
                end = middle
            else:
                path.append(self._hash(start, middle))
                start = middle
        return tuple(reversed(path))

    def consistency(self, old: int, new: int | None = None) -> tuple[bytes, ...]:
        """PROOF(old, D[new]) of RFC 9162 section 2.1.4.1, empty if old is 0 or new. ValueError if there is none."""
        end = self.size if new is None else new
        self._check(0 <= old <= end <= self.size, "size", old)
        self._build()
        if old in (0, end):
            return ()
        path, start, whole = [], 0, True
        while old != end:
            middle = start + _split(end - start)
            if old <= middle:
                path.append(self._hash(middle, end))
                end = middle
            else:
                path.append(self._hash(start, middle))
                start, whole = middle, False
        if not whole:
            path.append(self._hash(start, end))
        return tuple(reversed(path))

    def _hash(self, start: int, end: int) -> bytes:
        """The hash of leaves start:end, where start is a multiple of the smallest power of two ≥ end - start."""
        width = end - start
        height = width.bit_length() - 1
        if width == 1 << height:
            at = 32 * (start >> height)
            return bytes(self._levels[height][at : at + 32])
        return fold(self._peaks(start, end))

    def _peaks(self, start: int, end: int) -> list[bytes]:
        peaks = []
        while start < end:
            height = (end - start).bit_length() - 1
            at = 32 * (start >> height)
            peaks.append(bytes(self._levels[height][at : at + 32]))
            start += 1 << height
        return peaks

    def _check(self, good: bool, what: str, value: int) -> None:
        if not good:
            raise ValueError(f"no {what} {value} in a tree of {self.size} leaves")


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Return if `path` proves the leaf hash `leaf` to be at `index` of the `size` leaves under `root`.

    Raises VerificationError otherwise. RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise VerificationError(f"the proof is of entry {index} in a log of {size}")
    at, last, node = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise VerificationError("the inclusion proof is too long")
        if at & 1 or at == last:
            node = node_hash(step, node)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            node = node_hash(node, step)
        at >>= 1
        last >>= 1
    if last or node != root:
        raise VerificationError(f"the proof does not lead from entry {index} to the root of the {size}-entry log")


def verify_consistency(old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Return if `path` proves that the log of `new` leaves begins with the log of `old` leaves.

    Raises VerificationError otherwise. RFC 9162 section 2.1.4.2; old = 0 and old = new are proven by an empty path.
    """
    refusal = VerificationError(f"the log of {new} entries does not continue the log of {old} entries")
    if not 0 <= old <= new:
        raise refusal
    if old in (0, new):
        if path or (old == new and old_root != new_root) or (old == 0 and old_root != EMPTY_ROOT):
            raise refusal
        return
    steps = list(path) if old & (old - 1) else [old_root, *path]
    if not steps:
        raise refusal
    at, last = old - 1, new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise refusal
        if at & 1 or at == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            after = node_hash(after, step)
        at >>= 1
        last >>= 1
    if last or before != old_root or after != new_root:
        raise refusal


def _split(width: int) -> int:
    """The largest power of two smaller than `width` (≥ 2)."""
    return 1 << ((width - 1).bit_length() - 1)

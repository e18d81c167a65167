"""Speed of the ledger: `python benchmarks/bench_ledger.py [FOLDER]`; the database is written to FOLDER (default: here).

Each figure stands beside the bound that we promise, measured in this run on this machine: median of three.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from assay.attest.keys import generate
from assay.ledger.entry import NewEntry
from assay.ledger.log import Ledger
from assay.ledger.merkle import Tree

LEAVES = 200_000
ENTRIES = 100_000
GROUP = 1_000


def seconds(work: Callable[[], object]) -> float:
    """Median wall-clock time of three runs."""
    return statistics.median(once(work) for _ in range(3))


def once(work: Callable[[], object]) -> float:
    """Wall-clock time of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def merkle_shares() -> tuple[float, float, float]:
    """Bare hashing's leaves a second, and the share of it that append and extend reach, on leaves of 250 bytes."""
    leaves = [b'{"actor":"someone@example.com","index":%07d,"pad":"' % n + b"x" * 200 for n in range(LEAVES)]
    pair = bytes(65)

    def bare() -> None:
        for leaf in leaves:
            sha256(b"\x00" + leaf).digest()
        for _ in range(LEAVES - 1):  # a tree of n leaves has about n inner nodes
            sha256(pair).digest()

    def one_by_one() -> None:
        tree = Tree()
        for leaf in leaves:
            tree.append(leaf)
        tree.root()

    def at_once() -> None:
        tree = Tree()
        tree.extend(leaves)
        tree.root()

    rounds = []
    for _ in range(7):  # side by side in each round, since a shared machine changes pace
        rounds.append([once(work) for work in (bare, one_by_one, at_once)])
    return (
        LEAVES / statistics.median(floor for floor, _, _ in rounds),
        statistics.median(floor / append for floor, append, _ in rounds),
        statistics.median(floor / extend for floor, _, extend in rounds),
    )


def main() -> None:
    """Measure and print the table."""
    rate, append_share, extend_share = merkle_shares()
    rows = [
        ("bare SHA-256, leaves/s", f"{rate:,.0f}", ""),
        ("Merkle append, share of bare hashing", f"{append_share:.0%}", ">= 50%"),
        ("Merkle extend, share of bare hashing", f"{extend_share:.0%}", ">= 50%"),
    ]
    key = generate("bench")
    base = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
    with tempfile.TemporaryDirectory(dir=base) as folder:
        path = Path(folder) / "ledger.db"
        with Ledger.open(path, clock=lambda: datetime.now(UTC), origin="bench", key=key) as ledger:
            group = [
                NewEntry(
                    "outcome", "sha256:" + "ab" * 32, b'{"check":"x","status":"pass"}' * 8, "someone@example.com", "w"
                )
            ] * GROUP
            times = []
            for _ in range(ENTRIES // GROUP):
                start = time.perf_counter()
                ledger.append_many(group)
                times.append(time.perf_counter() - start)
            ledger.checkpoint()
            rows.append((f"durable entries/s, groups of {GROUP:,}, fsync", f"{ENTRIES / sum(times):,.0f}", ">= 10,000"))
            rows.append((f"full verify of {ENTRIES:,} entries, s", f"{seconds(ledger.verify):.2f}", "<= 2"))
            start = time.perf_counter()
            ledger.prove(0)
            rows.append(
                ("first inclusion proof (loads the tree), ms", f"{(time.perf_counter() - start) * 1e3:.0f}", "")
            )
            proofs = range(0, ENTRIES, 100)
            whole = seconds(lambda: [ledger.prove(index, ENTRIES) for index in proofs]) / len(proofs)
            newest = seconds(lambda: [ledger.prove(index) for index in proofs]) / len(proofs)
            rows.append((f"inclusion proof at size {ENTRIES:,}, µs", f"{whole * 1e6:.0f}", "<= 200"))
            rows.append(("inclusion proof at the newest size, µs", f"{newest * 1e6:.0f}", "<= 200"))
            single = seconds(lambda: [ledger.append("outcome", "", b"x", "someone") for _ in range(50)]) / 50
            rows.append(("one durable append, ms", f"{single * 1e3:.2f}", ""))
        rows.append(("bytes on disk an entry (232-byte payload)", f"{path.stat().st_size / ENTRIES:.0f}", ""))
    for name, value, bound in rows:
        print(f"{name:<46} {value:>12}  {bound}")


if __name__ == "__main__":
    main()

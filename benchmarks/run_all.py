"""Every benchmark of docs/benchmarks.md, one after another.

python benchmarks/run_all.py [PATH/fraud_oracle.csv]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHES = (
    "bench_start.py",
    "bench_install.py",
    "bench_scan.py",
    "bench_corpora.py",
    "bench_sign.py",
    "bench_elsewhere.py",
    "bench_engine.py",
    "bench_ledger.py",
    "bench_gate.py",
    "bench_house.py",
    "bench_detectors.py",
    "bench_fairness.py",
    "bench_watch.py",
    "bench_refusals.py",
)

TABLES = (
    "bench_data.py",
    "bench_triggers.py",
    "bench_poisoning.py",
    "bench_nature.py",
    "bench_copies.py",
    "bench_sanitise.py",
    "bench_evasion.py",
    "bench_priced.py",
    "bench_extraction.py",
    "bench_membership.py",
)


def main() -> int:
    """Run them; the example, and what asks the tables beside it, only where its data is given."""
    failed = 0
    for name in BENCHES:
        print(f"\n## {name}\n", flush=True)
        failed |= subprocess.run([sys.executable, str(HERE / name)], check=False).returncode
    if len(sys.argv) > 1:
        table = Path(sys.argv[1])
        asked = [("bench_example.py", [str(table)]), *((n, ["--data", str(table.parent)]) for n in TABLES)]
        for name, words in asked:
            print(f"\n## {name}\n", flush=True)
            failed |= subprocess.run([sys.executable, str(HERE / name), *words], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())

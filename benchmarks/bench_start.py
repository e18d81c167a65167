"""Start-up: `assay --help`, and `assay scan` of one 1 KB pickle beside picklescan and fickling.

python benchmarks/bench_start.py
"""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

from common import ASSAY, HEAD, cpu_seconds, peer, row

PICKLESCAN, FICKLING = "1.0.5", "0.1.12"


def main() -> None:
    """Print the table; CPU seconds of the whole process, 20 runs each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.pkl"
        path.write_bytes(pickle.dumps({"weights": list(range(300)), "name": "a" * 200}))
        print(f"a pickle of {path.stat().st_size} bytes, CPU seconds of the whole process\n\n{HEAD}")
        print(row("assay --help", cpu_seconds([*ASSAY, "--help"], 20), "≤ .07"))
        print(row("assay scan", cpu_seconds([*ASSAY, "scan", str(path)], 20), "≤ .09"))
        for name, version, words in (
            ("picklescan", PICKLESCAN, ["picklescan", "-p", str(path)]),
            ("fickling", FICKLING, ["fickling", "--check-safety", str(path)]),
        ):
            home = peer(name, version)
            if home is None:
                print(f"| {name} {version} | could not be installed | | |")
            else:
                print(row(f"{name} {version}", cpu_seconds([str(home / words[0]), *words[1:]], 20), ""))


if __name__ == "__main__":
    main()

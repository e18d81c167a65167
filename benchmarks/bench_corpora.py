"""How many attacks are found and how many ordinary files are alarmed: Assay beside the peers, on the same files.

python benchmarks/bench_corpora.py [--quick] [--only CORPUS]

The corpora are tests/corpora: `attack_files` is what we develop on; `judge_*`, `second_*` and `third_*` were each made
by another hand that had not seen the scanner, and were frozen before their first score. `--quick` leaves out
modelaudit. Intervals are Wilson's over shapes; `refused` of the open ones are refused by their own loader.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from common import ASSAY, ROOT, peer

from assay.stats.intervals import wilson

sys.path.insert(0, str(ROOT / "tests" / "corpora"))

# What a peer's exit code says: clean, found, anything else (it could not look).
TOOLS = {
    "picklescan 1.0.5": ("picklescan", "1.0.5", ["picklescan", "-p"]),
    "modelscan 0.8.8": ("modelscan", "0.8.8", ["modelscan", "-p"]),
    "modelaudit 0.2.54": ("modelaudit", "0.2.54", ["modelaudit", "scan"]),
}
SECONDS = 60


def verdict(command: list[str]) -> str:
    """`found`, `clean` or `open` by the exit code: 1, 0, anything else."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "open"
    return {0: "clean", 1: "found"}.get(done.returncode, "open")


def _interval(hits: int, n: int) -> str:
    low, high = wilson(hits, n)
    return f"{hits / n:.1%} [{low:.1%}–{high:.1%}]"


def main() -> None:
    """Print one line for each corpus and tool."""
    import attack_files
    import judge_attacks
    import judge_benign
    import second_attacks
    import second_benign
    import third_attacks
    import third_benign

    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="corpora whose name holds this")
    options = parser.parse_args()
    commands = {"assay": [*ASSAY, "scan"]}
    for title, (name, version, words) in TOOLS.items():
        found = None if options.quick and name == "modelaudit" else peer(name, version)
        if found is not None:
            commands[title] = [str(found / words[0]), *words[1:]]
    corpora = {"develop attacks": attack_files, "judge attacks": judge_attacks, "judge ordinary": judge_benign}
    corpora |= {"second judge attacks": second_attacks, "second judge ordinary": second_benign}
    corpora |= {"third judge attacks": third_attacks, "third judge ordinary": third_benign}
    corpora = {name: module for name, module in corpora.items() if options.only in name}
    if not corpora:
        parser.error(f"no corpus is called like {options.only!r}")
    print("| corpus | tool | files | found | open | clean |\n| --- | --- | --- | --- | --- | --- |")
    for corpus, module in corpora.items():
        shapes = module.shapes()
        with tempfile.TemporaryDirectory() as folder:
            for number, files in enumerate(shapes.values()):
                for name, data in files.items():
                    path = Path(folder) / str(number) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
            for title, command in commands.items():
                said = [verdict([*command, str(Path(folder) / str(n))]) for n in range(len(shapes))]
                told, n = Counter(said), len(shapes)
                refuses = getattr(module, "REFUSED", frozenset())
                refused = sum(v == "open" and name in refuses for name, v in zip(shapes, said, strict=True))
                cells = [f"{told[v]} ({_interval(told[v], n)})" for v in ("found", "open", "clean")]
                cells[1] += f", {refused} refused" if refused else ""
                print(f"| {corpus} | {title} | {n} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

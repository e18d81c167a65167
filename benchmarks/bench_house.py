"""The house in figures: upward imports, file and function lengths.

python benchmarks/bench_house.py
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

from common import ROOT

SOURCE = ROOT / "src/assay"


def main() -> int:
    """Print the table; 1 when a bound is broken, 2 when it cannot be told."""
    long_files, functions, long_functions = 0, 0, 0
    for path in SOURCE.rglob("*.py"):
        text = path.read_text("utf-8")
        long_files += text.count("\n") > 500
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions += 1
                long_functions += (node.end_lineno or 0) - node.lineno + 1 > 60
    linter = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or shutil.which("lint-imports")
    if linter is None:
        print("import-linter is not installed; pip install -e '.[dev]'", file=sys.stderr)
        return 2
    broken = subprocess.run([linter], cwd=ROOT, capture_output=True, check=False).returncode
    share = 100 * long_functions / functions
    print("| what | is | bound |\n| --- | --- | --- |")
    print(f"| import-linter (floors, upward imports) | {'broken' if broken else 'kept'} | kept |")
    print(f"| files over 500 lines | {long_files} | 0 |")
    print(f"| functions over 60 lines | {long_functions} of {functions} ({share:.1f}%) | ≤ 1.5% |")
    return int(bool(broken or long_files or share > 1.5))


if __name__ == "__main__":
    sys.exit(main())

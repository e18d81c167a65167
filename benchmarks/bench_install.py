"""The base install: what `pip install assay` puts on disk, .pyc files included.

python benchmarks/bench_install.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from common import ROOT


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def main() -> None:
    """Install into an empty environment and print what it weighs, without pip and setuptools themselves."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "venv"
        venv.create(home, with_pip=True)
        python = home / "bin/python"
        site = next((home / "lib").iterdir()) / "site-packages"
        before = size_of(site)
        subprocess.run([str(python), "-m", "pip", "install", "-q", str(ROOT)], check=True)
        subprocess.run([str(python), "-m", "compileall", "-q", str(site)], check=False)
        added = size_of(site) - before
        listed = subprocess.run([str(python), "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
        release = f"{sys.version_info.major}.{sys.version_info.minor}"
        print("| what | size | bound |\n| --- | --- | --- |")
        print(f"| base install with .pyc, Python {release} | {added / 1e6:.1f} MB | ≤ 75 MB |")
        print(f"\n{listed}")


if __name__ == "__main__":
    main()

"""Scanning beside picklescan, modelscan and modelaudit in the same run: CPU seconds and peak memory of whole processes.

python benchmarks/bench_scan.py [--quick] [--keep FOLDER]

`--quick` leaves out the peers' slowest rows (a peer is given ten minutes a file otherwise).
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import random
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

from common import ASSAY, middle_run, peer

PEERS = {
    "picklescan 1.0.5": ("picklescan", "1.0.5", ["picklescan", "-p"]),
    "modelscan 0.8.8": ("modelscan", "0.8.8", ["modelscan", "-p"]),
    "modelaudit 0.2.54": ("modelaudit", "0.2.54", ["modelaudit", "scan"]),
}


def torch_zip(path: Path) -> None:
    """A torch archive of 500 MB: a hundred stored tensors of random bytes, aligned to 64 as torch writes them."""
    body = b"\x80\x02ccollections\nOrderedDict\n)R."
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", body)
        archive.writestr("archive/byteorder", "little")
        for i in range(100):
            archive.writestr(f"archive/data/{i}", random.Random(i).randbytes(5_000_000))
        archive.writestr("archive/version", "3\n")


def forest(path: Path) -> None:
    """A pickled random forest of about 33 MB."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    rows, target = rng.normal(size=(20_000, 20)), rng.integers(0, 2, 20_000)
    model = RandomForestClassifier(70, random_state=0, n_jobs=2).fit(rows, target)
    path.write_bytes(pickle.dumps(model, 4))


def opcodes(path: Path) -> None:
    """A pickle of 24 million opcodes in 72 MB: a list of whole numbers of two bytes."""
    path.write_bytes(pickle.dumps([256 + i % 65_000 for i in range(24_000_000)], 4))


def small(folder: Path, count: int) -> None:
    """Pickles of a few hundred bytes, each of its own content."""
    folder.mkdir()
    for i in range(count):
        (folder / f"m{i}.pkl").write_bytes(pickle.dumps({"weights": [float(i), 2.0, 3.0], "name": f"model {i}"}))


def bare(path: Path) -> float:
    """CPU seconds of SHA-256 and of CRC-32 over a file, nothing else."""
    start = time.process_time()
    digest, crc = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
            crc = zlib.crc32(data, crc)
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        made = {"torch.pt": torch_zip, "forest.pkl": forest, "opcodes.pkl": opcodes}
        for name, make in made.items():
            if not (folder / name).exists():
                make(folder / name)
        for name, count in (("small-2000", 2000), ("small-20000", 20_000)):
            if not (folder / name).exists():
                small(folder / name, count)
        print("| what | tool | CPU s | peak MB | ended |\n| --- | --- | --- | --- | --- |")
        for name in (*made, "small-2000", "small-20000"):
            path, times = folder / name, 3
            size = f" ({path.stat().st_size / 1e6:.0f} MB)" if path.is_file() else ""
            tools = {
                "assay scan": [*ASSAY, "scan", str(path)],
                "assay scan --full": [*ASSAY, "scan", "--full", str(path)],
            }
            if name != "small-20000":
                for title, (home, version, words) in PEERS.items():
                    if options.quick and (
                        title.startswith("modelaudit") or (name == "opcodes.pkl" and "picklescan" not in title)
                    ):
                        continue
                    found = peer(home, version)
                    if found is not None:
                        tools[title] = [str(found / words[0]), *words[1:], str(path)]
            for title, command in tools.items():
                cpu, memory, ended = middle_run(command, times if "assay" in title else 1)
                print(f"| {name}{size} | {title} | {cpu:.2f} | {memory:.0f} | {ended} |", flush=True)
            if name == "torch.pt":
                print(f"| {name}{size} | SHA-256 + CRC-32 alone | {bare(path):.2f} | | |", flush=True)


if __name__ == "__main__":
    main()

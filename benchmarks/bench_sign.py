"""Signing a model: 1 GB in one file and 10,000 small ones, beside SHA-256 alone and model_signing, in the same run.

python benchmarks/bench_sign.py [PEER]

PEER is the command that starts model_signing in an environment of its own, such as `/venv/bin/python -m model_signing`
(or ASSAY_MODEL_SIGNING); its rows say so where it is absent. Every row is a process of its own, started and imported:
what a person waits for. `library` rows are the calls alone, in this process.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from assay.attest.keys import generate, load_public
from assay.attest.signature import read_signature, sign_files, verify_signature

GB, SMALL, RUNS = 1024**3, 10_000, 5
ALONE = """
import hashlib, os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb", buffering=0) as file:
            hashlib.file_digest(file, "sha256").hexdigest()
"""


def write_models(root: Path) -> dict[str, Path]:
    """The two models: random bytes, so that nothing is sparse."""
    large, small = root / "large", root / "small"
    large.mkdir()
    with open(large / "weights.bin", "wb") as stream:
        for _ in range(GB // 2**24):
            stream.write(os.urandom(2**24))
    sizes = random.Random(0)
    for number in range(SMALL):
        path = small / f"{number % 100:02}" / f"{number:05}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(sizes.randrange(100, 8000)))
    return {"1 GB, 1 file": large, f"{SMALL:,} small files": small}


def process(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """(wall, CPU) seconds of a command that must end well."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=env)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def here(call: Callable[[], object]) -> tuple[float, float]:
    """(wall, CPU) seconds of a call in this process, all of its threads counted."""
    cpu, start = time.process_time(), time.perf_counter()
    call()
    return time.perf_counter() - start, time.process_time() - cpu


def in_memory(model: Path) -> object:
    """SHA-256 over as many bytes as the model has, read from nowhere."""
    left, block, digest = sum(p.stat().st_size for p in model.rglob("*") if p.is_file()), bytes(2**22), hashlib.sha256()
    while left > 0:
        digest.update(block[:left])
        left -= len(block)
    return digest.digest()


def rows(model: Path, key: Path, peer: list[str], env: dict[str, str]) -> dict[str, Callable[[], tuple[float, float]]]:
    """What is measured, by name; the first is the yardstick of the processes."""
    assay = [sys.executable, "-m", "assay.cli.main"]
    signature, public = str(model.with_suffix(".sig")), str(key.with_suffix(".pub"))
    theirs = ["--signature", str(model.with_suffix(".peer.sig")), str(model)]
    signer, keys, now = generate("bench", "p256"), [load_public(key.with_suffix(".pub"))], datetime.now(UTC)
    found: dict[str, Callable[[], tuple[float, float]]] = {
        "sha256 alone (hashlib.file_digest, one process)": lambda: process(
            [sys.executable, "-c", ALONE, str(model)], env
        ),
        "assay sign --full": lambda: process([*assay, "sign", str(model), "--key", str(key), "--full"], env),
        "assay sign, nothing changed": lambda: process([*assay, "sign", str(model), "--key", str(key)], env),
        "assay verify": lambda: process([*assay, "verify", str(model), "--key", public, "--signature", signature], env),
    }
    if peer:
        found["model_signing sign key"] = lambda: process(
            [*peer, "sign", "key", "--private_key", str(key), *theirs], env
        )
        found["model_signing verify key"] = lambda: process(
            [*peer, "verify", "key", "--public_key", public, *theirs], env
        )
    found |= {
        "library: sha256 of as many bytes in memory": lambda: here(lambda: in_memory(model)),
        "library: sign_files": lambda: here(lambda: sign_files(model, signer, now)),
        "library: verify_signature": lambda: here(lambda: verify_signature(read_signature(model), model, keys, now)),
    }
    return found


def main() -> None:
    """Print the table: seconds, wall and CPU."""
    peer = shlex.split(" ".join(sys.argv[1:]) or os.environ.get("ASSAY_MODEL_SIGNING", ""))
    print(f"median of {RUNS} runs, interleaved, files in the page cache, {os.cpu_count()} cores\n")
    print("| model | what | wall s | CPU s | wall × sha256 alone | wall range |\n| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        env = {**os.environ, "XDG_STATE_HOME": str(root / "state")}
        signer = generate("bench", "p256")
        (root / "k.key").write_bytes(signer.pem())
        (root / "k.key").chmod(0o600)
        (root / "k.pub").write_bytes(signer.public.pem())
        for label, model in write_models(root).items():
            measured = rows(model, root / "k.key", peer, env)
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in measured}
            for turn in range(RUNS + 1):
                for name, measure in measured.items():
                    one = measure()
                    if turn:  # the first fills caches and memories
                        taken[name].append(one)
            alone = statistics.median(w for w, _ in next(iter(taken.values())))
            memory = statistics.median(w for w, _ in taken["library: sha256 of as many bytes in memory"])
            for name, times in taken.items():
                walls = sorted(w for w, _ in times)
                wall, cpu = statistics.median(walls), statistics.median(c for _, c in times)
                times_alone = wall / (memory if name.startswith("library") else alone)
                spread = f"{walls[0]:.2f}–{walls[-1]:.2f}"
                print(f"| {label} | {name} | {wall:.2f} | {cpu:.2f} | {times_alone:.2f} | {spread} |")
            if not peer:
                print(f"| {label} | model_signing | – | – | – | not here: name the command that starts it |")


if __name__ == "__main__":
    main()

"""Coverage-guided fuzzing of every parser (atheris, which is libFuzzer): `make fuzz`, or `python tools/fuzz.py TARGET`.

Each target feeds bytes to one reader and holds it to its promise: it ends, within bounds, in facts or in the errors
that it declares. Two are held against an oracle: what CPython's unpickler imports and what zipfile reads was seen.
Seeds are the corpora of the tests. What breaks a promise is written to the folder of findings, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib
import io
import pkgutil
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/corpora"), str(ROOT / "tests/formats")]

MOST_SEED = 1 << 16
READ_AS = {
    "text": (
        "a.py",
        "config.json",
        "a.yaml",
        "requirements.txt",
        "a.ipynb",
        "mcp.json",
        "run.sh",
        "README.md",
        "a.jinja",
    ),
    "json": ("config.json", "tokenizer_config.json", "a.ipynb", "mcp.json"),
}
WHOLE = {
    "whole": "", "pickle": "a.pkl", "zip": "a.zip", "torch": "a.pt", "npz": "a.npz", "keras": "a.keras", "tar": "a.tar",
    "gzip": "a.gz", "lz4": "a.lz4", "zstd": "a.zst", "xz": "a.xz", "npy": "a.npy", "joblib": "a.joblib",
}  # fmt: skip
Target = Callable[[bytes], None]


def limits():  # type: ignore[no-untyped-def]
    """Small bounds, so that no input takes long."""
    from assay.formats.reading import Limits

    return Limits(max_opcodes=200_000, max_unpacked=1 << 22, max_bytes=1 << 24, max_members=500)


def whole(name: str) -> Target:
    """A file as a scan reads it; nothing may be raised."""
    from assay.formats.artifact import examine

    return lambda data: void(examine(io.BytesIO(data), name=name, limits=limits()))


def void(_: object) -> None:
    """What is returned is of no interest here."""


def reader(format_: str) -> Target:
    """One reader by itself, under each name that it reads differently; it may raise what it declares."""
    from assay.formats.readers import READERS

    function = READERS[format_].load()
    names = READ_AS.get(format_, ("a",))

    def run(data: bytes) -> None:
        name = names[data[0] % len(names)] if data else names[0]
        try:
            function(io.BytesIO(data[1:] if len(names) > 1 else data), name, limits())
        except (OSError, EOFError, ValueError, RecursionError):
            return

    return run


def imports(data: bytes) -> None:
    """What CPython's unpickler asks for, the machine has seen, or it says that it did not read to the end."""
    from test_formats_oracle import asked_by_cpython, seen_at_all

    from assay.formats.artifact import examine

    # CPython allocates a BYTEARRAY8 before it reads it, and hashes a tuple that holds itself twice, twice.
    if b"\x96" in data or data.count(b"2") > 12 or data.count(b"h") > 24:
        return
    asked, _ = asked_by_cpython(data)
    facts = examine(io.BytesIO(data), name="a.pkl", limits=limits())
    assert asked <= seen_at_all(facts) or not facts.complete, asked - seen_at_all(facts)


def members(data: bytes) -> None:
    """What Python's zipfile reads of an archive is listed, or the archive is told against."""
    from assay.formats.artifact import examine

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [i.filename for i in archive.infolist() if not i.is_dir() and i.file_size < 1 << 20]
            read = {name for name in names if archive.read(name) is not None}
    except Exception:  # zipfile raises whatever it meets
        return
    facts = examine(io.BytesIO(data), name="a.zip", limits=limits())
    assert len(facts.members) >= len(read) or facts.gaps or facts.notes, read


def configuration(data: bytes) -> None:
    """Manifests, policies, rosters, threat packs: one of our own errors, or what was read."""
    from assay.config.manifest import project_from
    from assay.config.policy_file import policy_from, roster_from
    from assay.config.strict_yaml import parse
    from assay.config.threats_file import threats_from
    from assay.core.errors import AssayError

    for read in (lambda: project_from(parse(data, "f"), Path()), lambda: policy_from(data, "f"),
                 lambda: roster_from(data, "f"), lambda: threats_from(data, "f")):  # fmt: skip
        try:
            read()
        except AssayError:
            continue


def papers(data: bytes) -> None:
    """Envelopes, bundles, checkpoints, OSV records, listings of packages: one of our own errors, or what was read."""
    from assay.attest import bundle, note, statement
    from assay.core.errors import AssayError, CouldNotLook
    from assay.formats.dependencies.listings import read_listing

    for read in (lambda: statement.claimed(data), lambda: bundle.claimed(data),
                 lambda: note.read_checkpoint(data.decode("utf-8", "replace")),
                 lambda: read_listing(data, "requirements.txt"), lambda: read_listing(data, "poetry.lock"),
                 lambda: read_listing(data, "conda.yaml"), lambda: read_listing(data, "Pipfile.lock")):  # fmt: skip
        try:
            read()
        except (AssayError, CouldNotLook):
            continue


def trees(data: bytes) -> None:
    """LightGBM's text, before its own parser trusts it."""
    from assay.adapters.lightgbm_text import sound
    from assay.core.errors import AssayError, CouldNotLook

    try:
        sound(data, "f")
    except (AssayError, CouldNotLook):
        return


def targets() -> dict[str, Callable[[], Target]]:
    """Every target by name, made when it is run."""
    from assay.formats.readers import READERS

    found: dict[str, Callable[[], Target]] = {"imports": lambda: imports, "members": lambda: members}
    found |= {"configuration": lambda: configuration, "papers": lambda: papers, "trees": lambda: trees}
    found |= {name: (lambda n=file: whole(n)) for name, file in WHOLE.items()}
    found |= {f"read-{name}": (lambda n=name: reader(n)) for name in READERS}
    return found


def seeds(folder: Path, target: str) -> int:
    """Write the corpora's files that a target may make something of; how many."""
    modules = ("formats_attacks", "judge_attacks", "judge_benign", "second_attacks", "second_benign")
    wanted = target.removeprefix("read-")
    count = 0
    from assay.formats import sniff

    for module in modules:
        if importlib.util.find_spec(module) is None:
            continue
        for files in importlib.import_module(module).shapes().values():
            for name, data in (files if isinstance(files, dict) else {"a.pkl": files}).items():
                if not 0 < len(data) <= MOST_SEED:
                    continue
                kind = sniff.sniff(io.BytesIO(data), name=name).name
                if wanted == "trees" and not data.startswith(b"tree"):
                    continue
                fits = (
                    wanted == "trees"
                    or wanted in kind
                    or kind in wanted
                    or wanted in ("whole", "configuration", "papers", "members")
                )
                if fits or (wanted in ("imports", "joblib") and kind == "pickle") or Path(name).suffix == f".{wanted}":
                    (folder / f"{count:05}").write_bytes((b"\0" if wanted in READ_AS else b"") + data)
                    count += 1
    return count


def one(target: str, arguments: list[str]) -> None:
    """Run one target under libFuzzer; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["assay"]):
        for room in (importlib.import_module(f"assay.{name}") for name in ("formats", "config", "attest")):
            for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
                importlib.import_module(module.name)
        importlib.import_module("assay.adapters.lightgbm_text")
        function = targets()[target]()
    atheris.Setup([target, *arguments], lambda data: function(bytes(data)))
    atheris.Fuzz()


def every(names: list[str], seconds: int, out: Path) -> int:
    """Run targets one after another and print a table; the number of those that broke a promise."""
    broken = 0
    print(f"{'target':<24}{'seeds':>7}{'runs':>10}{'coverage':>10}  result")
    for name in names:
        with tempfile.TemporaryDirectory(prefix="assay-fuzz-") as folder:
            count = seeds(Path(folder), name)
            out.mkdir(parents=True, exist_ok=True)
            bounds = ["-timeout=20", "-rss_limit_mb=3000", "-max_len=65536", f"-max_total_time={seconds}"]
            command = [sys.executable, __file__, name, "--run", *bounds, f"-artifact_prefix={out}/{name}-", folder]
            done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", cwd=ROOT)
        runs = re.findall(r"#(\d+)\s", done.stderr)
        covered = re.findall(r"cov: (\d+)", done.stderr)
        broken += done.returncode != 0
        print(f"{name:<24}{count:>7}{runs[-1] if runs else '-':>10}{covered[-1] if covered else '-':>10}  "
              f"{'kept its promise' if done.returncode == 0 else 'BROKE IT'}", flush=True)  # fmt: skip
        if done.returncode != 0:
            print(re.sub(r"(?m)^(?!.*(?:Error|assert|File|Uncaught|timeout|Test unit)).*\n?", "", done.stderr)[-1500:])
    return broken


def main() -> None:
    """The command line."""
    if len(sys.argv) > 2 and sys.argv[2] == "--run":
        one(sys.argv[1], sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="which ones (default: all)")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--out", type=Path, default=ROOT / ".fuzz", help="where findings go")
    given = parser.parse_args()
    unknown = set(given.targets) - set(targets())
    if unknown:
        parser.error(f"no target is called {', '.join(sorted(unknown))}; there are {', '.join(targets())}")
    sys.exit(1 if every(given.targets or list(targets()), given.seconds, given.out) else 0)


if __name__ == "__main__":
    main()

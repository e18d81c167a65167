"""Writes the manifest of a dataset: what its files are, and what people say of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec

from assay.attest.files import hash_files
from assay.attest.hashing import FileDigest
from assay.core.errors import UsageError
from assay.core.protocols import Progress, silent

_WANTED = {
    "source": "where the data are from",
    "licence": "under which licence or contract they are used",
    "consent": "on what ground people's data are used, or: none, no personal data",
    "collected": "{from: 2024-01-01, to: 2024-12-31}",
    "collected_by": "who collected them",
}


def draft_dataset_manifest(
    paths: Sequence[Path], at: Path, facts: dict[str, str], period: tuple[str, str] | None, progress: Progress = silent
) -> str:
    """The text of the manifest that will lie at `at`, for files and folders below its folder. What was not said is a
    comment. Raises InputError for what cannot be hashed, UsageError for a file that lies elsewhere."""
    base = Path(os.path.realpath(at)).parent
    entries: dict[str, FileDigest] = {}
    for path in paths:
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(base):
            fix = "write the manifest into a folder above it (-o)"
            raise UsageError("does not lie below the manifest's folder", where=str(path), fix=fix)
        for found in hash_files(path, progress=progress):
            file = real / found.name if real.is_dir() else real
            entries[file.relative_to(base).as_posix()] = found
    entries.pop(Path(os.path.realpath(at)).name, None)
    if not entries:
        raise UsageError("there are no files to name", fix="name the files that the data were made of")
    begin, end = _days(period)
    lines = [
        "# What this dataset is made of. Written by `assay data manifest`; `assay data check` compares.",
        "schema: assay/1",
    ]
    for name, words in _WANTED.items():
        if name == "collected":
            said = f"{{from: {begin}, to: {end}}}" if period else ""
        else:
            said = _quoted(facts[name]) if facts.get(name) else ""
        lines.append(f"{name}: {said}" if said else f"# {name}: {words}")
    lines.append("files:")
    lines += [
        f"  {_quoted(name)}: {{sha256: {_quoted(entry.sha256)}, bytes: {entry.size}}}"
        for name, entry in sorted(entries.items())
    ]
    return "\n".join(lines) + "\n"


def _days(period: tuple[str, str] | None) -> tuple[date, date]:
    """The days of collection. Raises UsageError for what is no day, or an end before the beginning."""
    try:
        begin, end = (date.fromisoformat(day) for day in period or ("2000-01-01", "2000-01-01"))
    except ValueError:
        raise UsageError("--collected is no pair of days", fix="write 2024-01-01 2024-12-31") from None
    if end < begin:
        raise UsageError("--collected ends before it begins", fix="the first day goes first")
    return begin, end


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()

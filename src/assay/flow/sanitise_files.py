"""Where a sanitised table and its patch go, and a patch applied or taken off again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from assay.adapters.tables import open_dataset
from assay.core.canonical import digest_bytes
from assay.core.errors import InputError, UsageError, VerificationError
from assay.core.files import write_whole
from assay.core.subject import Kind, Subject
from assay.harden.patch import Patch, read_patch
from assay.harden.result import Part
from assay.harden.sanitised import Patched

MAX_BYTES = 1 << 30


class Places(msgspec.Struct, frozen=True):
    """Where the result and its patch are written."""

    output: Path
    patch: Path


def places(path: Path, output: Path | None, patch: Path | None, read: Sequence[Path] = (), *, force: bool) -> Places:
    """The two places, by default beside the table. Raises UsageError where something is there that must stay.

    `read` are other files that are read, and never written over either.
    """
    output = output or path.with_suffix(f".sanitised{path.suffix}")
    patch = patch or path.with_suffix(".patch.json")
    for place in (output, patch):
        _place(place, path, force=force)
        if any(place.exists() and file.exists() and place.samefile(file) for file in read):
            raise UsageError("is read by this command, and would be written over", where=str(place), fix="name another")
    if output.resolve() == patch.resolve():
        raise UsageError("is both --output and --patch", where=str(output), fix="name two files")
    if output.suffix.lower() != path.suffix.lower():
        what = f"has another suffix than {path.name}; the format stays what it is"
        raise UsageError(what, where=str(output), fix=f"name it *{path.suffix}")
    return Places(output, patch)


def _place(place: Path, source: Path, *, force: bool) -> None:
    if place.is_dir():
        raise UsageError("is a folder", where=str(place), fix="name a file")
    if place.exists() and source.exists() and place.samefile(source):
        raise UsageError("is the source itself, which is never written over", where=str(place), fix="name another file")
    if place.exists() and not place.is_file():
        raise UsageError("is no regular file", where=str(place), fix="name a file")
    if place.exists() and not force:
        raise UsageError(
            "is there already", where=str(place), fix="--force replaces it, --output and --patch name another"
        )
    if not place.parent.is_dir():
        raise UsageError("its folder does not exist", where=str(place), fix="make the folder")


def write_both(where: Places, data: bytes, patch: bytes) -> None:
    """Write the patch, then the table: a table without the patch that undoes it is never left behind."""
    fresh = not where.patch.exists()
    write_whole(where.patch, patch)
    try:
        write_whole(where.output, data)
    except BaseException:
        if fresh:
            with suppress(OSError):
                where.patch.unlink()
        raise


def part(path: Path, format_: str, data: bytes) -> Part:
    """A file as a result names it."""
    return Part(path=str(path), format=format_, digest=digest_bytes(data), size=len(data))


def apply_patch(path: Path, patch_path: Path, output: Path | None, *, force: bool = False) -> Patched:
    """Do to the table what the patch says, exactly as before. Raises VerificationError where it is not its source."""
    patch = read_patch(patch_path)
    output = output or path.with_suffix(f".sanitised{path.suffix}")
    return _put(path, patch, output, patch_path, revert=False, force=force)


def revert_patch(path: Path, patch_path: Path, output: Path | None, *, force: bool = False) -> Patched:
    """Give the source again from a sanitised table. Raises VerificationError where the patch cannot give it."""
    patch = read_patch(patch_path)
    output = output or path.with_suffix(f".reverted{path.suffix}")
    return _put(path, patch, output, patch_path, revert=True, force=force)


def _put(path: Path, patch: Patch, output: Path, patch_path: Path, *, revert: bool, force: bool) -> Patched:
    from assay.harden.patched import Whole, patched, reverted

    _place(output, path, force=force)
    if patch_path.exists() and output.exists() and output.samefile(patch_path):
        raise UsageError("is the patch itself", where=str(output), fix="name another --output")
    options: dict[str, Any] = {}
    if patch.format == "csv":
        options = {"separator": patch.separator, "header": patch.header}
        if not patch.header:
            options["columns"] = [*patch.columns, *([patch.weight] if revert and patch.added else [])]
    subject = Subject(name=path.name, kind=Kind.DATASET, uri=str(path), options=options)
    mine, other = (patch.result, patch.source) if revert else (patch.source, patch.result)
    try:
        with closing(open_dataset(subject, Path(), max_bytes=MAX_BYTES)) as data:
            whole = Whole(path, data.rows, str(path), options)
    except InputError:
        if path.is_file() and patch.format == "csv" and digest_bytes(path.read_bytes()) != mine.digest:
            raise _another(path, patch_path, revert=revert) from None
        raise
    if whole.layout.format != patch.format or whole.side.content != mine.content:
        raise _another(path, patch_path, revert=revert)
    made = reverted(whole.data, patch, path, str(patch_path)) if revert else patched(whole, patch)
    if made.side.content != other.content:
        raise VerificationError("gives another table than it did; nothing is written", where=str(patch_path))
    write_whole(output, made.data)
    return Patched(
        done="reverted" if revert else "applied",
        source=part(path, patch.format, whole.data),
        result=part(output, patch.format, made.data),
        counts=patch.counts,
        rows=made.side.rows,
        same_bytes=made.side.digest == other.digest,
    )


def _another(path: Path, patch_path: Path, *, revert: bool) -> VerificationError:
    what = "is not what the patch made" if revert else "is not the table that the patch was made for"
    return VerificationError(f"{what}: its digest differs", where=str(path), fix=f"use the table of {patch_path.name}")

"""Where a sanitised table and its patch go, and a patch applied or taken off again."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from assay.adapters.tables import open_dataset
from assay.core.canonical import digest_bytes
from assay.core.errors import InputError, UsageError, VerificationError, os_words
from assay.core.files import write_new
from assay.core.protocols import Progress, silent
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
        raise _there(place)
    if not place.parent.is_dir():
        raise UsageError("its folder does not exist", where=str(place), fix="make the folder")


@contextmanager
def drafted(*finals: Path) -> Iterator[tuple[Path, ...]]:
    """A name beside each place that nothing else has; what still lies there in the end is deleted."""
    drafts = tuple(f.with_name(f".{f.name[:100]}.{os.urandom(6).hex()}") for f in finals)
    try:
        yield drafts
    finally:
        for draft in drafts:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def fill(draft: Path, data: bytes, final: Path) -> None:
    """Write a draft of `final` down to the disk. Raises InputError."""
    try:
        with open(draft, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise _unwritable(error, final) from None


def publish(drafts: Places, where: Places, *, force: bool) -> None:
    """Give the drafts of a table and its patch their names: both, or neither.

    Without `force` nothing that is there is replaced, whenever it came there. With it the old patch stays until the new
    table has its name, and the old table comes back if the patch then cannot get its own. Raises UsageError or
    InputError.
    """
    with _alone(where.output.parent, where.patch.parent):
        if not force:
            _publish_new([(drafts.patch, where.patch), (drafts.output, where.output)])
            return
        backup = drafts.output.with_name(drafts.output.name + ".old")
        mine = os.stat(drafts.output)
        try:
            with suppress(FileNotFoundError):
                _kept(where.output, backup)
            os.replace(drafts.output, where.output)
            os.replace(drafts.patch, where.patch)
        except BaseException as error:
            back = not drafts.patch.exists() or _put_back(where.output, backup, mine)
            if not back:
                what = "is the new table, and its patch could not be written"
                raise InputError(what, where=str(where.output), fix="delete it, and run again") from None
            if isinstance(error, OSError):
                raise _unwritable(error, where.patch) from None
            raise
        finally:
            with suppress(OSError):
                backup.unlink(missing_ok=True)


def publish_one(draft: Path, final: Path, *, force: bool) -> None:
    """Give one draft its name. Raises UsageError where something is there and `force` is not given, or InputError."""
    if not force:
        _publish_new([(draft, final)])
        return
    try:
        os.replace(draft, final)
    except OSError as error:
        raise _unwritable(error, final) from None


def _publish_new(pairs: Sequence[tuple[Path, Path]]) -> None:
    """In this order, all or none: the patch first, so that a table is never there without what undoes it."""
    linked: list[tuple[Path, Path]] = []
    try:
        for draft, final in pairs:
            linked.append((draft, final))
            _linked(draft, final)
    except BaseException as error:
        for draft, final in linked:
            with suppress(OSError):
                if draft.samefile(final):
                    final.unlink()
        if isinstance(error, FileExistsError):
            raise _there(linked[-1][1]) from None
        if isinstance(error, OSError):
            raise _unwritable(error, linked[-1][1]) from None
        raise


def _linked(draft: Path, final: Path) -> None:
    """`final` as another name of the draft. Raises FileExistsError where there is one."""
    try:
        os.link(draft, final)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        write_new(final, draft.read_bytes())


def _kept(path: Path, backup: Path) -> None:
    try:
        os.link(path, backup)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copy2(path, backup)


def _put_back(output: Path, backup: Path, mine: os.stat_result) -> bool:
    """Take the new table, whose patch has no name yet, away again; whether what was there before is there now."""
    try:
        if output.exists() and os.path.samestat(os.stat(output), mine):
            os.replace(backup, output) if backup.exists() else output.unlink()
    except OSError:
        return False
    return True


@contextmanager
def _alone(*folders: Path) -> Iterator[None]:
    """Two runs at once must not end with the table of one and the patch of the other."""
    with ExitStack() as stack:
        for folder in sorted({f.resolve() for f in folders}):
            with suppress(OSError):  # a file system without locks
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, handle)
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _there(place: Path) -> UsageError:
    fix = "--force replaces it, --output and --patch name another"
    return UsageError("is there already", where=str(place), fix=fix)


def _unwritable(error: OSError, place: Path) -> InputError:
    return InputError(f"cannot be written: {os_words(error)}", where=str(place), fix="choose a writable place")


def part(path: Path, format_: str, data: bytes) -> Part:
    """A file as a result names it."""
    return Part(path=str(path), format=format_, digest=digest_bytes(data), size=len(data))


def apply_patch(
    path: Path, patch_path: Path, output: Path | None, *, force: bool = False, progress: Progress = silent
) -> Patched:
    """Do to the table what the patch says, exactly as before. Raises VerificationError where it is not its source."""
    patch = read_patch(patch_path)
    output = output or path.with_suffix(f".sanitised{path.suffix}")
    return _put(path, patch, output, patch_path, progress, revert=False, force=force)


def revert_patch(
    path: Path, patch_path: Path, output: Path | None, *, force: bool = False, progress: Progress = silent
) -> Patched:
    """Give the source again from a sanitised table. Raises VerificationError where the patch cannot give it."""
    patch = read_patch(patch_path)
    output = output or path.with_suffix(f".reverted{path.suffix}")
    return _put(path, patch, output, patch_path, progress, revert=True, force=force)


def _put(
    path: Path, patch: Patch, output: Path, patch_path: Path, progress: Progress, *, revert: bool, force: bool
) -> Patched:
    from assay.harden.patched import Whole, patched, reverted
    from assay.harden.reread import held, reread

    _place(output, path, force=force)
    if patch_path.exists() and output.exists() and output.samefile(patch_path):
        raise UsageError("is the patch itself", where=str(output), fix="name another --output")
    options = written_as(patch, added=revert)
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
    made = reverted(whole, patch, str(patch_path)) if revert else patched(whole, patch)
    if made.side.content != other.content:
        raise VerificationError("gives another table than it did; nothing is written", where=str(patch_path))
    with drafted(output) as (draft,):
        fill(draft, made.data, output)
        told, name = written_as(patch, added=not revert), str(patch_path)
        # A digest in a patch says nothing of who wrote it: what was made is read again, and compared cell by cell.
        other_whole = reread(lambda: Whole(draft, other.rows, name, told), name)
        held(other_whole, whole, patch, name) if revert else held(whole, other_whole, patch, name)
        progress(1, 1, "write")
        publish_one(draft, output, force=force)
    return Patched(
        done="reverted" if revert else "applied",
        source=part(path, patch.format, whole.data),
        result=part(output, patch.format, made.data),
        counts=patch.counts,
        rows=made.side.rows,
        same_bytes=made.side.digest == other.digest,
    )


def written_as(patch: Patch, *, added: bool) -> dict[str, Any]:
    """How a table of the patch is written, as `detect` and `open_dataset` want it: the source, or the result."""
    if patch.format != "csv":
        return {}
    options: dict[str, Any] = {"separator": patch.separator, "header": patch.header}
    if not patch.header:
        options["columns"] = [*patch.columns, *([patch.weight] if added and patch.added else [])]
    return options


def _another(path: Path, patch_path: Path, *, revert: bool) -> VerificationError:
    what = "is not what the patch made" if revert else "is not the table that the patch was made for"
    return VerificationError(f"{what}: its digest differs", where=str(path), fix=f"use the table of {patch_path.name}")

"""The file to convert: a private copy that nobody can change, scanned, and refused where it holds more than data."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

from assay.core.errors import InputError, VerificationError, os_words
from assay.core.finding import Severity
from assay.core.protocols import Progress, silent
from assay.core.text import visible
from assay.formats.archives.inflate import READABLE, Inflated
from assay.formats.artifact import ArtifactFacts, examine, safe_to_load
from assay.formats.reading import Limits, Note

MOST_BYTES = 64 << 30
_MOST_LAYERS = 3
_BLOCK = 8 << 20
_SAFE = frozenset({"safetensors", "onnx", "gguf"})
# What the sandbox's child can read, by what the scan calls it.
_KINDS = {"pickle": "pickle", "torch-zip": "torch-zip", "npz": "npz", "npy": "npy", "npy-objects": "npy", "tar": "tar"}
_STREAM = b"\x8a\nl\xfc\x9cF\xf9 j\xa8"  # torch's magic number, as the first pickle of its stream holds it
_MORE, _ONE_BY_ONE = "holds more than one object", "convert them one by one"
_TAR = frozenset({"storages", "tensors", "pickle"})
# Modules that a pickle of nothing but tensors, numbers and texts names.
_OF_TENSORS = ("torch", "numpy", "collections", "builtins", "__builtin__", "_codecs", "copyreg", "copy_reg")


class Source:
    """A scanned private copy. `format` is what the file is, `kind` how its content is read, `file` is at its start.

    `estimator` when its pickle names more than tensors are made of; `stream` when it is torch's of before 1.6, of
    several pickles that are one object. Use as a context manager.
    """

    def __init__(self, path: Path, allow: frozenset[str], progress: Progress = silent) -> None:
        """Copy and scan. Raises InputError for what is no such file, VerificationError for what must not be loaded."""
        self.where, self.allow = str(path), allow
        self._files: list[BinaryIO] = []
        try:
            copy, self.digest, self.size = self._copied(path, progress)
            facts = self._judged(copy, path.name)
            self.format = facts.format.name
            copy, facts = self._unpacked(copy, path.name, facts)
            self.kind = self._kind(facts)
            copy.seek(0)
            self.stream = self.kind == "pickle" and copy.read(12)[2:] == _STREAM
            if self.kind == "pickle" and not self.stream:
                self._require_one(facts)
            self.estimator = any(not _of_tensors(fact.module) for _, fact in facts.globals())
            self.unpacked = copy.seek(0, 2)
            self.file = self._opened_again(copy)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the copy, which has no name and so is gone."""
        while self._files:
            with suppress(OSError):  # what could not be written to a full disk is tried once more
                self._files.pop().close()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _copied(self, path: Path, progress: Progress) -> tuple[BinaryIO, str, int]:
        digest, size = hashlib.sha256(), 0
        try:
            if not path.is_file():
                what = (
                    "is a folder" if path.is_dir() else "is not a regular file" if path.exists() else "does not exist"
                )
                raise InputError(what, where=self.where, fix="name a pickle, joblib, torch or numpy file")
            with path.open("rb") as original:
                total = os.fstat(original.fileno()).st_size
                if total > MOST_BYTES:
                    raise InputError(f"is {total:,} bytes; at most {MOST_BYTES:,} are read", where=self.where)
                copy = self._temporary()
                while block := original.read(_BLOCK):
                    digest.update(block)
                    self._write(copy, block)
                    size += len(block)
                    progress(size, total, "reading")
                    if size > MOST_BYTES:
                        raise InputError("grows while it is read", where=self.where)
        except OSError as error:
            raise InputError(f"cannot be read: {os_words(error)}", where=self.where, fix="check it") from None
        if not size:
            raise InputError("is empty: 0 bytes", where=self.where, fix="write it again")
        return copy, "sha256:" + digest.hexdigest(), size

    def _temporary(self) -> BinaryIO:
        # Without a name: what was scanned is what gets loaded, and nothing is left behind if this process is killed.
        made = temporary(self.where)
        self._files.append(made)
        return made

    def _write(self, copy: BinaryIO, block: bytes) -> None:
        try:
            copy.write(block)
            copy.flush()
        except OSError as error:
            raise no_room(self.where, error) from None

    def _opened_again(self, copy: BinaryIO) -> BinaryIO:
        again = open(f"/proc/self/fd/{copy.fileno()}", "rb")  # noqa: SIM115 - closed with the source
        self._files.append(again)
        return again

    def _judged(self, copy: BinaryIO, name: str) -> ArtifactFacts:
        """The scan's facts. Raises VerificationError where anything in it speaks against loading."""
        copy.seek(0)
        facts = examine(cast(IO[bytes], copy), name=name, limits=Limits(check_all=True))
        if facts.format.name in _SAFE or "schema.json" in facts.members:
            kind = facts.format.name if facts.format.name in _SAFE else "skops"
            fix = "sign it" + ("; ONNX is made of the pickle that it came from" if kind == "skops" else "")
            raise InputError(f"is a {kind} file already, which runs no code", where=self.where, fix=fix)
        if any(name.endswith("/archive_format") for name in facts.members):
            what = "is a program of torch.export, which is no state dict: nothing to convert"
            raise InputError(what, where=self.where, fix="harden it with --train, --holdout and --label")
        if facts.format.name not in _KINDS and facts.format.name not in READABLE:
            what = f"is no pickle, joblib, torch or numpy file; it reads as {facts.format.name}"
            fix = "name one; against attacks any model is hardened with --train, --holdout and --label"
            raise InputError(what, where=self.where, fix=fix)
        reasons = safe_to_load(facts, self.allow)
        worst = [note for note in facts.notes if note.severity.rank >= Severity.MEDIUM.rank]
        reasons += [self._said(note) for note in worst]
        if facts.format.name in ("pickle", "torch-zip") and not facts.streams and not reasons:
            reasons.append("no pickle could be read in it")
        if reasons == [self._said(note) for note in worst if note.key.startswith(("trailing ", "behind "))] != []:
            what = f"{_MORE}, or bytes behind it: {reasons[0]}"
            raise InputError(visible(what, 240), where=self.where, fix=_ONE_BY_ONE)
        if reasons:
            shown = "; ".join(visible(reason, 200) for reason in reasons[:3])
            more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
            raise VerificationError(f"refused, nothing written: {shown}{more}", where=self.where)
        return facts

    @staticmethod
    def _said(note: Note) -> str:
        return f"the scan says: {' '.join(filter(None, (note.where, note.message)))}"

    def _require_one(self, facts: ArtifactFacts) -> None:
        """Refuse what a loader would leave unread behind the first object. Raises InputError."""
        own = [stream for stream in facts.streams if not stream.where]
        if len(own) > 1 and not any(stream.after_junk for stream in own):
            raise InputError(_MORE, where=self.where, fix=_ONE_BY_ONE)
        if facts.trailing or len(own) != 1 or own[0].end != facts.size:
            what = "has bytes behind its object, which no loader would read"
            raise InputError(what, where=self.where, fix="save it again")

    def _unpacked(self, copy: BinaryIO, name: str, facts: ArtifactFacts) -> tuple[BinaryIO, ArtifactFacts]:
        """What lies inside compression, scanned as a file of its own: the child gets it without."""
        for _ in range(_MOST_LAYERS):
            if facts.format.name not in READABLE:
                break
            inner = self._temporary()
            packed = Inflated(cast(IO[bytes], copy), facts.format.name, Limits())
            try:
                while block := packed.read(1 << 20):
                    self._write(inner, block)
            except (OSError, ValueError) as error:
                fix = "get it again: what is torn can neither be judged nor be written anew"
                raise VerificationError(f"refused, not read to the end: {error}", where=self.where, fix=fix) from None
            name = name.rpartition(".")[0] or name
            copy, facts = inner, self._judged(inner, name)
        return copy, facts

    def _kind(self, facts: ArtifactFacts) -> str:
        name = facts.format.name
        if name in READABLE or (name == "tar" and not set(facts.members) >= _TAR):
            raise InputError(f"is a {name} archive of files", where=self.where, fix="unpack it, and name the model")
        return _KINDS[name]


def _of_tensors(module: str) -> bool:
    return module == "joblib.numpy_pickle" or module.partition(".")[0] in _OF_TENSORS


def temporary(where: str) -> BinaryIO:
    """A file without a name in the temporary folder. Raises InputError where there is no room."""
    try:
        return cast(BinaryIO, tempfile.TemporaryFile(prefix="assay-harden-"))
    except OSError as error:
        raise no_room(where, error) from None


def no_room(where: str, error: OSError) -> InputError:
    """That the temporary folder, not the file, is what failed."""
    what = f"cannot be copied to the temporary folder (TMPDIR): {os_words(error)}"
    return InputError(what, where=where, fix="make room there, or set TMPDIR to a folder with room")

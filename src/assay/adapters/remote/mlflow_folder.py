"""A folder in which MLflow keeps runs and models: nothing outside it is read, whatever its papers say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from assay.adapters.remote.mlflow_store import Wanted, local_path
from assay.config.strict_yaml import parse, read_text
from assay.core.artifact import Artifact, File
from assay.core.errors import InputError, UsageError, os_words
from assay.core.protocols import Progress

MOST_EXPERIMENTS = 100_000


class Folder:
    """A file store."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def version_of(self, wanted: Wanted) -> Wanted:
        """The version that an alias stands for. Raises InputError."""
        place = self._root / "models" / wanted.name / "aliases" / wanted.alias
        try:
            if not self._inside(place):
                raise FileNotFoundError
            with place.open("rb") as stream:
                found = stream.read(64).decode("ascii", "replace").strip()
        except OSError:
            raise InputError("is not there", where=wanted.uri, fix="check the name and the alias") from None
        if not (found.isascii() and found.isdigit() and len(found) < 19):
            raise InputError("its file names no version", where=wanted.uri)
        return Wanted("version", wanted.name, version=str(int(found)))

    def open(self, wanted: Wanted, progress: Progress) -> LocalSource:
        """The files of a version, a logged model or a run. Raises InputError."""
        place = self._place(wanted)
        if wanted.path:
            place = place / wanted.path
        if not self._inside(place):
            raise InputError("leaves the folder in which MLflow keeps it", where=wanted.uri)
        if not place.exists():
            raise InputError("is not there", where=wanted.uri, fix="check the name and MLFLOW_TRACKING_URI")
        return LocalSource(wanted.uri, place)

    def _inside(self, place: Path) -> bool:
        try:
            return place.resolve().is_relative_to(self._root)
        except (OSError, RuntimeError):
            return False

    def _place(self, wanted: Wanted) -> Path:
        if wanted.kind == "run":
            folder = self._experiment(wanted, wanted.name)
            return self._stated(folder / "meta.yaml", ("artifact_uri",), wanted) or folder / "artifacts"
        if wanted.kind == "logged":
            folder = self._experiment(wanted, f"models/{wanted.name}")
            return self._stated(folder / "meta.yaml", ("artifact_location",), wanted) or folder / "artifacts"
        meta = self._root / "models" / wanted.name / f"version-{wanted.version}" / "meta.yaml"
        if not self._inside(meta) or not meta.is_file():
            raise InputError("is not there", where=wanted.uri, fix="check the name and the version")
        found = self._stated(meta, ("storage_location", "source"), wanted)
        if found is None:
            raise InputError("its papers do not say where its files are", where=wanted.uri)
        return found

    def _experiment(self, wanted: Wanted, below: str) -> Path:
        """The folder of a run or a logged model, in whichever experiment it lies. Raises InputError."""
        try:
            with os.scandir(self._root) as entries:
                for _, entry in zip(range(MOST_EXPERIMENTS), entries, strict=False):
                    place = self._root / entry.name / below
                    if (place / "meta.yaml").is_file() and self._inside(place / "meta.yaml"):
                        return place
        except OSError as error:
            raise InputError(f"cannot be read: {os_words(error)}", where=str(self._root)) from None
        raise InputError("is not there", where=wanted.uri, fix="check the id and MLFLOW_TRACKING_URI")

    def _stated(self, meta: Path, keys: tuple[str, ...], wanted: Wanted) -> Path | None:
        """The folder that a meta.yaml names; a store that was moved is still understood. Raises InputError."""
        try:
            value: Any = parse(read_text(meta), meta.name).value
        except UsageError as error:
            raise InputError(f"its papers cannot be read: {error.what}", where=wanted.uri) from None
        said = value.get(next((key for key in keys if value.get(key)), "")) if isinstance(value, dict) else None
        if not isinstance(said, str):
            return None
        if said.startswith("models:/m-") and "/" not in said[8:]:
            return self._place(Wanted("logged", said[8:]))
        path = local_path(said)
        if not path:
            fix = "copy it with `mlflow artifacts download`, and scan the copy"
            raise InputError("keeps its artifacts where nothing is read from here", where=wanted.uri, fix=fix)
        stated = Path(path)
        if stated.is_absolute() and self._inside(stated):
            return stated
        parts = [part for part in stated.parts if part != "/"]
        for at in range(len(parts) - 2):
            moved = self._root.joinpath(*parts[at:])
            if moved.exists():
                return moved
        raise InputError("leaves the folder in which MLflow keeps it", where=wanted.uri)


class LocalSource:
    """A folder or file of a file store, read as any folder here is: links out of it are named, not followed."""

    def __init__(self, uri: str, place: Path) -> None:
        self.uri, self.single = uri, place.is_file()
        self._artifact = Artifact(name="", path=place, uri=uri)
        self._known: dict[str, Path] = {}

    def files(self) -> Iterator[File]:
        """Every file, sorted. Raises InputError."""
        for file in self._artifact.files():
            inside = file.path.name if self.single else file.path.relative_to(self._artifact.path)
            if not file.problem and not file.left_out:
                self._known[file.uri] = file.path
            yield File(Path(inside), file.uri, file.problem, file.left_out)

    def open(self, file: File) -> BinaryIO:
        """A stream over one file that `files` named. Raises OSError."""
        place = self._known.get(file.uri)
        if place is None:
            raise FileNotFoundError(2, file.problem or "is not listed")
        return place.open("rb")

    def close(self) -> None:
        """Nothing is held."""

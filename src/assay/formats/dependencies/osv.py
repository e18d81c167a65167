"""An OSV database given as a file or a folder: the records of the packages asked for, and how old it is.

Source: OSV schema 1.7. A database is a zip of records (as OSV exports an ecosystem), a folder of them, one record, a
list of them, or one a line.
"""

from __future__ import annotations

import os
import time
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec

from assay.core.errors import CouldNotLook, os_words
from assay.core.text import visible
from assay.formats.dependencies.versions import Range
from assay.formats.known import normal

ECOSYSTEM = "PyPI"
MOST_RECORDS = 1_000_000
MOST_RECORD = 32 << 20
MOST_FILE = 512 << 20
MOST_TOTAL = 4 << 30
SECONDS = 240.0
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
_AHEAD = timedelta(days=1)
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Named(msgspec.Struct, frozen=True):
    """The package of an affected entry."""

    name: str
    ecosystem: str


class Score(msgspec.Struct, frozen=True):
    """One severity: `type` CVSS_V2, CVSS_V3, CVSS_V4 or another, `score` the vector."""

    type: str
    score: str


class Affected(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions of one package are affected."""

    package: Named | None = None
    ranges: tuple[Range, ...] | None = ()
    versions: tuple[str, ...] | None = ()
    severity: tuple[Score, ...] | None = ()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One OSV record, as far as it is read."""

    id: str
    modified: _Moment
    published: _Moment | None = None
    withdrawn: _Moment | None = None
    aliases: tuple[str, ...] | None = ()
    summary: str | None = ""
    severity: tuple[Score, ...] | None = ()
    affected: tuple[Affected, ...] | None = ()
    database_specific: dict[str, Any] | None = None


class _Entry(msgspec.Struct, frozen=True):
    package: Named | None = None


class _Head(msgspec.Struct, frozen=True):
    """What decides whether a record is of interest."""

    id: str
    modified: _Moment
    affected: tuple[_Entry, ...] | None = ()


class _Many(msgspec.Struct, frozen=True):
    vulns: tuple[msgspec.Raw, ...]


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of a database. `records` are those of the packages asked for, by normalised name; `count` is the
    number of records on the ecosystem, `newest` when one of them last changed; `unread` are places that broke off."""

    name: str
    count: int
    newest: datetime
    records: dict[str, tuple[Record, ...]]
    unread: tuple[str, ...] = ()

    def age(self, now: datetime) -> timedelta:
        """How long ago the newest record changed."""
        return now - self.newest


def open_database(path: Path, names: Collection[str], now: datetime) -> Database:
    """Read a database for the packages `names` (normalised). `now` is needed to tell dates that lie ahead.

    The age is taken from the records' own `modified`, never from the file, which a copy renews; a date more than a
    day ahead of `now` says nothing. Memory holds the wanted records only. Raises CouldNotLook for a database that is
    missing, unreadable, or without a record on the ecosystem.
    """
    reading = _Reading(frozenset(names), now)
    name = visible(path.name or "the database", 100)
    try:
        for where, data in _records(path):
            reading.take(where, data)
    except OSError as error:
        raise CouldNotLook(f"the vulnerability database {name} cannot be read: {os_words(error)}") from None
    except _DAMAGE as error:
        raise CouldNotLook(f"the vulnerability database {name} cannot be read: {visible(str(error), 200)}") from None
    if not reading.count:
        broken = f" ({len(reading.unread)} could not be read)" if reading.unread else ""
        raise CouldNotLook(f"the vulnerability database {name} holds no record on {ECOSYSTEM}{broken}")
    if reading.newest is None:
        raise CouldNotLook(f"the vulnerability database {name} is dated in the future: its age cannot be told")
    return Database(
        name=name, count=reading.count, newest=reading.newest, unread=tuple(reading.unread),
        records={key: tuple(found) for key, found in reading.records.items()},
    )  # fmt: skip


def record_problem(record: dict[str, Any]) -> str:
    """Why a record of a threat pack could not be looked up; "" where it can."""
    try:
        read = msgspec.convert(record, Record, str_keys=True)
    except msgspec.ValidationError as error:
        return f"is no OSV record: {visible(str(error), 200)}"
    named = [e.package for e in read.affected or () if e.package is not None]
    if not any(package.ecosystem.partition(":")[0] == ECOSYSTEM for package in named):
        return f"names no package of the ecosystem {ECOSYSTEM}"
    return ""


def pack_database(advisories: Iterable[dict[str, Any]], name: str, names: Collection[str], now: datetime) -> Database:
    """The records that a threat pack carries, as a database; how old they are says nothing of the pack."""
    reading = _Reading(frozenset(names), now)
    for record in advisories:
        reading.take(f"{name}, {record.get('id')}", msgspec.json.encode(record))
    return Database(
        name=name, count=reading.count, newest=reading.newest or now, unread=tuple(reading.unread),
        records={key: tuple(found) for key, found in reading.records.items()},
    )  # fmt: skip


def stale(database: Database, now: datetime, max_age: timedelta) -> str:
    """Why a database is too old to say that there is nothing; "" where its newest record is within `max_age`."""
    age = database.age(now)
    if age <= max_age:
        return ""
    return (
        f"the vulnerability database {database.name} is {age.days} days old (newest record "
        f"{database.newest:%Y-%m-%d}); at most {max_age / timedelta(days=1):g} are accepted"
    )


class _Reading:
    """What was found so far."""

    def __init__(self, names: frozenset[str], now: datetime) -> None:
        self.names, self.latest = names, now + _AHEAD
        self.records: dict[str, list[Record]] = {}
        self.unread: list[str] = []
        self.newest: datetime | None = None
        self.count = 0
        self._head = msgspec.json.Decoder(_Head)
        self._whole = msgspec.json.Decoder(Record)

    def take(self, where: str, data: bytes | msgspec.Raw | None) -> None:
        """Look at one record; None stands for one that could not be read."""
        try:
            if data is None:
                raise ValueError
            head = self._head.decode(data)
            names = {
                normal(e.package.name)
                for e in head.affected or ()
                if e.package is not None and e.package.ecosystem.partition(":")[0] == ECOSYSTEM
            }
            if not names:
                return
            self.count += 1
            if head.modified <= self.latest and (self.newest is None or head.modified > self.newest):
                self.newest = head.modified
            if wanted := names & self.names:
                record = self._whole.decode(data)
                for name in wanted:
                    self.records.setdefault(name, []).append(record)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            self.unread.append(visible(where, 100))


def _records(path: Path) -> Iterator[tuple[str, bytes | msgspec.Raw | None]]:
    """Every record with the place it was found at. Raises OSError, and _DAMAGE for what is no database at all."""
    budget = _Budget()
    if path.is_dir():
        for folder, folders, files in os.walk(path, onerror=_refuse):
            folders.sort()
            for file in sorted(files):
                if file.lower().endswith((".json", ".jsonl", ".ndjson", ".zip")):
                    yield from _of_file(Path(folder, file), budget, alone=False)
    else:
        yield from _of_file(path, budget, alone=True)


def _refuse(error: OSError) -> None:
    raise error


class _Budget:
    """What is left of the bounds on a database."""

    def __init__(self) -> None:
        self.records, self.bytes, self.end = 0, 0, time.monotonic() + SECONDS

    def spend(self, size: int) -> None:
        """Count a record of so many bytes. Raises ValueError past a bound."""
        self.records += 1
        self.bytes += size
        if self.records > MOST_RECORDS or self.bytes > MOST_TOTAL:
            raise ValueError(f"it is larger than {MOST_RECORDS:,} records or {MOST_TOTAL >> 30} GB")
        if self.records % 1000 == 0 and time.monotonic() > self.end:
            raise ValueError(f"reading it took longer than {SECONDS:g} s")


def _of_file(path: Path, budget: _Budget, alone: bool) -> Iterator[tuple[str, bytes | msgspec.Raw | None]]:
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not path.is_file():
            raise ValueError("it is no regular file")
        if file.read(2) == b"PK":
            yield from _of_zip(path, budget)
            return
        file.seek(0)
        data = file.read(MOST_FILE + 1)
    if len(data) > MOST_FILE:
        raise ValueError(f"{path.name} is JSON of more than {MOST_FILE >> 20} MB; a zip of records is read piecewise")
    budget.spend(len(data))
    yield from _of_json(path.name, data, budget)


def _of_zip(path: Path, budget: _Budget) -> Iterator[tuple[str, bytes | None]]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.filename.lower().endswith(".json"):
                continue
            budget.spend(min(entry.file_size, MOST_RECORD))
            try:
                with archive.open(entry) as member:
                    data = member.read(MOST_RECORD + 1)
                yield entry.filename, data if len(data) <= MOST_RECORD else None
            except _DAMAGE:
                yield entry.filename, None


def _of_json(name: str, data: bytes, budget: _Budget) -> Iterator[tuple[str, bytes | msgspec.Raw | None]]:
    """The records of one JSON text (one record, a list, an answer of OSV's API) or of one record a line."""
    records = _listed(data)
    if records is not None:
        for number, record in enumerate(records, 1):
            budget.spend(0)
            yield f"{name}, record {number}", record
        return
    lines = [line for line in data.splitlines() if line.strip()]
    if len(lines) > 1 and all(
        line.lstrip()[:1] == b"{" and line.rstrip()[-1:] == b"}" for line in (lines[0], lines[-1])
    ):
        whole = _is_json(data)
        for number, line in enumerate((data,) if whole else lines, 1):
            budget.spend(0)
            yield (name if whole else f"{name}, line {number}"), line
        return
    yield name, data


def _listed(data: bytes) -> tuple[msgspec.Raw, ...] | None:
    """The records of a JSON array, or of the `vulns` of an answer; None for anything else."""
    try:
        if data.lstrip()[:1] == b"[":
            return msgspec.json.decode(data, type=tuple[msgspec.Raw, ...])
        return msgspec.json.decode(data, type=_Many).vulns
    except (ValueError, RecursionError):
        return None


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return False
    return True

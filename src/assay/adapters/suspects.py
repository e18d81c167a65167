"""The rows that checks point at, as a Parquet table that names the table it is about."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from assay.adapters.duck import connect, lock
from assay.adapters.extras import library
from assay.adapters.layout import check_file
from assay.adapters.tables_size import MAX_MEMORY, parquet_size, refuse_bomb
from assay.core.canonical import SCHEMA, Schema, canonical
from assay.core.errors import InputError
from assay.core.files import write_whole
from assay.core.finding import Finding, Severity, Status
from assay.core.report import Report
from assay.core.strict_json import decode
from assay.core.suspects import MAX_SUSPECTS, Suspects
from assay.core.text import visible

MAX_FILE = 2 << 30
MAX_REASON = 2_000
_KEY = b"assay"
_COLUMNS = ("row", "check", "score", "flagged", "reason")
_FIX = "write it with `assay data check --suspects`"


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says of itself: the digest of its table, each check's version and how it ended.

    `statuses` (pass, fail, open, not-applicable) are empty in a file that does not say; `partial` are the checks that
    looked at a part only, `reasons` why they or open ones did, `findings` how many are above a note, `undecided` how
    many candidates a check could not tell from natural ones.
    """

    digest: str = ""
    checks: dict[str, int] = {}
    statuses: dict[str, str] = {}
    partial: tuple[str, ...] = ()
    reasons: dict[str, str] = {}
    findings: dict[str, int] = {}
    undecided: dict[str, int] = {}
    schema: Schema = SCHEMA


def about_report(report: Report, digest: str) -> About:
    """What a file of suspects says of the checks that were asked of the table with this digest."""
    outcomes = report.body.outcomes
    return About(
        digest=digest,
        checks={o.check: o.version for o in outcomes},
        statuses={o.check: o.status.value for o in outcomes},
        partial=tuple(sorted({o.check for o in outcomes if not o.complete and o.status is not Status.OPEN})),
        reasons={o.check: o.reason for o in outcomes if o.reason},
        findings={o.check: n for o in outcomes if (n := sum(f.severity is not Severity.INFO for f in o.findings))},
        undecided={o.check: n for o in outcomes if (n := undecided(o.findings))},
    )


def undecided(findings: Sequence[Finding]) -> int:
    """How many candidates a check found and could not tell from natural ones (a note, key `undecided`)."""
    told = [f.evidence.get("undecided") for f in findings if f.key == "undecided"]
    return sum(n for n in told if isinstance(n, int))


def write_suspects(found: Sequence[Suspects], path: Path, about: About | None = None) -> None:
    """Write `path` whole or not at all: row int64, check string, score double, flagged bool, reason string.

    The most suspicious rows of each check come first; `about` goes to the file's metadata. Raises InputError where it
    cannot be written.
    """
    pa, parquet = library("pyarrow"), library("pyarrow.parquet")
    tables = []
    for item in found:
        order = sorted(range(len(item.rows)), key=lambda i: (not item.flagged[i], -item.scores[i], item.rows[i]))
        tables.append(
            pa.table(
                {
                    "row": pa.array([item.rows[i] for i in order], pa.int64()),
                    "check": pa.array([item.check] * len(order), pa.string()),
                    "score": pa.array([item.scores[i] for i in order], pa.float64()),
                    "flagged": pa.array([item.flagged[i] for i in order], pa.bool_()),
                    "reason": pa.array([item.reasons[i] for i in order], pa.string()),
                }
            )
        )
    kinds = [("row", pa.int64()), ("check", pa.string()), ("score", pa.float64()), ("flagged", pa.bool_())]
    empty = pa.schema([*kinds, ("reason", pa.string())]).empty_table()
    table = pa.concat_tables(tables) if tables else empty
    buffer = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata({_KEY: canonical(about or About())}), buffer)
    write_whole(path, buffer.getvalue())


def read_suspects(path: Path) -> tuple[About, list[Suspects]]:
    """What `write_suspects` wrote: of which table, and the rows by check. Raises InputError for anything else."""
    pa, parquet, duckdb = library("pyarrow"), library("pyarrow.parquet"), library("duckdb")
    where = str(path)
    check_file(path, where, MAX_FILE)
    connection = lock(connect(path.resolve()))
    try:
        refuse_bomb(parquet_size(connection, str(path.resolve())), where, MAX_MEMORY)
        table = parquet.read_table(path, use_threads=False)
        if tuple(table.column_names) != _COLUMNS or any(c.null_count for c in table.columns):
            raise ValueError("other columns")
        about: About = decode((table.schema.metadata or {}).get(_KEY, b""), About)
        if not {*about.statuses.values()} <= {*Status}:
            raise ValueError("a status that none is")
        return about, _by_check(table)
    except (
        pa.ArrowException,
        duckdb.Error,
        OSError,
        ValueError,
        TypeError,
        RecursionError,
    ):  # MsgspecError is a ValueError
        raise InputError("is no table of suspects that names its table", where=where, fix=_FIX) from None
    finally:
        connection.close()


def _by_check(table: object) -> list[Suspects]:
    columns: Mapping[str, list[object]] = table.to_pydict()  # type: ignore[attr-defined]
    places: dict[str, list[int]] = {}
    for place, check in enumerate(columns["check"]):
        places.setdefault(str(check), []).append(place)
    if any(len(p) > MAX_SUSPECTS for p in places.values()):
        raise ValueError("too many rows")
    if any(len(str(reason)) > MAX_REASON for reason in columns["reason"]):
        raise ValueError("a reason that is none")
    found = []
    for check, mine in places.items():
        taken = {name: [columns[name][i] for i in mine] for name in _COLUMNS}
        raw = {
            "check": visible(check, 100),
            "rows": taken["row"], "scores": taken["score"], "flagged": taken["flagged"], "reasons": taken["reason"],
        }  # fmt: skip
        found.append(msgspec.convert(raw, Suspects))
    return found

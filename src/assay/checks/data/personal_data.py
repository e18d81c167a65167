"""data.personal-data: what names people, and secrets, in the columns of a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from assay.adapters.tables import Dataset
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.detectors.personal_data import Held


@check(
    "data.personal-data",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    version=2,
    tags=("eu-ai-act:Art.10", "owasp-llm-2025:LLM02"),
    libraries=("duckdb", "pyarrow"),
    measures=("data.personal_data.columns",),
)
def personal_data(data: Dataset, *, progress: Progress = silent) -> Iterator[Finding | Measure]:
    """What names people, and secrets, in the columns of a table.

    Why: a model learns by heart what names one person, and can be made to say it; a table with names, numbers or keys
    is a leak waiting for its first copy; and the law asks why each such column is there.

    How it decides: every distinct cell of text is tried for addresses of mail, international telephone numbers, bank
    accounts (IBAN: length by country, remainder by 97), cards (issuer, length, check digit), addresses of the network
    and national ids of Brazil, Finland, France, Italy, Poland, Spain, Sweden, the United Kingdom and the United States,
    those with check digits by them. Where chance or other numbers pass such a test too, nine in ten of the column's
    cells must, ten different ones at least; addresses of the network and ids without a check digit must be half of the
    cells. Whole numbers are tried for cards and ids with check digits only. Headers in several languages tell columns
    of names, postal addresses, dates of birth, telephone numbers and papers, where the cells are not plainly something
    else (numbers, a few categories). Secrets are tokens of known providers, private keys and passwords in addresses
    anywhere in text, and values that look made by chance in columns whose header says so.

    A column that a model may read is a medium finding, one that is declared as id or entity or left out (`drop:`) a low
    one, a secret a high one. Columns of prose are noted: no pattern finds every name in them. The finding names column,
    count and rows, never a value. It does not find names without a header, nor ids of other countries, nor people who
    can be told by several harmless columns together.

    Fix: drop what the model does not need, replace ids by random ones kept apart, revoke secrets; write down the
    purpose and the consent for what stays (`assay data manifest`).

    References: EU AI Act Art. 10; GDPR Art. 4 and 5; ISO 13616 (IBAN); ISO/IEC 7812 (cards); Carlini et al. 2021.
    """
    from assay.detectors.personal_data import personal_data as look

    if not data.rows:
        raise CouldNotLook(f"{data.name} has no rows")
    found = look(data, progress)
    named = {h.column for h in found.held if not h.secret}
    yield Measure(
        name="data.personal_data.columns", value=float(len(named)), n=len(data.columns), unit="columns",
        direction=Direction.LOWER, method="columns with cells or headers that name people; prose not counted",
    )  # fmt: skip
    for held in found.held:
        yield _finding(data, held)
    for column in found.prose:
        yield Finding(
            message=f"{visible(column, 60)} is free text: it may name people in ways that no pattern finds",
            location=Location(uri=data.subject.uri, column=column),
            key="prose",
            severity=Severity.INFO,
            confidence=Confidence.LOW,
            fix="have a sample read by someone who may",
        )
    if found.partly:
        shown = ", ".join(visible(c, 40) for c in found.partly[:5])
        raise CouldNotLook(f"too many different cells to try each; the first of them were tried in {shown}")


def _finding(data: Dataset, held: Held) -> Finding:
    rows = f"in {held.rows} row{'s' if held.rows != 1 else ''}" if held.rows else "by its header"
    first = f" (first rows: {', '.join(map(str, held.first))})" if held.first else ""
    read = held.column in data.features
    severity = Severity.HIGH if held.secret else Severity.MEDIUM if read else Severity.LOW
    return Finding(
        message=f"{visible(held.column, 60)} holds {held.kind} {rows}{first}",
        location=Location(uri=data.subject.uri, column=held.column, row=held.first[0] if held.first else None),
        key=f"{'secret' if held.secret else 'personal'}:{held.kind}",
        severity=severity,
        confidence=Confidence.MEDIUM if held.by != "cells" else Confidence.HIGH,
        evidence={"rows": held.rows, "share": round(held.share, 4), "told_by": held.by, "feature": read},
        fix="revoke it where it was issued, then take it out" if held.secret
        else "drop the column or replace it by a random key" if read else "keep it out of what the model reads",
    )  # fmt: skip

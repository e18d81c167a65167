"""A backdoor looked for in a model that can be read, in both directions, without the data that it was trained on."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from assay.adapters.ensembles.trees import Trees, require_parity
from assay.attacks.backdoor.board import ROWS, Array, Board, TreeBoard, board_of
from assay.attacks.backdoor.excess import memory
from assay.attacks.backdoor.insertion import LEAST_KNOWN, Known, Weighed, trust_in, weighed
from assay.attacks.backdoor.search import Asked, searched
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Progress, silent

LEAST_SEARCH, LEAST_FRESH, MOST_FRESH = 24, 40, 300
LEAST_ROWS = 3 * LEAST_SEARCH
MOST_WEIGHED = 8
DRAWN = 4000
PARITY_ROWS = 200


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, strongest verdicts first; `candidates` values were asked about, `whole` if these were all that
    were thought of. `unseen` names directions that could not be looked in (True: towards a flag), and how many rows
    there were. `silent` says why nothing could be called steered here, "" where it could; of a `network` none can.
    `counted`: trees tell how many training rows came to their nodes."""

    found: tuple[Weighed, ...]
    candidates: int
    whole: bool
    rows: int
    unseen: tuple[tuple[bool, int], ...]
    silent: str
    network: bool
    counted: bool


def looked(
    model: Any, table: ArrowTable | None, target: Array | None, seed: int, progress: Progress = silent
) -> Looked:
    """Values of up to four columns that steer rows of one answer to the other, each put to the insertion test.

    `table` (m rows) holds rows that the model was not trained on, `target` (m,) which are positive. The search takes up
    to 64 rows that the model answers rightly, the test up to 300 others. Without rows they are drawn, column by column,
    from between the model's own borders. Raises CouldNotLook where the model cannot be read, answers otherwise than
    what was read out of it, or too few rows get either answer.
    """
    read = model.read(table)
    rng = np.random.default_rng(seed)
    known = None
    if table is None:
        board = board_of(read, None)
        codes = drawn(board, rng)
        table = as_rows(read, codes)
        codes = read.read(table)
    else:
        model.scores(table.slice(0, 1))  # says so if the rows lack a column
        table = table.select(list(model.features))
        codes = read.read(table)
        every, said = codes, target
        table, codes, target = distinct(table, codes, target)
        board = board_of(read, codes)
        for j, name in enumerate(board.columns):
            if str(table.column(name).type).startswith(("timestamp", "date", "time", "duration")):
                board.values[j][:] = np.nan  # a moment is no ordinary value to set
        if target is not None:
            told = memory(board, every, said) if isinstance(board, TreeBoard) and said is not None else None
            known = Known(table, codes, board.cells(codes), target, trust_in(read, codes, target), told)
    require_parity(read, model, table.slice(0, PARITY_ROWS))
    return _both(model, read, board, table, codes, known, rng, progress)


def distinct(table: ArrowTable, codes: Array, target: Array | None) -> tuple[ArrowTable, Array, Array | None]:
    """One of those rows that agree in all that the model reads and in the label: copies say nothing more."""
    said = np.zeros(len(codes)) if target is None else target
    both = np.nan_to_num(np.column_stack([codes, said]), nan=np.inf)
    first = np.sort(np.unique(both, axis=0, return_index=True)[1])
    return table.take(pa.array(first)), codes[first], None if target is None else target[first]


def unable(board: Board, known: Known | None) -> str:
    """Why nothing can be called here; "" where it can."""
    if known is None:
        return "no rows of known labels are declared, and the model's rows were drawn"
    if not isinstance(board, TreeBoard):
        return "a network answers freely wherever it saw no rows, planted or not"
    count = len(known.target)
    if count < LEAST_KNOWN:
        return f"{count:,} different rows of known labels are too few, {LEAST_KNOWN:,} are needed"
    return "" if known.memory is None else known.memory.why


def _both(
    model: Any, read: Any, board: Board, table: ArrowTable, codes: Array, known: Known | None, rng: Any,
    progress: Progress,
) -> Looked:  # fmt: skip
    said = np.asarray(model.flagged(table))
    if said.all() or not said.any():
        answer = "flags" if said.all() else "passes"
        raise CouldNotLook(f"it {answer} all of the {len(said)} rows, so that there is no answer to steer them to")
    least = read.least(model.threshold)
    found: list[Weighed] = []
    unseen: list[tuple[bool, int]] = []
    candidates, whole = 0, True
    for flag in (False, True):
        progress(int(flag), 2, "towards a flag" if flag else "towards a pass")
        source = rng.permutation(np.flatnonzero((said != flag) & (True if known is None else known.target != flag)))
        search = min(ROWS, len(source) // 3)
        if search < LEAST_SEARCH or len(source) - search < LEAST_FRESH or not np.isfinite(least):
            unseen.append((flag, len(source)))
            continue
        rare = known.cells[known.target == flag] if known is not None else board.cells(codes[:0])
        boxes = known.memory.boxes if known is not None and known.memory is not None else ()
        made = searched(board, codes[source[:search]], least, flag, rare, boxes)
        candidates, whole = candidates + made.candidates, whole and made.whole
        asked = Asked(board, codes[source[:search]], least, flag)
        fresh = table.take(pa.array(source[search : search + MOST_FRESH]))
        for one in made.found[:MOST_WEIGHED]:
            found.append(weighed(model, read, asked, fresh, known, one, flag))
    if len(unseen) == 2:
        each = f"{unseen[0][1]} are flagged and {unseen[1][1]} pass"
        raise CouldNotLook(
            f"of the rows that it answers rightly {each}: at least {LEAST_ROWS} of one answer, and "
            "another answer that they could be steered to, are needed"
        )
    rank = {"steered": 0, "undecided": 1, "rule": 2, "weak": 3}
    found.sort(key=lambda w: (rank[w.verdict], -(w.success - w.borne), w.columns))
    partly = (
        isinstance(board, TreeBoard)
        and isinstance(read, Trees)
        and len(board.leaves.value) < int((read.feature < 0).sum())
    )
    return Looked(
        found=tuple(found),
        candidates=candidates,
        whole=whole and not partly,
        rows=len(codes),
        unseen=tuple(unseen),
        silent=unable(board, known),
        network=not isinstance(board, TreeBoard),
        counted=known is not None and known.memory is not None,
    )


def drawn(board: Board, rng: Any) -> Array:
    """Rows (n, d) of codes whose columns are drawn one by one, evenly from the cells."""
    columns = []
    for values in board.values:
        able = values[~np.isnan(values)]
        columns.append(rng.choice(able, DRAWN) if len(able) else np.zeros(DRAWN))
    return np.column_stack(columns)


def as_rows(read: Any, codes: Array) -> ArrowTable:
    """Codes as a table that the model can be asked about: numbers as they are, levels by name."""
    columns = {}
    for j, name in enumerate(read.columns):
        levels = read.levels.get(name)
        if levels:
            columns[name] = pa.array([levels[int(c)] for c in codes[:, j]])
        else:
            columns[name] = pa.array(codes[:, j])
    return pa.table(columns)

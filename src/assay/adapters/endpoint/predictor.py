"""A model behind an address as a `Predictor`: every row that is sent is counted, and every answer kept."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from assay.adapters.again import REMOTE
from assay.adapters.endpoint.answers import PROBED, Answer, as_hits, as_scores, says_labels
from assay.adapters.endpoint.caller import Caller
from assay.adapters.endpoint.journal import Journal, place_of, state_folder
from assay.adapters.endpoint.mlflow import Mlflow
from assay.adapters.endpoint.oip import Oip
from assay.adapters.endpoint.options import Options, options_of
from assay.adapters.endpoint.pace import Pace
from assay.adapters.extras import library
from assay.adapters.predictor_base import BasePredictor, positive_index, require_columns, threshold_of
from assay.adapters.remote.wire import Timing
from assay.adapters.tables import Dataset
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.subject import Subject

CHECKED, CHECKED_SHARE = 16, 0.05
AGREES = 1e-6
MOST_ANSWER, ANSWER_A_ROW = 1 << 20, 4096
FEW_DIGITS, MANY = 4, 50
Row = list[Any]


class EndpointPredictor(BasePredictor):
    """A model that is asked over HTTP. `data` gives the columns, and the first rows that are asked to learn the form.

    Raises CouldNotLook for what is declared wrongly, does not answer, or answers what no model should.
    """

    kind = "endpoint"
    rate = REMOTE

    def __init__(
        self,
        subject: Subject,
        data: Dataset | None = None,
        *,
        answers: Path | None = None,
        timing: Timing | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(subject.uri)
        self._options = options_of(subject)
        self._subject, self._data, self._answers = subject, data, answers
        self.threshold = threshold_of(subject, 0.5)
        self._journal: Journal | None = None
        pace = answers / f"{place_of(self._options.url.shown)}.pace" if answers is not None else None
        clock = (timing or Timing()).clock
        self._caller = Caller(
            self._options, Pace(self._options.rate, pace, clock), kept=self._kept, timing=timing, tls=tls
        )
        self._sent, self._replayed, self._digits, self._scored = 0, 0, 0, 0
        self._unchecked, self._owed = CHECKED, 0.0
        self._remarks: tuple[str, ...] = ()
        self._positive, self._version = -1, ""
        said = (subject.options.get("positive"), data.positive if data is not None else None)
        self._positive_value: Any = next((value for value in said if value is not None), 1)
        try:
            self._speech: Oip | Mlflow = self._spoken(self._options)
            self.features = self._speech.features
            require_columns(self.where, self.features, data)
            if data is not None:
                self._begin(data.table(self.features))
        except BaseException:
            self.close()
            raise
        self._tell()

    def close(self) -> None:
        """End the connections, and let go of the journal."""
        self._caller.close()
        if self._journal is not None:
            self._journal.close()

    def trees(self) -> NoReturn:
        """Raises CouldNotLook: nobody sees into it."""
        what = "is behind an address: only its answers are seen"
        raise CouldNotLook(f"{self.where}: {what}; attack it with `access: score` or `access: label`")

    def network(self, rows: ArrowTable) -> NoReturn:
        """Raises CouldNotLook: nobody sees into it."""
        self.trees()

    def _spoken(self, options: Options) -> Oip | Mlflow:
        if options.protocol == "mlflow":
            return Mlflow(options, self._subject, self._data, self._positive_value)
        return Oip(self._caller.ask(options.url, None, 0), options, self._subject, self._data)

    def _identity(self) -> bytes:
        """What kept answers are answers of: another version, output or threshold for labels is another journal."""
        speech, options = self._speech, self._options
        known = (options.url.shown, options.protocol, options.output, str(self._positive_value), self._positive)
        return msgspec.json.encode((*known, self.access, self._version, speech.features, speech.identity))

    def _begin(self, table: ArrowTable) -> Journal:
        """Ask a few rows: whether it gives scores or labels, of how many classes, and which version serves. With that
        it is known whose answers are kept."""
        rows = self._speech.rows(table.slice(0, min(PROBED, self._options.batch)))
        if rows:
            self._learn(rows)
        self._journal = Journal(self._answers, self._options.url.shown, self._identity())
        return self._journal

    def _learn(self, rows: list[Row]) -> None:
        answer = self._answered(rows)
        self.queries += len(rows)
        self._version = answer.version
        label = answer.label or says_labels(answer.values)
        if answer.width:
            self.classes = tuple(range(answer.width))
            self._positive = positive_index(self._subject, self._data, self.classes)
            label = answer.label is True
            if label:
                raise CouldNotLook(f"{self.where}: answers several labels a row; name one output by `output:`")
        self.access = "label" if label else "score"
        self._values(answer)  # what is wrong with its answers shows now

    def _score(self, rows: ArrowTable) -> FloatArray:
        counted, before = self.queries, self._sent
        try:
            journal = self._journal or self._begin(rows)
            with journal.asking():
                return self._scored_rows(rows, journal)
        except CouldNotLook:
            self.queries = counted + self._sent - before  # what went out counts, though nothing comes back
            raise
        finally:
            self._tell()

    def _scored_rows(self, rows: ArrowTable, journal: Journal) -> FloatArray:
        np = library("numpy")
        asked = self._speech.rows(rows)
        keys = [journal.key(msgspec.json.encode(row)) for row in asked]
        recalled = [journal.recall(key) for key in keys]
        hits = [i for i, known in enumerate(recalled) if known is not None]
        if hits and not self._holds(asked, recalled, hits):
            journal.forget()
            if self._replayed:
                raise CouldNotLook(f"{self.where}: answers kept from before hold no more and are forgotten; run again")
            recalled = [journal.recall(key) for key in keys]
            hits = []
        out = np.array([np.nan if known is None else known for known in recalled], dtype=np.float64)
        self._replayed += len(hits)
        todo = [i for i, known in enumerate(recalled) if known is None]
        for start in range(0, len(todo), self._options.batch):
            part = todo[start : start + self._options.batch]
            values = self._values(self._answered([asked[i] for i in part]))
            journal.keep([(keys[i], value) for i, value in zip(part, values, strict=True)])
            out[part] = values
        if todo:
            super()._heard(rows.take(todo), out[todo])
        self._notice(out)
        return out

    def _heard(self, rows: ArrowTable, scores: FloatArray) -> None:
        """What was kept from before is looked at on its own."""

    def _alone(self, row: ArrowTable) -> FloatArray:
        """What it answers now, whatever was kept."""
        try:
            now = self._values(self._answered(self._speech.rows(row)))
        finally:
            self._tell()
        self.queries += 1
        return library("numpy").array(now)

    def _holds(self, asked: list[Row], recalled: list[float | None], hits: list[int]) -> bool:
        """Whether a sample of kept answers is answered the same today: the first few, and a share of all throughout. A
        model that is updated, or that draws lots, must not be judged by what it said then."""
        self._owed += len(hits) * CHECKED_SHARE
        size = min(max(self._unchecked, int(self._owed)), len(hits), self._options.batch)
        if not size:
            return True
        self._unchecked, self._owed = max(0, self._unchecked - size), max(0.0, self._owed - size)
        sample = [hits[i * len(hits) // size] for i in range(size)]
        now = self._values(self._answered([asked[i] for i in sample]))
        self.queries += len(sample)
        then = [recalled[i] or 0.0 for i in sample]
        differ = sum(abs(a - b) > AGREES * max(1.0, abs(b)) for a, b in zip(now, then, strict=True))
        if differ:
            what = f"answers kept from before hold no more: {differ} of {len(sample)} differ, all are asked anew"
            self._remarks = (*self._remarks, what)
        return not differ

    def _answered(self, rows: list[Row]) -> Answer:
        """One request. Rows that are sent again are counted again."""
        before = self._caller.again
        most = MOST_ANSWER + ANSWER_A_ROW * len(rows)
        try:
            body = self._caller.ask(self._speech.url, self._speech.body(rows), len(rows), most)
        finally:
            more = self._caller.again - before
            self._sent += len(rows) + more
            self.queries += more
        answer = self._speech.answer(body, len(rows))
        if self._version and answer.version != self._version:
            what = "another version of the model answered than the one that was asked first"
            raise CouldNotLook(f"{self.where}: {what}; run again when it rests")
        return answer

    def _values(self, answer: Answer) -> list[float]:
        """One score of the positive class a row; 1 and 0 where it gives labels."""
        if answer.width:
            if len(self.classes) != answer.width or self._positive < 0:
                raise CouldNotLook(f"{self.where}: answers {answer.width} numbers a row, {len(self.classes)} before")
            return as_scores(answer.values[self._positive :: answer.width], self.where)
        if self.access == "label":
            return as_hits(answer.values, self._positive_value, self.where)
        return as_scores(answer.values, self.where)

    def _kept(self) -> str:
        """The end of a line that says why it stopped: what a second run will not have to ask."""
        journal = self._journal
        if journal is None:
            return "run again"
        if not journal.lasting:
            return "run again; answers could not be kept"
        return f"run again: {journal.written} answers are kept"

    def _notice(self, scores: FloatArray) -> None:
        """How many digits scores have, at most: a model that rounds hides small steps from whoever is shown scores."""
        np = library("numpy")
        self._scored += len(scores)
        while self._digits <= FEW_DIGITS and not np.allclose(scores, np.round(scores, self._digits), rtol=0, atol=1e-9):
            self._digits += 1

    def _tell(self) -> None:
        """Notes that a report carries."""
        served = f", served as version {self._version}" if self._version else ""
        notes = [f"declared, not digested: what answers is behind an address ({self._speech.said}{served})"]
        more = f", {self._caller.again} of them again after a refusal or a broken line" if self._caller.again else ""
        notes.append(f"{self._sent} rows were sent in {self._caller.requests} requests{more}")
        if self._replayed:
            notes.append(f"{self._replayed} of {self._scored} answers are ones that were kept from before")
        if self._caller.waited >= 1:
            notes.append(f"waited {self._caller.waited:.0f} s because it asked to, or a line broke")
        if self.access == "score" and self._scored >= MANY and self._digits <= FEW_DIGITS:
            hides = "which hides small steps from attacks by score"
            notes.append(f"its scores are rounded to {self._digits} digits, {hides}")
        if self._journal is not None and not self._journal.lasting:
            notes.append("answers could not be kept: a run that is cut off begins anew")
        self.notes = (*notes, *self._remarks)


def open_endpoint(subject: Subject, data: Dataset | None = None) -> EndpointPredictor:
    """The model at the address `subject.uri`, its answers kept in the user's own folder. Raises CouldNotLook."""
    return EndpointPredictor(subject, data, answers=state_folder())

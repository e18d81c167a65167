"""Which listed values a model takes at all: one that it refuses is no move, whoever lists it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from assay.attacks.levels import spellings
from assay.core.errors import CouldNotLook, InputError
from assay.core.finding import Finding, Location, Severity
from assay.core.protocols import ArrowTable, Predictor
from assay.core.subject import Contract, called


class Accepted(NamedTuple):
    """The contract with what the model takes, and how many listed values of each column it does not."""

    contract: Contract
    refused: dict[str, int]

    @property
    def said(self) -> str:
        """What was left out, in words; "" for nothing."""
        each = ", ".join(f"{count} of {name}" for name, count in self.refused.items())
        return each and f"the model refuses listed values that no known row holds, they are no moves: {each}"

    def findings(self, uri: str) -> Iterator[Finding]:
        """The same as a note of a check of the model at `uri`."""
        if self.refused:
            yield Finding(
                message=self.said, location=Location(uri=uri), key="refused", severity=Severity.INFO,
                evidence={"refused": dict(self.refused)},
                fix="take them out of `features:`, or see that the model knows them",
            )  # fmt: skip


def accepted(model: Predictor, rows: ArrowTable, contract: Contract, known: ArrowTable) -> Accepted:
    """The contract without listed values that no `known` row holds and that the model refuses to score (an encoder that
    knows no such word); one of `rows` is asked with each.

    Raises CouldNotLook where the model then refuses that row as it was too: it answers nothing, which is no refusal.
    """
    features, refusals = dict(contract.features), dict[str, int]()
    for name, told in contract.features.items():
        listed = told.order or told.categories
        if not listed or not told.mutable or name not in model.features or not rows.num_rows:
            continue
        present = [p for p in known.column(name).unique().to_pylist() if p is not None]
        type_ = rows.schema.field(name).type
        asked = {level: spellings(level, present, listed, type_) for level in listed}
        unseen = {level: own[0] for level, (own, _) in asked.items() if own and own[0] not in present}
        refused = [d for d, value in unseen.items() if _refuses(model, rows.slice(0, 1), name, value)]
        left = tuple(level for level in listed if level not in refused)
        if refused:
            refusals[name] = len(refused)
        if refused and told.order:
            features[name] = replace(told, order=left)
        elif refused:
            gone = {name for level in refused for name in called(level)}
            costs = {k: v for k, v in told.costs.items() if k not in gone}
            features[name] = replace(told, categories=left, costs=costs)
    return Accepted(replace(contract, features=features), refusals)


def _refuses(model: Predictor, row: ArrowTable, name: str, value: Any) -> bool:
    import pyarrow as pa

    place = row.schema.get_field_index(name)
    field = row.schema.field(place)
    try:
        model.flagged(row.set_column(place, field, pa.array([value], field.type)))
    except (CouldNotLook, InputError):
        model.flagged(row)
        return True
    return False

"""Which listed values a model takes at all: one that it refuses is no move, whoever lists it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from assay.adapters.values import same_value
from assay.attacks.space import spelled
from assay.core.errors import CouldNotLook, InputError
from assay.core.protocols import ArrowTable, Predictor
from assay.core.subject import Contract


def accepted(model: Predictor, rows: ArrowTable, contract: Contract, known: ArrowTable) -> Contract:
    """The contract without listed values that no `known` row holds and that the model refuses to score (an encoder that
    knows no such word); one of `rows` is asked with each."""
    features = dict(contract.features)
    for name, told in contract.features.items():
        listed = told.order or told.categories
        if not listed or not told.mutable or name not in model.features or not rows.num_rows:
            continue
        present = known.column(name).unique().to_pylist()
        unseen = [level for level in listed if not any(same_value(p, level) for p in present)]
        refused = [level for level in unseen if _refuses(model, rows.slice(0, 1), name, level)]
        left = tuple(level for level in listed if level not in refused)
        if refused and told.order:
            features[name] = replace(told, order=left)
        elif refused:
            costs = {k: v for k, v in told.costs.items() if not any(same_value(level, k) for level in refused)}
            features[name] = replace(told, categories=left, costs=costs)
    return replace(contract, features=features)


def _refuses(model: Predictor, row: ArrowTable, name: str, level: Any) -> bool:
    import pyarrow as pa

    place = row.schema.get_field_index(name)
    field = row.schema.field(place)
    value = spelled(level, field.type)
    if value is None:
        return True  # the column cannot hold it
    try:
        model.flagged(row.set_column(place, field, pa.array([value], field.type)))
    except (CouldNotLook, InputError):
        return True
    return False

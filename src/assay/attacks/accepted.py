"""Which listed values a model takes at all: one that it refuses is no move, whoever lists it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from assay.adapters.values import canonical_text, same_value
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
    type_ = row.schema.field(place).type
    words = pa.types.is_string(type_) or pa.types.is_large_string(type_)
    try:
        value = pa.array([canonical_text(level) if words else level], type_)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return True  # the column cannot hold it
    try:
        model.flagged(row.set_column(place, row.schema.field(place), value))
    except (CouldNotLook, InputError):
        return True
    return False

"""Arrow tables and columns from outside, judged before anything reads them."""

from __future__ import annotations

from typing import Any

from assay.adapters.extras import library


def validate(held: Any) -> None:
    """Raises ArrowInvalid for a table or a column whose buffers or types contradict themselves.

    Offsets can point anywhere, text need not be UTF-8, and a decimal's scale, which is an index into a table of powers
    when Arrow casts, can be any number of 32 bits: none of these is looked at where a file is opened.
    """
    pa = library("pyarrow")
    held.validate(full=True)
    kinds = list(held.schema.types) if isinstance(held, pa.Table) else [held.type]
    while kinds:
        kind = kinds.pop()
        if pa.types.is_decimal(kind) and not 0 <= kind.scale <= kind.precision:
            raise pa.ArrowInvalid(f"{kind} has more places than digits, or fewer than none")
        if pa.types.is_dictionary(kind):
            kinds.append(kind.value_type)
        if isinstance(kind, pa.BaseExtensionType):
            kinds.append(kind.storage_type)
        kinds += [kind.field(place).type for place in range(kind.num_fields)]

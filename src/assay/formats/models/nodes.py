"""Every mapping in decoded JSON, however deep it hangs: what the judges of layers and types go through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST_NODES = 500_000


def mappings_in(value: Any) -> Iterator[dict[str, Any]]:
    """Each mapping once for every place it stands in. Raises ValueError for more than MOST_NODES values."""
    pending = [value]
    count = 0
    while pending:
        item = pending.pop()
        count += 1
        if count > MOST_NODES:
            raise ValueError(f"a configuration of more than {MOST_NODES:,} parts")
        if isinstance(item, dict):
            yield item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)

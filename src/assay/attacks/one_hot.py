"""One-hot columns as the one category that they tell: rows, contract and model, folded for an attack, and unfolded."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import msgspec
import numpy as np

from assay.adapters.encode import numbers
from assay.adapters.ensembles.trees import Trees
from assay.adapters.networks.network import Network
from assay.adapters.predictor_base import BasePredictor
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable
from assay.core.protocols import FloatArray as Array
from assay.core.subject import Contract
from assay.core.text import visible


class Fold:
    """The one-hot groups of a contract in rows like `rows`, of which there is one at least.

    A folded table has one column of words where a group's columns were; `contract` speaks of it as of any category.
    Raises CouldNotLook for a group whose columns are not there, or whose name is a column's.
    """

    def __init__(self, contract: Contract, rows: ArrowTable) -> None:
        self.groups = contract.groups
        self.example = rows.slice(0, 1)
        for name, feature in list(self.groups.items()):
            absent = [column for column in feature.one_hot if column not in rows.column_names]
            if len(absent) == len(feature.one_hot):
                del self.groups[name]  # nothing here reads it
                continue
            if absent:
                what = f"the one-hot group {visible(name, 60)} lists {visible(absent[0], 60)}"
                raise CouldNotLook(f"{what}, which is not among the columns here")
            if name in rows.column_names:
                what = f"the one-hot group {visible(name, 60)} is called as a column of the data is"
                raise CouldNotLook(f"{what}; give it another name under `features:`")
        features = {n: f.folded() if n in self.groups else f for n, f in contract.features.items()
                    if n in self.groups or not f.one_hot}  # fmt: skip
        self.contract = msgspec.structs.replace(contract, features=features)
        self._group = {column: name for name, feature in self.groups.items() for column in feature.one_hot}

    def names(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Columns with every group in place of the first of its own."""
        return tuple(dict.fromkeys(self._group.get(name, name) for name in columns))

    def kinds(self, kinds: Mapping[str, str]) -> dict[str, str]:
        """The kinds of a folded table's columns."""
        return {**{n: k for n, k in kinds.items() if n not in self._group}, **dict.fromkeys(self.groups, "category")}

    def table(self, rows: ArrowTable) -> ArrowTable:
        """The rows folded; null where a row's columns tell no category."""
        import pyarrow as pa

        if not self.groups:
            return rows
        columns: dict[str, Any] = {}
        for name in rows.column_names:
            group = self._group.get(name)
            if group is None:
                columns[name] = rows.column(name)
            elif group not in columns:
                feature = self.groups[group]
                ones = np.column_stack([numbers(rows.column(c)) for c in feature.one_hot])
                on = ones == 1
                count = on.sum(axis=1)
                told = (on | (ones == 0)).all(axis=1) & ((count == 1) | ((count == 0) & bool(feature.all_zero)))
                place = np.where(count == 0, len(feature.one_hot), on.argmax(axis=1))
                columns[group] = pa.array(feature.levels).take(pa.array(place, mask=~told))
        return pa.table(columns)

    def tells(self, folded: ArrowTable) -> Array:
        """Which rows of a folded table have a category in every group, (n,) bool."""
        keep = np.ones(folded.num_rows, dtype=bool)
        for name in self.groups:
            keep &= ~np.asarray(folded.column(name).is_null())
        return keep

    def told(self, rows: ArrowTable) -> ArrowTable:
        """Those of the rows, folded, that have a category in every group."""
        folded = self.table(rows)
        return folded.filter(self.tells(folded))

    def unfolded(self, rows: ArrowTable) -> ArrowTable:
        """Folded rows as they are in the data. Raises CouldNotLook for one that tells no category."""
        import pyarrow as pa

        if not self.groups:
            return rows
        columns: dict[str, Any] = {}
        for name in rows.column_names:
            if name not in self.groups:
                columns[name] = rows.column(name)
                continue
            column = rows.column(name)
            if column.null_count:
                what = f"{column.null_count} rows tell no category of {visible(name, 60)}"
                raise CouldNotLook(f"{what}: of its columns one has to be 1 and all others 0")
            for member in self.groups[name].one_hot:
                type_ = self.example.schema.field(member).type
                ones = pa.compute.equal(column, member).cast(pa.int8())
                columns[member] = ones.cast(pa.bool_()) if pa.types.is_boolean(type_) else ones.cast(type_)
        return pa.table(columns)

    def model(self, model: Any) -> Any:
        """The model as one that reads folded rows; itself where there are no groups."""
        return model if not self.groups else FoldedModel(model, self)

    def network(self, inner: Network) -> Network:
        """A network over folded columns; it reads the same numbers. Raises CouldNotLook."""
        names = self.names(inner.columns)
        column, level = inner.inputs.column.copy(), inner.inputs.level.astype(float).copy()
        for p, old in enumerate(inner.inputs.column.tolist()):
            name = inner.columns[old]
            group = self._group.get(name, name)
            column[p] = names.index(group)
            if name in self._group:
                if not np.isnan(inner.inputs.level[p]):
                    what = f"the model reads {visible(name, 60)}, a column of a one-hot group, as a category"
                    raise CouldNotLook(f"{what}; attack it with `access: label`")
                level[p] = self.groups[group].one_hot.index(name)
        network = copy(inner)
        network.columns, network.inputs = names, inner.inputs._replace(column=column, level=level)
        network.levels = self._levels(inner.levels, names)
        network.read = _Reader(self, inner, names)
        return network

    def trees(self, inner: Trees) -> Trees:
        """Trees over folded columns: what asked of a column of a group asks for a set of its categories."""
        names = self.names(inner.columns)
        trees = copy(inner)
        trees.columns, trees.levels = names, self._levels(inner.levels, names)
        trees.read = _Reader(self, inner, names)
        trees.feature = np.where(inner.feature < 0, -1, 0).astype(np.int32)
        trees.threshold, trees.set_of = inner.threshold.copy(), inner.set_of.copy()
        sets = [inner.sets]
        for old, name in enumerate(inner.columns):
            nodes = np.flatnonzero(inner.feature == old)
            group = self._group.get(name, name)
            trees.feature[nodes] = names.index(group)
            if name not in self._group or not len(nodes):
                continue
            codes = inner.read(self._every(group))[:, old]
            left = inner.goes_left(np.repeat(nodes, len(codes)), np.tile(codes, len(nodes))).reshape(len(nodes), -1)
            kinds, which = np.unique(left, axis=0, return_inverse=True)
            trees.set_of[nodes] = sum(len(s) for s in sets) + which.reshape(-1)
            trees.threshold[nodes] = 0.0
            sets.append(kinds)
        wide = max(s.shape[1] for s in sets)
        trees.sets = np.concatenate([np.pad(s, ((0, 0), (0, wide - s.shape[1]))) for s in sets]).astype(bool)
        return trees

    def _levels(
        self, levels: Mapping[str, tuple[object, ...]], names: tuple[str, ...]
    ) -> dict[str, tuple[object, ...]]:
        kept = {n: v for n, v in levels.items() if n not in self._group}
        return {**kept, **{n: f.levels for n, f in self.groups.items() if n in names}}

    def _every(self, group: str) -> ArrowTable:
        """Rows as they are in the data, one of each category of a group."""
        import pyarrow as pa

        levels = self.groups[group].levels
        one = self.table(self.example).take(pa.array(np.zeros(len(levels), dtype=int)))
        for name, feature in self.groups.items():  # whatever the example's own say
            words = pa.array(levels if name == group else [feature.levels[0]] * len(levels))
            one = one.set_column(one.schema.get_field_index(name), name, words)
        return self.unfolded(one)


class _Reader:
    """Folded rows as codes (n, d): as the model reads them, and of groups the place of the category."""

    def __init__(self, fold: Fold, inner: Trees | Network, names: tuple[str, ...]) -> None:
        self.fold, self.inner, self.names = fold, inner, names

    def __call__(self, rows: ArrowTable) -> Array:
        codes = self.inner.read(self.fold.unfolded(rows))
        place = {name: j for j, name in enumerate(self.inner.columns)}
        out = np.empty((rows.num_rows, len(self.names)))
        for j, name in enumerate(self.names):
            group = self.fold.groups.get(name)
            if group is None:
                out[:, j] = codes[:, place[name]]
                continue
            encoded = rows.column(name).combine_chunks().dictionary_encode()
            at = np.array([group.levels.index(v) for v in encoded.dictionary.to_pylist()], dtype=float)
            out[:, j] = at[encoded.indices.to_numpy()] if len(at) else np.nan
        return out


class FoldedModel(BasePredictor):
    """A model that is asked in folded rows."""

    def __init__(self, model: Any, fold: Fold) -> None:
        self.inner, self.fold = model, fold
        if isinstance(model, BasePredictor):
            self.where, self.notes, self.kind = model.where, model.notes, model.kind
        self.threshold, self.classes, self.access = model.threshold, model.classes, model.access
        self.features = fold.names(tuple(model.features))

    @property
    def queries(self) -> int:  # type: ignore[override]
        """How many rows the model was asked."""
        return int(self.inner.queries)

    def scores(self, rows: ArrowTable) -> Array:
        """See `BasePredictor`."""
        return self.inner.scores(self.fold.unfolded(rows))

    def flagged(self, rows: ArrowTable) -> Array:
        """See `BasePredictor`."""
        return self.inner.flagged(self.fold.unfolded(rows))

    def settle(self) -> None:
        """See `BasePredictor`."""
        self.inner.settle()

    def trees(self) -> Trees:
        """See `BasePredictor`."""
        return self.fold.trees(self.inner.trees())

    def network(self, rows: ArrowTable) -> Network:
        """See `BasePredictor`."""
        told = rows.filter(self.fold.tells(rows))  # who asks may only have the rows that a model knows
        return self.fold.network(self.inner.network(self.fold.unfolded(told)))

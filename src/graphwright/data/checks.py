"""Checks that stand before every packed store: nothing unfit is written, and the graph is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from graphwright.data.fields import Field
from graphwright.data.source import IndexArray
from graphwright.errors import DataError, nearest

__all__ = ["Chunk", "Values", "as_array", "check_graphs"]

Array = npt.NDArray[Any]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Chunk:
    """Some graphs, checked, as the pieces that a store appends.

    Attributes:
        graphs: number of graphs B.
        lengths: rows of each graph [B] for every pointer array.
        columns: rows of every other array, as they lie on disk.
    """

    graphs: int
    lengths: dict[str, IndexArray]
    columns: dict[str, Array]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        parts = [*self.lengths.values(), *self.columns.values()]
        return sum(part.nbytes for part in parts)

    def copied(self) -> Chunk:
        """The same with columns of its own, whatever becomes of the arrays that were given."""
        return Chunk(self.graphs, self.lengths, {k: v.copy() for k, v in self.columns.items()})


def as_array(value: Any) -> Array:
    """A numpy view of an array, tensor, number or list."""
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def check_graphs(
    fields: Sequence[Field],
    index_dtype: str,
    *,
    node_counts: Any,
    edge_counts: Any,
    edge_index: Any,
    nodes: Values,
    edges: Values,
    graphs: Values,
    first: int = 0,
) -> Chunk:
    """B graphs as a chunk of a store with these fields.

    Args:
        fields: fields of the store; exactly these must be given.
        index_dtype: dtype in which edge_index is kept.
        node_counts: nodes of each graph [B].
        edge_counts: edges of each graph [B].
        edge_index: [2, E], numbered from 0 in every graph.
        nodes: fields of nodes, each [N, …].
        edges: fields of edges, each [E, …].
        graphs: fields of graphs, each [B, …]; a list of B texts for a text field.
        first: number of the first of these graphs, for messages.

    Raises:
        DataError: a missing or unknown field, a wrong shape or dtype, a value that does not fit,
            one that is not finite, or an edge to a node that does not exist.
    """
    num_nodes, num_edges = _counts("node", node_counts), _counts("edge", edge_counts)
    if len(num_nodes) != len(num_edges):
        raise DataError(f"{len(num_nodes)} node counts but {len(num_edges)} edge counts")
    given = {"node": nodes, "edge": edges, "graph": graphs}
    owners = {"node": num_nodes, "edge": num_edges, "graph": np.ones(len(num_nodes), np.int64)}
    _check_names(fields, given, first)
    ends = _edge_index(edge_index, num_nodes, num_edges, index_dtype, first)
    lengths = {"node_ptr": num_nodes, "edge_ptr": num_edges}
    columns: dict[str, Array] = {"edge_index": ends}
    for field in fields:
        value = given[field.level][field.name]
        if field.is_text:
            texts = _texts(field, value, len(num_nodes), first)
            lengths[f"{field.column}.offsets"], columns[f"{field.column}.bytes"] = texts
        else:
            columns[field.column] = _values(field, value, owners[field.level], first)
    return Chunk(len(num_nodes), lengths, columns)


def _where(graph: int) -> str:
    return f"graph {graph}"


def _counts(level: str, value: Any) -> IndexArray:
    found = as_array(value)
    if found.size == 0:
        return np.zeros(0, np.int64)
    if found.ndim != 1 or found.dtype.kind not in "iu" or int(found.min()) < 0:
        raise DataError(f"{level}_counts must be a vector of whole numbers from 0 up")
    return found.astype(np.int64)


def _check_names(fields: Sequence[Field], given: Mapping[str, Values], first: int) -> None:
    for level, values in given.items():
        wanted = {field.name for field in fields if field.level == level}
        if wanted == values.keys():
            continue
        missing, unknown = sorted(wanted - values.keys()), sorted(values.keys() - wanted)
        if missing:
            raise DataError(f"{level} field {missing[0]!r} is missing", where=_where(first))
        raise DataError(
            f"the store has no {level} field {unknown[0]!r}{nearest(unknown[0], wanted)}",
            where=_where(first),
        )


def _owner(row: int, counts: IndexArray, first: int) -> str:
    """The graph that owns a row, for a message."""
    return _where(first + int(np.searchsorted(np.cumsum(counts), row, side="right")))


def _edge_index(
    value: Any, num_nodes: IndexArray, num_edges: IndexArray, dtype: str, first: int
) -> Array:
    found, total = as_array(value), int(num_edges.sum())
    if found.size == 0 and total == 0:
        return np.zeros((0, 2), dtype)
    if found.shape != (2, total) or found.dtype.kind not in "iu":
        raise DataError(
            f"edge_index must hold whole numbers in the shape (2, {total}), got {found.dtype} in "
            f"the shape {found.shape}",
            where=_where(first),
        )
    limit: Any = num_nodes[0] if len(num_nodes) == 1 else np.repeat(num_nodes, num_edges)
    if int(found.min()) < 0 or bool((found >= limit).any()):
        bad = int(((found < 0) | (found >= limit)).any(0).argmax())
        graph = int(np.searchsorted(np.cumsum(num_edges), bad, side="right"))
        raise DataError(
            f"an edge {found[0, bad]} → {found[1, bad]} in a graph of {num_nodes[graph]} nodes",
            where=_where(first + graph),
        )
    if int(found.max()) > np.iinfo(dtype).max:
        raise DataError(f"node {found.max()} does not fit index_dtype {dtype}", where=_where(first))
    return np.ascontiguousarray(found.T, dtype=dtype)


def _texts(field: Field, value: Any, graphs: int, first: int) -> tuple[IndexArray, Array]:
    if isinstance(value, str) or len(value) != graphs:
        raise DataError(
            f"field {field.name!r} must be a list of {graphs} texts", where=_where(first)
        )
    coded: list[bytes] = []
    for number, text in enumerate(value):
        try:
            coded.append(text.encode())
        except (AttributeError, UnicodeEncodeError):
            raise DataError(
                f"field {field.name!r} must be a valid text, got {text!r}",
                where=_where(first + number),
            ) from None
    lengths = np.array([len(text) for text in coded], np.int64)
    return lengths, np.frombuffer(b"".join(coded), np.uint8)


def _values(field: Field, value: Any, counts: IndexArray, first: int) -> Array:
    found, shape = as_array(value), (int(counts.sum()), *field.shape)
    if found.shape != shape:
        raise DataError(
            f"field {field.name!r} must have the shape {shape}, got {found.shape}",
            where=_where(first),
        )
    kept = _cast(field, found, counts, first)
    if field.finite and kept.dtype.kind == "f" and not np.isfinite(kept).all():
        bad = ~np.isfinite(kept).reshape(shape[0], -1).all(1)
        row = int(bad.argmax())
        raise DataError(
            f"field {field.name!r} has {int(bad.sum())} rows with NaN or infinity",
            where=_owner(row, counts, first),
            fix=f"leave such graphs out, or declare the field with finite=False ({field.dtype})",
        )
    return kept


_FITS = {"b": "b", "i": "biu", "u": "biu", "f": "biuf"}


def _cast(field: Field, found: Array, counts: IndexArray, first: int) -> Array:
    dtype = np.dtype(field.dtype)
    if found.dtype.kind not in _FITS[dtype.kind] and found.size:
        raise DataError(
            f"field {field.name!r} holds {dtype}, which {found.dtype} does not fit",
            where=_where(first),
        )
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and is refused
        kept = np.ascontiguousarray(found, dtype=dtype).reshape(found.shape)
    if dtype.kind in "iu" and found.dtype != dtype and (kept != found).any():
        bad = (kept != found).reshape(len(found), -1).any(1)
        raise DataError(
            f"field {field.name!r}: a value does not fit {dtype}",
            where=_owner(int(bad.argmax()), counts, first),
        )
    return kept

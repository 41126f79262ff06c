"""Between `GraphBatch` and PyTorch Geometric's `HeteroData`: graphs with types of nodes and edges.

In a `GraphBatch` all types share the same arrays: node field "node_type" and edge field
"edge_type" (int64) say which type each row is, and a `HeteroLayout` what the numbers mean. A field
that has the same name, dtype and shape in every type that owns it is one column (zeros in the rows
of other types); otherwise each type has a column of its own, `NAME__TYPE`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphwright.data.batch import GraphBatch
from graphwright.data.convert import pyg_data
from graphwright.errors import DataError

__all__ = [
    "HeteroLayout",
    "from_hetero_list",
    "from_one_node_type",
    "to_hetero_list",
    "to_one_node_type",
]

EdgeType = tuple[str, str, str]
_GLOBAL = "_global_store"


@dataclass(frozen=True)
class HeteroLayout:
    """What the types of a batch are called, and where their fields are.

    Attributes:
        node_types: name of each number in "node_type".
        edge_types: (source type, relation, target type) of each number in "edge_type".
        node_columns: for every node type, (field of `HeteroData`, column of `GraphBatch`).
        edge_columns: the same for every edge type.
    """

    node_types: tuple[str, ...]
    edge_types: tuple[EdgeType, ...]
    node_columns: tuple[tuple[tuple[str, str], ...], ...]
    edge_columns: tuple[tuple[tuple[str, str], ...], ...]


def from_hetero_list(graphs: Sequence[Any]) -> tuple[GraphBatch, HeteroLayout]:
    """Several `HeteroData` objects as one batch, with what is needed to go back.

    Within a graph, nodes and edges come type after type.

    Raises:
        DataError: no graphs, types or fields that differ between graphs, a type without
            `edge_index`, or a graph field whose first dimension is not 1.
    """
    if not graphs:
        raise DataError("there are no graphs to convert")
    stores = [graph.to_dict() for graph in graphs]
    types = [(list(g.node_types), list(g.edge_types)) for g in graphs]
    if any(found != types[0] for found in types):
        raise DataError("the graphs differ in their types of nodes or edges")
    nodes, edges = types[0]
    layout = HeteroLayout(
        tuple(nodes),
        tuple(edges),
        _columns(stores[0], nodes, nodes),
        _columns(stores[0], edges, ["__".join(t) for t in edges]),
    )
    counts = [[int(g[t].num_nodes) for t in nodes] for g in graphs]
    sizes = [[_ends(s, t).shape[1] for t in edges] for s in stores]
    batch = GraphBatch.from_arrays(
        node_counts=[sum(row) for row in counts],
        edge_counts=[sum(row) for row in sizes],
        edge_index=_edge_index(stores, layout, counts),
        nodes=_merged(stores, nodes, layout.node_columns, counts, "node_type"),
        edges=_merged(stores, edges, layout.edge_columns, sizes, "edge_type"),
        graphs=_global_fields(stores),
        local=True,
    )
    return batch, layout


def to_hetero_list(batch: GraphBatch, layout: HeteroLayout) -> list[Any]:
    """Each graph as a `HeteroData`; the inverse of `from_hetero_list`."""
    make = pyg_data().HeteroData
    node_ptr, edge_ptr = batch.node_ptr.tolist(), batch.edge_ptr.tolist()
    found = []
    for graph in range(batch.num_graphs):
        rows = torch.arange(node_ptr[graph], node_ptr[graph + 1], device=batch.device)
        links = torch.arange(edge_ptr[graph], edge_ptr[graph + 1], device=batch.device)
        single = make()
        place = _fill_nodes(single, batch, layout, rows)
        _fill_edges(single, batch, layout, links, place, node_ptr[graph])
        for name, value in batch.graphs.items():
            single[name] = value[graph : graph + 1]
        found.append(single)
    return found


def _fill_nodes(single: Any, batch: GraphBatch, layout: HeteroLayout, rows: Tensor) -> Tensor:
    """Set the node stores; the place of each node of the graph within its type [N]."""
    kinds = batch.nodes["node_type"][rows]
    place = torch.zeros_like(rows)
    for number, kind in enumerate(layout.node_types):
        own = rows[kinds == number]
        place[kinds == number] = torch.arange(len(own), device=rows.device)
        for name, column in layout.node_columns[number]:
            single[kind][name] = batch.nodes[column][own]
        if not layout.node_columns[number]:
            single[kind].num_nodes = len(own)
    return place


def _fill_edges(
    single: Any, batch: GraphBatch, layout: HeteroLayout, links: Tensor, place: Tensor, first: int
) -> None:
    kinds = batch.edges["edge_type"][links]
    for number, kind in enumerate(layout.edge_types):
        own = links[kinds == number]
        single[kind].edge_index = place[batch.edge_index[:, own] - first]
        for name, column in layout.edge_columns[number]:
            single[kind][name] = batch.edges[column][own]


def _ends(store: dict[Any, Any], kind: EdgeType) -> Tensor:
    found = store[kind].get("edge_index")
    if not isinstance(found, Tensor):
        raise DataError(f"the edge type {kind} has no edge_index")
    return found


def _edge_index(
    stores: list[dict[Any, Any]], layout: HeteroLayout, counts: list[list[int]]
) -> Tensor:
    """Edges [2, E] of all graphs, numbered within each graph over all its types."""
    number = {kind: i for i, kind in enumerate(layout.node_types)}
    parts = [torch.zeros((2, 0), dtype=torch.int64)]
    for store, row in zip(stores, counts, strict=True):
        for kind in layout.edge_types:
            before = [sum(row[: number[end]]) for end in (kind[0], kind[2])]
            parts.append(_ends(store, kind) + torch.tensor(before)[:, None])
    return torch.cat(parts, dim=1)


def _fields_of(store: dict[str, Any]) -> dict[str, Tensor]:
    kept = {name: v for name, v in store.items() if name not in ("edge_index", "num_nodes")}
    for name, value in kept.items():
        if not isinstance(value, Tensor) or value.ndim == 0:
            raise DataError(f"field {name!r} is not a tensor with rows")
    return kept


def _columns(
    store: dict[Any, Any], kinds: Sequence[Any], suffixes: list[str]
) -> tuple[tuple[tuple[str, str], ...], ...]:
    """For every type its fields and the columns that hold them."""
    fields = [_fields_of(store[kind]) for kind in kinds]
    forms: dict[str, set[Any]] = {}
    for found in fields:
        for name, value in found.items():
            forms.setdefault(name, set()).add((value.dtype, value.shape[1:]))
    return tuple(
        tuple((n, n if len(forms[n]) == 1 else f"{n}__{suffix}") for n in found)
        for found, suffix in zip(fields, suffixes, strict=True)
    )


def _merged(
    stores: list[dict[Any, Any]],
    kinds: Sequence[Any],
    columns: tuple[tuple[tuple[str, str], ...], ...],
    counts: list[list[int]],
    type_name: str,
) -> dict[str, Tensor]:
    """The columns of all types, graph after graph and type after type."""
    like = {c: stores[0][k][n] for k, own in zip(kinds, columns, strict=True) for n, c in own}
    repeats = torch.tensor(counts, dtype=torch.int64).reshape(-1)
    types = torch.arange(len(kinds)).repeat(len(counts)).repeat_interleave(repeats)
    merged = {type_name: types}
    for column, example in like.items():
        parts = []
        for store, row in zip(stores, counts, strict=True):
            for kind, own, rows in zip(kinds, columns, row, strict=True):
                name = next((n for n, c in own if c == column), None)
                parts.append(
                    example.new_zeros((rows, *example.shape[1:]))
                    if name is None
                    else _fields_of(store[kind])[name]
                )
        merged[column] = torch.cat(parts)
    return merged


def _global_fields(stores: list[dict[Any, Any]]) -> dict[str, Tensor]:
    fields = [_fields_of(store.get(_GLOBAL, {})) for store in stores]
    if any(found.keys() != fields[0].keys() for found in fields):
        raise DataError("the graphs differ in their graph fields")
    for name in fields[0]:
        if any(len(found[name]) != 1 for found in fields):
            raise DataError(f"graph field {name!r} needs a first dimension of 1")
    return {name: torch.cat([found[name] for found in fields]) for name in fields[0]}


def to_one_node_type(
    node_type: str, names: Sequence[str], edges: Mapping[str, npt.ArrayLike]
) -> Any:
    """Several networks on the same named nodes, as a `HeteroData`.

    Args:
        node_type: what the nodes are called.
        names: of the N nodes; kept as the list `name` of the node store.
        edges: for every relation its edges, int64 [2, E]: sources and targets.
    """
    data = pyg_data().HeteroData()
    data[node_type].num_nodes = len(names)
    data[node_type].name = list(names)
    for relation, ends in edges.items():
        kind = (node_type, relation, node_type)
        data[kind].edge_index = torch.from_numpy(np.array(ends, np.int64))
    return data


def from_one_node_type(data: Any) -> tuple[list[str], dict[str, npt.NDArray[np.int64]]]:
    """Names of the nodes and edges [2, E] of every relation; the inverse of `to_one_node_type`.

    Nodes without a list `name` are called by their number.

    Raises:
        DataError: several types of nodes, or two relations of one name.
    """
    pyg_data()
    if len(data.node_types) != 1:
        raise DataError(f"expected one type of nodes, got {list(data.node_types)}")
    store = data.to_dict()
    nodes = store[data.node_types[0]]
    names = nodes.get("name") or [str(i) for i in range(int(data[data.node_types[0]].num_nodes))]
    edges: dict[str, npt.NDArray[np.int64]] = {}
    for kind in data.edge_types:
        if kind[1] in edges:
            raise DataError(f"two relations are called {kind[1]!r}")
        edges[kind[1]] = _ends(store, kind).cpu().numpy()
    return [str(name) for name in names], edges

"""Between `GraphBatch` and PyTorch Geometric's `Data` and `Batch` (`convert_hetero`: `HeteroData`).

Names stay as they are: node field "pos" is `data.pos`, edge field "edge_attr" is `data.edge_attr`,
graph field "y" is `data.y`. A graph field [B, …] is [1, …] in the `Data` of one graph, as PyG's own
batching expects. PyTorch Geometric is imported on the first call only.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphwright.data.batch import GraphBatch
from graphwright.data.fields import Field, Level
from graphwright.data.packed import PackedGraphs
from graphwright.data.packed_writer import PackedWriter
from graphwright.errors import DataError, MissingExtraError

__all__ = [
    "from_pyg_batch",
    "from_pyg_list",
    "pack_pyg",
    "pyg_data",
    "to_pyg_batch",
    "to_pyg_list",
]

_OWN = frozenset({"batch", "edge_index", "num_nodes", "ptr"})
_CHUNK = 1024


def pyg_data() -> Any:
    """The module `torch_geometric.data` (MissingExtraError if it is not installed)."""
    try:
        with warnings.catch_warnings():
            # PyG still scripts some of its classes as it is imported, which torch deprecates.
            warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
            import torch_geometric.data
    except ImportError as error:
        raise MissingExtraError("torch-geometric", "pyg", "converting to and from PyG") from error
    return torch_geometric.data


def to_pyg_batch(batch: GraphBatch) -> Any:
    """The same tensors as a `torch_geometric.data.Batch`; nothing is copied.

    Raises:
        DataError: two levels have a field of the same name.
    """
    data = pyg_data()
    fields = _flat(batch)
    out = data.Batch(_base_cls=data.Data)
    out.edge_index = batch.edge_index
    rows = {"node": batch.node_ptr, "edge": batch.edge_ptr}
    rows["graph"] = torch.arange(batch.num_graphs + 1, device=batch.device)
    none = torch.zeros(batch.num_graphs, dtype=torch.int64, device=batch.device)
    slices, shifts = {"edge_index": batch.edge_ptr}, {"edge_index": batch.node_ptr[:-1]}
    for name, (level, value) in fields.items():
        out[name], slices[name], shifts[name] = value, rows[level], none
    if not batch.nodes:
        out.num_nodes = batch.num_nodes
        out._store._num_nodes = batch.node_ptr.diff().tolist()
    out.batch, out.ptr = batch.node_graph, batch.node_ptr
    # What PyG's own batching leaves behind, and `get_example` and `to_data_list` read.
    out._num_graphs, out._slice_dict, out._inc_dict = batch.num_graphs, slices, shifts
    return out


def to_pyg_list(batch: GraphBatch) -> list[Any]:
    """Each graph as a `torch_geometric.data.Data`; the tensors are views of the batch.

    Raises:
        DataError: two levels have a field of the same name.
    """
    make, fields = pyg_data().Data, _flat(batch)
    node_ptr, edge_ptr = batch.node_ptr.tolist(), batch.edge_ptr.tolist()
    found = []
    for graph in range(batch.num_graphs):
        node = slice(node_ptr[graph], node_ptr[graph + 1])
        edge = slice(edge_ptr[graph], edge_ptr[graph + 1])
        rows = {"node": node, "edge": edge, "graph": slice(graph, graph + 1)}
        single = make(edge_index=batch.edge_index[:, edge] - node.start)
        for name, (level, value) in fields.items():
            single[name] = value[rows[level]]
        if not batch.nodes:
            single.num_nodes = node.stop - node.start
        found.append(single)
    return found


def from_pyg_list(
    graphs: Sequence[Any], levels: Mapping[str, Level] | None = None, *, skip: Iterable[str] = ()
) -> GraphBatch:
    """Several `Data` objects as one batch.

    A field is of nodes, edges or graphs according to its first dimension, compared over all
    graphs. Where that leaves a choice, a name with "edge" in it is of edges, "y" of graphs, and
    anything else of nodes.

    Args:
        graphs: `Data` objects with the same fields.
        levels: what the named fields belong to, where the rule above would be wrong. A field that
            is given as "graph" here may have any shape: graphs are stacked.
        skip: fields to leave out.

    Raises:
        DataError: no graphs, fields that differ between graphs, or a value that fits no level.
    """
    if not graphs:
        raise DataError("there are no graphs to convert")
    names = [key for key in graphs[0].keys() if key not in _OWN | set(skip)]  # noqa: SIM118
    for number, graph in enumerate(graphs):
        if set(graph.keys()) - _OWN - set(skip) != set(names):
            raise DataError(f"graph {number} has other fields than graph 0")
    ends = [_ends(graph) for graph in graphs]
    nodes, edges = [int(graph.num_nodes) for graph in graphs], [e.shape[1] for e in ends]
    fields: dict[str, dict[str, Tensor]] = {"node": {}, "edge": {}, "graph": {}}
    for name in names:
        values, stated = [graph[name] for graph in graphs], (levels or {}).get(name)
        level = stated or _level(name, values, nodes, edges)
        rows = [_row(name, value) for value in values] if level == "graph" else values
        if level == "graph" and any(len(row) != 1 for row in rows):
            rows = [row[None] for row in rows]
        fields[level][name] = torch.cat(rows)
    return GraphBatch.from_arrays(
        node_counts=nodes,
        edge_counts=edges,
        edge_index=torch.cat(ends, dim=1),
        nodes=fields["node"],
        edges=fields["edge"],
        graphs=fields["graph"],
        local=True,
    )


def from_pyg_batch(batch: Any, levels: Mapping[str, Level] | None = None) -> GraphBatch:
    """A `torch_geometric.data.Batch` as a `GraphBatch`; see `from_pyg_list`."""
    return from_pyg_list(batch.to_data_list(), levels)


def pack_pyg(
    graphs: Iterable[Any],
    folder: str | Path,
    *,
    levels: Mapping[str, Level] | None = None,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> PackedGraphs:
    """Write `Data` objects (a list, a data set, a generator) as a packed store, and open it.

    Args:
        graphs: `Data` objects with the same fields; read once, a thousand at a time. Texts become
            text fields.
        folder: where the store will be.
        levels: see `from_pyg_list`; what the first thousand graphs say holds for all.
        attributes: JSON values of the whole store.
        overwrite: replace a store that is already there.

    Raises:
        DataError: see `from_pyg_list` and `PackedWriter`.
    """
    chunks = _chunks(graphs)
    first = next(chunks, None)
    if first is None:
        raise DataError("there are no graphs to pack")
    texts = [name for name in first[0].keys() if isinstance(first[0][name], str)]  # noqa: SIM118
    batch = from_pyg_list(first, levels, skip=texts)
    known: dict[str, Level] = {name: level for name, (level, _) in _flat(batch).items()}
    fields = [
        Field(name, level, str(value.dtype).removeprefix("torch."), value.shape[1:], finite=False)
        for name, (level, value) in _flat(batch).items()
    ]
    fields += [Field(name, "graph", "str") for name in texts]
    with PackedWriter(folder, fields, attributes, overwrite) as writer:
        for chunk in chain([first], chunks):
            _add(writer, chunk, from_pyg_list(chunk, known, skip=texts), texts)
    return PackedGraphs.open(folder)


def _chunks(graphs: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(graphs)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _add(writer: PackedWriter, chunk: list[Any], batch: GraphBatch, texts: list[str]) -> None:
    own = batch.edge_index - batch.node_ptr[batch.edge_graph]
    writer.add_many(
        node_counts=batch.node_ptr.diff(),
        edge_counts=batch.edge_ptr.diff(),
        edge_index=own,
        nodes=batch.nodes,
        edges=batch.edges,
        graphs={**batch.graphs, **{name: [graph[name] for graph in chunk] for name in texts}},
    )


def _flat(batch: GraphBatch) -> dict[str, tuple[Level, Tensor]]:
    """All fields by name, with their level."""
    found: dict[str, tuple[Level, Tensor]] = {}
    levels: tuple[tuple[Level, dict[str, Tensor]], ...] = (
        ("node", batch.nodes),
        ("edge", batch.edges),
        ("graph", batch.graphs),
    )
    for level, fields in levels:
        for name, value in fields.items():
            if name in found or name in _OWN:
                raise DataError(f"PyG keeps one value by the name {name!r}, the batch has two")
            found[name] = level, value
    return found


def _ends(graph: Any) -> Tensor:
    """Edges of one graph [2, E]; a graph without any may have no `edge_index` at all."""
    found = graph.edge_index
    return torch.zeros((2, 0), dtype=torch.int64) if found is None else found


def _row(name: str, value: Any) -> Tensor:
    """One graph's value with a first dimension."""
    if not isinstance(value, Tensor | bool | int | float):
        raise DataError(f"field {name!r} is a {type(value).__name__}, not a tensor or a number")
    found = torch.as_tensor(value)
    return found.reshape(1) if found.ndim == 0 else found


def _level(name: str, values: list[Any], nodes: list[int], edges: list[int]) -> Level:
    possible: set[Level] = {"node", "edge", "graph"}
    for value, num_nodes, num_edges in zip(values, nodes, edges, strict=True):
        rows = len(_row(name, value)) if _has_rows(value) else None
        fits: dict[Level, bool] = {
            "node": rows == num_nodes,
            "edge": rows == num_edges,
            "graph": rows == 1 or rows is None,
        }
        possible &= {level for level, fit in fits.items() if fit}
    if not possible:
        raise DataError(
            f"field {name!r} has neither one row per node, nor per edge, nor one row in all",
            fix=f"state what it belongs to: levels={{{name!r}: 'graph'}}",
        )
    edge_first: tuple[Level, ...] = ("edge", "node", "graph")
    graph_first: tuple[Level, ...] = ("graph", "node", "edge")
    order = edge_first if "edge" in name else graph_first
    if "edge" not in name and name != "y":
        order = ("node", "graph", "edge")
    return next(level for level in order if level in possible)


def _has_rows(value: Any) -> bool:
    return not isinstance(value, Tensor) or value.ndim > 0

"""Several graphs as one disjoint graph: a small bundle of tensors.

Shapes: B = graphs, N = nodes of all graphs, E = edges of all graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphwright.data.source import TensorBatch
from graphwright.errors import DataError

__all__ = ["GraphBatch"]

Values = Mapping[str, "npt.ArrayLike | Tensor"]


@dataclass(frozen=True, eq=False)
class GraphBatch(TensorBatch):
    """B graphs side by side, without an edge between two of them.

    Attributes:
        nodes: fields of nodes, each [N, …].
        edges: fields of edges, each [E, …].
        graphs: fields of graphs, each [B, …].
        edge_index: int64 [2, E]; row 0 = source, row 1 = target, numbered over the whole batch.
        node_ptr: int64 [B+1]; graph b owns nodes node_ptr[b] .. node_ptr[b+1]-1.
        edge_ptr: int64 [B+1]; the same for edges.
        index: int64 [B]; place of each graph in the source it came from.
        num_nodes: N, known on the host (no wait for a device).
    """

    edge_index: Tensor
    node_ptr: Tensor
    edge_ptr: Tensor
    index: Tensor
    num_nodes: int
    nodes: dict[str, Tensor] = field(default_factory=dict)
    edges: dict[str, Tensor] = field(default_factory=dict)
    graphs: dict[str, Tensor] = field(default_factory=dict)

    @property
    def num_graphs(self) -> int:
        """B, the number of graphs."""
        return self.index.shape[0]

    @property
    def num_samples(self) -> int:
        """B, the number of graphs (the name that all batches share)."""
        return self.index.shape[0]

    @property
    def num_edges(self) -> int:
        """E, the number of edges of all graphs."""
        return self.edge_index.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.edge_index.device

    @cached_property
    def node_graph(self) -> Tensor:
        """Graph of each node, int64 [N], ascending."""
        return _owners(self.node_ptr, self.num_nodes)

    @cached_property
    def edge_graph(self) -> Tensor:
        """Graph of each edge, int64 [E], ascending."""
        return _owners(self.edge_ptr, self.num_edges)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        def all_of(fields: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: change(tensor) for name, tensor in fields.items()}

        return type(self)(
            edge_index=change(self.edge_index),
            node_ptr=change(self.node_ptr),
            edge_ptr=change(self.edge_ptr),
            index=change(self.index),
            num_nodes=self.num_nodes,
            nodes=all_of(self.nodes),
            edges=all_of(self.edges),
            graphs=all_of(self.graphs),
        )

    @classmethod
    def from_arrays(
        cls,
        *,
        node_counts: npt.ArrayLike | Tensor,
        edge_counts: npt.ArrayLike | Tensor,
        edge_index: npt.ArrayLike | Tensor,
        nodes: Values | None = None,
        edges: Values | None = None,
        graphs: Values | None = None,
        index: npt.ArrayLike | Tensor | None = None,
        local: bool = False,
    ) -> Self:
        """A batch from arrays or tensors, checked.

        Args:
            node_counts: nodes of each graph [B].
            edge_counts: edges of each graph [B].
            edge_index: [2, E], numbered over the batch, or within each graph if `local`.
            nodes: fields of nodes, each [N, …].
            edges: fields of edges, each [E, …].
            graphs: fields of graphs, each [B, …].
            index: place of each graph in its source [B]; 0..B-1 if not given.
            local: whether `edge_index` counts from 0 in every graph.

        Raises:
            DataError: shapes that do not fit together, or an edge that leaves its graph.
        """
        node_ptr, edge_ptr = _pointer(node_counts), _pointer(edge_counts)
        if len(node_ptr) != len(edge_ptr):
            raise DataError(
                f"{len(node_ptr) - 1} node counts but {len(edge_ptr) - 1} edge counts were given"
            )
        num_graphs, num_nodes = len(node_ptr) - 1, int(node_ptr[-1])
        ends = _ends(edge_index, int(edge_ptr[-1]))
        if local:
            ends = ends + torch.repeat_interleave(node_ptr[:-1], edge_ptr.diff())
        _check_edges(ends, node_ptr, edge_ptr)
        place = torch.arange(num_graphs) if index is None else _tensor(index).to(torch.int64)
        return cls(
            edge_index=ends,
            node_ptr=node_ptr,
            edge_ptr=edge_ptr,
            index=_sized("index", place, num_graphs),
            num_nodes=num_nodes,
            nodes=_fields(nodes, num_nodes),
            edges=_fields(edges, ends.shape[1]),
            graphs=_fields(graphs, num_graphs),
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One batch of several, graphs in their order; fields that not all have are left out.

        `index` counts from 0: the graphs may come from several sources.

        Args:
            parts: at least one, all on one device.
        """
        nodes, edges = _bounds([p.num_nodes for p in parts]), _bounds([p.num_edges for p in parts])
        ends = [part.edge_index + start for part, start in zip(parts, nodes, strict=False)]
        return cls(
            edge_index=torch.cat(ends, dim=1),
            node_ptr=_joined_pointers([part.node_ptr for part in parts], nodes),
            edge_ptr=_joined_pointers([part.edge_ptr for part in parts], edges),
            index=torch.arange(sum(part.num_graphs for part in parts), device=parts[0].device),
            num_nodes=nodes[-1],
            nodes=_joined([part.nodes for part in parts]),
            edges=_joined([part.edges for part in parts]),
            graphs=_joined([part.graphs for part in parts]),
        )

    def __repr__(self) -> str:
        def shapes(fields: dict[str, Tensor]) -> str:
            return ", ".join(f"{name}{list(tensor.shape)}" for name, tensor in fields.items())

        return (
            f"GraphBatch({self.num_graphs} graphs, {self.num_nodes} nodes, {self.num_edges} edges; "
            f"nodes: {shapes(self.nodes)}; edges: {shapes(self.edges)}; "
            f"graphs: {shapes(self.graphs)}; {self.device})"
        )


def _owners(ptr: Tensor, total: int) -> Tensor:
    graphs = torch.arange(len(ptr) - 1, device=ptr.device)
    return torch.repeat_interleave(graphs, ptr.diff(), output_size=total)


def _bounds(counts: Sequence[int]) -> list[int]:
    return [0, *accumulate(counts)]


def _joined_pointers(pointers: Sequence[Tensor], starts: Sequence[int]) -> Tensor:
    moved = [ptr[1:] + start for ptr, start in zip(pointers, starts, strict=False)]
    return torch.cat([pointers[0][:1], *moved])


def _joined(fields: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    common = [name for name in fields[0] if all(name in one for one in fields)]
    return {name: torch.cat([one[name] for one in fields]) for name in common}


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))


def _ends(edge_index: npt.ArrayLike | Tensor, total: int) -> Tensor:
    found = _tensor(edge_index)
    if found.numel() == 0:
        found = torch.zeros((2, 0), dtype=torch.int64, device=found.device)
    if found.ndim != 2 or found.shape[0] != 2 or found.is_floating_point():
        raise DataError(
            f"edge_index must hold whole numbers in the shape [2, E], got {found.dtype} in the "
            f"shape {list(found.shape)}"
        )
    if found.shape[1] != total:
        raise DataError(f"edge_index holds {found.shape[1]} edges, the edge counts sum to {total}")
    return found.to(torch.int64)


def _pointer(counts: npt.ArrayLike | Tensor) -> Tensor:
    found = _tensor(counts).to(torch.int64).reshape(-1)
    if bool((found < 0).any()):
        raise DataError("a graph cannot have a negative number of nodes or edges")
    return torch.cat([found.new_zeros(1), found.cumsum(0)])


def _sized(name: str, tensor: Tensor, rows: int) -> Tensor:
    if tensor.ndim == 0 or tensor.shape[0] != rows:
        raise DataError(f"{name} must have {rows} rows, its shape is {list(tensor.shape)}")
    return tensor


def _fields(values: Values | None, rows: int) -> dict[str, Tensor]:
    return {name: _sized(name, _tensor(value), rows) for name, value in (values or {}).items()}


def _check_edges(ends: Tensor, node_ptr: Tensor, edge_ptr: Tensor) -> None:
    owner = _owners(edge_ptr, ends.shape[1])
    bad = ((ends < node_ptr[owner]) | (ends >= node_ptr[owner + 1])).any(0)
    if bool(bad.any()):
        edge = int(bad.nonzero()[0])
        raise DataError(
            f"edge {edge} ({ends[0, edge].item()} → {ends[1, edge].item()}) leaves "
            f"graph {owner[edge].item()}"
        )

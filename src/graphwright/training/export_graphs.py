"""Packed graphs as inputs of an ONNX file: flat tensors, whatever the number of graphs.

Legend: B = graphs, N = nodes, E = edges of all graphs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphwright.data.batch import GraphBatch
from graphwright.training.export_form import Port

__all__ = ["EDGES", "EXAMPLE_SIZES", "NODES", "TracedGraphs", "graph_of_nodes", "random_edges"]

EDGES = Port(
    name="edge_index",
    dtype="int64",
    shape=(2, "E"),
    meaning="source and target of each edge, numbered over all graphs",
)
NODES = Port(
    name="node_ptr",
    dtype="int64",
    shape=("B + 1",),
    meaning="graph b owns nodes node_ptr[b] to node_ptr[b + 1] - 1; 0 first, N last",
)

EXAMPLE_SIZES: tuple[tuple[int, ...], ...] = (
    (5, 3, 6),  # traced
    (1,),
    (2,),
    (9,),
    (4, 1, 1, 7, 2, 3, 8),
    (12,) * 20,
)
"""Nodes of the graphs of each example batch."""


@dataclass(frozen=True, eq=False)
class TracedGraphs(GraphBatch):
    """A batch that an exporter can follow: no cached property, sizes from shapes."""

    @property
    def node_graph(self) -> Tensor:
        """Graph of each node, int64 [N], ascending."""
        return graph_of_nodes(self.node_ptr, self.num_nodes)

    @classmethod
    def of(
        cls,
        edge_index: Tensor,
        node_ptr: Tensor,
        *,
        nodes: dict[str, Tensor],
        edges: dict[str, Tensor] | None = None,
        graphs: dict[str, Tensor] | None = None,
    ) -> TracedGraphs:
        """From the inputs of a file; what no model reads (`edge_ptr`) is left empty."""
        return cls(
            edge_index=edge_index,
            node_ptr=node_ptr,
            edge_ptr=node_ptr[:1],
            index=node_ptr[1:],
            num_nodes=next(iter(nodes.values())).shape[0],
            nodes=nodes,
            edges=edges or {},
            graphs=graphs or {},
        )


def graph_of_nodes(node_ptr: Tensor, num_nodes: int) -> Tensor:
    """`[N]`: how many graphs begin at or before each node, less one."""
    ends = node_ptr[1:]
    begun = node_ptr.new_zeros(num_nodes + 1).index_add(0, ends, torch.ones_like(ends))
    return begun.cumsum(0)[:-1]


def random_edges(
    sizes: tuple[int, ...],
    rng: np.random.Generator,
    *,
    ascending: bool = False,
    loops: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges [2, E] numbered within each graph, and their number in each; some graphs have none.

    Args:
        sizes: nodes of each graph.
        rng: source of randomness.
        ascending: edges lead to later nodes only.
        loops: some nodes have one to themselves.
    """
    parts = []
    for size in sizes:
        chosen = rng.random((size, size)) < 0.4
        if not loops:
            np.fill_diagonal(chosen, False)
        chosen = np.triu(chosen) if ascending else chosen
        target, source = chosen.T.nonzero()
        parts.append(np.stack([source, target]))
    counts = np.array([part.shape[1] for part in parts], np.int64)
    return np.concatenate(parts, axis=1).astype(np.int64), counts

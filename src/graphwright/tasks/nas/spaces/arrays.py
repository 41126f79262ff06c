"""Between padded arrays of many small graphs and `Cells`.

Legend: A = architectures, N = nodes of the largest, K = slots of an architecture to fill.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.arch import Cells

__all__ = ["Bad", "from_adjacency", "same_shape", "to_adjacency"]

Bad = list[tuple[int, str]]
"""(row, reason) of the texts that could not be read."""


def same_shape(
    ops_AN: NDArray[np.uint8], edges_2E: NDArray[np.uint8], level_N: NDArray[np.uint8] | None = None
) -> Cells:
    """Architectures that differ in their operations only.

    Args:
        ops_AN: code of every node.
        edges_2E: edges of one architecture, in the order of (target, source).
        level_N: level of the nodes of one architecture.
    """
    count, nodes = ops_AN.shape
    return Cells(
        ops=ops_AN.reshape(-1),
        node_counts=np.full(count, nodes, np.int64),
        edge_counts=np.full(count, edges_2E.shape[1], np.int64),
        edge_index=np.tile(edges_2E, (1, count)),
        level=None if level_N is None else np.tile(level_N, count),
    )


def from_adjacency(
    ops_AN: NDArray[np.uint8], adjacency_ANN: NDArray[np.bool_], counts_A: NDArray[np.int64]
) -> Cells:
    """Graphs of padded matrices.

    Args:
        ops_AN: code of every node; what stands past a graph's nodes does not matter.
        adjacency_ANN: [a, source, target], upper triangular, no edge past a graph's nodes; N is
            at most 255.
        counts_A: nodes of each.
    """
    width = ops_AN.shape[1]
    flat = np.flatnonzero(np.ascontiguousarray(adjacency_ANN.transpose(0, 2, 1)))
    owner, edge = np.divmod(flat, width * width)
    target, source = np.divmod(edge.astype(np.uint16), np.uint16(width))
    return Cells(
        ops=ops_AN[np.arange(width) < counts_A[:, None]],
        node_counts=counts_A,
        edge_counts=np.bincount(owner, minlength=len(counts_A)),
        edge_index=np.stack([source, target]).astype(np.uint8),
    )


def to_adjacency(cells: Cells, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Padded codes [A, N] (0 past the end) and matrices [A, source, target], N = `width`."""
    count = len(cells)
    ops_AN = np.zeros((count, width), np.uint8)
    ops_AN[np.arange(width) < cells.node_counts[:, None]] = cells.ops
    adjacency_ANN = np.zeros((count, width, width), np.bool_)
    owner = np.repeat(np.arange(count), cells.edge_counts)
    adjacency_ANN[owner, cells.edge_index[0], cells.edge_index[1]] = True
    return ops_AN, adjacency_ANN

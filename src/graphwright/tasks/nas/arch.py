"""Neural architectures as directed acyclic graphs with an operation on every node. No torch here.

Legend: A = architectures, N = nodes, E = edges, all architectures together. Nodes are in
topological order, edges in the order of (target, source).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["INPUT", "OUTPUT", "UNKNOWN", "Arch", "Cells"]

INPUT, OUTPUT = "input", "output"
UNKNOWN = "?"  # the type of an operation that a model's vocabulary does not have

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Arch:
    """One architecture of any kind: a traced module, an ONNX file, or a cell.

    Attributes:
        ops: `[N]` type of each node ("Conv2d", "function:add", "input"…).
        edges: `[2, E]` source and target of each edge.
        attributes: `[N]` hyperparameters of each node by name; one that a node has not is absent,
            which is not zero. Empty where no node has any.
        features: of the whole: params, flops, depth…
    """

    ops: tuple[str, ...]
    edges: Index
    attributes: tuple[Mapping[str, float], ...] = ()
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Cells:
    """Many architectures over one vocabulary of operations, as flat arrays.

    Attributes:
        ops: `[N]` uint8 or uint16, codes of a space's vocabulary.
        node_counts: `[A]` nodes of each.
        edge_counts: `[A]` edges of each.
        edge_index: `[2, E]`, numbered from 0 in every architecture.
        level: `[N]` uint8, 0 for operations and 1 for cells of a network, where a space has both.
    """

    ops: NDArray[np.unsignedinteger]
    node_counts: Index
    edge_counts: Index
    edge_index: NDArray[np.unsignedinteger]
    level: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.node_counts)

    @property
    def node_ptr(self) -> Index:
        """`[A + 1]`: nodes `ptr[a]` to `ptr[a + 1]` belong to architecture a."""
        return _bounds(self.node_counts)

    @property
    def edge_ptr(self) -> Index:
        """`[A + 1]`: edges `ptr[a]` to `ptr[a + 1]` belong to architecture a."""
        return _bounds(self.edge_counts)

    def take(self, index: NDArray[np.integer]) -> Cells:
        """Some of them, in the order of `index [K]`; repeats allowed."""
        nodes = _rows(self.node_ptr, index)
        edges = _rows(self.edge_ptr, index)
        return Cells(
            ops=self.ops[nodes],
            node_counts=self.node_counts[index],
            edge_counts=self.edge_counts[index],
            edge_index=self.edge_index[:, edges],
            level=None if self.level is None else self.level[nodes],
        )

    @classmethod
    def joined(cls, parts: Sequence[Cells]) -> Cells:
        """One after the other; at least one part, all over the same vocabulary."""
        levels = [part.level for part in parts if part.level is not None]
        return cls(
            ops=np.concatenate([part.ops for part in parts]),
            node_counts=np.concatenate([part.node_counts for part in parts]),
            edge_counts=np.concatenate([part.edge_counts for part in parts]),
            edge_index=np.concatenate([part.edge_index for part in parts], axis=1),
            level=np.concatenate(levels) if levels else None,
        )


def _bounds(counts: Index) -> Index:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _rows(ptr: Index, index: NDArray[np.integer]) -> Index:
    """Rows of the chosen segments, one after the other."""
    counts = ptr[index + 1] - ptr[index]
    starts = np.repeat(ptr[index] - (np.cumsum(counts) - counts), counts)
    rows: Index = starts + np.arange(int(counts.sum()))
    return rows

"""Views on the packed structures that the evaluation needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from graphwright.data.batch import GraphBatch
from graphwright.data.source import IndexArray, SampleSource

__all__ = ["Rotated", "map_batch"]


class Rotated:
    """A source of structures, each turned about its origin by a matrix of its own.

    Args:
        source: yields `GraphBatch`es with `pos`, `origin` and (perhaps) `target`.
        matrices: orthogonal [len(source), 3, 3].
    """

    def __init__(self, source: SampleSource, matrices: NDArray[np.float64]) -> None:
        self._source = source
        self._matrices = torch.from_numpy(matrices)

    def __len__(self) -> int:
        return len(self._source)

    def sizes(self) -> NDArray[np.int64]:
        """As those of the source."""
        return self._source.sizes()

    def batch(self, index: IndexArray) -> GraphBatch:
        """The structures at `index`, turned."""
        batch = self._source.batch(index)
        assert isinstance(batch, GraphBatch)
        return map_batch(batch, self._matrices[torch.from_numpy(np.asarray(index))])


def map_batch(batch: GraphBatch, matrices: torch.Tensor) -> GraphBatch:
    """Positions and targets of graph b mapped by matrices[b] ([B,3,3]); edges stay as they are.

    Nearest neighbours and radii do not change under rotation, so the edges need no rebuilding.
    """
    matrices = matrices.to(batch.nodes["pos"])
    turn = matrices.index_select(0, batch.node_graph)
    nodes = {**batch.nodes, "pos": (turn @ batch.nodes["pos"].unsqueeze(-1)).squeeze(-1)}
    graphs = dict(batch.graphs)
    for name in ("target", "origin"):
        if name in graphs:
            graphs[name] = (matrices @ graphs[name].unsqueeze(-1)).squeeze(-1)
    return replace(batch, nodes=nodes, graphs=graphs)

"""What every equivariant model starts from, and how points become one vector.

Legend: N = points, B = structures, D = features, F = features given per point.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.segment import segment_mean, segment_sum
from graphwright.tasks.geometry.model_configs import Pool

__all__ = ["PointEmbedding", "pool_points"]


class PointEmbedding(nn.Module):
    """Invariant first state of every point: its element, its given features, and a constant.

    Args:
        dim: D.
        num_elements: size of the vocabulary that `z` counts in; 0 where there are no elements.
        num_features: F; 0 where none are given.
    """

    def __init__(self, dim: int, *, num_elements: int, num_features: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(dim) * 0.5)
        self.element = nn.Embedding(num_elements, dim) if num_elements else None
        self.feature = nn.Linear(num_features, dim, bias=False) if num_features else None

    def forward(self, batch: GraphBatch) -> Tensor:
        """`[N, D]` from the node fields `z [N]` and `x [N, F]`, as far as the model has them."""
        state = self.constant.expand(batch.num_nodes, -1)
        if self.element is not None:
            state = state + self.element(batch.nodes["z"])
        if self.feature is not None:
            state = state + self.feature(batch.nodes["x"])
        return state


def pool_points(values_ND: Tensor, batch: GraphBatch, pool: Pool) -> Tensor:
    """Sum or mean over the points of each structure: `[N, ...]` to `[B, ...]`."""
    reduce = segment_sum if pool == "sum" else segment_mean
    return reduce(values_ND, batch.node_graph, batch.num_graphs)

"""EGNN with a readout of charges and of how far the points moved.

Layers: Satorras et al., ICML 2021, https://arxiv.org/abs/2102.09844. A layer sees the first
distance of an edge's ends in a radial basis, and the square of the current one.

Legend: N = points, E = edges, B = structures, D = features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.edges import SortedEdges
from graphwright.nn.egnn import EGNNLayer
from graphwright.nn.radial import GaussianBasis
from graphwright.tasks.geometry.model_configs import EGNNConfig
from graphwright.tasks.geometry.models.inputs import PointEmbedding, pool_points

__all__ = ["MODEL", "EGNNModel"]


class EGNNModel(nn.Module):
    """One vector per structure, equivariant by construction.

    Args:
        config: sizes and cutoff (the last centre of the radial basis).
        num_elements: size of the element vocabulary, 0 for point clouds.
        num_features: invariant features given per point.
    """

    def __init__(self, config: EGNNConfig, *, num_elements: int, num_features: int) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.config = config
        self.embedding = PointEmbedding(dim, num_elements=num_elements, num_features=num_features)
        self.basis = GaussianBasis(config.num_basis, 1.0)
        self.layers = nn.ModuleList(
            EGNNLayer(dim, config.num_basis + 1, config.dropout) for _ in range(config.num_layers)
        )
        self.charge = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, 2))

    def forward(self, batch: GraphBatch) -> Tensor:
        """Vectors `[B, 3]` of a batch with node fields `pos` (and `z`, `x`)."""
        # The cutoff is the model's unit of length: nothing depends on the user's unit.
        start_N3 = batch.nodes["pos"] / self.config.cutoff
        edges = SortedEdges.build(batch.edge_index, batch.num_nodes)
        first_ER = self.basis(_squared(start_N3, edges).clamp(min=1e-24).sqrt())
        h_ND, x_N3 = self.embedding(batch), start_N3
        for layer in self.layers:
            now_E1 = _squared(x_N3, edges)[:, None]
            h_ND, x_N3 = layer(h_ND, x_N3, torch.cat([first_ER, now_E1], dim=1), edges)
        place_N1, moved_N1 = self.charge(h_ND).split(1, dim=1)
        vector_N3 = place_N1 * start_N3 + (1.0 + moved_N1) * (x_N3 - start_N3)
        return pool_points(vector_N3, batch, self.config.pool)


def _squared(x_N3: Tensor, edges: SortedEdges) -> Tensor:
    """Squared length of each edge `[E]`."""
    return (edges.gather_target(x_N3) - edges.gather_source(x_N3)).square().sum(1)


MODEL = EGNNModel

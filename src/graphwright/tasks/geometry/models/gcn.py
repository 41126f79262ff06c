"""The original model of this task: graph convolutions on coordinates. It is not equivariant.

GCN(in → hidden), num_layers × GCN(hidden → hidden), GCN(hidden → hidden), mean over the points,
then a head of three linear maps. ReLU and dropout follow every convolution but the last, and the
first two maps of the head. Convolution: Kipf & Welling, https://arxiv.org/abs/1609.02907.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.edges import SortedEdges
from graphwright.nn.gcn import GCNConv
from graphwright.nn.segment import segment_mean
from graphwright.tasks.geometry.model_configs import GCNConfig

__all__ = ["MODEL", "GCNModel"]


class GCNModel(nn.Module):
    """One vector per structure from centred positions; the honest reference.

    Args:
        config: sizes.
        num_elements: size of the element vocabulary, 0 for point clouds; elements enter one-hot.
        num_features: further features given per point.
    """

    def __init__(self, config: GCNConfig, *, num_elements: int, num_features: int) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.num_elements = num_elements
        self.num_features = num_features
        widths = [3 + num_elements + num_features, *[dim] * config.num_layers]
        self.layers = nn.ModuleList(GCNConv(width, dim) for width in widths)
        self.last = GCNConv(dim, dim)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Sequential(
            nn.Linear(dim, dim // 2),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(dim // 2, dim // 4),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(dim // 4, 3),
        )

    def forward(self, batch: GraphBatch) -> Tensor:
        """Vectors `[B, 3]` of a batch with node fields `pos` (and `z`, `x`)."""
        edges = SortedEdges.build(batch.edge_index, batch.num_nodes)
        h_ND = self._inputs(batch)
        for layer in self.layers:
            h_ND = self.dropout(layer(h_ND, edges).relu())
        h_ND = self.last(h_ND, edges)
        out: Tensor = self.head(segment_mean(h_ND, batch.node_graph, batch.num_graphs))
        return out

    def _inputs(self, batch: GraphBatch) -> Tensor:
        """Positions, one-hot elements and features side by side."""
        parts = [batch.nodes["pos"]]
        if self.num_elements:
            kinds = nn.functional.one_hot(batch.nodes["z"], self.num_elements)
            parts.append(kinds.to(parts[0].dtype))
        if self.num_features:
            parts.append(batch.nodes["x"])
        return torch.cat(parts, dim=1)


MODEL = GCNModel

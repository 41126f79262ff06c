"""The edges of one window as a matrix, for devices that know no lists of edges.

Legend: M = places for nodes (the window's nodes, then empty places), H = heads, K = H C.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from graphwright.nn.attention_graph import SLOPE, spread_heads

__all__ = ["DenseGraph"]

_NEVER = -1e30  # a score that no softmax sees; minus infinity makes NaN of rows without edges


@dataclass(frozen=True, eq=False)
class DenseGraph:
    """What attention layers ask of a graph (`nn.graph_attention.Attends`), on matrices.

    Attributes:
        edges: `[M, M]` bool, row = target, column = source.
        features: `[M, M, F]` of the edges, zero elsewhere; or None.
        nodes: `[M]` bool, whether a place holds a node.
    """

    edges: Tensor
    features: Tensor | None
    nodes: Tensor

    def pair_scores(self, left_MH: Tensor, right_MH: Tensor, edge_FH: Tensor | None) -> Tensor:
        """leaky_relu(left[source] + right[target] + features edge): `[M, M, H]`."""
        score_MMH = left_MH[None] + right_MH[:, None]
        if self.features is not None and edge_FH is not None:
            score_MMH = score_MMH + self.features @ edge_FH
        return leaky_relu(score_MMH, SLOPE)

    def joint_scores(
        self, left_MK: Tensor, right_MK: Tensor, edge_FK: Tensor | None, attention_HC: Tensor
    ) -> Tensor:
        """attention . leaky_relu(left[source] + right[target] + features edge): `[M, M, H]`."""
        joint_MMK = left_MK[None] + right_MK[:, None]
        if self.features is not None and edge_FK is not None:
            joint_MMK = joint_MMK + self.features @ edge_FK
        return leaky_relu(joint_MMK, SLOPE) @ spread_heads(attention_HC)

    def softmax(self, score_MMH: Tensor) -> Tensor:
        """Over the sources of each target; zero where there is no edge."""
        mask_MM1 = self.edges[:, :, None]
        weight_MMH = torch.where(mask_MM1, score_MMH, _NEVER).softmax(1)
        return torch.where(mask_MM1, weight_MMH, 0.0)

    def weighted_sum(self, weight_MMH: Tensor, x_MK: Tensor) -> Tensor:
        """Sum over the sources of weight times row, head by head: `[M, K]`."""
        heads_HMC = x_MK.view(len(x_MK), weight_MMH.shape[2], -1).transpose(0, 1)
        out_HMC = weight_MMH.permute(2, 0, 1) @ heads_HMC
        return out_HMC.transpose(0, 1).reshape(x_MK.shape)

    def pool_mean(self, x_MD: Tensor) -> Tensor:
        """Mean over the nodes `[1, D]`; zero where there are none."""
        mask_M1 = self.nodes[:, None]
        count = self.nodes.to(x_MD.dtype).sum().clamp(min=1)
        return torch.where(mask_M1, x_MD, 0.0).sum(0, keepdim=True) / count

    def pool_max(self, x_MD: Tensor) -> Tensor:
        """Largest value over the nodes `[1, D]`; zero where there are none."""
        top_1D = torch.where(self.nodes[:, None], x_MD, _NEVER).amax(0, keepdim=True)
        return torch.where(self.nodes.any(), top_1D, 0.0)

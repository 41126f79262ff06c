"""Graph attention: Brody, Alon & Yahav, "How Attentive are Graph Attention Networks?" (GATv2),
ICLR 2022, https://arxiv.org/abs/2105.14491 (eq. 7), one head, for C copies at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.nn.dag import StackedGraphs
from graphwright.nn.segment import segment_softmax
from graphwright.nn.stacked import StackedLinear

__all__ = ["StackedGAT"]


class StackedGAT(nn.Module):
    """out_i = sum_j alpha_ij (L x_j + l) + b, over the neighbours and the node itself.

    alpha_i = softmax over j of a . leaky_relu(L x_j + l + R x_i + r), with slope 0.2.

    Args:
        copies: C.
        in_dim: features in.
        out_dim: features out.
    """

    def __init__(self, copies: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.left = StackedLinear(copies, in_dim, out_dim)
        self.right = StackedLinear(copies, in_dim, out_dim)
        self.attention = StackedLinear(copies, out_dim, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(copies, 1, out_dim))
        # Glorot uniform, as the authors have it
        for weight in (self.left.weight, self.right.weight, self.attention.weight):
            bound = (6 / (weight.shape[1] + weight.shape[2])) ** 0.5
            nn.init.uniform_(weight, -bound, bound)

    def forward(self, x: Tensor, graphs: StackedGraphs) -> Tensor:
        """`[C, N, in_dim]`, or `[N, in_dim]` that all copies share, to `[C, N, out_dim]`."""
        edges, members = graphs.rows_with_loops, graphs.copies // graphs.directions
        rows, dim = edges.num_edges, self.bias.shape[2]
        left_EMD = edges.gather_source(graphs.to_rows(self.left(x))).view(rows, members, dim)
        right_EF = edges.gather_target(graphs.to_rows(self.right(x)))
        slope_EMD = nn.functional.leaky_relu(left_EMD + right_EF.view_as(left_EMD), 0.2)
        # rows of both directions take turns
        kinds_WMD = self.attention.weight.view(graphs.directions, members, dim)
        score_EM = (slope_EMD * kinds_WMD[edges.target % graphs.directions]).sum(2)
        weight_EM = segment_softmax(score_EM, edges.target, edges.num_nodes)
        out = edges.sum_to_target((weight_EM[:, :, None] * left_EMD).view(rows, -1))
        return graphs.from_rows(out) + self.bias

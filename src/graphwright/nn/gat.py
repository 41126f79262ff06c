"""Graph attention: Brody, Alon & Yahav, "How Attentive are Graph Attention Networks?" (GATv2),
ICLR 2022, https://arxiv.org/abs/2105.14491 (eq. 7), one head, for C copies at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.nn.dag import StackedGraphs
from graphwright.nn.segment import segment_max
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
        edges, copies = graphs.rows_with_loops, graphs.copies
        left_CND = self.left(x)
        dim = left_CND.shape[2]
        left_RD = edges.gather_source(left_CND.reshape(-1, dim))
        joint_RD = left_RD + edges.gather_target(self.right(x).reshape(-1, dim))
        slope_RD = nn.functional.leaky_relu(joint_RD, 0.2)
        score_R1 = self.attention(slope_RD.view(copies, -1, dim)).view(-1, 1)
        top_N1 = segment_max(score_R1.detach(), edges.target, edges.num_nodes)
        weight_R1 = (score_R1 - top_N1.index_select(0, edges.target)).exp()
        total_N1 = edges.sum_to_target(weight_R1)
        out_ND = edges.sum_to_target(weight_R1 * left_RD) / total_N1
        return out_ND.view(copies, -1, dim) + self.bias

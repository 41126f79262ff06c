"""Graph convolution of Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional
Networks", ICLR 2017, https://arxiv.org/abs/1609.02907 (eq. 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.nn.edges import SortedEdges

__all__ = ["GCNConv"]


class GCNConv(nn.Module):
    """out = D^-1/2 (A + I) D^-1/2 x W + b, with D the in-degree including the self loop.

    A node that brings its own self loop gets no second one. Weights are Glorot uniform, the bias
    starts at zero.

    Args:
        in_dim: features in.
        out_dim: features out.
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, out_dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_dim))
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, x_ND: Tensor, edges: SortedEdges) -> Tensor:
        """Convolve node features `[N, in_dim]` to `[N, out_dim]`."""
        loop_N1 = _missing_loops(edges).to(x_ND.dtype)[:, None]
        scale_N1 = (edges.in_degree()[:, None] + loop_N1).rsqrt()
        # The sum commutes with the linear map: carry whichever is narrower along the edges.
        if self.linear.in_features < self.linear.out_features:
            out_ND: Tensor = self.linear(_spread(x_ND, edges, scale_N1, loop_N1))
        else:
            out_ND = _spread(self.linear(x_ND), edges, scale_N1, loop_N1)
        return out_ND + self.bias


def _missing_loops(edges: SortedEdges) -> Tensor:
    """`[N]` bool: the node has no self loop of its own."""
    missing = torch.ones(edges.num_nodes, dtype=torch.bool, device=edges.source.device)
    loops = (edges.source == edges.target).to(torch.int64)
    return missing & (loops.new_zeros(edges.num_nodes).index_add(0, edges.target, loops) == 0)


def _spread(x_ND: Tensor, edges: SortedEdges, scale_N1: Tensor, loop_N1: Tensor) -> Tensor:
    scaled = x_ND * scale_N1
    return (edges.propagate(scaled) + loop_N1 * scaled) * scale_N1

"""Directed graph convolutions for C copies at once: Kipf & Welling's on edges that have a
direction, and the layer of Wen et al., "Neural Predictor for Neural Architecture Search", ECCV
2020, https://arxiv.org/abs/1912.00848."""

from __future__ import annotations

from torch import Tensor, nn

from graphwright.nn.dag import StackedGraphs
from graphwright.nn.stacked import StackedLinear

__all__ = ["StackedDirected", "StackedGCN"]


class StackedGCN(nn.Module):
    """out = D^-1/2 (A + I) D^-1/2 x W + b, D the in-degree with the self loop (`nn/gcn.py`).

    Graphs have no self loops of their own. Weights are Glorot uniform, the bias starts at zero.

    Args:
        copies: C.
        in_dim: features in.
        out_dim: features out.
    """

    def __init__(self, copies: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.linear = StackedLinear(copies, in_dim, out_dim)
        _glorot(self.linear)

    def forward(self, x: Tensor, graphs: StackedGraphs) -> Tensor:
        """`[C, N, in_dim]`, or `[N, in_dim]` that all copies share, to `[C, N, out_dim]`."""
        scale_CN1 = (graphs.degree(x.dtype) + 1).rsqrt()
        scaled_CND = x * scale_CN1
        out: Tensor = self.linear((scaled_CND + graphs.propagate(scaled_CND)) * scale_CN1)
        return out


class StackedDirected(nn.Module):
    """out = 1/2 [relu(N(A + I) x W) + relu(N(A' + I) x V)], N divides each row by its sum.

    A is the adjacency matrix (row = source), A' its transpose.

    Args:
        members: M; the graphs have M forward and M reverse copies.
        in_dim: features in.
        out_dim: features out.
    """

    def __init__(self, members: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.members = members
        self.linear = StackedLinear(2 * members, in_dim, out_dim, bias=False)
        _glorot(self.linear)

    def forward(self, x: Tensor, graphs: StackedGraphs) -> Tensor:
        """`[M, N, in_dim]`, or `[N, in_dim]` that all members share, to `[M, N, out_dim]`."""
        twice = x if x.dim() == 2 else x.repeat(2, 1, 1)
        total_CND = twice + graphs.propagate(twice)
        mean_CND = total_CND / (graphs.degree(x.dtype) + 1)
        both: Tensor = self.linear(mean_CND).relu()
        return both.view(2, self.members, *both.shape[1:]).mean(0)


def _glorot(linear: StackedLinear) -> None:
    _, in_dim, out_dim = linear.weight.shape
    bound = (6 / (in_dim + out_dim)) ** 0.5
    nn.init.uniform_(linear.weight, -bound, bound)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)

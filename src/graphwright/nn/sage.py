"""GraphSAGE with the mean of the neighbours: Hamilton, Ying & Leskovec, "Inductive Representation
Learning on Large Graphs", NeurIPS 2017, https://arxiv.org/abs/1706.02216, for C copies at once."""

from __future__ import annotations

from torch import Tensor, nn

from graphwright.nn.dag import StackedGraphs
from graphwright.nn.stacked import StackedLinear

__all__ = ["StackedSAGE"]


class StackedSAGE(nn.Module):
    """out_i = W (mean of the neighbours x_j) + b + V x_i; without neighbours their mean is zero.

    Args:
        copies: C.
        in_dim: features in.
        out_dim: features out.
    """

    def __init__(self, copies: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.neighbours = StackedLinear(copies, in_dim, out_dim)
        self.own = StackedLinear(copies, in_dim, out_dim, bias=False)

    def forward(self, x: Tensor, graphs: StackedGraphs) -> Tensor:
        """`[C, N, in_dim]`, or `[N, in_dim]` that all copies share, to `[C, N, out_dim]`."""
        mean_CND = graphs.propagate(x) / graphs.degree(x.dtype).clamp(min=1)
        out: Tensor = self.neighbours(mean_CND) + self.own(x)
        return out

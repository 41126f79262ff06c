"""Graph attention with several heads and edge features, for one wide network on packed graphs.

`GATConv`: Veličković et al., "Graph Attention Networks", ICLR 2018, https://arxiv.org/abs/1710.10903.
`GATv2Conv`: Brody, Alon & Yahav, "How Attentive are Graph Attention Networks?", ICLR 2022,
https://arxiv.org/abs/2105.14491. Values, gradients and parameters are those of PyTorch Geometric's
layers of these names. (`nn/gat.py` is for many narrow copies at once.)

Legend: N = nodes, F = edge features, H = heads, C = features of a head, K = H C.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from graphwright.nn.attention_graph import spread_heads

__all__ = ["Attends", "GATConv", "GATv2Conv"]


class Attends(Protocol):
    """What the layers and models ask of a graph; its edges may be a list or a matrix.

    See `nn.attention_graph.AttentionGraph`, whose scores are `[E, H]`.
    """

    def pair_scores(self, left_NH: Tensor, right_NH: Tensor, edge_FH: Tensor | None) -> Tensor: ...

    def joint_scores(
        self, left_NK: Tensor, right_NK: Tensor, edge_FK: Tensor | None, attention_HC: Tensor
    ) -> Tensor: ...

    def softmax(self, score: Tensor) -> Tensor: ...

    def weighted_sum(self, weight: Tensor, x_NK: Tensor) -> Tensor: ...

    def pool_mean(self, x_ND: Tensor) -> Tensor: ...

    def pool_max(self, x_ND: Tensor) -> Tensor: ...


class GATConv(nn.Module):
    """out_i = sum_j alpha_ij W x_j + b over the edges j -> i, the heads beside each other.

    alpha_i = softmax over j of leaky_relu(l . W x_j + r . W x_i + a . V e_ji), slope 0.2.

    Args:
        in_dim: features in.
        head_dim: C; K = heads C come out.
        heads: H.
        edge_dim: F; 0: scores do not depend on edge features.
    """

    def __init__(self, in_dim: int, head_dim: int, heads: int = 1, edge_dim: int = 0) -> None:
        super().__init__()
        self.heads, self.out_dim = heads, heads * head_dim
        self.linear = nn.Linear(in_dim, self.out_dim, bias=False)
        self.left = nn.Parameter(torch.empty(heads, head_dim))
        self.right = nn.Parameter(torch.empty(heads, head_dim))
        self.edge = nn.Linear(edge_dim, self.out_dim, bias=False) if edge_dim else None
        self.edge_attention = nn.Parameter(torch.empty(heads, head_dim)) if edge_dim else None
        self.bias = nn.Parameter(torch.zeros(self.out_dim))
        for weight in (self.left, self.right, self.edge_attention):
            _glorot(weight)
        _glorot(self.linear.weight)
        _glorot(None if self.edge is None else self.edge.weight)

    def forward(self, x_ND: Tensor, graph: Attends) -> Tensor:
        """`[N, in_dim]` to `[N, K]`."""
        x_NK = self.linear(x_ND)
        ends_KH = torch.cat([spread_heads(self.left), spread_heads(self.right)], dim=1)
        left_NH, right_NH = (x_NK @ ends_KH).chunk(2, dim=1)
        score = graph.pair_scores(left_NH, right_NH, self._edge_weight())
        return graph.weighted_sum(graph.softmax(score), x_NK) + self.bias

    def _edge_weight(self) -> Tensor | None:
        """a . V e is linear in e: H numbers per feature instead of K per edge."""
        if self.edge is None or self.edge_attention is None:
            return None
        weight_HCF = self.edge.weight.view(*self.left.shape, -1)
        return torch.einsum("hcf,hc->fh", weight_HCF, self.edge_attention)


class GATv2Conv(nn.Module):
    """out_i = sum_j alpha_ij (L x_j + l) + b over the edges j -> i, the heads beside each other.

    alpha_i = softmax over j of a . leaky_relu(L x_j + l + R x_i + r + V e_ji), slope 0.2.

    Args:
        in_dim: features in.
        head_dim: C; K = heads C come out.
        heads: H.
        edge_dim: F; 0: scores do not depend on edge features.
    """

    def __init__(self, in_dim: int, head_dim: int, heads: int = 1, edge_dim: int = 0) -> None:
        super().__init__()
        self.heads, self.out_dim = heads, heads * head_dim
        self.left = nn.Linear(in_dim, self.out_dim)
        self.right = nn.Linear(in_dim, self.out_dim)
        self.edge = nn.Linear(edge_dim, self.out_dim, bias=False) if edge_dim else None
        self.attention = nn.Parameter(torch.empty(heads, head_dim))
        self.bias = nn.Parameter(torch.zeros(self.out_dim))
        for linear in (self.left, self.right):
            _glorot(linear.weight)
            nn.init.zeros_(linear.bias)
        _glorot(self.attention)
        _glorot(None if self.edge is None else self.edge.weight)

    def forward(self, x_ND: Tensor, graph: Attends) -> Tensor:
        """`[N, in_dim]` to `[N, K]`."""
        left_NK, right_NK = self.left(x_ND), self.right(x_ND)
        edge_FK = None if self.edge is None else self.edge.weight.t()
        score = graph.joint_scores(left_NK, right_NK, edge_FK, self.attention)
        return graph.weighted_sum(graph.softmax(score), left_NK) + self.bias


def _glorot(weight: Tensor | None) -> None:
    """Glorot uniform over the last two dimensions, as the authors have it."""
    if weight is not None:
        bound = (6 / (weight.shape[-2] + weight.shape[-1])) ** 0.5
        nn.init.uniform_(weight, -bound, bound)

"""The plain formulations of both couplers, with the weights of ours: oracle of tests, peer here.

Legend: B = rows of a batch, L = positions, T = B L tokens, E = experts, D = features,
H = hyperedges.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear

from graphwright.nn.expert_graph import ExpertGraphCoupler
from graphwright.nn.hyperedges import hyperedge_index
from graphwright.nn.hypergraph import HypergraphCoupler

__all__ = ["PairwiseCoupler", "PygCoupler", "block_diagonal_index"]


def block_diagonal_index(index_2M: Tensor, num_experts: int, num_edges: int, num: int) -> Tensor:
    """One hypergraph for each of `num` tokens: nodes offset by E, hyperedges by H."""
    offset_2 = torch.tensor([[num_experts], [num_edges]])
    each = torch.arange(num).view(1, -1, 1) * offset_2[:, :, None]
    return (index_2M[:, None, :] + each).view(2, -1)


class PygCoupler(nn.Module):
    """PyG's `HypergraphConv` on the block-diagonal batch of all tokens, the same layers behind."""

    def __init__(self, ours: HypergraphCoupler) -> None:
        super().__init__()
        from torch_geometric.nn import HypergraphConv

        self.form, self.readout = ours.form, ours.readout
        self.convs = nn.ModuleList(HypergraphConv(ours.dim, ours.dim) for _ in ours.convs)
        self.weights: list[Any] = [conv.weights for conv in ours.convs]
        for theirs, mine in zip(self.convs, ours.convs, strict=True):
            theirs.lin.weight, theirs.bias = mine.linear.weight, mine.linear.bias
        self.index, self.num_edges = hyperedge_index(ours.hyperedges), len(ours.hyperedges)
        self._indices: dict[tuple[int, int], Tensor] = {}

    def forward(self, x_BLED: Tensor) -> Tensor:
        """`[B, L, D]`."""
        tokens, experts = x_BLED.shape[:2].numel(), x_BLED.shape[2]
        x_ND, index = x_BLED.reshape(tokens * experts, -1), self._index(tokens, experts)
        for number, conv in enumerate(self.convs):
            weight = self.weights[number]().repeat(tokens)
            out_ND = conv(x_ND, index, weight, num_edges=tokens * self.num_edges)
            last = number == len(self.convs) - 1
            if self.form == "every" or (self.form == "between" and not last):
                out_ND = gelu(out_ND)
            x_ND = out_ND if self.form == "linear" else x_ND + out_ND
        return self.readout(x_ND.view(*x_BLED.shape).mean(2))

    def _index(self, tokens: int, experts: int) -> Tensor:
        """Made once for each size, which costs the peer nothing in a measurement."""
        key = (tokens, experts)
        if key not in self._indices:
            self._indices[key] = block_diagonal_index(self.index, experts, self.num_edges, tokens)
        return self._indices[key]


class PairwiseCoupler(nn.Module):
    """The gated messages as a Python loop over all ordered pairs, each pair put side by side.

    Args:
        ours: whose weights it takes.
        map_messages: whether W_n maps every message before the sum, as message passing is often
            written (E² linear maps), and not the sum of them, as the formula reads (E).
    """

    def __init__(self, ours: ExpertGraphCoupler, *, map_messages: bool = False) -> None:
        super().__init__()
        self.convs, self.readout, self.map_messages = ours.convs, ours.readout, map_messages

    def forward(self, x_BLED: Tensor) -> Tensor:
        """`[B, L, D]`."""
        for conv in self.convs:
            experts = x_BLED.unbind(2)
            heard = [self._heard(conv, experts, i) for i in range(len(experts))]
            out = [x + gelu(h + conv.own(x)) for x, h in zip(experts, heard, strict=True)]
            x_BLED = torch.stack(out, 2)
        return self.readout(x_BLED.mean(2))

    def _heard(self, conv: Any, experts: tuple[Tensor, ...], i: int) -> Tensor:
        total = torch.zeros_like(experts[i])
        for j, x_j in enumerate(experts):
            if j != i:
                gate = conv.gate(torch.cat([experts[i], x_j], -1)).sigmoid()
                message = conv.adjacency_logits[i, j].sigmoid() * gate * x_j
                if self.map_messages:
                    message = linear(message, conv.neighbors.weight)
                total = total + message
        return total + conv.neighbors.bias if self.map_messages else conv.neighbors(total)

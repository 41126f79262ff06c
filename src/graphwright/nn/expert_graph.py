"""A learned graph over the experts of every token, with a gate on every pair of them.

    S_ij = σ(A_ij) σ(w₁·x_i + w₂·x_j + b) for j ≠ i, and 0 for j = i
    x_i ← x_i + GELU(W_n sum_j S_ij x_j + b_n + W_s x_i + b_s)

The logit of a pair is a sum of a number of i and a number of j, so that no pair is ever put side
by side: the gates are `[T, E, E]` and the messages one batched product.

Legend: T = tokens, E = experts, D = features, G = convolutions, K = experts that a token was
routed to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from graphwright.errors import ConfigError
from graphwright.nn.expert_combine import ExpertCoupler
from graphwright.nn.expert_exchange import exchange

__all__ = ["ExpertGraphConv", "ExpertGraphCoupler"]


class ExpertGraphConv(nn.Module):
    """One round of gated messages with a residual, the formula above.

    Args:
        num_experts: E.
        dim: D.

    Attributes:
        adjacency_logits: A `[E, E]`, zero at first; the diagonal is not used.
        gate: (w₁, w₂) as one row, and b.
        neighbors: W_n and b_n.
        own: W_s and b_s.
    """

    def __init__(self, num_experts: int, dim: int) -> None:
        super().__init__()
        self.adjacency_logits = nn.Parameter(torch.zeros(num_experts, num_experts))
        self.gate = nn.Linear(2 * dim, 1)
        self.neighbors = nn.Linear(dim, dim)
        self.own = nn.Linear(dim, dim)

    def adjacency(self) -> Tensor:
        """σ(A) `[E, E]` with zeros on the diagonal."""
        logits = self.adjacency_logits
        others = 1 - torch.eye(len(logits), dtype=logits.dtype, device=logits.device)
        return logits.sigmoid() * others

    def mix(self, x_TED: Tensor, experts_TK: Tensor | None = None) -> Tensor:
        """S `[T, E, E]`; with routing `[T, K, K]`."""
        ends_TE2 = linear(x_TED, self.gate.weight.view(2, -1))
        target_TE1, source_T1E = ends_TE2[:, :, :1] + self.gate.bias, ends_TE2[:, None, :, 1]
        gate_TEE = (target_TE1 + source_T1E).sigmoid()
        adjacency = self.adjacency()
        if experts_TK is not None:
            adjacency = adjacency[experts_TK[:, :, None], experts_TK[:, None, :]]
        return gate_TEE * adjacency

    def forward(self, x_TED: Tensor, experts_TK: Tensor | None = None) -> Tensor:
        """`[T, E, D]` to `[T, E, D]`; with routing both `[T, K, D]`."""
        bias = self.neighbors.bias + self.own.bias
        mix = self.mix(x_TED, experts_TK)
        return exchange(x_TED, mix, self.neighbors.weight, bias, self.own.weight)


class ExpertGraphCoupler(ExpertCoupler):
    """G gated convolutions, mean over the experts, readout (the GNN coupler).

    Args:
        num_experts: E.
        dim: D.
        num_convs: G.

    Attributes:
        convs: the G convolutions.

    Raises:
        ConfigError: G < 1.
    """

    def __init__(self, num_experts: int, dim: int, *, num_convs: int = 2) -> None:
        super().__init__(num_experts, dim)
        if num_convs < 1:
            raise ConfigError(f"{num_convs} convolutions", fix="at least 1, or the mean coupler")
        self.convs = nn.ModuleList(ExpertGraphConv(num_experts, dim) for _ in range(num_convs))

    def pool(self, x_TED: Tensor, experts_TK: Tensor | None) -> Tensor:
        """The convolutions and the mean over the experts: `[T, D]`."""
        for conv in self.convs:
            x_TED = conv(x_TED, experts_TK)
        return x_TED.mean(1)

    @torch.no_grad()
    def adjacency(self) -> Tensor:
        """σ(A) of each convolution, `[G, E, E]`, zeros on the diagonal."""
        return torch.stack([conv.adjacency() for conv in self._convs()])

    @torch.no_grad()
    def operators(self, x_BLED: Tensor | None = None) -> Tensor:
        """`[G, E, E]`: the mean of S over the tokens of x_BLED, or σ(A), its bound, without any."""
        if x_BLED is None:
            return self.adjacency()
        x_TED, found = x_BLED.flatten(0, 1).contiguous(), []
        for conv in self._convs():
            found.append(conv.mix(x_TED).mean(0))
            x_TED = conv(x_TED)
        return torch.stack(found)

    def _convs(self) -> list[ExpertGraphConv]:
        return [conv for conv in self.convs if isinstance(conv, ExpertGraphConv)]

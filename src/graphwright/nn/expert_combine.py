"""What every coupler shares, and the two controls that let no expert hear another.

A coupler takes the outputs of all E experts of a token and makes one vector of them. All of them
end in the same readout, so that two couplers differ in nothing but who hears whom.

Legend: B = rows of a batch, L = positions, T = B L tokens, E = experts, D = features,
K = experts that a token was routed to (all E without routing), G = convolutions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.nn.expert_exchange import mix_experts

__all__ = ["ExpertCoupler", "MeanCoupler", "StaticWeightsCoupler"]


class ExpertCoupler(nn.Module):
    """Base: the shapes and the readout, Linear → GELU → LayerNorm.

    Args:
        num_experts: E.
        dim: D.

    Attributes:
        readout: from one combination of the experts to the output.
    """

    def __init__(self, num_experts: int, dim: int) -> None:
        super().__init__()
        self.num_experts, self.dim = num_experts, dim
        self.readout = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim))

    def forward(self, x_BLED: Tensor, experts_BLK: Tensor | None = None) -> Tensor:
        """Combine the experts of every token; no token sees another.

        Args:
            x_BLED: `[B, L, E, D]`, what the experts made of each token. With routing
                `[B, L, K, D]`, only the experts that had the token, in any order.
            experts_BLK: with routing, which expert (0 … E - 1) each of the K is. The others are no
                nodes of this token's graph.

        Returns:
            `[B, L, D]`.

        Raises:
            ValueError: the number of experts in x_BLED is another one.
        """
        expected = self.num_experts if experts_BLK is None else experts_BLK.shape[-1]
        if x_BLED.shape[-2:] != (expected, self.dim):
            raise ValueError(f"[…, {expected}, {self.dim}] expected, not {list(x_BLED.shape)}")
        experts_TK = None if experts_BLK is None else experts_BLK.flatten(0, 1)
        pooled_TD = self.pool(x_BLED.flatten(0, 1).contiguous(), experts_TK)
        out_TD: Tensor = self.readout(pooled_TD)
        return out_TD.view(*x_BLED.shape[:2], self.dim)

    def pool(self, x_TED: Tensor, experts_TK: Tensor | None) -> Tensor:
        """What goes into the readout: `[T, D]` from `[T, E, D]`, or from `[T, K, D]` if routed."""
        raise NotImplementedError

    def operators(self, x_BLED: Tensor | None = None) -> Tensor:
        """`[G, E, E]`, no gradient: how much expert i hears of expert j in each convolution.

        Args:
            x_BLED: input to look at, where what is heard depends on it.
        """
        raise NotImplementedError


class MeanCoupler(ExpertCoupler):
    """Readout of the mean of the experts: the control without a graph and without weights."""

    def pool(self, x_TED: Tensor, experts_TK: Tensor | None) -> Tensor:
        """The mean `[T, D]`."""
        return x_TED.mean(1)

    @torch.no_grad()
    def operators(self, x_BLED: Tensor | None = None) -> Tensor:
        """`[1, E, E]`, every entry 1 / E."""
        size = self.num_experts
        return next(self.parameters()).new_full((1, size, size), 1 / size)


class StaticWeightsCoupler(ExpertCoupler):
    """Readout of sum_e w_e x_e with w = softmax of E free scalars: the control with weights only.

    A softmax and not free numbers: the convex combinations are what hypergraph convolutions without
    a nonlinearity come down to in the `paper` convention (their operator's rows sum to 1), and
    the scale belongs to the readout's linear map. It starts as the mean.

    Attributes:
        logits: `[E]`.
    """

    def __init__(self, num_experts: int, dim: int) -> None:
        super().__init__(num_experts, dim)
        self.logits = nn.Parameter(torch.zeros(num_experts))

    def weights(self) -> Tensor:
        """w `[E]`, positive, sum 1."""
        return self.logits.softmax(0)

    def pool(self, x_TED: Tensor, experts_TK: Tensor | None) -> Tensor:
        """The weighted mean `[T, D]`; with routing the softmax goes over the experts present."""
        logits = self.logits if experts_TK is None else self.logits[experts_TK]
        return mix_experts(logits.softmax(-1)[..., None, :], x_TED)[:, 0]

    @torch.no_grad()
    def operators(self, x_BLED: Tensor | None = None) -> Tensor:
        """`[1, E, E]`, every row w."""
        return self.weights().expand(1, self.num_experts, -1).clone()

"""E transformer blocks side by side, over the same input, as batched products.

Each expert is a whole pre-norm block (Vaswani et al., 2017; Xiong et al., 2020) with weights of its
own. Their queries, keys and values are one product, their attention is one fused call over E·H
heads, and the rest is `bmm` over E: no loop over modules. The scale and shift that LayerNorm
usually has would be redundant before a linear layer, and are left out.

Legend: B = rows, L = positions, T = B·L tokens, E = experts, K = experts of a token, R = T·K
assignments, D = width, H = heads, M = feed-forward width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, layer_norm, scaled_dot_product_attention

from graphwright.nn.routing import Routing, grouped_linear
from graphwright.nn.stacked import StackedLinear
from graphwright.tasks.language.models.positions import Rotation

__all__ = ["LayerCache", "StackedExperts"]


@dataclass
class LayerCache:
    """Keys and values of the positions that one layer has seen.

    Attributes:
        keys: `[B, E·H, capacity, D / H]`.
        values: the same.
        used: positions that are filled.
    """

    keys: Tensor
    values: Tensor
    used: int = 0

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take in new positions `[B, E·H, L, D / H]` and give back all there are."""
        stop = self.used + keys.shape[2]
        self.keys[:, :, self.used : stop] = keys
        self.values[:, :, self.used : stop] = values
        self.used = stop
        return self.keys[:, :, :stop], self.values[:, :, :stop]


class StackedExperts(nn.Module):
    """out[e] = h + FFN_e(norm(h)) with h = x + attention_e(norm(x)), for E experts.

    Args:
        num_experts: E.
        dim: D.
        num_heads: H; divides D.
        ffn_dim: M.
        dropout: of both branches, in training.
    """

    def __init__(
        self, num_experts: int, dim: int, num_heads: int, ffn_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.num_experts, self.num_heads, self.dropout = num_experts, num_heads, dropout
        self.qkv = nn.Linear(dim, 3 * num_experts * dim)
        self.project = StackedLinear(num_experts, dim, dim)
        self.widen = StackedLinear(num_experts, dim, ffn_dim)
        self.narrow = StackedLinear(num_experts, ffn_dim, dim)

    def forward(
        self,
        x_BLD: Tensor,
        rotation: Rotation | None,
        cache: LayerCache | None = None,
        routing: Routing | None = None,
    ) -> Tensor:
        """What the experts make of every token `[B, L, E, D]`; with routing `[B, L, K, D]`.

        Args:
            x_BLD: what all of them read.
            rotation: of queries and keys at these positions; None: positions are in x.
            cache: earlier positions, which are attended to as well; it takes in these.
            routing: of the B·L tokens. Every expert still knows keys and values of all tokens,
                whom it may attend to; the other work is done for the routed ones alone.
        """
        dim = x_BLD.shape[2]
        mixed_ETD = self._attend(layer_norm(x_BLD, (dim,)), rotation, cache)
        if routing is None:
            hidden_ETD = x_BLD.view(-1, dim) + self._drop(self.project(mixed_ETD))
            wide_ETM = gelu(self.widen(layer_norm(hidden_ETD, (dim,))))
            out_ETD = hidden_ETD + self._drop(self.narrow(wide_ETM))
            return out_ETD.transpose(0, 1).view(*x_BLD.shape[:2], -1, dim)
        rows_RD = self._routed(x_BLD.view(-1, dim), mixed_ETD, routing)
        return routing.slots(rows_RD).view(*x_BLD.shape[:2], -1, dim)

    def _routed(self, x_TD: Tensor, mixed_ETD: Tensor, routing: Routing) -> Tensor:
        """The block for each assignment, sorted by expert `[R, D]`."""
        tokens, copies = routing.experts_TK.shape
        expert_R = routing.experts_TK.flatten()[routing.order_R]
        mixed_RD = mixed_ETD.flatten(0, 1)[expert_R * tokens + routing.order_R // copies]

        def grouped(layer: StackedLinear, rows: Tensor) -> Tensor:
            assert layer.bias is not None
            return grouped_linear(rows, layer.weight, layer.bias, routing.ptr)

        hidden_RD = routing.dispatch(x_TD) + self._drop(grouped(self.project, mixed_RD))
        wide_RM = gelu(grouped(self.widen, layer_norm(hidden_RD, x_TD.shape[1:])))
        return hidden_RD + self._drop(grouped(self.narrow, wide_RM))

    def _attend(self, x_BLD: Tensor, rotation: Rotation | None, cache: LayerCache | None) -> Tensor:
        """Every expert's mixture of values `[E, T, D]` for the B·L tokens."""
        rows, length, dim = x_BLD.shape
        experts, heads = self.num_experts, self.num_heads
        qkv = self.qkv(x_BLD).view(rows, length, 3, experts * heads, dim // heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind()
        if rotation is not None:
            query, key = rotation(query), rotation(key)
        past = cache.used if cache is not None else 0
        if cache is not None:
            key, value = cache.extend(key, value)
        # one new position sees all that is there; the first ones a triangle
        mask = _later_hidden(length, past, x_BLD.device) if past and length > 1 else None
        causal = mask is None and not past
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
        mixed = mixed.view(rows, experts, heads, length, dim // heads)
        return mixed.permute(1, 0, 3, 2, 4).reshape(experts, rows * length, dim)

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training) if self.dropout else x


def _later_hidden(length: int, past: int, device: torch.device) -> Tensor:
    """Which of `past` + `length` positions each of the last `length` may see [L, past + L]."""
    seen = torch.ones(length, past + length, dtype=torch.bool, device=device)
    return seen.tril_(past)

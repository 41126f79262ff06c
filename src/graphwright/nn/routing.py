"""Sparse routing: each token goes to k of E experts, so that the cost does not grow with E.

Fedus et al., "Switch Transformers", JMLR 2022, https://arxiv.org/abs/2101.03961 (eq. 1, 2, 4–6),
for any k: no capacity, no token is dropped. The rows of all tokens are sorted by expert once, so
that each expert works on one contiguous piece, and go back by the inverse permutation; both ways
are gathers in the backward pass too, and deterministic.

Legend: T = tokens, E = experts, K = experts of a token, R = T K assignments (rows sorted by
expert), D = features in, F = features out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from graphwright.errors import ConfigError
from graphwright.nn.across_ranks import all_rows, total

__all__ = ["GroupedLinear", "Router", "Routing", "grouped_linear"]


@dataclass(frozen=True)
class Routing:
    """Which experts each token goes to, and the way there and back.

    Attributes:
        experts_TK: int64, the K experts of each token, the likeliest first.
        weights_TK: their share in the token's output; carries the router's gradient.
        balance: scalar, the load-balance loss: E sum_e f_e p_e with f_e the share of all
            assignments and p_e the mean probability of expert e. 1 where all are alike, up to E
            where one expert takes all. To be added to the loss with a small factor (0.01).
        order_R: row r of the sorted rows is assignment order[r] = token K + place.
        place_R: the inverse permutation of order_R.
        ptr: E + 1 ints, expert e has rows ptr[e] to ptr[e + 1].
    """

    experts_TK: Tensor
    weights_TK: Tensor
    balance: Tensor
    order_R: Tensor
    place_R: Tensor
    ptr: tuple[int, ...]

    def dispatch(self, x_TD: Tensor) -> Tensor:
        """The tokens' rows sorted by expert `[R, D]`."""
        copies = self.experts_TK.shape[1]
        out: Tensor = _Dispatch.apply(x_TD, self.order_R, self.place_R, copies)  # type: ignore[no-untyped-call]
        return out

    def slots(self, rows_RD: Tensor, *, weighted: bool = True) -> Tensor:
        """Rows sorted by expert back to their tokens `[T, K, D]`: what a coupler takes.

        Args:
            rows_RD: what the experts made of the dispatched rows.
            weighted: times weights_TK, without which the router gets no gradient from here.
        """
        back: Tensor = _Permute.apply(rows_RD, self.place_R, self.order_R)  # type: ignore[no-untyped-call]
        slots_TKD = back.view(*self.experts_TK.shape, rows_RD.shape[1])
        return slots_TKD * self.weights_TK[:, :, None] if weighted else slots_TKD

    def combine(self, rows_RD: Tensor) -> Tensor:
        """sum over a token's experts of weight times row: `[T, D]`."""
        slots_TKD = self.slots(rows_RD, weighted=False)
        return torch.bmm(self.weights_TK[:, None, :].to(rows_RD.dtype), slots_TKD)[:, 0]


class Router(nn.Module):
    """Probabilities p = softmax(x V) of the experts, and the k likeliest.

    Args:
        dim: D.
        num_experts: E.
        top_k: K.
        renormalize: whether the K weights are scaled to sum 1; not with K = 1, where the router
            would get no gradient. Without, they are the probabilities themselves, as in Switch.

    Attributes:
        logits: V.

    Raises:
        ConfigError: K < 1, K > E, or K = 1 renormalised.
    """

    def __init__(
        self, dim: int, num_experts: int, top_k: int, *, renormalize: bool = False
    ) -> None:
        super().__init__()
        if not 1 <= top_k <= num_experts:
            raise ConfigError(f"top_k {top_k} of {num_experts} experts", fix=f"1 to {num_experts}")
        if renormalize and top_k == 1:
            raise ConfigError("one renormalised expert is constant 1", fix="top_k of 2 or more")
        self.top_k, self.renormalize = top_k, renormalize
        self.logits = nn.Linear(dim, num_experts, bias=False)

    def forward(self, x_TD: Tensor) -> Routing:
        """Where each token goes; in float32 at least, as the paper has it."""
        with torch.autocast(x_TD.device.type, enabled=False):
            wide = torch.promote_types(x_TD.dtype, torch.float32)
            logits_TE = nn.functional.linear(x_TD.to(wide), self.logits.weight.to(wide))
            probability_TE = logits_TE.softmax(1)
        weights_TK, experts_TK = probability_TE.topk(self.top_k, dim=1)
        if self.renormalize:
            weights_TK = weights_TK / weights_TK.sum(1, keepdim=True)
        count_E, order_R, place_R = _sorted(experts_TK.flatten(), probability_TE.shape[1])
        balance = _balance(count_E, probability_TE, self.top_k)
        ptr = (0, *count_E.cumsum(0).tolist())
        return Routing(experts_TK, weights_TK.to(x_TD.dtype), balance, order_R, place_R, ptr)


def _balance(count_E: Tensor, probability_TE: Tensor, top_k: int) -> Tensor:
    """E sum_e f_e p_e, over the tokens of all processes that share a batch."""
    tokens = max(all_rows(len(probability_TE)), 1)
    share_E = total(count_E).to(probability_TE.dtype) / (tokens * top_k)
    return len(count_E) * (share_E * total(probability_TE.sum(0))).sum() / tokens


def _sorted(expert_R: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Assignments of each expert, their order by expert and its inverse."""
    order_R = expert_R.argsort(stable=True)
    place_R = torch.empty_like(order_R)
    place_R[order_R] = torch.arange(len(order_R), device=order_R.device)
    return torch.bincount(expert_R, minlength=num_experts), order_R, place_R


class GroupedLinear(nn.Module):
    """Each expert's own linear map, on the rows that were dispatched to it.

    Args:
        num_experts: E.
        in_dim: D.
        out_dim: F.

    Attributes:
        weight: `[E, D, F]`, as in `StackedLinear`; bias: `[E, 1, F]`.
    """

    def __init__(self, num_experts: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        bound = in_dim**-0.5
        weight = torch.empty(num_experts, in_dim, out_dim).uniform_(-bound, bound)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.empty(num_experts, 1, out_dim).uniform_(-bound, bound))

    def forward(self, rows_RD: Tensor, routing: Routing) -> Tensor:
        """`[R, D]` to `[R, F]`."""
        return grouped_linear(rows_RD, self.weight, self.bias, routing.ptr)


def grouped_linear(
    rows_RD: Tensor, weight_EDF: Tensor, bias_E1F: Tensor, ptr: tuple[int, ...]
) -> Tensor:
    """out[r] = rows[r] W[e] + b[e] for the rows ptr[e] to ptr[e + 1] of each expert: `[R, F]`.

    One product an expert, no padding: an expert without rows costs nothing.
    """
    inputs = (rows_RD, weight_EDF, bias_E1F)
    device = rows_RD.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        inputs = (rows_RD.to(dtype), weight_EDF.to(dtype), bias_E1F.to(dtype))
    with torch.autocast(device, enabled=False):
        out: Tensor = _GroupedLinear.apply(*inputs, ptr)  # type: ignore[no-untyped-call]
    return out


class _GroupedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, ptr: tuple[int, ...]
    ) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.ptr = ptr
        out = rows.new_empty(len(rows), weight.shape[2])
        for expert, (start, stop) in enumerate(pairwise(ptr)):
            torch.addmm(bias[expert], rows[start:stop], weight[expert], out=out[start:stop])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        grad, d_rows, d_weight = grad.contiguous(), torch.empty_like(rows), torch.empty_like(weight)
        d_bias = weight.new_empty(len(weight), 1, weight.shape[2])
        for expert, (start, stop) in enumerate(pairwise(ctx.ptr)):
            piece = grad[start:stop]
            torch.mm(piece, weight[expert].t(), out=d_rows[start:stop])
            torch.mm(rows[start:stop].t(), piece, out=d_weight[expert])
            torch.sum(piece, 0, out=d_bias[expert, 0])
        return d_rows, d_weight, d_bias, None


class _Dispatch(torch.autograd.Function):
    """Row r is token order[r] // K; back, the K rows of a token are gathered and summed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, place: Tensor, copies: int) -> Tensor:
        ctx.save_for_backward(place)
        ctx.copies = copies
        return x.index_select(0, order // copies)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (place,) = ctx.saved_tensors
        each_TKD = grad.index_select(0, place).view(-1, ctx.copies, grad.shape[1])
        return each_TKD.sum(1), None, None, None


class _Permute(torch.autograd.Function):
    """Row r is x[index[r]], of a permutation whose inverse is known."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return grad.index_select(0, inverse), None, None

"""One round of messages between the experts of every token, in one operator.

Tokens never meet: a mix is an E x E matrix, the same for all tokens or each token's own, and is
applied as one batched product. The backward pass keeps two tensors of the size of the input (the
input and what goes into the GELU); the messages are made anew, which costs E / D of a linear map.
Blocks of tokens that stay in a core's caches were tried and are slower: their products are smaller.

Legend: T = tokens, E = experts, D = features, M = rows of a mix.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu, linear

__all__ = ["exchange", "exchange_reference", "mix_experts"]


def mix_experts(mix_ME: Tensor, x_TED: Tensor) -> Tensor:
    """out[t, m] = sum over e of mix[m, e] x[t, e]: `[T, M, D]`.

    Args:
        mix_ME: `[M, E]` for all tokens, or `[T, M, E]`.
        x_TED: the experts' features.
    """
    return torch.bmm(mix_ME.expand(len(x_TED), *mix_ME.shape[-2:]), x_TED)


def exchange(
    x_TED: Tensor,
    mix_EE: Tensor,
    weight_DD: Tensor,
    bias_D: Tensor,
    own_DD: Tensor | None = None,
) -> Tensor:
    """out_i = x_i + GELU(W sum_j mix_ij x_j + b + V x_i), with first derivatives for all of them.

    Under autocast all of it runs in autocast's type, as a linear map would.

    Args:
        x_TED: the experts' features.
        mix_EE: `[E, E]` for all tokens, or `[T, E, E]`.
        weight_DD: W.
        bias_D: b.
        own_DD: V, or None for no such term.

    Returns:
        `[T, E, D]`.
    """
    inputs = (x_TED, mix_EE, weight_DD, bias_D, own_DD)
    if torch.compiler.is_compiling():
        return exchange_reference(*inputs)
    device = x_TED.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        inputs = tuple(None if x is None else x.to(dtype) for x in inputs)  # type: ignore[assignment]
    with torch.autocast(device, enabled=False):
        out: Tensor = _Exchange.apply(*inputs)  # type: ignore[no-untyped-call]
    return out


def exchange_reference(
    x_TED: Tensor,
    mix_EE: Tensor,
    weight_DD: Tensor,
    bias_D: Tensor,
    own_DD: Tensor | None = None,
) -> Tensor:
    """`exchange` as the formula reads, for torch.compile and for higher derivatives."""
    inner_TED = linear(mix_experts(mix_EE, x_TED), weight_DD, bias_D)
    if own_DD is not None:
        inner_TED = inner_TED + linear(x_TED, own_DD)
    return x_TED + gelu(inner_TED)


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mix: Tensor, weight: Tensor, bias: Tensor, own: Tensor | None
    ) -> Tensor:
        x = x.contiguous()
        inner_RD = torch.addmm(bias, _rows(mix_experts(mix, x)), weight.t())
        if own is not None:
            inner_RD.addmm_(_rows(x), own.t())
        ctx.save_for_backward(x, mix, weight, own, inner_RD)
        return gelu(inner_RD).view_as(x).add_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TED: Tensor) -> tuple[Tensor | None, ...]:
        x, mix, weight, own, inner_RD = ctx.saved_tensors
        wants_x, wants_mix, *_ = ctx.needs_input_grad
        back_TED = torch.ops.aten.gelu_backward(grad_TED, inner_RD.view_as(x)).contiguous()
        back_RD, mixed_TED = _rows(back_TED), mix_experts(mix, x)
        d_weight, d_bias = torch.mm(back_RD.t(), _rows(mixed_TED)), back_RD.sum(0)
        d_own = None if own is None else torch.mm(back_RD.t(), _rows(x))
        torch.mm(back_RD, weight, out=_rows(mixed_TED))  # its memory, from here its gradient
        d_mix = d_x = None
        if wants_mix:
            each_TEE = torch.bmm(mixed_TED, x.mT)
            d_mix = each_TEE if mix.dim() == 3 else each_TEE.sum(0)
        if wants_x:
            turned_TEE = mix.mT.expand(len(x), *mix.shape[-2:])
            d_x = torch.baddbmm(grad_TED, turned_TEE, mixed_TED)
            if own is not None:
                _rows(d_x).addmm_(back_RD, own)
        return d_x, d_mix, d_weight, d_bias, d_own


def _rows(x_TED: Tensor) -> Tensor:
    """`[T E, D]`, the same memory."""
    return x_TED.view(-1, x_TED.shape[-1])

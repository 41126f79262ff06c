"""Cross entropy of a linear layer's outputs, without ever holding all of them.

With a vocabulary of V ids the logits `[R, V]` are the largest tensor of a language model. Here they
are made for a few rows at a time, and their gradient goes into those of the hidden rows and of the
weights at once, so that memory is `[chunk, V]`; the arithmetic is that of the plain form. Where all
rows are one chunk, it is kept from the forward to the backward pass instead of made again.

Legend: R = rows (predicted tokens), D = width, V = vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["linear_cross_entropy"]

_CHUNK_ELEMENTS = 1 << 22  # logits at a time: 16 MB in float32, which stays near the caches


def linear_cross_entropy(hidden_RD: Tensor, weight_VD: Tensor, target_R: Tensor) -> Tensor:
    """-log softmax(hidden Wᵀ)[target] of each row.

    Args:
        hidden_RD: inputs of the layer.
        weight_VD: its weights; there is no bias.
        target_R: int64, 0 … V-1.

    Returns:
        Losses in nats [R]. A weighted sum of them has exact gradients; those with respect to the
        hidden rows and to the weights are computed in the backward pass, chunk by chunk.
    """
    losses: Tensor = _Loss.apply(hidden_RD, weight_VD, target_R)  # type: ignore[no-untyped-call]
    return losses


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor) -> Tensor:
        pieces, normalisers = [], []
        chunks = _chunks(len(hidden), len(weight))
        if len(chunks) == 1 and any(ctx.needs_input_grad):
            losses, total, error = _whole(hidden, weight, target)
            ctx.save_for_backward(hidden, weight, target, total, error)
            return losses
        for rows in chunks:
            logits = hidden[rows] @ weight.mT
            normaliser = logits.logsumexp(1)
            normalisers.append(normaliser)
            pieces.append(normaliser - logits.gather(1, target[rows, None])[:, 0])
        ctx.save_for_backward(hidden, weight, target, _joined(normalisers, hidden), None)
        return _joined(pieces, hidden)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_R: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, target, normaliser, error = ctx.saved_tensors
        if error is not None:
            scale_R1 = (grad_R / normaliser)[:, None]
            return (error @ weight) * scale_R1, error.mT @ (hidden * scale_R1), None
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        for rows in _chunks(len(hidden), len(weight)):
            # d loss / d logits = softmax - one-hot; one chunk of logits is made again
            logits = torch.addmm(-normaliser[rows, None], hidden[rows], weight.mT).exp_()
            logits.scatter_add_(1, target[rows, None], -logits.new_ones(len(logits), 1))
            logits *= grad_R[rows, None]
            torch.mm(logits, weight, out=grad_hidden[rows])
            grad_weight.addmm_(logits.mT, hidden[rows])
        return grad_hidden, grad_weight, None


def _whole(hidden_RD: Tensor, weight_VD: Tensor, target_R: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Losses [R], totals t [R] of the exponentials, and t (softmax - one-hot) [R, V]."""
    logits = hidden_RD @ weight_VD.mT
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    most, chosen = logits.amax(1, keepdim=True), logits.gather(1, target_R[:, None])
    exponentials = logits.sub_(most).exp_()
    total = exponentials.sum(1)
    losses = total.log() + (most - chosen)[:, 0]
    return losses, total, exponentials.scatter_add_(1, target_R[:, None], -total[:, None])


def _chunks(rows: int, vocabulary: int) -> list[slice]:
    size = max(_CHUNK_ELEMENTS // vocabulary, 1)
    return [slice(start, start + size) for start in range(0, rows, size)]


def _joined(pieces: list[Tensor], like: Tensor) -> Tensor:
    return torch.cat(pieces) if pieces else like.new_zeros(0)

"""Layers of C independent copies: an ensemble, or two encoders, in one product instead of a loop.

Every tensor has the copies first and the features last, so that a linear map of all copies is one
batched product. Copy c of a stack gives what a lone layer with its weights gives.

Legend: C = copies, R = rows (nodes or graphs), D = features, K = features out.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from graphwright.nn.across_ranks import batch_norm

__all__ = [
    "StackedBatchNorm",
    "StackedEmbedding",
    "StackedLinear",
    "StackedMLP",
    "stacked_dropout",
]


class StackedLinear(nn.Module):
    """out[c] = x[c] W[c] + b[c], with the initial weights of `torch.nn.Linear`.

    Args:
        copies: C.
        in_dim: D.
        out_dim: K.
        bias: whether there is a b.

    Attributes:
        weight: `[C, D, K]`.
        bias: `[C, 1, K]` or None.
    """

    def __init__(self, copies: int, in_dim: int, out_dim: int, *, bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(max(in_dim, 1))
        self.weight = nn.Parameter(torch.empty(copies, in_dim, out_dim).uniform_(-bound, bound))
        shift = torch.empty(copies, 1, out_dim).uniform_(-bound, bound) if bias else None
        self.bias = None if shift is None else nn.Parameter(shift)

    def forward(self, x: Tensor) -> Tensor:
        """`[C, R, D]`, or `[R, D]` that all copies share, to `[C, R, K]`."""
        x_CRD = x if x.dim() == 3 else x.expand(len(self.weight), *x.shape)
        if self.bias is None:
            return torch.bmm(x_CRD, self.weight)
        return torch.baddbmm(self.bias, x_CRD, self.weight)

    def extra_repr(self) -> str:
        """The sizes, for `print(model)`."""
        copies, in_dim, out_dim = self.weight.shape
        return f"copies={copies}, {in_dim} -> {out_dim}, bias={self.bias is not None}"


class StackedMLP(nn.Module):
    """out[c] = relu(x[c] W1[c] + b1[c]) W2[c] + b2[c]: the head of a small predictor.

    Args:
        copies: C.
        in_dim: D.
        hidden_dim: features in between.
        out_dim: K.
        dropout: share of those that is zeroed in training.
    """

    def __init__(
        self, copies: int, in_dim: int, hidden_dim: int, out_dim: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.hidden = StackedLinear(copies, in_dim, hidden_dim)
        self.out = StackedLinear(copies, hidden_dim, out_dim)

    def forward(self, x_CRD: Tensor) -> Tensor:
        """`[C, R, D]` to `[C, R, K]`."""
        hidden, out = self.hidden, self.out
        if torch.compiler.is_compiling() or not self.training or self.dropout:
            inside = stacked_dropout(hidden(x_CRD).relu(), self.dropout, self.training)
            plain: Tensor = out(inside)
            return plain
        weights = hidden.weight, hidden.bias, out.weight, out.bias
        fused: Tensor = _MLP.apply(x_CRD, *weights)  # type: ignore[no-untyped-call]
        return fused


class _MLP(torch.autograd.Function):
    """One node of autograd's graph instead of three, and no saved pre-activation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        hidden = torch.baddbmm(b1, x, w1).relu_()
        ctx.save_for_backward(x, w1, w2, hidden)
        return torch.baddbmm(b2, hidden, w2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w1, w2, hidden = ctx.saved_tensors
        back = torch.ops.aten.threshold_backward(torch.bmm(grad, w2.mT), hidden, 0)
        grad_x = torch.bmm(back, w1.mT) if ctx.needs_input_grad[0] else None
        first = torch.bmm(x.mT, back), back.sum(1, keepdim=True)
        return grad_x, *first, torch.bmm(hidden.mT, grad), grad.sum(1, keepdim=True)


class StackedEmbedding(nn.Module):
    """out[c, r] = table[c, index[r]], standard normal at first like `torch.nn.Embedding`.

    Args:
        copies: C.
        num_rows: size of the vocabulary.
        dim: D.

    Attributes:
        weight: `[C, num_rows, D]`.
    """

    def __init__(self, copies: int, num_rows: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(copies, num_rows, dim))

    def forward(self, index_R: Tensor) -> Tensor:
        """`[C, R, D]` for indices `[R]` int64 that all copies share."""
        return self.weight.index_select(1, index_R)


class StackedBatchNorm(nn.Module):
    """Batch normalisation over the rows of each copy (Ioffe & Szegedy, arXiv 1502.03167).

    In training with the batch's own mean and (biased) variance, which running averages follow;
    otherwise with those averages. The same as one `torch.nn.BatchNorm1d` for each copy.

    Args:
        copies: C.
        dim: D.
        momentum: weight of the newest batch in the averages.
        eps: added to the variance.
    """

    def __init__(self, copies: int, dim: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(copies, 1, dim))
        self.bias = nn.Parameter(torch.zeros(copies, 1, dim))
        self.register_buffer("mean", torch.zeros(copies, 1, dim))
        self.register_buffer("variance", torch.ones(copies, 1, dim))
        self.mean: Tensor
        self.variance: Tensor

    def forward(self, x_CRD: Tensor) -> Tensor:
        """Normalised `[C, R, D]`."""
        # to torch, the features of all copies are channels of one layer
        rows_RF = x_CRD.transpose(0, 1).reshape(x_CRD.shape[1], -1)
        averages = self.mean.view(-1), self.variance.view(-1)
        scale, shift = self.weight.view(-1), self.bias.view(-1)
        out_RF = batch_norm(
            rows_RF, *averages, scale, shift, self.training, self.momentum, self.eps
        )
        return out_RF.view(len(rows_RF), *x_CRD.shape[::2]).transpose(0, 1)


def stacked_dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Dropout that costs nothing where the rate is 0."""
    return nn.functional.dropout(x, rate, training) if rate and training else x

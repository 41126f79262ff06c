"""Layers of C independent copies: an ensemble, or two encoders, in one product instead of a loop.

Every tensor has the copies first and the features last, contiguous, so that a linear map of all
copies is one batched product and messages of all copies are one reduction (`nn/dag.py`). Copy c of
a stack gives what a lone layer with its weights gives.

Legend: C = copies, R = rows (nodes or graphs), D = features, K = features out.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["StackedBatchNorm", "StackedEmbedding", "StackedLinear", "stacked_dropout"]


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
        if not self.training:
            scale_C1D = self.weight * (self.variance + self.eps).rsqrt()
            return torch.addcmul(self.bias - self.mean * scale_C1D, x_CRD, scale_C1D)
        if torch.compiler.is_compiling():
            return self._plainly(x_CRD)
        out, sum_C1D, squares_C1D = _BatchNorm.apply(  # type: ignore[no-untyped-call]
            x_CRD, self.weight, self.bias, self.eps
        )
        self.follow(sum_C1D, squares_C1D, x_CRD.shape[1])
        normalised: Tensor = out
        return normalised

    def _plainly(self, x_CRD: Tensor) -> Tensor:
        """With operators that `torch.compile` and `torch.export` know."""
        rows = x_CRD.shape[1]
        variance_C1D, mean_C1D = torch.var_mean(x_CRD, 1, correction=0, keepdim=True)
        self.follow(mean_C1D.detach() * rows, variance_C1D.detach() * rows, rows)
        unit_CRD = (x_CRD - mean_C1D) * (variance_C1D + self.eps).rsqrt()
        return torch.addcmul(self.bias, unit_CRD, self.weight)

    @torch.no_grad()
    def follow(self, sum_C1D: Tensor, squares_C1D: Tensor, rows: int) -> None:
        """Move the running averages towards a batch.

        Args:
            sum_C1D: sum over the rows.
            squares_C1D: sum of the squared distances from their mean.
            rows: of the batch.
        """
        keep = 1 - self.momentum
        self.mean.mul_(keep).add_(sum_C1D, alpha=self.momentum / rows)
        # the average is of the unbiased variance, as torch has it
        self.variance.mul_(keep).add_(squares_C1D, alpha=self.momentum / max(rows - 1, 1))


class _BatchNorm(torch.autograd.Function):
    """Sums over the middle dimension: torch's own `var_mean` takes ten times as long there."""

    @staticmethod
    def forward(
        ctx: Any, x_CRD: Tensor, weight_C1D: Tensor, bias_C1D: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = x_CRD.shape[1]
        sum_C1D = x_CRD.sum(1, keepdim=True)
        centred_CRD = torch.sub(x_CRD, sum_C1D, alpha=1 / rows)
        squares_C1D = (centred_CRD * centred_CRD).sum(1, keepdim=True)
        inverse_C1D = (squares_C1D + rows * eps).rsqrt_().mul_(math.sqrt(rows))
        scale_C1D = inverse_C1D * weight_C1D
        ctx.save_for_backward(centred_CRD, inverse_C1D, scale_C1D)
        ctx.mark_non_differentiable(sum_C1D, squares_C1D)
        out_CRD = torch.addcmul(bias_C1D, centred_CRD, scale_C1D)
        return out_CRD, sum_C1D, squares_C1D

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_CRD: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        centred_CRD, inverse_C1D, scale_C1D = ctx.saved_tensors
        share = 1 / grad_CRD.shape[1]
        along_C1D = (grad_CRD * centred_CRD).sum(1, keepdim=True).mul_(inverse_C1D)
        sum_C1D = grad_CRD.sum(1, keepdim=True)
        slope_C1D = along_C1D * inverse_C1D
        grad_x_CRD = torch.addcmul(grad_CRD, centred_CRD, slope_C1D, value=-share)
        grad_x_CRD.sub_(sum_C1D, alpha=share).mul_(scale_C1D)
        return grad_x_CRD, along_C1D, sum_C1D, None


def stacked_dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Dropout that costs nothing where the rate is 0."""
    return nn.functional.dropout(x, rate, training) if rate and training else x

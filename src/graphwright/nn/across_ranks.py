"""Sums and rows over all processes that share a batch, with exact gradients.

Several processes (ranks) that train one model each hold a piece of the batch. What a model or a
loss takes over the rows of a batch (a mean, a pair, a rank order) must be taken over all pieces, or
the training is another one than that of one process. In one process, and outside of `shared`, every
function here gives back what it was given: nothing changes, not even in the last bit.

The gradients are those of the sum of what the ranks hand to `backward`, so that each function is
the adjoint of itself: a rank gets what all ranks' results owe to its rows. All ranks must call the
same functions in the same order, in the forward pass and in the backward pass: no branch may depend
on a piece of the data.

A rank whose piece is empty (a batch of fewer samples than ranks) computes with a stand-in, so that
it takes part in all calls; its rows count nowhere (`rows_count`).

Legend: R = rows of this rank, W = rows of all ranks, F = features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm as plain_batch_norm

__all__ = [
    "SharedBatchNorm",
    "all_rows",
    "alone",
    "batch_norm",
    "gather_rows",
    "is_shared",
    "pooled_mean",
    "rows_count",
    "shared",
    "total",
]


@dataclass
class _Sharing:
    """`counts` is 0.0 where this rank holds a stand-in."""

    group: Any
    rank: int
    ranks: int
    counts: float = 1.0


_sharing: _Sharing | None = None


@contextmanager
def shared(group: Any) -> Iterator[None]:
    """Inside, batches are shared with the processes of a `torch.distributed` group."""
    with _set(_Sharing(group, dist.get_rank(group), dist.get_world_size(group))):
        yield


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this process works on rows of its own, whatever the others do."""
    with _set(None):
        yield


def is_shared() -> bool:
    """Whether batches are shared with other processes at the moment."""
    return _sharing is not None


def rows_count(real: bool) -> None:
    """Say whether the rows that follow are real, or those of a stand-in; holds until said anew."""
    if _sharing is not None:
        _sharing.counts = float(real)


def total(x: Tensor) -> Tensor:
    """Sum over the ranks, elementwise."""
    if _sharing is None:
        return x
    out: Tensor = _Total.apply(x, _sharing)  # type: ignore[no-untyped-call]
    return out


def gather_rows(x: Tensor, dim: int = 0) -> Tensor:
    """The rows of all ranks, in the order of the ranks: the batch as one process has it.

    Args:
        x: of any type; the ranks may have different numbers of rows.
        dim: along which rows lie.
    """
    if _sharing is None:
        return x
    out: Tensor = _GatherRows.apply(x.movedim(dim, 0), _sharing)  # type: ignore[no-untyped-call]
    return out.movedim(0, dim)


def pooled_mean(mean: Tensor, count: Tensor | int) -> Tensor:
    """The mean over all ranks' items from this rank's mean over `count` of them; 0 of none."""
    if _sharing is None:
        return mean
    weight = torch.as_tensor(count, device=mean.device).to(mean.dtype)
    # 0 / 0 of a rank without items must not reach the others
    part = torch.where(weight > 0, mean, 0.0) * weight
    return total(part) / total(weight.detach()).clamp(min=1)


def all_rows(rows: int) -> int:
    """W, where this rank has so many."""
    if _sharing is None:
        return rows
    return sum(_counts(rows if _sharing.counts else 0, _sharing))


def batch_norm(
    x_RF: Tensor,
    mean_F: Tensor,
    variance_F: Tensor,
    weight_F: Tensor | None,
    bias_F: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """`torch.nn.functional.batch_norm` over the rows of all ranks.

    Args:
        x_RF: rows of this rank.
        mean_F, variance_F: running averages, changed in place in training.
        weight_F, bias_F: scale and shift, or None.
        training: whether the batch's own statistics are used.
        momentum: weight of the newest batch in the running averages.
        eps: added to the variance.
    """
    if _sharing is None or not training:
        return plain_batch_norm(x_RF, mean_F, variance_F, weight_F, bias_F, training, momentum, eps)
    wide_RF = x_RF.to(torch.promote_types(x_RF.dtype, torch.float32))
    count = total(wide_RF.new_tensor(float(len(x_RF))))
    batch_mean_F = total(wide_RF.sum(0)) / count
    centred_RF = wide_RF - batch_mean_F
    square_F = total(centred_RF.square().sum(0))
    with torch.no_grad():
        mean_F.lerp_(batch_mean_F.to(mean_F.dtype), momentum)
        unbiased_F = square_F / (count - 1).clamp(min=1)
        variance_F.lerp_(unbiased_F.to(variance_F.dtype), momentum)
    out_RF = centred_RF * (square_F / count + eps).rsqrt()
    if weight_F is not None:
        out_RF = out_RF * weight_F
    return (out_RF if bias_F is None else out_RF + bias_F).to(x_RF.dtype)


class SharedBatchNorm(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d`, over the rows of all ranks (Ioffe & Szegedy, arXiv 1502.03167)."""

    def forward(self, x_RF: Tensor) -> Tensor:
        """Normalised `[R, F]`."""
        if _sharing is None or not self.training:
            return super().forward(x_RF)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        averages = self.running_mean, self.running_var
        return batch_norm(x_RF, *averages, self.weight, self.bias, True, self.momentum, self.eps)


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sharing: _Sharing) -> Tensor:
        ctx.sharing, ctx.counts = sharing, sharing.counts
        return _reduced(x, sharing, sharing.counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _reduced(grad, ctx.sharing, 1.0) * ctx.counts, None


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sharing: _Sharing) -> Tensor:
        real = x if sharing.counts else x[:0]
        counts = _counts(len(real), sharing)
        ctx.sharing, ctx.shape = sharing, x.shape
        first = sum(counts[: sharing.rank])
        ctx.own = slice(first, first + len(real))
        wide = real.float() if x.dtype in (torch.float16, torch.bfloat16) else real
        padded = wide.new_zeros(max(counts), *x.shape[1:])
        padded[: len(real)] = wide
        pieces = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(pieces, padded, group=sharing.group)
        joined = torch.cat([piece[:n] for piece, n in zip(pieces, counts, strict=True)])
        return joined.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        everyone = _reduced(grad, ctx.sharing, 1.0)
        own = grad.new_zeros(ctx.shape)
        mine = everyone[ctx.own]
        own[: len(mine)] = mine
        return own, None


def _reduced(x: Tensor, sharing: _Sharing, counts: float) -> Tensor:
    """The sum of x over the ranks, in single precision at least."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32)) if x.is_floating_point() else x
    # a stand-in's rows may hold anything
    summed = wide.clone(memory_format=torch.contiguous_format) if counts else torch.zeros_like(wide)
    dist.all_reduce(summed, group=sharing.group)
    return summed.to(x.dtype)


def _counts(rows: int, sharing: _Sharing) -> list[int]:
    """Rows of every rank."""
    on_gpu = dist.get_backend(sharing.group) == "nccl"
    own = torch.tensor([rows], device="cuda" if on_gpu else "cpu")
    found = [torch.empty_like(own) for _ in range(sharing.ranks)]
    dist.all_gather(found, own, group=sharing.group)
    counts: list[int] = torch.cat(found).tolist()
    return counts


@contextmanager
def _set(sharing: _Sharing | None) -> Iterator[None]:
    global _sharing
    before, _sharing = _sharing, sharing
    try:
        yield
    finally:
        _sharing = before

"""Losses of predictors: pure functions, one value for each ensemble member.

Legend: M = members, B = architectures of a batch, D = features of an embedding. Predictions are
`[M, B]`, labels `[B]` in the unit of the predictions, `valid [B]` is 1 where there is a label and
0 where the training failed: what is not valid takes no part and gets no gradient. Every result is
`[M]`, and 0 where too few labels are valid.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import binary_cross_entropy_with_logits

__all__ = [
    "distance_relation",
    "feasibility",
    "instance_relation",
    "list_mle",
    "mse",
    "pairwise_hinge",
    "warp",
]


def mse(predicted_MB: Tensor, label_B: Tensor, valid_B: Tensor) -> Tensor:
    """Mean squared error `[M]`."""
    if torch.compiler.is_compiling():
        share_B = valid_B / valid_B.sum().clamp(min=1)
        return (predicted_MB - label_B.where(valid_B > 0, 0)).square() @ share_B
    out: Tensor = _SquaredError.apply(predicted_MB, label_B, valid_B)  # type: ignore[no-untyped-call]
    return out


def pairwise_hinge(
    predicted_MB: Tensor, label_B: Tensor, valid_B: Tensor, margin: float = 0.1
) -> Tensor:
    """Mean of max(0, margin - (y_i - y_j)) over the pairs in which i is better than j.

    Source: Ning et al., GATES, ECCV 2020, https://arxiv.org/abs/2004.01899.
    """
    better_BB = _better(label_B, valid_B)
    gap_MBB = predicted_MB[:, :, None] - predicted_MB[:, None, :]
    short_MBB = (margin - gap_MBB).relu() * better_BB
    return short_MBB.sum((1, 2)) / better_BB.sum().clamp(min=1)


def list_mle(predicted_MB: Tensor, label_B: Tensor, valid_B: Tensor) -> Tensor:
    """Minus the log-likelihood of the true order, for one architecture (Plackett & Luce).

    From best to worst: -mean_i [y_i - log sum_{k >= i} exp y_k]. Source: Xia et al., "Listwise
    Approach to Learning to Rank", ICML 2008.
    """
    order_B = label_B.where(valid_B > 0, -torch.inf).argsort(descending=True, stable=True)
    known_B = valid_B[order_B]
    sorted_MB = predicted_MB[:, order_B]
    # what is not valid comes last: it must add nothing to any of the sums
    masked_MB = sorted_MB.masked_fill(known_B == 0, torch.finfo(sorted_MB.dtype).min)
    rest_MB = masked_MB.flip(1).logcumsumexp(1).flip(1)
    gain_MB = (sorted_MB - rest_MB).masked_fill(known_B == 0, 0)
    return -gain_MB.sum(1) / valid_B.sum().clamp(min=1)


def warp(predicted_MB: Tensor, label_B: Tensor, valid_B: Tensor, margin: float = 0.1) -> Tensor:
    """Pairwise hinge weighted by how far down each architecture has fallen.

    mean_i of L(v_i) / v_i x sum_j max(0, margin - (y_i - y_j)), over the j worse than i, where v_i
    counts those of them that come within the margin of i or before it, and L(v) = 1 + 1/2 + ... +
    1/v. Source: Weston, Bengio & Usunier, "WSABIE", IJCAI 2011; with the exact v_i instead of its
    sampled estimate.
    """
    better_BB = _better(label_B, valid_B)
    gap_MBB = predicted_MB[:, :, None] - predicted_MB[:, None, :]
    short_MBB = (margin - gap_MBB).relu() * better_BB
    violations_MB = (short_MBB > 0).sum(2)
    steps = torch.arange(1, predicted_MB.shape[1] + 1, device=label_B.device)
    average_B = steps.to(predicted_MB.dtype).reciprocal().cumsum(0) / steps
    weight_MB = average_B[(violations_MB - 1).clamp(min=0)]
    return (short_MBB.sum(2) * weight_MB).sum(1) / valid_B.sum().clamp(min=1)


def feasibility(logit_MB: Tensor, succeeded_B: Tensor) -> Tensor:
    """Cross entropy of "this training succeeds" `[M]`; every architecture has this label."""
    wanted_MB = succeeded_B.to(logit_MB.dtype).expand_as(logit_MB)
    return binary_cross_entropy_with_logits(logit_MB, wanted_MB, reduction="none").mean(1)


def distance_relation(forward_MBD: Tensor, reverse_MBD: Tensor) -> Tensor:
    """Mean of (F_ij - R_ij)^2, with F and R the distances between embeddings of a batch.

    Needs no label. Source: Zhang & Cheng, FR-NAS, https://arxiv.org/abs/2404.15622, as published in
    its code.
    """
    if torch.compiler.is_compiling():
        gap_MBB = _distances(forward_MBD) - _distances(reverse_MBD)
        return gap_MBB.square().mean((1, 2))
    out: Tensor = _DistanceRelation.apply(forward_MBD, reverse_MBD)  # type: ignore[no-untyped-call]
    return out


def instance_relation(forward_MBD: Tensor, reverse_MBD: Tensor) -> Tensor:
    """Sum of (F_ij - R_ij)^2 over the batch, divided by B: the edges of two instance graphs.

    Source: Liu et al., "Knowledge Distillation via Instance Relationship Graph", CVPR 2019, in the
    form of FR-NAS (https://arxiv.org/abs/2404.15622).
    """
    return distance_relation(forward_MBD, reverse_MBD) * forward_MBD.shape[1]


def _better(label_B: Tensor, valid_B: Tensor) -> Tensor:
    """`[B, B]`: 1 where both are valid and the row's label is above the column's."""
    known_BB = valid_B[:, None] * valid_B[None, :]
    return (label_B[:, None] > label_B[None, :]) * known_BB


def _distances(x_MBD: Tensor) -> Tensor:
    """Euclidean distances `[M, B, B]`; with a gradient of zero where two rows are equal."""
    return torch.cdist(x_MBD, x_MBD, compute_mode="donot_use_mm_for_euclid_dist")


class _SquaredError(torch.autograd.Function):
    """One node of the graph instead of four: steps of small predictors take half a millisecond."""

    @staticmethod
    def forward(ctx: Any, predicted_MB: Tensor, label_B: Tensor, valid_B: Tensor) -> Tensor:
        # a label that is not valid may be anything, but is finite
        error_MB = (predicted_MB - label_B).mul_(valid_B)
        count = valid_B.sum().clamp_(min=1)
        ctx.save_for_backward(error_MB, count)
        return error_MB.square().sum(1).div_(count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_M: Tensor) -> tuple[Tensor, None, None]:
        error_MB, count = ctx.saved_tensors
        return error_MB * (grad_M * (2 / count))[:, None], None, None


class _DistanceRelation(torch.autograd.Function):
    """The gradient of one side is sum_j S_ij (f_i - f_j) with S = 4 (F - R) / (F B^2)."""

    @staticmethod
    def forward(ctx: Any, forward_MBD: Tensor, reverse_MBD: Tensor) -> Tensor:
        both_CBD = torch.cat([forward_MBD, reverse_MBD])
        distance_CBB = _distances(both_CBD)
        members, batch = forward_MBD.shape[:2]
        gap_MBB = distance_CBB[:members] - distance_CBB[members:]
        ctx.save_for_backward(both_CBD, distance_CBB, gap_MBB)
        return gap_MBB.square().sum((1, 2)).div_(batch * batch)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_M: Tensor) -> tuple[Tensor, Tensor]:
        both_CBD, distance_CBB, gap_MBB = ctx.saved_tensors
        members, batch, _ = gap_MBB.shape
        slope_MBB = gap_MBB * (grad_M * (4 / (batch * batch)))[:, None, None]
        # equal rows: the distance has no gradient there, 0 is one of its subgradients
        tiny = torch.finfo(both_CBD.dtype).tiny
        pull_CBB = torch.cat([slope_MBB, -slope_MBB]).div_(distance_CBB.clamp(min=tiny))
        pull_CBB.masked_fill_(distance_CBB <= tiny, 0)
        grad_CBD = both_CBD * pull_CBB.sum(2, keepdim=True) - torch.bmm(pull_CBB, both_CBD)
        return grad_CBD[:members], grad_CBD[members:]

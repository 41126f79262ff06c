"""Normalisation: of every gene by itself, or over everything at once as the original has it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.nn.across_ranks import pooled_mean
from graphwright.tasks.genes.model_configs import Norm

__all__ = ["WholeBatchNorm", "make_norm"]


class WholeBatchNorm(nn.Module):
    """(x - m) / (s + eps) · w + b with ONE mean m and (biased) deviation s over all that is given.

    PyTorch Geometric's `LayerNorm(mode="graph")` called without the batch vector. With it the
    prediction for a cell depends on the other cells of its batch: for comparison only.

    Args:
        dim: features, the last dimension.
        eps: added to s.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """`[..., dim]` to the same shape."""
        centred = x - pooled_mean(x.mean(), x.numel())
        spread = pooled_mean(centred.square().mean(), x.numel()).sqrt()
        return centred / (spread + self.eps) * self.weight + self.bias


def make_norm(kind: Norm, dim: int) -> nn.Module:
    """Per node (layer normalisation, Ba et al., arXiv 1607.06450), or `compat`; 2 dim weights."""
    return WholeBatchNorm(dim) if kind == "compat" else nn.LayerNorm(dim)

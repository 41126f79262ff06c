"""Radial bases and smooth cutoffs of interatomic (or point to point) distances.

Distances are in the unit of `cutoff` (ångström for molecules). E = edges, R = basis functions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["BesselBasis", "GaussianBasis", "cosine_cutoff", "polynomial_cutoff"]


def cosine_cutoff(distance_E: Tensor, cutoff: float) -> Tensor:
    """(cos(pi d / cutoff) + 1) / 2 inside the cutoff and 0 beyond it (Behler, 2011)."""
    inside = (distance_E < cutoff).to(distance_E.dtype)
    return 0.5 * (torch.cos(distance_E * (math.pi / cutoff)) + 1.0) * inside


def polynomial_cutoff(distance_E: Tensor, cutoff: float, power: int = 6) -> Tensor:
    """Polynomial envelope of DimeNet (https://arxiv.org/abs/2003.03123, eq. 8).

    1 - (p+1)(p+2)/2 u^p + p(p+2) u^(p+1) - p(p+1)/2 u^(p+2) with u = d / cutoff, 0 beyond: value,
    slope and curvature vanish at the cutoff.
    """
    u = distance_E / cutoff
    p = power
    bracket = (p + 1) * (p + 2) / 2 - u * (p * (p + 2) - u * (p * (p + 1) / 2))
    return (1.0 - u.pow(p) * bracket) * (u < 1.0).to(u.dtype)


class GaussianBasis(nn.Module):
    """exp(-(d - mu_r)² / (2 w²)), with centres mu_r from 0 to the cutoff and w their distance.

    Args:
        num: number of functions R, at least 2.
        cutoff: last centre.
    """

    centres: Tensor

    def __init__(self, num: int, cutoff: float) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(0.0, cutoff, num), persistent=False)
        self.sharpness = -0.5 * ((num - 1) / cutoff) ** 2

    def forward(self, distance_E: Tensor) -> Tensor:
        """Distances `[E]` to `[E, R]`."""
        return ((distance_E[:, None] - self.centres).square() * self.sharpness).exp()


class BesselBasis(nn.Module):
    """sqrt(2 / c) sin(r pi d / c) / d, r = 1..R (DimeNet, https://arxiv.org/abs/2003.03123, eq. 7;
    the basis of PaiNN). Finite at distance zero.

    Args:
        num: number of functions R.
        cutoff: c; every function is zero there.
    """

    frequencies: Tensor

    def __init__(self, num: int, cutoff: float) -> None:
        super().__init__()
        steps = torch.arange(1, num + 1, dtype=torch.float64) * (math.pi / cutoff)
        self.register_buffer("frequencies", steps.to(torch.get_default_dtype()), persistent=False)
        self.scale = math.sqrt(2.0 / cutoff)

    def forward(self, distance_E: Tensor) -> Tensor:
        """Distances `[E]` to `[E, R]`."""
        # sin(w d) / d tends to w; below this distance float32 cannot tell the two apart.
        near = distance_E[:, None].clamp(min=1e-6)
        return torch.sin(near * self.frequencies) * (self.scale / near)

"""Real spherical harmonics of unit vectors, degree 0 to 2.

Convention of e3nn (https://docs.e3nn.org): degree 1 is (x, y, z), degree 2 takes y for the polar
axis, orders run from -l to l.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

__all__ = ["spherical_harmonics"]


def spherical_harmonics(
    unit_E3: Tensor, degree: int, *, normalization: Literal["integral", "norm"] = "integral"
) -> Tensor:
    """All real harmonics up to a degree.

    Args:
        unit_E3: `[E, 3]` vectors of length one (a zero vector gives zeros above degree 0 but for
            rounding).
        degree: 0, 1 or 2.
        normalization: "integral" makes them orthonormal on the sphere; "norm" gives the numbers
            of each degree a joint length of one.

    Returns:
        `[E, (degree + 1)²]`: 1, 4 or 9 numbers.

    Raises:
        ValueError: for another degree.
    """
    if degree not in (0, 1, 2):
        raise ValueError(f"degree is 0, 1 or 2, not {degree}")
    parts = [torch.ones_like(unit_E3[:, :1])]
    if degree >= 1:
        parts.append(unit_E3)
    if degree == 2:
        parts.append(_second_degree(unit_E3))
    if normalization == "integral":
        parts = [part * math.sqrt((2 * n + 1) / (4 * math.pi)) for n, part in enumerate(parts)]
    return torch.cat(parts, dim=1)


def _second_degree(unit_E3: Tensor) -> Tensor:
    """The five harmonics of degree 2 `[E, 5]`, of joint length one."""
    x, y, z = unit_E3.unbind(1)
    root = math.sqrt(3.0)
    polar = y * y - 0.5 * (x * x + z * z)
    across = 0.5 * root * (z * z - x * x)
    return torch.stack([root * x * z, root * x * y, polar, root * y * z, across], dim=1)

"""Where a token stands: rotated queries and keys.

Legend: B = rows, H = heads, L = positions, K = features of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Rotation"]

_BASE = 10_000.0


class Rotation:
    """Rotary position embedding (RoFormer, Su et al., arXiv 2104.09864).

    Feature i and feature i + K/2 are a point that turns by t·10000^(-2i/K) at position t, so that
    products of queries and keys know only their distance.

    Args:
        start: first position.
        stop: the one after the last.
        head_dim: K, even.
        like: device and dtype.
    """

    def __init__(self, start: int, stop: int, head_dim: int, like: Tensor) -> None:
        half = head_dim // 2
        turns = torch.arange(half, device=like.device, dtype=torch.float64) / half
        place = torch.arange(start, stop, device=like.device, dtype=torch.float64)
        angle_LK = place[:, None] * _BASE**-turns
        self.cos_LK = angle_LK.cos().repeat(1, 2).to(like.dtype)
        sin = angle_LK.sin()
        self.sin_LK = torch.cat([-sin, sin], 1).to(like.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """Rotated `[B, H, L, K]`."""
        return torch.addcmul(x * self.cos_LK, x.roll(x.shape[-1] // 2, -1), self.sin_LK)

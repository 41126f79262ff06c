"""Summaries of vectors and probabilities, which fusion reads.

Legend: B = windows, D = features.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["confidence", "moments"]


def moments(x_BD: Tensor) -> Tensor:
    """Mean, standard deviation, smallest and largest value of each row: `[B, 4]`."""
    spread_B = (x_BD - x_BD.mean(1, keepdim=True)).square().mean(1).sqrt()
    return torch.stack([x_BD.mean(1), spread_B, x_BD.amin(1), x_BD.amax(1)], dim=1)


def confidence(p_B: Tensor) -> Tensor:
    """How far a probability is from undecided: 0 at 0.5, 1 at 0 and 1."""
    return (2 * p_B - 1).abs()

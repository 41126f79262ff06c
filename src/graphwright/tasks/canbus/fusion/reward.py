"""Mixtures of both scores, and what a mixture earns (KD-GAT's fusion, arXiv 2508.04845).

fused = (1 - alpha) anomaly + alpha p_attack; an alarm above 0.5. The reward of a decision is

    right:  3 + agreement + 0.5 confidence
    wrong: -3 - (1 - agreement) - 1.5 certainty
    both:  + 0.3 balance

agreement = 1 - |anomaly - p_attack|; confidence = fused for an attack and 1 - fused for a benign
window; certainty = |2 fused - 1|; balance = 1 - |2 alpha - 1|.

Legend: B = windows, A = actions.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["THRESHOLD", "mix", "mixtures", "reward"]

THRESHOLD = 0.5


def mixtures(actions: int) -> Tensor:
    """`[A]` weights of the classifier, from 0 (only the anomaly) to 1 (only the classifier)."""
    return torch.linspace(0, 1, actions)


def mix(anomaly_B: Tensor, p_B: Tensor, alpha_B: Tensor) -> Tensor:
    """Fused score of every window `[B]`, each with its own mixture."""
    return (1 - alpha_B) * anomaly_B + alpha_B * p_B


def reward(anomaly_B: Tensor, p_B: Tensor, label_B: Tensor, alpha: Tensor) -> Tensor:
    """Reward of every action for every window `[B, A]`.

    Args:
        anomaly_B, p_B: scores in 0..1.
        label_B: 0 benign, 1 attack.
        alpha: `[A]`.
    """
    fused_BA = (1 - alpha) * anomaly_B[:, None] + alpha * p_B[:, None]
    attack_B1 = (label_B > 0)[:, None]
    right_BA = (fused_BA > THRESHOLD) == attack_B1
    agreement_B1 = 1 - (anomaly_B - p_B).abs()[:, None]
    confidence_BA = torch.where(attack_B1, fused_BA, 1 - fused_BA)
    good_BA = 3 + agreement_B1 + 0.5 * confidence_BA
    bad_BA = -3 - (1 - agreement_B1) - 1.5 * (2 * fused_BA - 1).abs()
    return torch.where(right_BA, good_BA, bad_BA) + 0.3 * (1 - (2 * alpha - 1).abs())

"""Rivals without a network: one mixture for all windows, and the larger of both scores.

Legend: B = windows, S = numbers of a state, A = actions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphwright.tasks.canbus.fusion.heads import ActionHead, FusionHead, HeadStep
from graphwright.tasks.canbus.fusion.reward import THRESHOLD
from graphwright.tasks.canbus.model_configs import AverageConfig, MaxConfig

__all__ = ["AverageHead", "MaxHead"]


class AverageHead(ActionHead):
    """The mixture with the best F1 of the attack class on all training windows seen so far.

    Of several that are equally good the one closest to the middle is taken.

    Args:
        config: number of mixtures.
        width, classifier, seed: see `FusionHead`.
    """

    def __init__(self, config: AverageConfig, width: int, classifier: int, seed: int) -> None:
        super().__init__(width, classifier, config.actions, seed)
        self.register_buffer("counts", torch.zeros(2, config.actions, dtype=torch.float64))
        self.counts: Tensor  # true positives; false positives and negatives

    @property
    def best(self) -> Tensor:
        """The action, a scalar."""
        hits_A, faults_A = self.counts
        f1_A = 2 * hits_A / (2 * hits_A + faults_A).clamp(min=1)
        middle_A = 1 - (2 * self.alphas - 1).abs()
        # counts are whole numbers below 10^8, so two different F1 differ by more than 10^-16
        return torch.where(f1_A == f1_A.max(), middle_A, -1.0).argmax()

    def choose(self, states_BS: Tensor) -> Tensor:
        """The same action for all `[B]`."""
        return self.best.expand(len(states_BS))

    def train_step(self, states_BS: Tensor, label_B: Tensor) -> HeadStep:
        """Count what every mixture gets right."""
        anomaly_B, p_B = (score_B[:, None] for score_B in self.scores(states_BS))
        alarm_BA = (1 - self.alphas) * anomaly_B + self.alphas * p_B > THRESHOLD
        attack_B1 = (label_B > 0)[:, None]
        self.counts[0] += (alarm_BA & attack_B1).sum(0)
        self.counts[1] += (alarm_BA != attack_B1).sum(0)
        done = super().train_step(states_BS, label_B)
        return HeadStep(done.loss, {"alpha": self.alphas[self.best]})


class MaxHead(FusionHead):
    """The larger of both scores; nothing is trained.

    Args:
        config: has no fields.
        width, classifier, seed: see `FusionHead`.
    """

    def __init__(self, config: MaxConfig, width: int, classifier: int, seed: int) -> None:
        super().__init__(width, classifier, seed)

    def forward(self, states_BS: Tensor) -> Tensor:
        """Fused score `[B]`."""
        return torch.maximum(*self.scores(states_BS))

"""A small network from both summaries straight to a score."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from graphwright.tasks.canbus.fusion.heads import FusionHead, HeadStep
from graphwright.tasks.canbus.model_configs import MLPConfig

__all__ = ["MLPHead"]


class MLPHead(FusionHead):
    """Trained with the log loss.

    Args:
        config: sizes.
        width, classifier, seed: see `FusionHead`.
    """

    def __init__(self, config: MLPConfig, width: int, classifier: int, seed: int) -> None:
        super().__init__(width, classifier, seed)
        sizes = [width, *config.hidden_dims]
        hidden: list[nn.Module] = []
        for a, b in pairwise(sizes):
            hidden += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(config.dropout)]
        self.network = nn.Sequential(*hidden, nn.Linear(sizes[-1], 1))

    def forward(self, states_BS: Tensor) -> Tensor:
        """Fused score `[B]`."""
        logit_B1: Tensor = self.network(self.context(states_BS))
        return logit_B1[:, 0].sigmoid()

    def train_step(self, states_BS: Tensor, label_B: Tensor) -> HeadStep:
        """Log loss with its gradient."""
        return HeadStep(self.log_loss(states_BS, label_B))

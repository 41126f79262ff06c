"""What every head of a fusion has in common.

Legend: B = windows, S = numbers of a state, A = actions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from graphwright.tasks.canbus.fusion.reward import mix, mixtures, reward
from graphwright.tasks.canbus.model_configs import FusionConfig

__all__ = ["ActionHead", "FusionHead", "HeadStep", "build_head", "step_generator"]


@dataclass(frozen=True)
class HeadStep:
    """One batch's loss and what there is to see; scalars."""

    loss: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


class FusionHead(nn.Module):
    """State to a fused score.

    Args:
        width: S.
        classifier: column of p_attack; that of the anomaly is 0.
        seed: of what training tries.
    """

    def __init__(self, width: int, classifier: int, seed: int = 0) -> None:
        super().__init__()
        self.width, self.classifier, self.seed = width, classifier, seed
        # A head without weights still gives the training loop a loss with a gradient.
        self.anchor = nn.Parameter(torch.empty(0))

    @abstractmethod
    def forward(self, states_BS: Tensor) -> Tensor:
        """Fused score `[B]` in 0..1."""

    def train_step(self, states_BS: Tensor, label_B: Tensor) -> HeadStep:
        """Learn from a batch; here nothing."""
        return HeadStep(self.log_loss(states_BS, label_B) + self.anchor.sum())

    def step(self, states_BS: Tensor, label_B: Tensor) -> HeadStep:
        """A step of training in training mode; otherwise the log loss, by which heads compare."""
        if self.training:
            return self.train_step(states_BS, label_B)
        with torch.no_grad():
            return HeadStep(self.log_loss(states_BS, label_B))

    def log_loss(self, states_BS: Tensor, label_B: Tensor) -> Tensor:
        """Binary cross entropy of the fused score, a scalar."""
        fused_B = self(states_BS)
        bounded_B = fused_B.clamp(1e-6, 1 - 1e-6)
        return binary_cross_entropy(bounded_B, (label_B > 0).to(fused_B.dtype))

    def scores(self, states_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Anomaly and p_attack, each `[B]`."""
        return states_BS[:, 0], states_BS[:, self.classifier]

    def context(self, states_BS: Tensor) -> Tensor:
        """States on a common scale, sign(x) log(1 + |x|): nothing to fit, nothing explodes."""
        return states_BS.sign() * states_BS.abs().log1p()


class ActionHead(FusionHead):
    """A head that chooses how to mix both scores.

    Args:
        width, classifier, seed: see `FusionHead`.
        actions: A.
    """

    def __init__(self, width: int, classifier: int, actions: int, seed: int = 0) -> None:
        super().__init__(width, classifier, seed)
        self.register_buffer("alphas", mixtures(actions), persistent=False)
        self.alphas: Tensor

    @abstractmethod
    def choose(self, states_BS: Tensor) -> Tensor:
        """The best action of each window as far as the head knows, `[B]` int64."""

    def forward(self, states_BS: Tensor) -> Tensor:
        """Fused score `[B]` of the chosen mixtures."""
        return mix(*self.scores(states_BS), self.alphas[self.choose(states_BS)])

    def rewards(self, states_BS: Tensor, label_B: Tensor) -> Tensor:
        """Of every action `[B, A]`."""
        return reward(*self.scores(states_BS), label_B, self.alphas)


def step_generator(seed: int, step: int) -> torch.Generator:
    """Random numbers that depend on seed and step alone: a resumed run draws the same."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


def build_head(config: FusionConfig, width: int, classifier: int, seed: int) -> FusionHead:
    """The head that a configuration names.

    Args:
        config: of the head.
        width: S.
        classifier: column of p_attack.
        seed: of what training tries.
    """
    from graphwright.tasks.canbus.fusion import average, bandit, dqn, mlp

    kinds: dict[str, Callable[[Any, int, int, int], FusionHead]] = {
        "average": average.AverageHead,
        "bandit": bandit.BanditHead,
        "dqn": dqn.DQNHead,
        "max": average.MaxHead,
        "mlp": mlp.MLPHead,
    }
    return kinds[config.name](config, width, classifier, seed)

"""LinUCB with an own linear model for each mixture: Li et al., WWW 2010,
https://arxiv.org/abs/1003.0146 (algorithm 1).

Legend: B = windows, X = context: the state and a constant, A = actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from graphwright.tasks.canbus.fusion.heads import ActionHead, HeadStep
from graphwright.tasks.canbus.model_configs import BanditConfig

__all__ = ["BanditHead"]


class BanditHead(ActionHead):
    """theta_a = (ridge I + sum x x')^-1 sum r x; it tries the largest theta_a x + exploration sd.

    Training updates sums batch by batch; there is nothing for an optimizer. In use the action with
    the largest expected reward is taken, without exploration.

    Args:
        config: actions, exploration and ridge.
        width, classifier, seed: see `FusionHead`.
    """

    def __init__(self, config: BanditConfig, width: int, classifier: int, seed: int) -> None:
        super().__init__(width, classifier, config.actions, seed)
        self.exploration, size = config.exploration, width + 1
        eye = torch.eye(size, dtype=torch.float64)
        none_AX = torch.zeros(config.actions, size, dtype=torch.float64)
        self.register_buffer("covariance", config.ridge * eye.repeat(config.actions, 1, 1))
        self.register_buffer("earned", none_AX)
        self.register_buffer("theta", none_AX.clone())
        self.covariance: Tensor
        self.earned: Tensor
        self.theta: Tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """The sums of a training stay double, whatever precision the model is moved to."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name in ("covariance", "earned", "theta"):
            setattr(self, name, getattr(self, name).double())
        return self

    def choose(self, states_BS: Tensor) -> Tensor:
        """Action of the largest expected reward `[B]`."""
        return (self._vectors(states_BS) @ self.theta.t()).argmax(1)

    @torch.no_grad()
    def train_step(self, states_BS: Tensor, label_B: Tensor) -> HeadStep:
        """Try the most promising mixtures, see what they earn, and update their models."""
        x_BX = self._vectors(states_BS)
        action_B = (x_BX @ self.theta.t() + self.exploration * self._spread(x_BX)).argmax(1)
        earned_B = self.rewards(states_BS, label_B).gather(1, action_B[:, None])[:, 0].double()
        self.covariance.index_add_(0, action_B, x_BX[:, :, None] * x_BX[:, None, :])
        self.earned.index_add_(0, action_B, earned_B[:, None] * x_BX)
        self.theta.copy_(torch.linalg.solve(self.covariance, self.earned))
        with torch.enable_grad():
            loss = self.log_loss(states_BS, label_B) + self.anchor.sum()
        return HeadStep(loss, {"reward": earned_B.mean()})

    def _vectors(self, states_BS: Tensor) -> Tensor:
        context_BS = self.context(states_BS).double()
        return torch.cat([context_BS, context_BS.new_ones(len(context_BS), 1)], dim=1)

    def _spread(self, x_BX: Tensor) -> Tensor:
        """Standard deviation of each action's expectation `[B, A]`."""
        solved_AXB = torch.linalg.solve(self.covariance, x_BX.t().expand(len(self.alphas), -1, -1))
        return torch.einsum("bx,axb->ba", x_BX, solved_AXB).clamp(min=0).sqrt()

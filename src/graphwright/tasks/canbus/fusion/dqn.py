"""A deep Q network chooses how to mix both scores.

Mnih et al., Nature 2015; double Q-learning: van Hasselt et al., https://arxiv.org/abs/1509.06461.
Windows are independent of the action taken, so that the discount is 0 by default and this is a
contextual bandit; with a discount above 0 the next window of the batch counts as the next state.

Legend: B = windows, S = numbers of a state, A = actions.
"""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from graphwright.tasks.canbus.fusion.heads import ActionHead, HeadStep, step_generator
from graphwright.tasks.canbus.model_configs import DQNConfig

__all__ = ["DQNHead"]


class DQNHead(ActionHead):
    """Q values of all mixtures; the largest one is taken.

    Args:
        config: sizes and exploration.
        width, classifier, seed: see `FusionHead`.
    """

    def __init__(self, config: DQNConfig, width: int, classifier: int, seed: int) -> None:
        super().__init__(width, classifier, config.actions, seed)
        self.config = config
        sizes = [width, *config.hidden_dims]
        hidden: list[nn.Module] = []
        for a, b in pairwise(sizes):
            hidden += [nn.Linear(a, b), nn.ReLU()]
        self.online = nn.Sequential(*hidden, nn.Linear(sizes[-1], config.actions))
        self.target = deepcopy(self.online).requires_grad_(False)
        self.register_buffer("steps", torch.tensor(0))
        self.steps: Tensor

    @property
    def epsilon(self) -> float:
        """Share of windows for which training tries any mixture; decays with every step."""
        c = self.config
        left = math.exp(-self.steps.item() / c.epsilon_decay_steps)
        return c.epsilon_end + (c.epsilon_start - c.epsilon_end) * left

    def choose(self, states_BS: Tensor) -> Tensor:
        """Action of the largest Q value `[B]`."""
        q_BA: Tensor = self.online(self.context(states_BS))
        return q_BA.argmax(1)

    def train_step(self, states_BS: Tensor, label_B: Tensor) -> HeadStep:
        """Try mixtures, see what they earn, and move the Q values of those tried."""
        q_BA = self.online(self.context(states_BS))
        action_B1 = self.explore(q_BA.detach().argmax(1))[:, None]
        earned_B1 = self.rewards(states_BS, label_B).gather(1, action_B1)
        wanted_B1 = earned_B1 + self.config.discount * self._next_values(states_BS)
        loss = smooth_l1_loss(q_BA.gather(1, action_B1), wanted_B1)
        metrics = {"reward": earned_B1.mean(), "epsilon": loss.new_tensor(self.epsilon)}
        self._advance()
        return HeadStep(loss, metrics)

    def explore(self, greedy_B: Tensor) -> Tensor:
        """The greedy actions `[B]`, a share of epsilon of them replaced by any action."""
        generator = step_generator(self.seed, int(self.steps))
        size = len(greedy_B)
        tried_B = torch.rand(size, generator=generator) < self.epsilon
        any_B = torch.randint(len(self.alphas), (size,), generator=generator)
        return torch.where(tried_B.to(greedy_B.device), any_B.to(greedy_B.device), greedy_B)

    @torch.no_grad()
    def _next_values(self, states_BS: Tensor) -> Tensor:
        """The target network's value of what the trained one would choose next `[B, 1]`."""
        if self.config.discount == 0:
            return states_BS.new_zeros(len(states_BS), 1)
        after_BS = self.context(states_BS.roll(-1, 0))
        best_B1 = self.online(after_BS).argmax(1, keepdim=True)
        return self.target(after_BS).gather(1, best_B1)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _advance(self) -> None:
        self.steps += 1
        pairs = zip(self.target.parameters(), self.online.parameters(), strict=True)
        for slow, fast in pairs:
            slow.lerp_(fast, self.config.target_rate)

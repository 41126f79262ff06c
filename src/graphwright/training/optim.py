"""Optimizers and learning-rate schedules from the configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from graphwright.config.schema import OptimizerConfig, SchedulerConfig

__all__ = ["Schedule", "build_optimizer", "gradient_norm"]


def build_optimizer(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> Optimizer:
    """The optimizer named by the configuration."""
    if config.name == "sgd":
        return SGD(
            parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
    kind = Adam if config.name == "adam" else AdamW
    return kind(parameters, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay)


class Schedule:
    """A learning-rate schedule that the loop steps at two points and that can be saved.

    Lightning steps schedulers itself, but not exactly over a restart: a plateau is skipped there.

    Args:
        optimizer: whose rate moves.
        config: which schedule.
        steps_per_epoch: optimizer steps in an epoch.
        epochs: of the whole training.
        higher_is_better: direction of the monitored value.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        config: SchedulerConfig,
        *,
        steps_per_epoch: int,
        epochs: int,
        higher_is_better: bool,
    ) -> None:
        self._optimizer = optimizer
        self._cosine: LambdaLR | None = None
        self._plateau: ReduceLROnPlateau | None = None
        if config.name == "cosine":
            warmup = round(config.warmup_epochs * steps_per_epoch)
            total = max(1, epochs * steps_per_epoch)
            floor = config.min_lr / optimizer.param_groups[0]["lr"]
            self._cosine = LambdaLR(optimizer, _CosineFactor(warmup, total, floor))
        elif config.name == "plateau":
            self._plateau = ReduceLROnPlateau(
                optimizer,
                mode="max" if higher_is_better else "min",
                factor=config.factor,
                patience=config.patience,
                min_lr=config.min_lr,
            )

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after_step(self) -> None:
        """Called after each optimizer step."""
        if self._cosine is not None:
            self._cosine.step()

    def after_validation(self, monitored: float) -> None:
        """Called after each validation with the monitored value."""
        if self._plateau is not None:
            self._plateau.step(monitored)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers only."""
        active = self._cosine or self._plateau
        if active is None:
            return {}
        kept = {k: v for k, v in active.state_dict().items() if isinstance(v, int | float | list)}
        kept.pop("lr_lambdas", None)  # our own factor, which the configuration gives again
        return {**kept, "lrs": [group["lr"] for group in self._optimizer.param_groups]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        active = self._cosine or self._plateau
        if active is None:
            return
        active.__dict__.update({k: v for k, v in state.items() if k != "lrs"})
        for group, lr in zip(self._optimizer.param_groups, state["lrs"], strict=True):
            group["lr"] = lr


class _CosineFactor:
    """Linear warm-up, then half a cosine to the floor (Loshchilov & Hutter, ICLR 2017)."""

    def __init__(self, warmup: int, total: int, floor: float) -> None:
        self.warmup, self.total, self.floor = warmup, total, floor

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = min(1.0, (step - self.warmup) / max(1, self.total - self.warmup))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))


def gradient_norm(parameters: Iterable[nn.Parameter], clip: float) -> torch.Tensor:
    """The norm of all gradients, before they are clipped to `clip` (0 does not clip)."""
    return torch.nn.utils.clip_grad_norm_(parameters, clip if clip > 0 else math.inf)

"""Kernel warm-up: the first, slow step is done on throw-away copies.

On CUDA the first forward, backward and optimizer step load kernels and plan algorithms. Doing that
on copies keeps it out of the first real step, and changes neither weights, optimizer state, random
state nor the loader.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from graphwright.training.random_state import get_random_state, set_random_state

__all__ = ["warm_up"]


def warm_up(
    model: nn.Module,
    build_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
    loss_of: Callable[[nn.Module, Any], Tensor],
    batch: Any,
    *,
    steps: int = 2,
) -> None:
    """Run forward, backward and optimizer on copies of the model.

    Args:
        model: left untouched.
        build_optimizer: makes an optimizer for the copy's parameters.
        loss_of: the training loss of a model on a batch.
        batch: any batch of the usual size, on the model's device.
        steps: how often.
    """
    state = get_random_state()
    try:
        twin = copy.deepcopy(model).train()
        optimizer = build_optimizer(twin.parameters())
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(twin, batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    finally:
        set_random_state(state)

"""Training without a run: no folder, no checkpoint, no validation. For searches and benchmarks that
train hundreds of small models.

The same batches, optimizer, schedule, clipping and averaging as `engine.fit`, in a plain loop. All
parameters lie in one vector, so that the optimizer starts one operator and not one for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from graphwright.config.schema import TaskConfig, TrainingConfig
from graphwright.data.batch import GraphBatch
from graphwright.data.loader import Loader
from graphwright.data.source import SampleSource
from graphwright.data.split_batch import split_batch
from graphwright.errors import ConfigError
from graphwright.training.optim import Schedule, build_optimizer, gradient_norm
from graphwright.training.task import Task

__all__ = ["fit_in_memory"]

_GATHERED = 32  # batches
M = TypeVar("M", bound=nn.Module)


def fit_in_memory(task: Task[Any, Any], model: M, source: SampleSource, *, seed: int) -> M:
    """Train a model as `task.config` says, but for the validation; keeps the last weights.

    Args:
        task: gives the loss (`Task.step`) and the configuration.
        model: trained in place, on the device and in the precision it is in.
        source: training samples.
        seed: of the order of the samples and of dropout. Torch's own random state stays as it was.

    Returns:
        The model, in eval mode.

    Raises:
        ConfigError: a schedule that follows the validation.
        FloatingPointError: the loss of the last batch is not finite.
    """
    config: TaskConfig = task.config
    if config.training.scheduler.name == "plateau":
        raise ConfigError(
            "training.scheduler.name=plateau needs a validation, and there is none here",
            fix="choose cosine or none",
        )
    loading = config.loading
    loader = Loader(
        source,
        batch_size=loading.batch_size,
        max_size=loading.max_size or None,
        seed=seed,
        shuffle=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _train(task, model.train(), loader, config.training)
    return model.eval()


def _train(task: Task[Any, Any], model: nn.Module, loader: Loader, config: TrainingConfig) -> None:
    parameters = [p for p in model.parameters() if p.requires_grad]
    flat = _flattened(parameters)
    optimizer = build_optimizer([flat], config.optimizer)
    optimizer.param_groups[0]["fused"] = flat.is_floating_point()
    schedule = Schedule(
        optimizer,
        config.scheduler,
        steps_per_epoch=len(loader),
        epochs=config.epochs,
        higher_is_better=task.higher_is_better,
    )
    average: Tensor | None = None
    loss = flat.new_zeros(())
    for epoch in range(config.epochs):
        for batch in _batches(loader, epoch):
            loss = task.step(model, batch, "train").loss
            loss.backward()  # type: ignore[no-untyped-call]
            if config.gradient_clip:
                gradient_norm([flat], config.gradient_clip)
            optimizer.step()
            flat.grad.zero_()  # type: ignore[union-attr]
            schedule.after_step()
            if config.ema_decay:
                average = _averaged(average, flat, config.ema_decay)
    if not loss.isfinite():
        raise FloatingPointError(f"the loss is {loss.item()} at the end of the training")
    _release(parameters, flat if average is None else average)


def _batches(loader: Loader, epoch: int) -> Iterator[Any]:
    """Exactly the loader's, but many graphs are gathered at once."""
    plan = loader.plan(epoch)
    for start in range(0, len(plan), _GATHERED):
        indices = plan[start : start + _GATHERED]
        large = loader.source.batch(np.concatenate(indices))
        if isinstance(large, GraphBatch):
            yield from split_batch(large, [len(index) for index in indices])
        else:
            yield from map(loader.source.batch, indices)


def _flattened(parameters: list[nn.Parameter]) -> nn.Parameter:
    """One vector that all parameters, and their gradients, are views of from now on."""
    flat = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
    flat.grad = torch.zeros_like(flat)
    sizes = [p.numel() for p in parameters]
    pieces = torch.split(flat.detach(), sizes), torch.split(flat.grad, sizes)
    for parameter, values, gradient in zip(parameters, *pieces, strict=True):
        parameter.data = values.view(parameter.shape)
        parameter.grad = gradient.view(parameter.shape)
    return flat


def _release(parameters: list[nn.Parameter], flat: Tensor) -> None:
    """Give every parameter memory of its own again, with these values, and no gradient."""
    pieces = torch.split(flat.detach(), [p.numel() for p in parameters])
    for parameter, values in zip(parameters, pieces, strict=True):
        parameter.data = values.view(parameter.shape).clone()
        parameter.grad = None


@torch.no_grad()
def _averaged(average: Tensor | None, flat: Tensor, decay: float) -> Tensor:
    return flat.detach().clone() if average is None else average.lerp_(flat, 1 - decay)

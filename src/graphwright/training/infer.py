"""A model over a whole source, without gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from graphwright.data.loader import Loader
from graphwright.data.source import SampleSource
from graphwright.training.task import Columns, Infer, Task

__all__ = ["model_dtype", "over_batch", "over_source"]


def over_source(
    task: Task[Any, Any], model: nn.Module, *, batch_size: int, explain: bool = False
) -> Infer:
    """A function from a source to the model's predictions, rows in the source's order.

    Args:
        task: whose `predict` is called.
        model: on its device, in its precision; put into eval mode here.
        batch_size: samples at a time.
        explain: also the columns of `Task.explain`.
    """

    def infer(source: SampleSource) -> Columns:
        model.eval()
        loader = Loader(source, batch_size=batch_size, seed=0, shuffle=False)
        device, dtype = model_dtype(model)
        with torch.inference_mode():
            batches = (batch.to(device, dtype=dtype) for batch in loader)
            parts = (_answer(task, model, batch, explain) for batch in batches)
            return task.finish_predictions(_stack(parts))

    return infer


def over_batch(
    task: Task[Any, Any], model: nn.Module, batch: Any, *, explain: bool = False
) -> Columns:
    """The model's predictions for one batch, without what only a whole input can tell.

    Args:
        task: whose `predict` is called.
        model: on its device, in its precision and in eval mode.
        batch: on the host.
        explain: also the columns of `Task.explain`.
    """
    device, dtype = model_dtype(model)
    with torch.inference_mode():
        return _stack([_answer(task, model, batch.to(device, dtype=dtype), explain)])


def model_dtype(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and floating type of a model's first floating parameter or buffer."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


def _answer(
    task: Task[Any, Any], model: nn.Module, batch: Any, explain: bool
) -> Mapping[str, Tensor]:
    columns = task.predict(model, batch)
    return {**columns, **task.explain(model, batch)} if explain else columns


def _stack(parts: Iterable[Mapping[str, Tensor]]) -> Columns:
    collected: dict[str, list[np.ndarray]] = {}
    for part in parts:
        for name, tensor in part.items():
            values = tensor.double() if tensor.is_floating_point() else tensor
            collected.setdefault(name, []).append(values.cpu().numpy())
    return {name: np.concatenate(arrays) for name, arrays in collected.items()}

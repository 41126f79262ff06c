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

__all__ = ["model_dtype", "over_source"]


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

    def answer(batch: Any) -> Mapping[str, Tensor]:
        columns = task.predict(model, batch)
        return {**columns, **task.explain(model, batch)} if explain else columns

    def infer(source: SampleSource) -> Columns:
        model.eval()
        loader = Loader(source, batch_size=batch_size, seed=0, shuffle=False)
        device, dtype = model_dtype(model)
        with torch.inference_mode():
            parts = (answer(batch.to(device, dtype=dtype)) for batch in loader)
            return task.finish_predictions(_stack(parts))

    return infer


def model_dtype(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and floating type of a model's first floating parameter or buffer."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


def _stack(parts: Iterable[Mapping[str, Tensor]]) -> Columns:
    collected: dict[str, list[np.ndarray]] = {}
    for part in parts:
        for name, tensor in part.items():
            values = tensor.double() if tensor.is_floating_point() else tensor
            collected.setdefault(name, []).append(values.cpu().numpy())
    return {name: np.concatenate(arrays) for name, arrays in collected.items()}

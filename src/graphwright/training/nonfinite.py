"""Which tensor went bad first, when a loss is no longer finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["first_bad_tensor"]


def first_bad_tensor(model: nn.Module, batch: Any, run: Callable[[], Any]) -> str:
    """Look at weights, then inputs, then every module's output in order of execution.

    Args:
        model: the model as it was when the loss went bad.
        batch: the batch that did it.
        run: computes the loss once more.

    Returns:
        A description such as "output of layers.2.update (12 of 4096 values)".
    """
    for name, parameter in model.named_parameters():
        if found := _describe(parameter, f"parameter {name}"):
            return found
    for name, tensor in _tensors(batch, "batch"):
        if found := _describe(tensor, f"input {name}"):
            return found
    return _first_bad_output(model, run) or "the loss itself"


def _first_bad_output(model: nn.Module, run: Callable[[], Any]) -> str | None:
    bad: list[str] = []

    def hook(name: str) -> Callable[..., None]:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            for part, tensor in _tensors(output, ""):
                if not bad and (found := _describe(tensor, f"output of {name}{part}")):
                    bad.append(found)

        return look

    handles = [
        module.register_forward_hook(hook(name or type(model).__name__))
        for name, module in model.named_modules()
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return bad[0] if bad else None


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _tensors(item, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _tensors(item, f"{name}[{position}]")
    elif hasattr(value, "__dataclass_fields__"):
        for key in value.__dataclass_fields__:
            yield from _tensors(getattr(value, key), f"{name}.{key}")


def _describe(tensor: Tensor, name: str) -> str | None:
    if not tensor.is_floating_point():
        return None
    bad = int((~torch.isfinite(tensor)).sum())
    return f"{name} ({bad} of {tensor.numel()} values are not finite)" if bad else None

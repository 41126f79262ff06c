"""Hyperparameters of modules, from their attributes; numbers by name.

Every value is a number. Tuples are expanded (`kernel_size_0`, `kernel_size_1`); an int that a 2d
operation repeats over its dimensions is expanded too. A word that is not the default is an
indicator (`mode=bilinear`: 1). None, an infinite value, a tensor: absent.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from torch import nn

__all__ = ["collect", "module_hyperparameters"]

# Not properties of an architecture: how it is computed, where, and whether it trains now.
_LEFT_OUT = frozenset(
    {
        "self",
        "args",
        "kwargs",
        "device",
        "dtype",
        "layout",
        "pin_memory",
        "inplace",
        "train",
        "training",
        "return_indices",
        "return_type",
        "non_blocking",
        "copy",
        "memory_format",
        "cudnn_enable",
        "cudnn_enabled",
        "benchmark",
        "deterministic",
        "allow_tf32",
        "generator",
        "out",
        "names",
        "enable_gqa",
        "sparse",
        "scale_grad_by_freq",
        "implicit",
        "antialias",
        "recompute_scale_factor",
    }
)
_PER_DIMENSION = frozenset(
    {
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "output_size",
        "output_padding",
        "size",
    }
)


def module_hyperparameters(module: nn.Module, cls: type[nn.Module]) -> dict[str, float]:
    """Hyperparameters of a module that is one node: its constructor's arguments, as it keeps them.

    Args:
        module: with any weights, on any device.
        cls: its class of torch.nn (`leaf_class`).
    """
    values: dict[str, tuple[Any, Any]] = {}
    arguments: Mapping[str, Any] = _constructor(cls)  # type: ignore[arg-type] # it is hashable
    for name, default in arguments.items():
        value = getattr(module, name, None)
        if name == "bias":
            value = _has_bias(module, value)
        if name == "padding" and isinstance(value, str):
            value = _named_padding(module, value)
        values[name] = (value, default)
    return collect(cls.__name__, values)


def collect(owner: str, values: Mapping[str, tuple[Any, Any]]) -> dict[str, float]:
    """Numbers among the values of an operation's arguments.

    Args:
        owner: name of the operation; one that ends in 1d, 2d or 3d has a size per dimension.
        values: value and default of each argument.
    """
    found: dict[str, float] = {}
    for name, (value, default) in values.items():
        if name in _LEFT_OUT or name.startswith("_"):
            continue
        if isinstance(value, str) and value == default:
            continue
        found.update(_numbers(name, _repeated(owner, name, value)))
    return found


@cache
def _constructor(cls: Any) -> dict[str, Any]:
    """Names and defaults of the constructor's arguments, in order.

    One that has *args or **kwargs hands them to its parent: the parent's arguments follow.
    """
    found: dict[str, Any] = {}
    for parent in cls.__mro__:
        own = vars(parent).get("__init__")
        if own is None or parent is nn.Module:
            continue
        parameters = inspect.signature(own).parameters
        for name, parameter in parameters.items():
            found.setdefault(name, parameter.default)
        if not any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters.values()):
            break
    if issubclass(cls, nn.modules.batchnorm._NormBase):
        found.pop("bias", None)  # newer versions of torch have it; `affine` says enough
    if issubclass(cls, nn.RNNBase):
        found.pop("mode", None)  # the type says it
    return found


def _has_bias(module: nn.Module, value: object) -> bool:
    if isinstance(module, nn.MultiheadAttention):
        return module.in_proj_bias is not None
    return value is not None and value is not False


def _named_padding(module: Any, value: str) -> object:
    """'same' and 'valid' in numbers: what is added before each dimension."""
    if value == "valid":
        return (0,) * len(module.kernel_size)
    if value == "same":
        pairs = zip(module.kernel_size, module.dilation, strict=True)
        return tuple(d * (k - 1) // 2 for k, d in pairs)
    return value


def _repeated(owner: str, name: str, value: Any) -> Any:
    """An int of a 2d operation, once for each of its dimensions."""
    dimensions = owner[-2:-1] if owner.endswith("d") else ""
    if name not in _PER_DIMENSION or dimensions not in ("1", "2", "3"):
        return value
    if isinstance(value, tuple | list) and len(value) == 1:
        value = value[0]
    if name == "stride" and isinstance(value, tuple | list) and not value:
        return None
    return (value,) * int(dimensions) if isinstance(value, bool | int | float) else value


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Numbers of one argument, by name; nothing for None, tensors, slices and infinities."""
    if isinstance(value, str):
        yield f"{name}={value}", 1.0
    elif isinstance(value, bool | int | float):
        if math.isfinite(value):
            yield name, float(value)
    elif isinstance(value, tuple | list):
        for i, part in enumerate(value):
            yield from _numbers(f"{name}_{i}", part)

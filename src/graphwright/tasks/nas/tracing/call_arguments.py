"""Hyperparameters of calls of functions, methods and operators: their arguments, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch.fx import Node

from graphwright.tasks.nas.tracing.hyperparameters import collect

__all__ = ["call_hyperparameters"]

# Their arguments are sizes of an input, not of the architecture.
_SIZES = frozenset({"view", "reshape", "expand"})

Bound = dict[str, tuple[Any, Any]]  # name -> value, default


def call_hyperparameters(
    name: str, function: object, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, float]:
    """Hyperparameters of a function or method: its arguments that are numbers, by name.

    Args:
        name: of the operation ("flatten"), for the schemas that torch has under it.
        function: what is called, if it has a Python signature; an operator of torch.export.
        args, kwargs: of the call; tensors are nodes of torch.fx.

    Returns:
        {} for sizes of views, and where nobody knows the names of the arguments.
    """
    if name in _SIZES:
        return {}
    bound = _bound(name, function, args, kwargs)
    if bound.get("alpha", (0, 0))[0] == 1:
        bound.pop("alpha")  # x + 1·y
    return collect(name, bound)


def _bound(name: str, function: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Bound:
    if isinstance(function, torch._ops.OpOverload):
        return _bind_schema(function._schema, args, kwargs, strict=False) or {}
    bound = _bind_python(function, args, kwargs) if callable(function) else None
    if bound is not None:
        return bound
    for schema in _schemas(name):
        bound = _bind_schema(schema, args, kwargs)
        if bound is not None:
            return bound
    return {key: (value, None) for key, value in kwargs.items()}


def _bind_python(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Bound | None:
    """By a Python function's signature; None where it has none, or only *args."""
    if getattr(function, "__module__", None) in ("_operator", "builtins"):
        return None
    try:
        signature = inspect.signature(function)
        bound = signature.bind(*args, **kwargs)
    except (TypeError, ValueError):
        return None
    kinds = {p.kind for p in signature.parameters.values()}
    if inspect.Parameter.VAR_POSITIONAL in kinds or not kinds:
        return None
    bound.apply_defaults()
    return {k: (v, signature.parameters[k].default) for k, v in bound.arguments.items()}


@lru_cache(maxsize=1024)
def _schemas(name: str) -> tuple[Any, ...]:
    """Schemas of `aten::name`, in a fixed order."""
    packet = getattr(torch.ops.aten, name, None)
    if packet is None:
        return ()
    names = sorted(packet.overloads(), key=lambda o: (o != "default", o))
    schemas = (getattr(packet, overload)._schema for overload in names)
    # some overloads are for numbers: aten::mul(Scalar a, Scalar b)
    return tuple(s for s in schemas if s.arguments and "Tensor" in str(s.arguments[0].type))


def _bind_schema(
    schema: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, strict: bool = True
) -> Bound | None:
    """Arguments by a schema of torch, defaults filled in; None where the call does not fit it.

    Args:
        schema: of one overload.
        args, kwargs: of the call.
        strict: also compare types, to choose among overloads.
    """
    arguments = schema.arguments
    positional = [a for a in arguments if not a.kwarg_only]
    args = _gathered(positional, args)
    if len(args) > len(positional):
        return None
    given = {a.name: value for a, value in zip(positional, args, strict=False)} | dict(kwargs)
    if not given.keys() <= {a.name for a in arguments}:
        return None
    bound: Bound = {}
    for argument in arguments:
        default = argument.default_value if argument.has_default_value() else None
        if argument.name not in given and not argument.has_default_value():
            return None
        value = given.get(argument.name, default)
        if strict and not _fits(value, str(argument.type)):
            return None
        is_list = "List[" in str(argument.type)
        bound[argument.name] = ((value,) if is_list and _is_scalar(value) else value, default)
    return bound


def _gathered(positional: Sequence[Any], args: Sequence[Any]) -> Sequence[Any]:
    """`x.view(2, -1)` has its sizes one by one; the schema has a list."""
    if len(positional) < 2 or len(args) < 3 or "List[int]" not in str(positional[1].type):
        return args
    if isinstance(args[1], tuple | list):
        return args
    is_all = len(positional) == 2 or len(args) > len(positional)
    return (args[0], tuple(args[1:])) if is_all else args


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, Node):
        return True
    if value is None:
        return kind.startswith("Optional")
    if isinstance(value, str):
        return "str" in kind
    if kind == "bool":
        return isinstance(value, bool)
    if _is_scalar(value):
        return "Tensor" not in kind and "str" not in kind
    if isinstance(value, tuple | list):
        return "List" in kind
    return True


def _is_scalar(value: object) -> bool:
    return isinstance(value, bool | int | float)

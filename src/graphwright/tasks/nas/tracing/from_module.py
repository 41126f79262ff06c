"""Any `torch.nn.Module` as a graph of its operations, without its weights.

Everything happens on the meta device, which has shapes and no values: a network of any size costs
what its Python objects cost. torch.fx is tried first; it needs no input. Where it fails and
example inputs are known, torch.export runs the module once on meta tensors.

Types: a module's class ("Conv2d"), "function:add", "method:view", "input", "output", "parameter",
"buffer". Both tracers share them; `trace_export` says where they differ.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import Arch
from graphwright.tasks.nas.tracing.builders import Builder, name_of
from graphwright.tasks.nas.tracing.flops import count_flops, count_params
from graphwright.tasks.nas.tracing.module_leaves import leaf_class
from graphwright.tasks.nas.tracing.trace_export import trace_export
from graphwright.tasks.nas.tracing.trace_fx import FxFailedError, trace_fx
from graphwright.tasks.nas.tracing.trace_steps import Step, assemble

__all__ = ["Example", "from_module"]

Example = Sequence[tuple[int, ...] | Tensor]


def from_module(build: nn.Module | Callable[[], Any], example: Example | None = None) -> Arch:
    """The graph of a module's operations as it runs in evaluation mode.

    Args:
        build: a module, which is neither copied nor changed; or a function that builds one (it is
            called on the meta device) and may return (module, example).
        example: one entry for each input: a shape (of float32) or a tensor (whose values are not
            read). Needed for flops, and where the module's course depends on shapes.

    Returns:
        features: params; flops (2 for each multiply-add; absent without example, or where they
        cannot be counted); depth (edges of the longest path); nodes.

    Raises:
        DataError: the function fails or returns no module; a module that neither tracer can
            follow; an example that it does not take.
    """
    module, example = _on_meta(build, example)
    inputs = None if example is None else [_meta_input(entry) for entry in example]
    features = {"params": float(count_params(module))}
    flops = None if inputs is None else count_flops(module, inputs)
    if flops is not None:
        features["flops"] = float(flops)
    return assemble(_traced(module, inputs), features)


def _on_meta(
    build: nn.Module | Callable[[], Any], example: Example | None
) -> tuple[nn.Module, Example | None]:
    """The module with meta tensors for weights, in evaluation mode, and its example inputs."""
    module: Any = build
    if not isinstance(build, nn.Module):
        builder = build if isinstance(build, Builder) else Builder(build, name_of(build))
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about modules that will not run
            module = builder()
        if isinstance(module, tuple):
            module, own = module
            example = own if example is None else example
    for path, part in module.named_modules():
        if any(is_lazy(tensor) for tensor in part.parameters(recurse=False)):
            raise DataError(
                f"{path or 'the module'} ({type(part).__name__}) does not know its sizes yet",
                fix="run the network once before, or give the sizes in its constructor",
            )
    return _replica(module).eval(), _checked(example)


def _replica(module: nn.Module) -> nn.Module:
    """A copy of the module's objects whose parameters and buffers are on the meta device."""
    memo: dict[int, Any] = {}
    for tensor in [*module.parameters(), *module.buffers()]:
        there = tensor.detach().to("meta")
        is_parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(there, False) if is_parameter else there
    try:
        copied = copy.deepcopy(module, memo)
    except Exception as error:  # whatever the user's objects do when copied
        raise DataError(
            f"{type(module).__name__} cannot be copied without its weights: {error}",
            fix="give a function that builds it, or keep its tensors as parameters and buffers",
        ) from error
    return copied if _is_own(copied) else _held(copied)


def _held(part: nn.Module) -> nn.Module:
    """A part of torch.nn inside a module of its own: a tracer opens what it is given."""
    parameters = inspect.signature(part.forward).parameters.values()
    required = sum(parameter.default is inspect.Parameter.empty for parameter in parameters)
    holders = {1: nn.Sequential, 2: _Two, 3: _Three}
    return holders[required](part) if required in holders else part


class _Two(nn.Module):
    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, a: Tensor, b: Tensor) -> object:
        return self.part(a, b)


class _Three(_Two):
    def forward(self, a: Tensor, b: Tensor, c: Tensor) -> object:  # type: ignore[override]
        return self.part(a, b, c)


def _is_own(module: nn.Module) -> bool:
    """Whether a tracer is to open it as it is."""
    is_torch = type(module).__module__.startswith("torch.nn.") or leaf_class(module) is not None
    return isinstance(module, nn.Sequential) or not is_torch


def _checked(example: Example | None) -> Example | None:
    if example is None:
        return None
    entries = list(example)
    for entry in entries:
        is_shape = isinstance(entry, tuple | list) and all(isinstance(n, int) for n in entry)
        if not is_shape and not isinstance(entry, Tensor):
            raise DataError(
                f"an example input is {entry!r}, not a shape or a tensor",
                fix="give one shape for each input, as in [(1, 3, 32, 32)]",
            )
    return entries


def _meta_input(entry: tuple[int, ...] | Tensor) -> Tensor:
    if isinstance(entry, Tensor):
        return torch.empty_like(entry, device="meta")
    return torch.empty(tuple(entry), device="meta")


def _traced(module: nn.Module, inputs: Sequence[Tensor] | None) -> list[Step]:
    with torch.device("meta"), torch.no_grad():
        try:
            return trace_fx(module, None if inputs is None else len(inputs))
        except FxFailedError as error:
            if inputs is None:
                raise DataError(
                    f"torch.fx cannot trace {error.part}: {_sentence(error.reason)}",
                    fix="give the shapes of its inputs (torch.export then follows one course), or "
                    "make its forward independent of values and shapes",
                ) from error
            failed = error
        try:
            return trace_export(module, inputs)
        except Exception as error:
            raise DataError(
                f"neither tracer can follow {failed.part}: torch.fx: {_sentence(failed.reason)}; "
                f"torch.export: {_sentence(error)}",
                fix="make its forward independent of the values of tensors "
                "(torch.where, torch.cond), or build that part as its own network",
            ) from error


def _sentence(error: BaseException) -> str:
    first = str(error).strip().split("\n")[0][:240].rstrip(".")
    return first or type(error).__name__

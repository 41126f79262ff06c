"""Steps of a module by torch.export: runs it once on meta tensors of example shapes.

Operators that a module of torch.nn ran inside are put together into one step of that module, so
that both tracers speak of Conv2d, LSTM and MultiheadAttention with the same hyperparameters.
"""

from __future__ import annotations

import io
import logging
import operator
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from graphwright.tasks.nas.arch import INPUT, OUTPUT
from graphwright.tasks.nas.tracing.call_arguments import call_hyperparameters
from graphwright.tasks.nas.tracing.hyperparameters import module_hyperparameters
from graphwright.tasks.nas.tracing.module_leaves import leaf_class
from graphwright.tasks.nas.tracing.operation_names import function_type, plain_name, type_of
from graphwright.tasks.nas.tracing.trace_steps import BUFFER, PARAMETER, Step

__all__ = ["slow_attention", "trace_export"]


def trace_export(root: nn.Module, example: Sequence[Tensor]) -> list[Step]:
    """Steps of `root(*example)`, the output last.

    Python's own control flow is followed for these shapes. Operators outside modules are named as
    in torch.fx where torch has a function of that name; indexing has the names of aten (select,
    slice), and sizes are numbers here that are symbols there.

    Args:
        root: on the meta device, in evaluation mode.
        example: inputs on the meta device.

    Raises:
        Exception: whatever torch.export raises for a module that it cannot follow.
    """
    with slow_attention(), _quiet():
        program: Any = torch.export.export(root, tuple(example), strict=False)
        if any(_writes(node) for node in program.graph.nodes):
            program = program.run_decompositions({})  # the same operators, none in place
    return _Steps(root, program).steps()


@contextmanager
def slow_attention() -> Iterator[None]:
    """Without the fused kernels of transformers, in which their parts cannot be seen."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """torch warns of its own modules, and prints graphs when it raises: the error is enough."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _writes(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


class _Steps:
    """Nodes of an exported program as steps."""

    def __init__(self, root: nn.Module, program: Any) -> None:
        self._program = program
        self._modules = dict(root.named_modules(remove_duplicate=False))
        self._tensors = dict(root.named_parameters(remove_duplicate=False))
        self._tensors.update(root.named_buffers(remove_duplicate=False))  # type: ignore[arg-type]
        self._place: dict[Node, int] = {}
        self._steps: list[Step] = []
        self._call = ""  # the call of a leaf module that is being put together
        self._parents: list[int] = []

    def steps(self) -> list[Step]:
        for node in self._program.graph.nodes:
            call, path = self._leaf(node)
            if path is None:
                self._call = ""
                self._add(node)
            else:
                self._add_inside(node, call, self._modules[path])
        return self._steps

    def _leaf(self, node: Node) -> tuple[str, str | None]:
        """The call of the outermost leaf module that ran this node, and the module's path."""
        if node.op == "call_function":
            for call, (path, *_) in (node.meta.get("nn_module_stack") or {}).items():
                if path in self._modules and leaf_class(self._modules[path]) is not None:
                    return call, path
        return "", None

    def _add_inside(self, node: Node, call: str, module: nn.Module) -> None:
        own = {id(tensor) for tensor in module.parameters()} | {id(b) for b in module.buffers()}
        here = len(self._steps) - 1 if call == self._call else len(self._steps)
        if call != self._call:
            self._parents = []
        for parent in node.all_input_nodes:
            place = self._place.get(parent)
            if place is None or place == here or self._is_own(parent, own):
                continue
            self._parents.append(place)
        cls = leaf_class(module)
        assert cls is not None
        parents = tuple(dict.fromkeys(self._parents))
        step = Step(cls.__name__, parents, module_hyperparameters(module, cls))
        self._steps[here:] = [step]
        self._call = call
        self._place[node] = here

    def _is_own(self, node: Node, own: set[int]) -> bool:
        name = self._name(node)
        return name is not None and id(self._tensors.get(name)) in own

    def _name(self, node: Node) -> str | None:
        """Name of the parameter or buffer that a placeholder stands for."""
        signature = self._program.graph_signature
        for names in (
            signature.inputs_to_parameters,
            signature.inputs_to_buffers,
            signature.inputs_to_lifted_tensor_constants,
        ):
            if node.op == "placeholder" and node.name in names:
                return str(names[node.name])
        return None

    def _add(self, node: Node) -> None:
        parents = [self._place[n] for n in node.all_input_nodes if n in self._place]
        if node.target is operator.getitem and parents:  # one of several results
            self._place[node] = parents[0]
            return
        self._place[node] = len(self._steps)
        self._steps.append(self._step(node, tuple(dict.fromkeys(parents))))

    def _step(self, node: Node, parents: tuple[int, ...]) -> Step:
        if node.op == "output":
            return Step(OUTPUT, parents)
        if node.op == "placeholder":
            return self._placeholder(node)
        if isinstance(node.target, torch._ops.OpOverload):
            raw = node.target._schema.name.split("::")[-1]
            name = plain_name(raw)
            values = call_hyperparameters(name, node.target, node.args, node.kwargs)
            values = _interpolation(raw, values) if name == "interpolate" else values
            return Step(type_of(name), parents, values)
        name = plain_name(getattr(node.target, "__name__", str(node.target)))
        return Step(function_type(name), parents)

    def _placeholder(self, node: Node) -> Step:
        name = self._name(node)
        if name is None:
            return Step(INPUT)
        tensor = self._tensors.get(name)
        shape = node.meta["val"].shape if tensor is None else tensor.shape
        sizes = {f"size_{i}": float(n) for i, n in enumerate(shape)}
        return Step(PARAMETER if isinstance(tensor, nn.Parameter) else BUFFER, (), sizes)


def _interpolation(raw: str, values: dict[str, float]) -> dict[str, float]:
    """Hyperparameters of `functional.interpolate` from those of `upsample_bilinear2d`."""
    mode = raw.removeprefix("_").removeprefix("upsample_")[:-2].replace("_", "-")
    factors = [value for key, value in values.items() if key.startswith("scale_factors_")]
    sizes = {key: value for key, value in values.items() if key.startswith("output_size_")}
    found = {key.removeprefix("output_"): value for key, value in sizes.items()}
    if factors and len(set(factors)) == 1:
        found["scale_factor"] = factors[0]
    else:
        found |= {f"scale_factor_{i}": value for i, value in enumerate(factors)}
    return found if mode == "nearest" else {**found, f"mode={mode}": 1.0}

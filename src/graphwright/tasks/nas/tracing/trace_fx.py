"""Steps of a module by symbolic tracing (torch.fx): needs no example input, runs nothing.

Arguments of `forward` that have a default keep it; the others are inputs.
"""

from __future__ import annotations

import inspect
import operator
from typing import Any

from torch import nn
from torch.fx import Graph, Node

from graphwright.tasks.nas.arch import INPUT, OUTPUT
from graphwright.tasks.nas.tracing.call_arguments import call_hyperparameters
from graphwright.tasks.nas.tracing.hyperparameters import module_hyperparameters
from graphwright.tasks.nas.tracing.module_leaves import TUPLE_MODULES, leaf_class
from graphwright.tasks.nas.tracing.operation_names import (
    function_type,
    is_in_place,
    plain_name,
    type_of,
)
from graphwright.tasks.nas.tracing.symbolic_tracer import SymbolicTracer
from graphwright.tasks.nas.tracing.trace_steps import BUFFER, PARAMETER, Step

__all__ = ["FxFailedError", "trace_fx"]

_SHAPE_METHODS = frozenset(
    {
        "size",
        "dim",
        "numel",
        "ndimension",
        "nelement",
        "stride",
        "get_device",
    }
)
_SHAPE_ATTRIBUTES = frozenset(
    {
        "shape",
        "ndim",
        "device",
        "dtype",
        "is_cuda",
        "requires_grad",
        "itemsize",
    }
)
_ARITHMETIC = ("_operator", "builtins", "math")
_TUPLE_CALLS = frozenset(
    {
        "chunk",
        "split",
        "split_with_sizes",
        "tensor_split",
        "unbind",
        "topk",
        "sort",
        "meshgrid",
        "var_mean",
        "std_mean",
    }
)


class FxFailedError(Exception):
    """torch.fx cannot trace a module: which part, and the tracer's reason."""

    def __init__(self, part: str, reason: BaseException) -> None:
        super().__init__(str(reason))
        self.part = part
        self.reason = reason


def trace_fx(root: nn.Module, inputs: int | None) -> list[Step]:
    """Steps of `root.forward`, the output last.

    Args:
        root: on the meta device, in evaluation mode.
        inputs: how many arguments are inputs; None: those without a default.

    Raises:
        FxFailedError: the course of the computation depends on its input, or it does with a
            tensor what a symbol cannot do.
    """
    tracer = SymbolicTracer(root)
    try:
        graph = tracer.trace(root, concrete_args=_fixed(root, inputs))
    except Exception as error:  # the user's code meets symbols instead of tensors: any error
        raise FxFailedError(tracer.failed or type(root).__name__, error) from error
    return _Steps(root).of(graph)


def _fixed(root: nn.Module, inputs: int | None) -> dict[str, Any]:
    """Arguments that keep their defaults, by name."""
    parameters = list(inspect.signature(root.forward).parameters.values())
    required = sum(p.default is inspect.Parameter.empty for p in parameters)
    kept = parameters[required if inputs is None else inputs :]
    return {p.name: p.default for p in kept if p.default is not inspect.Parameter.empty}


class _Steps:
    """Nodes of a graph of torch.fx as steps. Arithmetic of shapes is not part of them."""

    def __init__(self, root: nn.Module) -> None:
        self._root = root
        self._modules = dict(root.named_modules(remove_duplicate=False))
        self._place: dict[Node, int] = {}
        self._named: dict[str, int] = {}  # parameters and buffers
        self._shapes: set[Node] = set()
        self._steps: list[Step] = []

    def of(self, graph: Graph) -> list[Step]:
        for node in graph.nodes:
            if self._is_shape(node):
                self._shapes.add(node)
            elif self._is_passed_on(node):
                source = node.args[0]
                if source in self._place:
                    self._place[node] = self._place[source]
            elif node.op == "get_attr":
                self._place[node] = self._attribute(str(node.target))
            else:
                self._add(node)
        return self._steps

    def _add(self, node: Node) -> None:
        parents = [self._place[n] for n in node.all_input_nodes if n in self._place]
        self._place[node] = here = len(self._steps)
        self._steps.append(self._step(node, tuple(dict.fromkeys(parents))))
        changed = self._changed(node)
        if changed is not None and changed in self._place:
            self._place[changed] = here  # later uses see what was written in place

    def _step(self, node: Node, parents: tuple[int, ...]) -> Step:
        if node.op in ("placeholder", "output"):
            return Step(INPUT if node.op == "placeholder" else OUTPUT, parents)
        if node.op == "call_module":
            module = self._modules[str(node.target)]
            cls = leaf_class(module)
            assert cls is not None  # the tracer makes nodes of leaves only
            return Step(cls.__name__, parents, module_hyperparameters(module, cls))
        return self._call(node, parents)

    def _call(self, node: Node, parents: tuple[int, ...]) -> Step:
        if node.target is getattr:
            return Step(type_of(str(node.args[1])), parents)
        if node.op == "call_method":
            name = plain_name(str(node.target))
            return Step(type_of(name), parents, _arguments(name, None, node))
        name = plain_name(getattr(node.target, "__name__", str(node.target)))
        return Step(function_type(name), parents, _arguments(name, node.target, node))

    def _attribute(self, target: str) -> int:
        """The one step of a parameter or buffer, by its name in the module."""
        if target not in self._named:
            value: Any = operator.attrgetter(target)(self._root)
            is_parameter = isinstance(value, nn.Parameter)
            sizes = {f"size_{i}": float(n) for i, n in enumerate(getattr(value, "shape", ()))}
            self._named[target] = len(self._steps)
            self._steps.append(Step(PARAMETER if is_parameter else BUFFER, (), sizes))
        return self._named[target]

    def _is_shape(self, node: Node) -> bool:
        """Whether it computes with shapes, devices and types only."""
        if node.op == "call_method":
            return node.target in _SHAPE_METHODS
        if node.op != "call_function":
            return False
        if node.target is getattr:
            return node.args[1] in _SHAPE_ATTRIBUTES
        if getattr(node.target, "__module__", "") not in _ARITHMETIC:
            return False
        return bool(node.all_input_nodes) and self._shapes.issuperset(node.all_input_nodes)

    def _is_passed_on(self, node: Node) -> bool:
        """Identity, and taking a tuple of results apart: no operations."""
        if node.op == "call_module":
            return isinstance(self._modules[str(node.target)], nn.Identity)
        if node.op != "call_function" or not node.args or not isinstance(node.args[0], Node):
            return False
        source = node.args[0]
        if node.target is getattr:
            return node.args[1] in ("values", "indices")
        if node.target is not operator.getitem or not isinstance(node.args[1], int):
            return False
        return self._is_tuple(source)

    def _is_tuple(self, node: Node) -> bool:
        if node.op == "call_module":
            return isinstance(self._modules[str(node.target)], TUPLE_MODULES)
        if node.op == "call_method":
            return node.target in _TUPLE_CALLS
        if node.target is operator.getitem:  # the state (h, c) in (output, (h, c)) of an LSTM
            module = self._modules.get(str(getattr(node.args[0], "target", "")))
            return bool(isinstance(module, nn.LSTM) and node.args[1] == 1)
        return getattr(node.target, "__name__", "") in _TUPLE_CALLS

    def _changed(self, node: Node) -> Node | None:
        """The node whose value this one overwrites."""
        first = node.args[0] if node.args else None
        if not isinstance(first, Node):
            return None
        if node.op == "call_module":
            is_written = getattr(self._modules[str(node.target)], "inplace", False)
        else:
            name = getattr(node.target, "__name__", str(node.target))
            is_written = is_in_place(name) or node.kwargs.get("inplace") is True
        return first if is_written else None


def _arguments(name: str, function: object, node: Node) -> dict[str, float]:
    if function is operator.getitem:
        return call_hyperparameters(name, None, (), {"index": node.args[1]})
    return call_hyperparameters(name, function, node.args, node.kwargs)

"""An ONNX file as a graph of its operations, in the words of `from_module`.

The file is read as data and nothing of it is run; weights that lie in other files are not opened.
Initializers and what is computed from them and from shapes alone are no nodes: there are no
"parameter" nodes as in `from_module`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graphwright.errors import DataError, MissingExtraError
from graphwright.tasks.nas.arch import INPUT, OUTPUT, Arch
from graphwright.tasks.nas.tracing.onnx_operations import Operation, translate
from graphwright.tasks.nas.tracing.trace_steps import Step, assemble

__all__ = ["MAX_BYTES", "MAX_NODES", "from_onnx"]

MAX_BYTES = 2**30  # protobuf's own limit is 2 GiB; larger networks keep their weights elsewhere
MAX_NODES = 100_000

_CONTROL = ("If", "Loop", "Scan", "SequenceMap")
_CONSTANTS = ("Constant", "ConstantOfShape", "Shape", "Size", "Range")
_FLOATS = (1, 10, 11, 16)  # float32, float16, float64, bfloat16 in TensorProto.DataType
_SAME_RANK = frozenset(
    {"Add", "BatchNormalization", "Clip", "Concat", "Dropout", "LeakyRelu", "Mul", "Relu"}
)

Shape = tuple[int, ...]


def from_onnx(path: Path | str) -> Arch:
    """The graph of an ONNX model.

    Args:
        path: the .onnx file; at most `MAX_BYTES`, with at most `MAX_NODES` operators.

    Returns:
        features: params (numbers in floating-point initializers, running statistics apart),
        depth, nodes.

    Raises:
        DataError: no such file; too large; damaged; control flow (If, Loop, Scan) in it; an
            operator that reads what nothing before it makes (a cycle, or a wrong order).
        MissingExtraError: the package onnx is not installed.
    """
    path = Path(path)
    graph = _load(path)
    try:
        return _Reader(graph).arch()
    except DataError as error:
        raise DataError(error.what, where=path, fix=error.fix) from None


def _load(path: Path) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx", f"reading {path.name}") from error
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(
                f"{size:,} bytes are more than the {MAX_BYTES:,} that are read",
                where=path,
                fix="save it with its weights as external data",
            )
        model: Any = onnx.load(str(path), format="protobuf", load_external_data=False)
    except OSError as error:
        raise DataError(f"cannot read it: {error.strerror}", where=path) from error
    except DataError:
        raise
    except Exception as error:  # protobuf raises its own kinds
        raise DataError(
            f"not an ONNX model, or a damaged one ({type(error).__name__})",
            where=path,
            fix="write the file again, with torch.onnx.export for example",
        ) from error
    return model.graph


class _Reader:
    """Walks the operators of a graph in their order."""

    def __init__(self, graph: Any) -> None:
        for name, count in (("operators", graph.node), ("initializers", graph.initializer)):
            if len(count) > MAX_NODES:
                raise DataError(f"{len(count):,} {name}, more than {MAX_NODES:,}")
        if not graph.node or not graph.output:
            raise DataError(
                "no operators or no outputs in it: not an ONNX model, or a damaged one",
                fix="write the file again, with torch.onnx.export for example",
            )
        if not all(isinstance(name, str) for name in _names(graph)):
            raise DataError(  # protobuf gives bytes for what is no UTF-8
                "names in it are not text: a damaged ONNX model",
                fix="write the file again",
            )
        self._graph = graph
        self._steps: list[Step] = []
        self._place: dict[str, int] = {}  # value -> step that makes it
        self._constants: dict[str, Shape | None] = {}  # value -> its shape, where it is known
        self._uses: dict[str, int] = {}
        self._ranks = _ranks(graph)

    def arch(self) -> Arch:
        self._read_constants()
        for value in self._graph.input:
            if value.name not in self._constants:
                self._define(value.name, Step(INPUT))
        for node in self._graph.node:
            for name in node.input:
                self._uses[name] = self._uses.get(name, 0) + 1
        for value in self._graph.output:
            self._uses[value.name] = self._uses.get(value.name, 0) + 1
        for node in self._graph.node:
            self._read(node)
        ends = [self._known(value.name, "an output") for value in self._graph.output]
        parents = tuple(dict.fromkeys(end for end in ends if end is not None))
        self._steps.append(Step(OUTPUT, parents))
        return assemble(self._steps, {"params": self._params()})

    def _read_constants(self) -> None:
        for tensor in self._graph.initializer:
            self._constants[tensor.name] = _shape(tensor.dims)
        for tensor in self._graph.sparse_initializer:
            self._constants[tensor.values.name] = _shape(tensor.dims)

    def _define(self, name: str, step: Step) -> None:
        self._new(name)
        self._place[name] = len(self._steps)
        self._steps.append(step)

    def _new(self, name: str) -> None:
        if name in self._place or name in self._constants:
            raise DataError(f"two operators make {name!r}", fix="write the file again")

    def _known(self, name: str, reader: str) -> int | None:
        """The step that makes a value; None for a constant."""
        if name in self._constants:
            return None
        if name not in self._place:
            is_later = any(name in node.output for node in self._graph.node)
            reason = "comes later (a cycle, or a wrong order)" if is_later else "nothing makes"
            raise DataError(f"{reader} reads {name!r}, which {reason}", fix="write the file again")
        return self._place[name]

    def _read(self, node: Any) -> None:
        if node.op_type in _CONTROL:
            raise DataError(
                f"the operator {node.op_type} ({node.name}) is control flow: no one graph says "
                "what the network does",
                fix="export the network for fixed shapes, without loops and conditions",
            )
        who = f"{node.op_type} ({node.name})"
        made = [self._known(name, who) for name in node.input if name]
        parents = tuple(dict.fromkeys(place for place in made if place is not None))
        outputs = [name for name in node.output if name]
        if node.op_type in _CONSTANTS or not parents:
            self._make_constant(node, outputs)
        elif node.op_type == "Identity" or self._adds_bias(node, parents):
            self._pass_on(outputs, parents[0])
        else:
            self._add(node, parents, outputs)

    def _make_constant(self, node: Any, outputs: list[str]) -> None:
        for name in outputs:
            self._new(name)
            self._constants[name] = self._constant_shape(node)

    def _constant_shape(self, node: Any) -> Shape | None:
        if node.op_type == "Constant":
            tensor = next((a.t for a in node.attribute if a.name == "value"), None)
            return None if tensor is None else _shape(tensor.dims)
        first = self._constants.get(node.input[0]) if node.input else None
        if first is None or node.op_type not in ("Transpose", "Identity", "Cast"):
            return None
        if node.op_type != "Transpose":
            return first
        places = tuple(range(len(first)))
        order = Operation("", _values(node), (), 1).sizes("perm", places[::-1])
        return tuple(first[i] for i in order) if sorted(order) == [*places] else None

    def _adds_bias(self, node: Any, parents: tuple[int, ...]) -> bool:
        """Whether it is the bias of a Linear: its product is used here only."""
        if node.op_type != "Add" or len(node.input) != 2 or len(parents) != 1:
            return False
        step = self._steps[parents[0]]
        shapes = [self._constants[name] for name in node.input if name in self._constants]
        product = next(name for name in node.input if name in self._place)
        is_linear = step.op == "Linear" and step.attributes["bias"] == 0
        if not is_linear or self._uses[product] > 1 or not shapes or shapes[0] is None:
            return False
        if shapes[0] != (int(step.attributes["out_features"]),):
            return False
        self._steps[parents[0]] = Step(step.op, step.parents, {**step.attributes, "bias": 1.0})
        return True

    def _pass_on(self, outputs: list[str], place: int) -> None:
        for name in outputs:
            self._new(name)
            self._place[name] = place

    def _add(self, node: Any, parents: tuple[int, ...], outputs: list[str]) -> None:
        weights = tuple(self._constants.get(name) for name in node.input)
        inputs = sum(bool(name) for name in node.input)
        rank = self._rank(node, weights)
        dimensions = min(max(rank - 2, 1), 3) if rank is not None else 2
        operation = Operation(node.op_type, _values(node), weights, inputs, dimensions)
        kind, attributes = translate(operation)
        for name in outputs:
            self._new(name)
            self._place[name] = len(self._steps)
            if rank is not None and (
                node.op_type in _SAME_RANK or "Pool" in kind or "Conv" in kind
            ):
                self._ranks.setdefault(name, rank)
        self._steps.append(Step(kind, parents, attributes))

    def _rank(self, node: Any, weights: tuple[Shape | None, ...]) -> int | None:
        """Dimensions of the first input, where the file says them or a kernel does."""
        if node.op_type.startswith("Conv") and len(weights) > 1 and weights[1] is not None:
            return len(weights[1])
        return next((self._ranks[name] for name in node.input if name in self._ranks), None)

    def _params(self) -> float:
        statistics = {
            name
            for node in self._graph.node
            if node.op_type == "BatchNormalization"
            for name in node.input[3:5]
        }
        return float(
            sum(
                math.prod(_shape(tensor.dims) or (0,)) if tensor.dims else 1
                for tensor in self._graph.initializer
                if tensor.data_type in _FLOATS and tensor.name not in statistics
            )
        )


def _names(graph: Any) -> Iterator[object]:
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        yield value.name
    for tensor in graph.sparse_initializer:
        yield tensor.values.name
    for node in graph.node:
        yield from (node.name, node.op_type, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name


def _shape(dims: Any) -> Shape | None:
    shape = tuple(int(n) for n in dims)
    is_usual = len(shape) <= 8 and all(0 <= n < 2**31 for n in shape)
    return shape if is_usual else None


def _ranks(graph: Any) -> dict[str, int]:
    found = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape"):
            found[value.name] = len(tensor.shape.dim)
    return found


def _values(node: Any) -> Mapping[str, Any]:
    """Attributes of an operator that are numbers, lists of numbers or words."""
    fields = {1: "f", 2: "i", 6: "floats", 7: "ints"}  # AttributeProto.AttributeType
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        if attribute.type in fields:
            value = getattr(attribute, fields[attribute.type])
            found[attribute.name] = tuple(value) if attribute.type > 2 else value
        elif attribute.type == 3:
            found[attribute.name] = attribute.s.decode("utf-8", errors="replace")
    return found

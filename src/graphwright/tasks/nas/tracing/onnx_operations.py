"""Operators of ONNX in the words of `from_module`: Conv is Conv2d, Concat is function:cat.

Hyperparameters have the names that modules of torch.nn have, and their values where ONNX means
the same by another number (momentum, padding on both sides). An operator without a counterpart is
"onnx:<its name>" with its own attributes. No torch and no onnx here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Operation", "translate"]

Numbers = dict[str, float]


@dataclass(frozen=True)
class Operation:
    """One operator.

    Attributes:
        op: its name in ONNX.
        values: its attributes: numbers, lists of numbers, strings.
        weights: shape of each input that is a constant of known shape; None for the others.
        inputs: how many inputs are given.
        dimensions: spatial dimensions of what it works on (2 for images).
    """

    op: str
    values: Mapping[str, Any]
    weights: tuple[tuple[int, ...] | None, ...]
    inputs: int
    dimensions: int = 2

    def number(self, name: str, default: float) -> float:
        """An attribute that is one number."""
        value = self.values.get(name, default)
        return float(value) if isinstance(value, int | float) else default

    def sizes(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """An attribute that is a list of whole numbers."""
        value = self.values.get(name, default)
        is_list = isinstance(value, tuple) and all(isinstance(n, int) for n in value)
        return tuple(value) if is_list else tuple(default)

    def weight(self, place: int, rank: int) -> tuple[int, ...] | None:
        """Shape of a constant input, if it is one and has (at least) so many dimensions."""
        shape = self.weights[place] if place < len(self.weights) else None
        return shape if shape is not None and len(shape) >= rank else None


def translate(operation: Operation) -> tuple[str, Numbers]:
    """Type and hyperparameters of an operator."""
    reader = _READERS.get(operation.op)
    found = reader(operation) if reader is not None else None
    if found is None and operation.op in _PLAIN:
        found = _PLAIN[operation.op], {}
    if found is None:
        found = f"onnx:{operation.op}", _own(operation)
    return found[0], {key: value for key, value in found[1].items() if math.isfinite(value)}


def _own(operation: Operation) -> Numbers:
    found: Numbers = {}
    for name, value in sorted(operation.values.items()):
        if isinstance(value, int | float):
            found[name] = float(value)
        elif isinstance(value, tuple):
            found |= _each(name, value[:16])
    return found


def _each(name: str, values: Sequence[float]) -> Numbers:
    return {f"{name}_{i}": float(value) for i, value in enumerate(values)}


def _window(operation: Operation, kernel: Sequence[int]) -> Numbers:
    """Kernel, stride, padding and dilation of a convolution or pooling."""
    count = len(kernel)
    dilation = operation.sizes("dilations", (1,) * count)
    pads = operation.sizes("pads", (0,) * (2 * count))
    if str(operation.values.get("auto_pad", "NOTSET")).startswith("SAME"):
        before = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=False))
        pads = before + before
    found = _each("kernel_size", kernel) | _each("stride", operation.sizes("strides", (1,) * count))
    found |= _each("padding", pads[:count])
    if pads[count:] != pads[:count]:
        found |= _each("padding_end", pads[count:])
    return found | _each("dilation", dilation)


def _conv(operation: Operation) -> tuple[str, Numbers] | None:
    shape = operation.weight(1, 3)
    if shape is None:
        return None
    groups = operation.number("group", 1)
    is_transposed = operation.op == "ConvTranspose"
    first, second, kernel = shape[0], shape[1] * groups, shape[2:]
    found = {
        "in_channels": float(first if is_transposed else second),
        "out_channels": float(second if is_transposed else first),
        **_window(operation, kernel),
        "groups": groups,
        "bias": float(operation.inputs > 2),
    }
    if is_transposed:
        found |= _each("output_padding", operation.sizes("output_padding", (0,) * len(kernel)))
    return f"{operation.op}{len(kernel)}d", found


def _gemm(operation: Operation) -> tuple[str, Numbers]:
    shape = operation.weight(1, 2)
    if shape is None or len(shape) != 2:
        return "function:addmm", {}
    outs, ins = shape if operation.number("transB", 0) else shape[::-1]
    bias = float(operation.inputs > 2)
    return "Linear", {"in_features": float(ins), "out_features": float(outs), "bias": bias}


def _matmul(operation: Operation) -> tuple[str, Numbers]:
    shape = operation.weight(1, 2)
    if shape is None or len(shape) != 2:
        return "function:matmul", {}
    return "Linear", {"in_features": float(shape[0]), "out_features": float(shape[1]), "bias": 0.0}


def _batch_norm(operation: Operation) -> tuple[str, Numbers] | None:
    shape = operation.weight(1, 1)
    if shape is None:
        return None
    found = {
        "num_features": float(shape[0]),
        "eps": _short(operation.number("epsilon", 1e-5)),
        "momentum": _short(1 - operation.number("momentum", 0.9)),
        "affine": 1.0,
        "track_running_stats": 1.0,
    }
    return f"BatchNorm{operation.dimensions}d", found


def _layer_norm(operation: Operation) -> tuple[str, Numbers] | None:
    shape = operation.weight(1, 1)
    if shape is None:
        return None
    found = _each("normalized_shape", shape)
    found |= {"eps": _short(operation.number("epsilon", 1e-5)), "elementwise_affine": 1.0}
    return "LayerNorm", {**found, "bias": float(operation.inputs > 2)}


def _pool(operation: Operation) -> tuple[str, Numbers] | None:
    kernel = operation.sizes("kernel_shape", ())
    if not kernel:
        return None
    found = {**_window(operation, kernel), "ceil_mode": operation.number("ceil_mode", 0)}
    if operation.op == "MaxPool":
        return f"MaxPool{len(kernel)}d", found
    found = {key: value for key, value in found.items() if not key.startswith("dilation")}
    found["count_include_pad"] = operation.number("count_include_pad", 0)
    return f"AvgPool{len(kernel)}d", found


def _global_pool(operation: Operation) -> tuple[str, Numbers]:
    kind = "Avg" if operation.op == "GlobalAveragePool" else "Max"
    count = operation.dimensions
    return f"Adaptive{kind}Pool{count}d", _each("output_size", (1,) * count)


def _recurrent(operation: Operation) -> tuple[str, Numbers]:
    shape = operation.weight(1, 3)
    found = {
        "input_size": math.nan if shape is None else float(shape[2]),
        "hidden_size": operation.number("hidden_size", math.nan),
        "num_layers": 1.0,
        "bias": float(operation.inputs > 3),
        "batch_first": operation.number("layout", 0),
        "bidirectional": float(operation.values.get("direction") == "bidirectional"),
    }
    return operation.op, found


def _gather(operation: Operation) -> tuple[str, Numbers]:
    table = operation.weight(0, 2)
    if table is None or len(table) != 2:
        return "function:getitem", {"dim": operation.number("axis", 0)}
    return "Embedding", {"num_embeddings": float(table[0]), "embedding_dim": float(table[1])}


def _resize(operation: Operation) -> tuple[str, Numbers]:
    mode = str(operation.values.get("mode", "nearest"))
    linear = {1: "linear", 2: "bilinear", 3: "trilinear"}[operation.dimensions]
    mode = {"linear": linear, "cubic": "bicubic"}.get(mode, mode[:20])
    return "function:interpolate", {} if mode == "nearest" else {f"mode={mode}": 1.0}


def _named(kind: str, **names: tuple[str, float]) -> Callable[[Operation], tuple[str, Numbers]]:
    """Reader of an operator with numbers only: torch's name = (ONNX's name, ONNX's default)."""

    def read(operation: Operation) -> tuple[str, Numbers]:
        values = {ours: operation.number(*theirs) for ours, theirs in names.items()}
        return kind, {key: _short(value) for key, value in values.items()}

    return read


def _short(value: float) -> float:
    """A float32 of a file as a person wrote it: 9.99999974e-06 is 1e-05."""
    return float(f"{value:.6g}")


def _permute(operation: Operation) -> tuple[str, Numbers]:
    return "function:permute", _each("dims", operation.sizes("perm", ()))


def _reduce(operation: Operation) -> tuple[str, Numbers]:
    name = {"Mean": "mean", "Sum": "sum", "Max": "amax", "Min": "amin", "Prod": "prod"}
    found = _each("dim", operation.sizes("axes", ()))
    kind = f"function:{name[operation.op.removeprefix('Reduce')]}"
    return kind, {**found, "keepdim": operation.number("keepdims", 1)}


_READERS: dict[str, Callable[[Operation], tuple[str, Numbers] | None]] = {
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Concat": _named("function:cat", dim=("axis", 0)),
    "Conv": _conv,
    "ConvTranspose": _conv,
    "Dropout": _named("Dropout", p=("ratio", 0.5)),
    "Elu": _named("ELU", alpha=("alpha", 1.0)),
    "Flatten": lambda o: ("Flatten", {"start_dim": o.number("axis", 1), "end_dim": -1.0}),
    "GRU": _recurrent,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "LSTM": _recurrent,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _named("LeakyReLU", negative_slope=("alpha", 0.01)),
    "LogSoftmax": _named("LogSoftmax", dim=("axis", -1)),
    "MatMul": _matmul,
    "MaxPool": _pool,
    "RNN": _recurrent,
    "ReduceMax": _reduce,
    "ReduceMean": _reduce,
    "ReduceMin": _reduce,
    "ReduceProd": _reduce,
    "ReduceSum": _reduce,
    "Resize": _resize,
    "Softmax": _named("Softmax", dim=("axis", -1)),
    "Transpose": _permute,
    "Upsample": _resize,
}

_PLAIN = {
    "Abs": "function:abs",
    "Add": "function:add",
    "Cast": "method:to",
    "Clip": "function:clamp",
    "Div": "function:div",
    "Exp": "function:exp",
    "Expand": "method:expand",
    "Gelu": "GELU",
    "HardSigmoid": "Hardsigmoid",
    "HardSwish": "Hardswish",
    "Log": "function:log",
    "MatMul": "function:matmul",
    "Mish": "Mish",
    "Mul": "function:mul",
    "Neg": "function:neg",
    "PRelu": "PReLU",
    "Pad": "function:pad",
    "Pow": "function:pow",
    "Relu": "ReLU",
    "Reshape": "function:reshape",
    "Selu": "SELU",
    "Sigmoid": "Sigmoid",
    "Slice": "function:getitem",
    "Softplus": "Softplus",
    "Split": "function:split",
    "Sqrt": "function:sqrt",
    "Squeeze": "function:squeeze",
    "Sub": "function:sub",
    "Tanh": "Tanh",
    "Unsqueeze": "function:unsqueeze",
    "Where": "function:where",
}

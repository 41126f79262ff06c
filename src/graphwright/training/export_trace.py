"""From a module to the bytes of an ONNX file, through `torch.export`; chatter is kept quiet."""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from graphwright.errors import BundleError
from graphwright.training.export_form import OnnxForm, Port

__all__ = ["OPSET", "onnx_bytes"]

OPSET = 18
_LONGEST = 300  # characters of a reason: torch explains at length
_LOGGERS = ("torch", "torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def onnx_bytes(form: OnnxForm, description: Mapping[str, Any]) -> bytes:
    """The file.

    Args:
        form: its first example is traced.
        description: goes into the metadata of the file.

    Raises:
        BundleError: an operator that the exporter cannot follow or translate.
    """
    with _quiet():
        try:
            program = torch.onnx.export(
                _traced(form),
                (),
                dynamo=True,
                opset_version=OPSET,
                input_names=[port.name for port in form.inputs],
                output_names=[port.name for port in form.outputs],
                custom_translation_table=_TRANSLATIONS,
                # onnxscript's rules drop "+ 1e-8" as an addition of zero: sqrt(x + 1e-8) at x = 0
                # then is off by 1e-4; onnxruntime optimises by itself when it loads a file
                optimize=False,
                verbose=False,
            )
        # torch has no common class for what its exporter raises
        except Exception as error:
            raise BundleError(
                f"this model cannot be translated to ONNX: {_reason(error)}",
                where=f"{type(error).__module__}.{type(error).__name__}",
                fix="graphwright export --format bundle",
            ) from error
    return _finished(program.model_proto, form, description)  # type: ignore[union-attr]


def _traced(form: OnnxForm) -> torch.export.ExportedProgram:
    free = torch.export.Dim.DYNAMIC
    shapes = tuple(
        {axis: free for axis, size in enumerate(port.shape) if isinstance(size, str)}
        for port in form.inputs
    )
    example = form.tensors(form.examples[0])
    with torch.no_grad():
        # strict: len() of a tensor stays a free size, which the plain way makes a constant
        program = torch.export.export(
            _Positional(form.module).eval(), example, dynamic_shapes=(shapes,), strict=True
        )
        used = {node.target for node in program.graph.nodes}
        return program.run_decompositions(_REPLACED) if used & _REPLACED.keys() else program


class _Positional(nn.Module):
    """Any number of inputs, so that all modules look alike to the exporter."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        return self.module(*inputs)


def _repeat_interleave(repeats: Any, output_size: Any = None) -> Any:
    """Row numbers, each as often as it says; onnxscript's own does not know `output_size`."""
    op: Any = importlib.import_module("onnxscript").opset18
    first = op.Constant(value_int=0)
    ends = op.CumSum(repeats, first)
    size = op.ReduceMax(ends, keepdims=0) if output_size is None else output_size
    length = op.Reshape(op.Add(size, op.Constant(value_int=1)), op.Constant(value_ints=[1]))
    ones = op.Expand(op.Constant(value_int=1), op.Shape(ends))
    # how many rows end at or before each place
    marks = op.ScatterElements(op.Expand(first, length), ends, ones, axis=0, reduction="add")
    inside = op.Constant(value_ints=[0]), op.Constant(value_ints=[-1])
    return op.Slice(op.CumSum(marks, first), *inside, op.Constant(value_ints=[0]))


def _cross_entropy(
    logits_NV: Tensor,
    target_N: Tensor,
    weight: Tensor | None = None,
    reduction: int = 1,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Of each row; torch 2.13 loses the shape of its own where it is not reduced."""
    if reduction != 0 or weight is not None or label_smoothing:
        raise NotImplementedError("only the plain cross entropy of each row is exported")
    return -logits_NV.log_softmax(1).gather(1, target_N[:, None])[:, 0]


_REPLACED = {torch.ops.aten.cross_entropy_loss.default: _cross_entropy}


_TRANSLATIONS: dict[Any, Any] = {torch.ops.aten.repeat_interleave.Tensor: _repeat_interleave}


def _finished(proto: Any, form: OnnxForm, description: Mapping[str, Any]) -> bytes:
    """Names for the free sizes; what tells of the machine it was made on is taken out."""
    del proto.graph.value_info[:]
    for node in [*proto.graph.node, *(n for function in proto.functions for n in function.node)]:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    _name_sizes(proto.graph.input, form.inputs)
    _name_sizes(proto.graph.output, form.outputs)
    del proto.metadata_props[:]
    proto.metadata_props.add(key="graphwright", value=json.dumps(description))
    proto.producer_name = "graphwright"
    proto.graph.name = str(description["task"])
    return bytes(proto.SerializeToString())


def _name_sizes(values: Sequence[Any], ports: Sequence[Port]) -> None:
    names = [value.name for value in values]
    if names != [port.name for port in ports]:
        raise BundleError(f"the model does not use all its inputs: {', '.join(names)} are left")
    for value, port in zip(values, ports, strict=True):
        value.ClearField("metadata_props")
        value.doc_string = port.meaning
        dimensions = value.type.tensor_type.shape.dim
        for dimension, size in zip(dimensions, port.shape, strict=True):
            if isinstance(size, str):
                dimension.dim_param = size


def _reason(error: BaseException) -> str:
    """The beginning of the innermost cause, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:_LONGEST] if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """What an exporter says to its own developers does not reach the user."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module("torch.onnx")  # sets up loggers of its own
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

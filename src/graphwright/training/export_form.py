"""What a task says of a model that is to become an ONNX file: tensors in, tensors out.

The task knows which tensors its batches are made of, which of them the model reads and what its
answers mean; `training/export.py` does the rest, and knows no task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

if TYPE_CHECKING:
    from graphwright.training.task import Task

__all__ = ["OnnxForm", "Port", "predicted_by", "same_tensors"]

Dimension = int | str


@dataclass(frozen=True, kw_only=True)
class Port:
    """One input or output of the file.

    Attributes:
        name: of the tensor.
        dtype: numpy name.
        shape: a number, or the name of a size that is free ("N", "B + 1").
        unit: physical unit, for people.
        meaning: one sentence, for people.
        scale: differences count relative to the largest value of the output, and to this where all
            values are smaller (1 for probabilities).
    """

    name: str
    dtype: str
    shape: tuple[Dimension, ...]
    unit: str = ""
    meaning: str = ""
    scale: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """What a reader of the file has to know."""
        shape = list(self.shape)
        about = {"name": self.name, "dtype": self.dtype, "shape": shape}
        return {**about, "unit": self.unit, "meaning": self.meaning}


@dataclass(frozen=True, kw_only=True)
class OnnxForm:
    """A model as tensors in and tensors out.

    Attributes:
        module: `forward(*inputs)` gives the outputs, a tuple; no branch on a tensor's value.
        inputs, outputs: in the order of the module's arguments and results.
        tensors: the inputs that stand for a batch as the task's sources yield it.
        expected: what the model itself says of such a batch, without the module: the outputs.
        examples: batches of several sizes. The first is traced, so that no size in it may be 0 or
            1; the file is checked on all of them, and the smallest that is possible is among them.
        state: JSON; what the caller needs to make the inputs (vocabularies, scales).
        preprocessing: how the inputs are made of a user's data, step by step.
    """

    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    tensors: Callable[[Any], tuple[Tensor, ...]]
    expected: Callable[[Any], tuple[Tensor, ...]]
    examples: Sequence[Any]
    state: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: tuple[str, ...] = ()

    def arrays(self, batch: Any) -> dict[str, NDArray[Any]]:
        """The inputs for a batch by name, as onnxruntime takes them."""
        pairs = zip(self.inputs, self.tensors(batch), strict=True)
        return {port.name: np.ascontiguousarray(tensor.numpy()) for port, tensor in pairs}


def predicted_by(
    task: Task[Any, Any], model: nn.Module, outputs: Sequence[Port]
) -> Callable[[Any], tuple[Tensor, ...]]:
    """`OnnxForm.expected` where the outputs are columns of `Task.predict`."""
    weights = [*model.parameters(), *model.buffers()]
    dtype = next((t.dtype for t in weights if t.is_floating_point()), torch.float32)

    def expected(batch: Any) -> tuple[Tensor, ...]:
        with torch.inference_mode():
            columns = task.predict(model, batch.to("cpu", dtype=dtype))
        return tuple(columns[port.name] for port in outputs)

    return expected


def same_tensors(inputs: Sequence[Port], places: Mapping[str, Callable[[Any], Tensor]]) -> Any:
    """`OnnxForm.tensors` from one function for each input; floating tensors get the port's type."""

    def tensors(batch: Any) -> tuple[Tensor, ...]:
        return tuple(
            places[port.name](batch).to(getattr(torch, port.dtype)).contiguous() for port in inputs
        )

    return tensors

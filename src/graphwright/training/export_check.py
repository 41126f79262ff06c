"""Does an ONNX file say what the model says? Asked in onnxruntime, also on sizes not traced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graphwright.training.export_form import OnnxForm, Port

__all__ = ["BOUND", "Checked", "check_file", "runtime_version", "session_of"]

BOUND = 1e-5
"""Difference that is allowed, relative to the scale of an output…"""

ROUNDING = 4.0
"""…or so many times what single precision costs the model itself, where that is more: far from what
it was trained on, an equivariant network can lose digits."""


@dataclass(frozen=True)
class Checked:
    """Differences between the file and the model.

    Attributes:
        differences: largest absolute difference of each output over all batches, divided by the
            largest absolute value that the model gave (at least `Port.scale`).
        rounding: the same between the model in single and in double precision.
        batches: how many were asked.
        runtime: name and version.
    """

    differences: Mapping[str, float]
    rounding: Mapping[str, float]
    batches: int
    runtime: str

    @property
    def worst(self) -> tuple[str, float]:
        """Name of the output that comes nearest to what is allowed, or beyond it, and how far."""
        shares = {name: found / self.allowed(name) for name, found in self.differences.items()}
        name = max(shares, key=lambda name: (np.isnan(shares[name]), shares[name]))
        return name, self.differences[name]

    @property
    def passed(self) -> bool:
        """Whether every output is within its bound."""
        return all(found <= self.allowed(name) for name, found in self.differences.items())

    def allowed(self, name: str) -> float:
        """The bound of an output."""
        return max(BOUND, ROUNDING * self.rounding[name])

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "runtime": self.runtime,
            "batches": self.batches,
            "largest_relative_difference": dict(self.differences),
            "rounding_of_the_model": dict(self.rounding),
            "allowed": {name: self.allowed(name) for name in self.differences},
        }


def runtime_version() -> str:
    """Of onnxruntime; empty where it is not installed."""
    return metadata.version("onnxruntime") if util.find_spec("onnxruntime") else ""


def session_of(path: Path, threads: int | None = None) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU.

    Args:
        path: of the file.
        threads: as many as torch has, unless told.
    """
    onnxruntime: Any = import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(
        path, sess_options=options, providers=["CPUExecutionProvider"]
    )


def check_file(path: Path, form: OnnxForm, exact: OnnxForm) -> Checked:
    """Ask file and model the same on every example of the form.

    Args:
        path: of the file.
        form: of the model as it was exported.
        exact: of the same model in double precision.
    """
    session = session_of(path)
    names = [port.name for port in form.outputs]
    apart: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    rounding: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for batch in form.examples:
        given = session.run(names, form.arrays(batch))
        pairs = zip(names, form.expected(batch), exact.expected(batch), given, strict=True)
        for name, want, precise, got in pairs:
            apart[name].append(_difference(want.numpy(), got))
            rounding[name].append(_difference(precise.numpy(), want.numpy()))
    differences, own = (
        {port.name: _relative(kind[port.name], port) for port in form.outputs}
        for kind in (apart, rounding)
    )
    return Checked(differences, own, len(form.examples), f"onnxruntime {runtime_version()}")


def _difference(want: NDArray[Any], got: NDArray[Any]) -> tuple[float, float]:
    """Largest difference and largest value; the difference of another shape is infinite."""
    if want.shape != got.shape:
        return np.inf, 1.0
    want, got = want.astype(np.float64), got.astype(np.float64)
    return float(np.abs(want - got).max(initial=0)), float(np.abs(want).max(initial=0))


def _relative(found: list[tuple[float, float]], port: Port) -> float:
    apart, largest = (float(np.max(column)) for column in zip(*found, strict=True))
    scale = max(largest, port.scale)
    return apart / scale if scale else apart

"""Scalers that are fitted on training rows and travel with the model as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphwright.errors import BundleError, DataError

__all__ = ["Standardizer", "VectorScale"]

Values = TypeVar("Values", Tensor, npt.NDArray[Any])
# Below this share of the largest value, a spread is rounding noise and not a spread.
_NOISE = 1e-12


@dataclass(frozen=True)
class Standardizer:
    """z = (x − mean) / scale for every column, with scale = 1 where a column is constant.

    Attributes:
        mean: mean of each column [F].
        scale: standard deviation of each column [F] (over n, not n−1).
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, values: npt.ArrayLike | Tensor) -> Self:
        """From training rows [n, F] or [n] (then F = 1).

        Raises:
            DataError: no rows, or values that are not finite.
        """
        rows = _rows(values)
        mean, scale = rows.mean(0), rows.std(0)
        constant = scale <= _NOISE * np.abs(rows).max(0)
        return cls(tuple(mean.tolist()), tuple(np.where(constant, 1.0, scale).tolist()))

    def transform(self, values: Values) -> Values:
        """Standardised values [..., F] (or [n] where F = 1), in their own dtype and place."""
        result: Values = (values - _like(self.mean, values)) / _like(self.scale, values)
        return result

    def inverse(self, values: Values) -> Values:
        """What `transform` was given."""
        result: Values = values * _like(self.scale, values) + _like(self.mean, values)
        return result

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"mean": list(self.mean), "scale": list(self.scale)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From `to_json` (BundleError if it is none)."""
        mean, scale = _numbers(data, "mean"), _numbers(data, "scale")
        if len(mean) != len(scale) or min(scale) <= 0:
            raise BundleError("a standardizer needs one positive scale for every mean")
        return cls(mean, scale)


@dataclass(frozen=True)
class VectorScale:
    """v → v / rms with one number for all vectors and axes, so that rotations still commute.

    Attributes:
        rms: root mean square of the components of the training vectors; 1 if all are 0.
    """

    rms: float

    @classmethod
    def fit(cls, vectors: npt.ArrayLike | Tensor) -> Self:
        """From training vectors [n, 3]: rms = sqrt(mean of all squared components).

        Raises:
            DataError: no rows, or values that are not finite.
        """
        found = float(np.sqrt(np.square(_rows(vectors)).mean()))
        return cls(found if found > 0 else 1.0)

    def transform(self, vectors: Values) -> Values:
        """Scaled vectors [..., 3], in their own dtype and place."""
        return vectors / self.rms

    def inverse(self, vectors: Values) -> Values:
        """What `transform` was given."""
        return vectors * self.rms

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"rms": self.rms}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From `to_json` (BundleError if it is none)."""
        rms = _numbers({"rms": [data.get("rms")]}, "rms")[0]
        if rms <= 0:
            raise BundleError("the scale of vectors must be positive")
        return cls(rms)


def _rows(values: npt.ArrayLike | Tensor) -> npt.NDArray[np.float64]:
    found = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    rows = np.asarray(found, np.float64)
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or len(rows) == 0:
        raise DataError(f"a scaler is fitted on rows [n, F], not on the shape {rows.shape}")
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows).all(1)).argmax())
        raise DataError(f"a scaler cannot be fitted on NaN or infinity (row {bad})")
    return rows


def _like(numbers: tuple[float, ...], values: Values) -> Values:
    if isinstance(values, Tensor):
        return torch.tensor(numbers, dtype=values.dtype, device=values.device)
    return np.array(numbers, dtype=values.dtype)


def _numbers(data: Mapping[str, Any], name: str) -> tuple[float, ...]:
    try:
        found = tuple(float(number) for number in data[name])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"a scaler without valid numbers for {name!r}: {error!r}") from error
    if not found or not np.isfinite(found).all():
        raise BundleError(f"a scaler with missing or non-finite numbers for {name!r}")
    return found

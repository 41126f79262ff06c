"""Named columns of numbers with gaps, on a scale that a network likes.

Legend: R = rows, F = columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import BundleError

__all__ = ["ColumnScaler"]

Float = NDArray[np.float64]
# a column that spans more than this factor counts something (channels, parameters, FLOPs)
_SPAN = 8.0


@dataclass(frozen=True)
class ColumnScaler:
    """z = (g(x) − mean) / sd with g(x) = log(1 + x / unit) for columns that count, else x.

    A column counts where no value is negative and the largest is `_SPAN` times the smallest
    positive one, which is its unit: the scale does not depend on whether parameters are counted in
    ones or millions, and zero is allowed.

    Attributes:
        names: of the columns.
        units: unit of a column that counts; 0 for one that is not logarithmic.
        means, scales: of g(x) over the training rows that have the column.
        gaps: whether a training row lacked the column.
    """

    names: tuple[str, ...]
    units: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    gaps: tuple[bool, ...]

    @classmethod
    def fit(
        cls, values_RF: Float, names: Sequence[str], weights_R: Float | None = None
    ) -> ColumnScaler:
        """From training rows, NaN where there is no value; a column without any is left as it is.

        Args:
            values_RF: rows.
            names: of the columns.
            weights_R: how often each row occurs; once if not given.
        """
        weights = np.ones(len(values_RF)) if weights_R is None else weights_R
        values_RF, weights = values_RF[weights > 0], weights[weights > 0]
        fitted = [_fit(values_R, weights) for values_R in values_RF.T]
        units, means, scales, gaps = zip(*fitted, strict=True) if fitted else ((), (), (), ())
        return cls(tuple(names), units, means, scales, gaps)

    def transform(self, values_RF: Float) -> tuple[Float, NDArray[np.bool_]]:
        """Scaled rows, 0 where there is no value, and where there is one."""
        present_RF = np.isfinite(values_RF)
        units_F = np.array(self.units)
        counts_F = units_F > 0
        scaled_RF = np.where(present_RF, values_RF, 0.0)
        scaled_RF[:, counts_F] = np.log1p(np.maximum(scaled_RF[:, counts_F], 0) / units_F[counts_F])
        scaled_RF -= np.array(self.means)
        scaled_RF /= np.array(self.scales)
        scaled_RF[~present_RF] = 0.0
        return scaled_RF, present_RF

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "names": list(self.names),
            "units": list(self.units),
            "means": list(self.means),
            "scales": list(self.scales),
            "gaps": list(self.gaps),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ColumnScaler:
        """From `to_json` (BundleError if it is none)."""
        try:
            units, means, scales = (_floats(data[key]) for key in ("units", "means", "scales"))
            made = cls(tuple(data["names"]), units, means, scales, tuple(map(bool, data["gaps"])))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"a scaler of columns that is not whole: {error!r}") from error
        if {len(made.names)} != {len(part) for part in (units, means, scales, made.gaps)}:
            raise BundleError("a scaler of columns that lacks some of its numbers")
        return made


def _floats(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _fit(values_R: Float, weights_R: Float) -> tuple[float, float, float, bool]:
    present = np.isfinite(values_R)
    values, weights = values_R[present], weights_R[present]
    gaps = not present.all()
    if not len(values):
        return 0.0, 0.0, 1.0, True
    positive = values[values > 0]
    unit = float(positive.min()) if len(positive) else 0.0
    if not unit or values.min() < 0 or values.max() < _SPAN * unit:
        unit = 0.0
    seen = np.log1p(values / unit) if unit else values
    mean = float(np.average(seen, weights=weights))
    spread = float(np.sqrt(np.average((seen - mean) ** 2, weights=weights)))
    # below this share of the largest value, a spread is rounding noise and not a spread
    scale = spread if spread > 1e-9 * float(np.abs(seen).max()) else 1.0
    return unit, mean, scale, gaps

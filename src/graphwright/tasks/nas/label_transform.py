"""Monotone maps of a metric to the scale on which it is learnt, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from graphwright.errors import BundleError, DataError

__all__ = ["Kind", "LabelTransform"]

Float = NDArray[np.float64]
Kind = Literal["standardise", "rank", "none"]
# knots of a rank transform: enough for any curve, and a short line in a bundle
_KNOTS = 1001


@dataclass(frozen=True)
class LabelTransform:
    """A monotone map of one metric to the scale on which it is learnt, and back.

    - standardise: z = (y − mean) / sd, two knots;
    - rank: z = Φ⁻¹((rank − ½) / n) of the training labels, straight between them (normal scores;
      Conover, Practical Nonparametric Statistics, 5.10), going on at the slope of standardise
      outside of them, so that it can be inverted anywhere;
    - none: z = y.

    Attributes:
        kind: which of these.
        mean, scale: of the valid training labels.
        values, scores: knots of the rank transform, both strictly increasing.
    """

    kind: Kind
    mean: float = 0.0
    scale: float = 1.0
    values: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()

    @classmethod
    def fit(cls, values_N: Float, kind: Kind) -> LabelTransform:
        """From the valid training labels.

        Raises:
            DataError: there are none, or one is not finite.
        """
        if not len(values_N) or not np.isfinite(values_N).all():
            raise DataError("a label transform needs finite training labels", where=len(values_N))
        if kind == "none":
            return cls(kind)
        mean, spread = float(values_N.mean()), float(values_N.std())
        scale = spread if spread > 1e-12 * max(abs(mean), 1e-300) else 1.0
        if kind == "standardise":
            return cls(kind, mean, scale)
        knots, scores = _normal_scores(values_N)
        return cls(kind, mean, scale, tuple(knots.tolist()), tuple(scores.tolist()))

    def transform(self, values: Float) -> Float:
        """Labels in their unit to the learnt scale, any shape."""
        if self.kind != "rank":
            result: Float = (values - self.mean) / self.scale
            return result
        return _piecewise(values, self.values, self.scores, 1 / self.scale)

    def inverse(self, scores: Float) -> Float:
        """What `transform` was given."""
        if self.kind != "rank":
            result: Float = scores * self.scale + self.mean
            return result
        return _piecewise(scores, self.scores, self.values, self.scale)

    def inverse_spread(self, scores: Float, spread: Float) -> Float:
        """A standard deviation on the learnt scale in the metric's unit, at these predictions."""
        both = self.inverse(scores + spread) - self.inverse(scores - spread)
        half: Float = both / 2
        return half

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        plain = {"kind": self.kind, "mean": self.mean, "scale": self.scale}
        return {**plain, "values": list(self.values), "scores": list(self.scores)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LabelTransform:
        """From `to_json` (BundleError if it is none)."""
        try:
            kind, mean, scale = data["kind"], float(data["mean"]), float(data["scale"])
            knots = tuple(map(float, data["values"])), tuple(map(float, data["scores"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"a label transform that is not whole: {error!r}") from error
        if kind not in ("standardise", "rank", "none") or scale <= 0:
            raise BundleError(f"a label transform of an unknown kind or scale: {kind!r}, {scale}")
        if len(knots[0]) != len(knots[1]) or (kind == "rank") != bool(knots[0]):
            raise BundleError("a label transform whose knots do not fit its kind")
        return cls(kind, mean, scale, *knots)


def _normal_scores(values_N: Float) -> tuple[Float, Float]:
    """Distinct values and the normal score of the middle of their ranks, at most `_KNOTS`."""
    knots, counts = np.unique(values_N, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    scores: Float = ndtri(middle / len(values_N))
    if len(knots) > _KNOTS:
        kept = np.unique(np.rint(np.linspace(0, len(knots) - 1, _KNOTS)).astype(int))
        knots, scores = knots[kept], scores[kept]
    return knots, scores


def _piecewise(x: Float, knots: Sequence[float], heights: Sequence[float], slope: float) -> Float:
    """Straight between knots, and with `slope` outside of them."""
    low, high = knots[0], knots[-1]
    inner = np.interp(x, knots, heights)
    result: Float = inner + slope * (np.minimum(x - low, 0) + np.maximum(x - high, 0))
    return result

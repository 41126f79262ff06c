"""Intervals for a metric, by resampling the held-out sets (Efron, 1979).

Legend: S = sets, G = groups that are drawn as a whole, R = resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "Metric", "intervals"]

Values = NDArray[np.float64]
Metric = Callable[[Values, Values, Values], float]  # predicted, label, weight of each set

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A metric's percentile interval; `above` is that of the model's lead over this row."""

    low: float
    high: float
    above_low: float
    above_high: float


def intervals(
    predicted: Mapping[str, Values],
    label_S: Values,
    own: str,
    metric: Metric,
    *,
    group_S: NDArray[np.integer] | None = None,
    resamples: int = 500,
    seed: int = 0,
) -> dict[str, Interval]:
    """95 % intervals of every row's metric, and of how far the model is above it.

    All rows are measured on the same resamples, so that the lead is not blurred by what makes
    a resample hard for all of them.

    Args:
        predicted: predictions `[S]` of each row.
        label_S: what they are compared with.
        own: name of the model's row.
        metric: higher is better.
        group_S: sets with equal numbers are drawn together (query groups: their sets are not
            independent); None: each alone.
        resamples: R.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    member_S = np.arange(len(label_S)) if group_S is None else _members(group_S)
    groups = int(member_S.max()) + 1
    found: dict[str, list[float]] = {name: [] for name in predicted}
    for _ in range(resamples):
        drawn_G = np.bincount(rng.integers(groups, size=groups), minlength=groups)
        weight_S = drawn_G[member_S].astype(np.float64)
        kept = np.flatnonzero(weight_S)
        for name, predicted_S in predicted.items():
            found[name].append(_measured(metric, predicted_S, label_S, weight_S, kept))
    own_R = np.array(found[own])
    return {
        name: Interval(*_bounds(np.array(values)), *_bounds(own_R - np.array(values)))
        for name, values in found.items()
    }


def _bounds(value_R: Values) -> tuple[float, float]:
    """The middle 95 %; resamples that tell nothing do not count."""
    value_R = value_R[~np.isnan(value_R)]
    if not len(value_R):
        return float("nan"), float("nan")
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(value_R, [tail, 1 - tail])
    return float(low), float(high)


def _members(group_S: NDArray[np.integer]) -> NDArray[np.int64]:
    _, member_S = np.unique(group_S, return_inverse=True)
    return np.asarray(member_S.reshape(-1), np.int64)


def _measured(
    metric: Metric, predicted_S: Values, label_S: Values, weight_S: Values, kept: NDArray[np.int64]
) -> float:
    """NaN where a resample has nothing to tell (a single set, say)."""
    if len(kept) < 2:
        return float("nan")
    return metric(predicted_S[kept], label_S[kept], weight_S[kept])

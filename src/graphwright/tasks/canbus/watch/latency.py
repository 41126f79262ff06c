"""Percentiles of durations in constant memory. No torch here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Latencies"]

_SHORTEST, _LONGEST = 1e-6, 1e4  # s
_STEP = 1.01  # a percentile is at most one per cent too large


class Latencies:
    """Counts durations in bins whose bounds grow by one per cent."""

    def __init__(self) -> None:
        bins = int(np.ceil(np.log(_LONGEST / _SHORTEST) / np.log(_STEP)))
        self._counts = np.zeros(bins + 1, np.int64)

    def add(self, seconds: NDArray[np.float64]) -> None:
        """Count some durations, which are held within 1 µs and 10,000 s."""
        held = np.clip(seconds, _SHORTEST, _LONGEST)
        place = np.ceil(np.log(held / _SHORTEST) / np.log(_STEP) - 1e-9).astype(np.int64)
        np.add.at(self._counts, place, 1)

    def percentile(self, q: float) -> float | None:
        """The upper bound of the bin in which the q-th percentile lies; None without durations."""
        total = int(self._counts.sum())
        if total == 0:
            return None
        rank = max(1, int(np.ceil(total * q / 100)))
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        return float(_SHORTEST * _STEP**place)

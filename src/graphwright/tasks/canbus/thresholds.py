"""Thresholds of scores that come from benign data, never from labels of attacks. No torch here.

A window is an alarm when its score is above the threshold.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError

__all__ = ["benign_quantile", "prefix_threshold"]

Scores = NDArray[np.float64]


def benign_quantile(scores: Scores, rate: float) -> float:
    """The score that a share `rate` of benign windows exceeds (no interpolation).

    Raises:
        DataError: no scores, or one that is not finite.
    """
    if len(scores) == 0:
        raise DataError("a threshold needs benign windows, there are none")
    if not np.isfinite(scores).all():
        raise DataError(f"{(~np.isfinite(scores)).sum()} scores of benign windows are not finite")
    return float(np.quantile(scores, 1 - rate, method="higher"))


def prefix_threshold(
    scores: Scores, end_time: NDArray[np.float64], *, start: float, seconds: float, rate: float
) -> float:
    """A threshold for one capture, from its first seconds, which are known to be benign.

    The smallest score s of n prefix windows with at least (n + 1)(1 - rate) of them not above it
    (split conformal prediction): a further benign window like them exceeds it with probability of
    at most `rate`, for any distribution and any n.

    Args:
        scores: of the capture's windows.
        end_time: seconds, when each window was complete.
        start: time of the capture's first frame.
        seconds: length of the benign prefix.
        rate: false positives that are wanted.

    Raises:
        DataError: fewer windows in the prefix than 1 / rate - 1: no score keeps such a promise.
    """
    prefix = np.sort(scores[end_time - start <= seconds])
    place = math.ceil((len(prefix) + 1) * (1 - rate) - 1e-9)
    if place > len(prefix) or len(prefix) == 0:
        raise DataError(
            f"the first {seconds:g} s hold {len(prefix)} windows, a false-positive rate of "
            f"{rate:g} needs {math.ceil(1 / rate - 1 - 1e-9)}",
            fix="take a longer prefix or a larger rate",
        )
    if not np.isfinite(prefix).all():
        raise DataError("a score of the benign prefix is not finite")
    return float(prefix[place - 1])

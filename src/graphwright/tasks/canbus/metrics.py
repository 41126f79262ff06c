"""How well alarms and scores tell windows with an attack from benign ones. numpy only.

The attack class is the positive one. G = windows. Where a formula leaves something open:

- What needs a class that is not there is undefined, NaN: recall, F1 and average precision without
  attack windows, the false-positive rate without benign ones, AUROC and MCC with one class only.
- Without any alarm the precision is undefined, NaN; F1 = 2 TP / (2 TP + FP + FN) is then 0, and so
  is MCC, its limit where all windows get one verdict.
- Windows with equal scores are in no order: AUROC counts half of each such pair, average precision
  takes them as one step. A constant score has AUROC 0.5 and the share of attacks as precision.
- A score that is NaN makes every metric NaN: nothing is left out silently.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphwright.data.classification import auroc, average_precision
from graphwright.errors import DataError

__all__ = ["METRICS", "verdict_metrics", "window_metrics"]

METRICS = ("f1", "precision", "recall", "mcc", "auroc", "ap", "fpr")
"""Keys of `window_metrics`."""

Flags = NDArray[np.bool_]


def window_metrics(score_G: ArrayLike, alarm_G: ArrayLike, label_G: ArrayLike) -> dict[str, float]:
    """All of `METRICS`: what the verdicts decide, and what the order of the scores does.

    Args:
        score_G: higher is more of an attack.
        alarm_G: verdicts, non-zero is an alarm.
        label_G: non-zero is an attack window.

    Raises:
        DataError: lengths that differ.
    """
    score = np.asarray(score_G, dtype=np.float64)
    label = _flags(label_G)
    if np.isnan(score).any():
        return dict.fromkeys(METRICS, math.nan)
    found = verdict_metrics(alarm_G, label)
    found |= {"auroc": auroc(score, label), "ap": average_precision(score, label)}
    return {name: found[name] for name in METRICS}


def verdict_metrics(alarm_G: ArrayLike, label_G: ArrayLike) -> dict[str, float]:
    """`f1`, `precision`, `recall`, `mcc` (Matthews, BBA 405, 1975) and `fpr` of the verdicts.

    Raises:
        DataError: lengths that differ.
    """
    alarm, label = _flags(alarm_G), _flags(label_G)
    _check(alarm, label)
    hit, false = int((alarm & label).sum()), int((alarm & ~label).sum())
    attacks, benign = int(label.sum()), int((~label).sum())
    missed, passed = attacks - hit, benign - false
    # as floats: the product of four counts leaves the integers of numpy behind
    sides = math.sqrt(float(hit + false) * float(missed + passed) * attacks * benign)
    both = attacks > 0 and benign > 0
    return {
        "f1": _ratio(2 * hit, 2 * hit + false + missed) if attacks else math.nan,
        "precision": _ratio(hit, hit + false),
        "recall": _ratio(hit, attacks),
        "mcc": ((hit * passed - false * missed) / sides if sides else 0.0) if both else math.nan,
        "fpr": _ratio(false, benign),
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _flags(values: ArrayLike) -> Flags:
    flags: Flags = np.asarray(values) != 0
    return flags


def _check(one: NDArray[np.generic], label: Flags) -> None:
    if one.shape != label.shape or label.ndim != 1:
        raise DataError(
            f"verdicts {one.shape} and labels {label.shape} are not of the same windows"
        )

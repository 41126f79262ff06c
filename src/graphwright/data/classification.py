"""How well a score orders two classes. numpy only; every task that tells two classes apart uses it.

S = samples, T = distinct scores. Where a formula leaves something open:

- Equal scores are in no order: AUROC counts half of each such pair, average precision takes them
  as one step, so the order of the rows never counts.
- What needs a class that is not there is NaN: AUROC with one class only, average precision without
  positives. A score that is NaN makes both NaN: nothing is left out silently.
- Weights count a sample several times (a bootstrap) or not at all.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphwright.errors import DataError

__all__ = ["auroc", "average_precision"]

Values = NDArray[np.float64]


def auroc(score_S: ArrayLike, positive_S: ArrayLike, weight_S: ArrayLike | None = None) -> float:
    """Area under the ROC curve: chance that a positive scores higher than a negative.

    Equal scores count half (Mann and Whitney, Ann. Math. Stat. 18, 1947).

    Args:
        score_S: higher is surer; may be infinite.
        positive_S: non-zero is of the positive class.
        weight_S: how often each sample counts; None: once.

    Raises:
        DataError: lengths that differ.
    """
    positives_T, negatives_T = _by_score(score_S, positive_S, weight_S)
    pairs = float(positives_T.sum()) * float(negatives_T.sum())
    if not pairs > 0:
        return math.nan
    below_T = negatives_T.sum() - np.cumsum(negatives_T)
    return float(positives_T @ (below_T + 0.5 * negatives_T)) / pairs


def average_precision(
    score_S: ArrayLike, positive_S: ArrayLike, weight_S: ArrayLike | None = None
) -> float:
    """AP = Σ_k (R_k - R_(k-1)) P_k over the distinct scores, highest first; no interpolation.

    Arguments and errors as for `auroc`.
    """
    positives_T, negatives_T = _by_score(score_S, positive_S, weight_S)
    hits_T = np.cumsum(positives_T)
    if not positives_T.sum() > 0:
        return math.nan
    alarms_T = hits_T + np.cumsum(negatives_T)
    # thresholds that nothing of any weight has reached yet gain nothing
    precision_T = np.divide(hits_T, alarms_T, out=np.zeros_like(hits_T), where=alarms_T > 0)
    return float(positives_T @ precision_T / hits_T[-1])


def _by_score(
    score_S: ArrayLike, positive_S: ArrayLike, weight_S: ArrayLike | None
) -> tuple[Values, Values]:
    """Weight of positives and of negatives at every score, highest first; empty if one is NaN."""
    score_S = np.asarray(score_S, np.float64)
    is_positive_S = np.asarray(positive_S) != 0
    if score_S.shape != is_positive_S.shape or score_S.ndim != 1:
        shapes = f"scores {score_S.shape} and classes {is_positive_S.shape}"
        raise DataError(f"{shapes} are not both [S]")
    weights_S = np.ones(len(score_S)) if weight_S is None else np.asarray(weight_S, np.float64)
    if np.isnan(score_S).any():
        return np.zeros(0), np.zeros(0)
    _, place_S = np.unique(-score_S, return_inverse=True)
    place_S = place_S.reshape(-1)
    count = int(place_S.max(initial=-1)) + 1
    return (
        np.bincount(place_S, weights_S * is_positive_S, count).astype(np.float64),
        np.bincount(place_S, weights_S * ~is_positive_S, count).astype(np.float64),
    )

"""How well predicted interactions agree with measured ones. numpy and scipy only.

S = gene sets. Decisions where a formula leaves something open:

- A prediction that is equal for all sets says nothing of their order: its correlations are 0, its
  AUROC is ½. Labels that are all equal have no order: there correlations are NaN; so is AUROC where
  there are only calls or none, and average precision where there are none.
- A prediction that is not finite makes every metric NaN: nothing is left out silently.
- Weights count a set several times (a bootstrap) or not at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from graphwright.data.classification import auroc, average_precision
from graphwright.errors import DataError

__all__ = [
    "call_metrics",
    "pearson",
    "score_metrics",
    "spearman",
]

Values = NDArray[np.float64]


def score_metrics(predicted_S: ArrayLike, label_S: ArrayLike) -> dict[str, float]:
    """`pearson`, `spearman`, and in the label's unit `mse` (squared) and `mae`.

    Raises:
        DataError: lengths that differ, fewer than two sets, or a label that is not finite.
    """
    predicted_S, label_S = _both(predicted_S, label_S)
    error_S = np.abs(predicted_S - label_S)
    found = {
        "pearson": pearson(predicted_S, label_S),
        "spearman": spearman(predicted_S, label_S),
        "mse": float(np.square(error_S).mean()),
        "mae": float(error_S.mean()),
    }
    return found if np.isfinite(predicted_S).all() else dict.fromkeys(found, float("nan"))


def call_metrics(score_S: ArrayLike, called_S: ArrayLike) -> dict[str, float]:
    """`auroc`, `average_precision`, and `prevalence`, the share of calls, which is the average
    precision of an order at random.

    Raises:
        DataError: as `score_metrics`.
    """
    score_S, called_S = _both(score_S, called_S)
    return {
        "auroc": auroc(score_S, called_S),
        "average_precision": average_precision(score_S, called_S),
        "prevalence": float(called_S.mean()),
    }


def pearson(predicted_S: ArrayLike, label_S: ArrayLike, weight_S: ArrayLike | None = None) -> float:
    """Pearson's r.

    Args:
        predicted_S, label_S: what is compared.
        weight_S: how often each set counts; None: once.

    Raises:
        DataError: as `score_metrics`.
    """
    predicted_S, label_S = _both(predicted_S, label_S)
    weight_S = np.ones(len(label_S)) if weight_S is None else np.asarray(weight_S, np.float64)
    if not np.isfinite(predicted_S).all():
        return float("nan")
    predicted_S = predicted_S - np.average(predicted_S, weights=weight_S)
    label_S = label_S - np.average(label_S, weights=weight_S)
    spread = float(weight_S @ np.square(label_S))
    if spread == 0:
        return float("nan")
    own = float(weight_S @ np.square(predicted_S))
    # what rounding leaves of equal predictions is no spread
    largest = float(np.abs(predicted_S).max())
    if own == 0 or largest <= 1e-12 * float(np.sqrt(spread / weight_S.sum())):
        return 0.0
    return float(weight_S @ (predicted_S * label_S) / np.sqrt(own * spread))


def spearman(predicted_S: ArrayLike, label_S: ArrayLike) -> float:
    """Spearman's ρ; equal values share their mean rank.

    Raises:
        DataError: as `score_metrics`.
    """
    predicted_S, label_S = _both(predicted_S, label_S)
    if not np.isfinite(predicted_S).all():
        return float("nan")
    return pearson(stats.rankdata(predicted_S), stats.rankdata(label_S))


def _both(predicted_S: ArrayLike, label_S: ArrayLike) -> tuple[Values, Values]:
    predicted_S = np.asarray(predicted_S, dtype=np.float64)
    label_S = np.asarray(label_S, dtype=np.float64)
    if predicted_S.shape != label_S.shape or label_S.ndim != 1:
        raise DataError(
            f"predictions {predicted_S.shape} and labels {label_S.shape} are not both [S]"
        )
    if len(label_S) < 2:
        raise DataError("a correlation needs at least two gene sets with labels")
    if not np.isfinite(label_S).all():
        raise DataError("a label is not finite", fix="leave such sets out")
    return predicted_S, label_S

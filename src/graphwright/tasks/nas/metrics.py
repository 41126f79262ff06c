"""How well predicted labels order architectures, and how far off they are. numpy and scipy only.

A = architectures. Decisions where a formula leaves something open:

- A prediction that is equal for all architectures orders nothing: its rank correlations are 0. True
  labels that are all equal cannot be ordered: there they are NaN, and so is R².
- A prediction that is not finite makes every metric NaN: nothing is left out silently.
- Predictions that are equal are in no order: what depends on who is among the first k is its
  expectation over all orders of the equal ones, so the order of the rows never counts.
- Metrics of the first k are given where k is smaller than the number of architectures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from graphwright.errors import DataError

__all__ = [
    "best_rank_at",
    "calibration",
    "error_metrics",
    "kendall_tau",
    "precision_at",
    "predicted_ranks",
    "ranking_metrics",
    "regret_at",
    "spearman_rho",
]

Values = NDArray[np.float64]

PRECISION_AT = (10, 50)
BEST_AT = (5, 10, 50)
SHARE = 0.05  # precision is also told of the best 5 %


def ranking_metrics(
    predicted_A: ArrayLike, target_A: ArrayLike, *, higher_is_better: bool
) -> dict[str, float]:
    """Everything that only the order of the predictions decides.

    `kendall_tau`, `spearman_rho`; `precision_at_10`, `_50` and `_5pct`; `n_at_5`, `_10`, `_50`
    (N@K of arXiv 2004.01899: true rank, from 1, of the best among the predicted first K);
    `regret_at_5`, `_10`, `_50` (how much worse that one is than the best, in units of the label).

    Raises:
        DataError: lengths that differ, fewer than two architectures, or a label that is not finite.
    """
    predicted_A, target_A = _pair(predicted_A, target_A)
    count, sign = len(target_A), 1.0 if higher_is_better else -1.0
    predicted_A, target_A = sign * predicted_A, sign * target_A
    metrics = {
        "kendall_tau": kendall_tau(predicted_A, target_A),
        "spearman_rho": spearman_rho(predicted_A, target_A),
    }
    sizes = {str(k): k for k in PRECISION_AT} | {"5pct": max(1, round(SHARE * count))}
    for name, k in sizes.items():
        if k < count:
            metrics[f"precision_at_{name}"] = precision_at(predicted_A, target_A, k)
    for k in BEST_AT:
        if k < count:
            metrics[f"n_at_{k}"] = best_rank_at(predicted_A, target_A, k)
    for k in BEST_AT:
        if k < count:
            metrics[f"regret_at_{k}"] = regret_at(predicted_A, target_A, k)
    return metrics


def error_metrics(predicted_A: ArrayLike, target_A: ArrayLike) -> dict[str, float]:
    """`rmse` and `mae` in units of the label, and `r2` = 1 - SS_res / SS_tot.

    Raises:
        DataError: as `ranking_metrics`.
    """
    predicted_A, target_A = _pair(predicted_A, target_A)
    error_A = predicted_A - target_A
    total = float(np.square(target_A - target_A.mean()).sum())
    return {
        "rmse": float(np.sqrt(np.square(error_A).mean())),
        "mae": float(np.abs(error_A).mean()),
        "r2": 1.0 - float(np.square(error_A).sum()) / total if total > 0 else float("nan"),
    }


def calibration(predicted_A: ArrayLike, sd_A: ArrayLike, target_A: ArrayLike) -> dict[str, float]:
    """What a predicted standard deviation is worth.

    `nll`: mean of ½ ln(2π sd²) + (predicted - target)² / (2 sd²), infinite where a wrong prediction
    has sd 0; `coverage_1sd` and `coverage_2sd`: shares of labels within one and two standard
    deviations (.683 and .954 if errors are Gaussian and the sd is right).

    Raises:
        DataError: as `ranking_metrics`, or a negative standard deviation.
    """
    predicted_A, target_A = _pair(predicted_A, target_A)
    sd_A = np.asarray(sd_A, dtype=np.float64)
    if sd_A.shape != target_A.shape or (sd_A < 0).any():
        raise DataError("standard deviations must be one a prediction and not negative")
    names = ("nll", "coverage_1sd", "coverage_2sd")
    if not (np.isfinite(sd_A).all() and np.isfinite(predicted_A).all()):
        return dict.fromkeys(names, float("nan"))
    error_A = np.abs(predicted_A - target_A)
    with np.errstate(divide="ignore", invalid="ignore"):
        nll_A = 0.5 * np.log(2 * np.pi * sd_A**2) + 0.5 * np.square(error_A / sd_A)
    # a sure prediction that is wrong is infinitely bad; log(0) + 0/0 of a right one says nothing
    nll_A = np.where(sd_A == 0, np.where(error_A > 0, np.inf, 0.0), nll_A)
    values = (nll_A.mean(), (error_A <= sd_A).mean(), (error_A <= 2 * sd_A).mean())
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def kendall_tau(predicted_A: ArrayLike, target_A: ArrayLike) -> float:
    """Kendall's τ-b, which corrects for ties (Biometrika 33, 1945).

    Raises:
        DataError: as `ranking_metrics`.
    """
    predicted_A, target_A = _pair(predicted_A, target_A)
    decided = _without_order(predicted_A, target_A)
    return float(stats.kendalltau(predicted_A, target_A)[0]) if decided is None else decided


def spearman_rho(predicted_A: ArrayLike, target_A: ArrayLike) -> float:
    """Spearman's ρ; equal values share their mean rank.

    Raises:
        DataError: as `ranking_metrics`.
    """
    predicted_A, target_A = _pair(predicted_A, target_A)
    decided = _without_order(predicted_A, target_A)
    return float(stats.spearmanr(predicted_A, target_A)[0]) if decided is None else decided


def precision_at(predicted_A: ArrayLike, target_A: ArrayLike, k: int) -> float:
    """Share of the predicted k highest that are among the true k highest (with their equals)."""
    predicted_A, target_A = _pair(predicted_A, target_A)
    if not np.isfinite(predicted_A).all():
        return float("nan")
    sure_A, tied_A, slots = _first(predicted_A, k)
    good_A = target_A >= np.partition(target_A, -k)[-k]
    return float(good_A[sure_A].sum() + slots * good_A[tied_A].mean()) / k


def best_rank_at(predicted_A: ArrayLike, target_A: ArrayLike, k: int) -> float:
    """True rank of the best among the predicted k highest; 1 is the best of all (N@K)."""
    predicted_A, target_A = _pair(predicted_A, target_A)
    rank_A = stats.rankdata(-target_A, method="min")
    return -_expected_best(predicted_A, -rank_A, k)


def regret_at(predicted_A: ArrayLike, target_A: ArrayLike, k: int) -> float:
    """The highest label of all minus the highest among the predicted k highest."""
    predicted_A, target_A = _pair(predicted_A, target_A)
    return float(target_A.max()) - _expected_best(predicted_A, target_A, k)


def predicted_ranks(predicted_A: ArrayLike, *, higher_is_better: bool) -> NDArray[np.int64]:
    """Rank of each prediction, 1 the best; equal ones share it, not finite ones come last."""
    values_A = np.asarray(predicted_A, dtype=np.float64)
    worst_first_A = values_A if higher_is_better else -values_A
    lowest_A = np.where(np.isfinite(worst_first_A), worst_first_A, -np.inf)
    ranks_A: NDArray[np.int64] = stats.rankdata(-lowest_A, method="min").astype(np.int64)
    return ranks_A


def _pair(predicted_A: ArrayLike, target_A: ArrayLike) -> tuple[Values, Values]:
    predicted_A = np.asarray(predicted_A, dtype=np.float64)
    target_A = np.asarray(target_A, dtype=np.float64)
    if predicted_A.shape != target_A.shape or target_A.ndim != 1:
        raise DataError(
            f"predictions {predicted_A.shape} and labels {target_A.shape} are not both [A]"
        )
    if len(target_A) < 2:
        raise DataError("an order needs at least two architectures with valid labels")
    if not np.isfinite(target_A).all():
        raise DataError("a label is not finite", fix="leave failed trainings out")
    return predicted_A, target_A


def _without_order(predicted_A: Values, target_A: Values) -> float | None:
    """The correlation where there is no order: 0 or NaN (see the module), else None."""
    if not np.isfinite(predicted_A).all() or (target_A == target_A[0]).all():
        return float("nan")
    return 0.0 if (predicted_A == predicted_A[0]).all() else None


def _first(predicted_A: Values, k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """Who is surely among the first k; who shares the other places, and how many places."""
    if not 0 < k <= len(predicted_A):
        raise DataError(f"k = {k} is not between 1 and the {len(predicted_A)} architectures")
    edge = np.partition(predicted_A, -k)[-k]
    sure_A = predicted_A > edge
    return sure_A, predicted_A == edge, k - int(sure_A.sum())


def _expected_best(predicted_A: Values, value_A: NDArray[np.floating], k: int) -> float:
    """Expected highest value among the first k, over all orders of equal predictions."""
    if not np.isfinite(predicted_A).all():
        return float("nan")
    sure_A, tied_A, slots = _first(predicted_A, k)
    tied_T = np.sort(value_A[tied_A])[::-1]
    others = np.arange(len(tied_T))
    # chance that the j-th best of the T tied is drawn and no better one:
    # slots/T, then by P(j+1) = P(j) (T - j - slots) / (T - j - 1)
    left_T = len(tied_T) - others[1:] + 1.0
    steps_T = np.maximum(left_T - slots, 0.0) / np.maximum(left_T - 1.0, 1.0)
    chance_T = slots / len(tied_T) * np.concatenate([[1.0], np.cumprod(steps_T)])
    floor = value_A[sure_A].max() if sure_A.any() else -np.inf
    return float((chance_T * np.maximum(tied_T, floor)).sum())

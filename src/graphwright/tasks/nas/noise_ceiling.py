"""How well any predictor could do: two trainings of the same architecture differ, too.

A = architectures, R = trainings of each, G = groups of architectures that are the same function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.metrics import kendall_tau

__all__ = ["Ceiling", "ceiling_of", "repeats_ceiling", "twin_pairs", "twins_ceiling"]

Values = NDArray[np.float64]

DRAWS = 20
NEIGHBOURS = 51  # architectures of similar label whose noise is taken to be the same
FEWEST = 10  # architectures, below which a τ says nothing


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What is known of the noise in a metric.

    Attributes:
        agreement: Kendall's τ between two trainings of the same architectures; None: not known.
        agreement_sd: its sample standard deviation over pairs of columns or draws of twins.
        perfect: estimated τ of a predictor that knows every architecture's expected label.
        count: architectures (or groups of twins) that it was measured on.
        how: what was done, or why nothing is known; a sentence.
    """

    agreement: float | None = None
    agreement_sd: float | None = None
    perfect: float | None = None
    count: int = 0
    how: str


def ceiling_of(
    labels_A: ArrayLike,
    *,
    repeats_AR: ArrayLike | None = None,
    groups_A: ArrayLike | None = None,
    seed: int = 0,
) -> Ceiling:
    """The best estimate that the data allow: repeated trainings, else twins, else none.

    Args:
        labels_A: the metric; NaN where a training failed.
        repeats_AR: single trainings whose mean is the metric; NaN where one failed.
        groups_A: canonical ids; equal for architectures that are the same function.
        seed: of draws.
    """
    if repeats_AR is not None:
        return repeats_ceiling(repeats_AR, seed=seed)
    if groups_A is not None:
        return twins_ceiling(labels_A, groups_A, seed=seed)
    return Ceiling(
        how="None known: the table has one label an architecture, and no column tells which "
        "architectures are the same function."
    )


def repeats_ceiling(repeats_AR: ArrayLike, *, seed: int = 0) -> Ceiling:
    """From repeated trainings of each architecture, where the label is their mean.

    `agreement` is the mean τ over pairs of trainings. `perfect` is an estimate by simulation: the
    means over R trainings are shrunk to the spread that the expected labels have (their variance
    less the noise's), Gaussian noise of the spread of architectures with similar labels, divided by
    √R, is added to them, and τ between the two is averaged over draws.

    Args:
        repeats_AR: two trainings or more; rows with one that is not finite are left out.
        seed: of the simulated noise.

    Raises:
        DataError: not two-dimensional.
    """
    values_AR = np.asarray(repeats_AR, dtype=np.float64)
    if values_AR.ndim != 2:
        raise DataError(f"repeated trainings are [A, R], not {values_AR.shape}")
    values_AR = values_AR[np.isfinite(values_AR).all(axis=1)]
    count, trainings = values_AR.shape
    if trainings < 2 or count < FEWEST:
        return Ceiling(
            count=count,
            how=f"None known: {trainings} training(s) of {count} architectures are too few.",
        )
    pairs = [
        kendall_tau(values_AR[:, i], values_AR[:, j])
        for i in range(trainings)
        for j in range(i + 1, trainings)
    ]
    return Ceiling(
        agreement=float(np.mean(pairs)),
        agreement_sd=float(np.std(pairs, ddof=1)) if len(pairs) > 1 else None,
        perfect=_perfect(values_AR, trainings, np.random.default_rng(seed)),
        count=count,
        how=f"{trainings} trainings of each of {count:,} architectures; the label is their mean.",
    )


def twins_ceiling(labels_A: ArrayLike, groups_A: ArrayLike, *, seed: int = 0) -> Ceiling:
    """From architectures that are the same function and were trained separately.

    Of every group with at least two labels two members are drawn, in random order: two columns of
    one row a group. `agreement` is τ between the columns, over 20 draws; every group counts once,
    however many members it has. `perfect` is as in `repeats_ceiling` for one training each.
    Groups without twins are not in it: it holds for the kind of architecture that has some.

    Args:
        labels_A: one label each; those that are not finite are left out.
        groups_A: canonical ids.
        seed: of draws.
    """
    rng = np.random.default_rng(seed)
    draws = [twin_pairs(labels_A, groups_A, rng) for _ in range(DRAWS)]
    count = len(draws[0])
    if count < FEWEST:
        return Ceiling(
            count=count, how=f"None known: only {count} groups of twins have two valid labels."
        )
    taus = [kendall_tau(pairs_G2[:, 0], pairs_G2[:, 1]) for pairs_G2 in draws]
    return Ceiling(
        agreement=float(np.mean(taus)),
        agreement_sd=float(np.std(taus, ddof=1)),
        perfect=float(np.mean([_perfect(pairs_G2, 1, rng, draws=1) for pairs_G2 in draws])),
        count=count,
        how=f"two of each of {count:,} groups of isomorphic architectures, trained separately; "
        "every group counts once.",
    )


def twin_pairs(labels_A: ArrayLike, groups_A: ArrayLike, rng: np.random.Generator) -> Values:
    """Labels of two random members of every group that has them `[G, 2]`, in random order."""
    labels_A = np.asarray(labels_A, dtype=np.float64)
    known_A = np.isfinite(labels_A)
    labels_K, groups_K = labels_A[known_A], np.asarray(groups_A)[known_A]
    # shuffled first: then the first two of a group, in a stable order, are a random pair
    shuffled = rng.permutation(len(labels_K))
    order = shuffled[np.argsort(groups_K[shuffled], kind="stable")]
    _, first, sizes = np.unique(groups_K[order], return_index=True, return_counts=True)
    first = first[sizes > 1]
    return np.stack([labels_K[order[first]], labels_K[order[first + 1]]], axis=1)


def _perfect(
    repeats_AR: Values, averaged: int, rng: np.random.Generator, draws: int = DRAWS
) -> float:
    """τ between simulated expected labels and labels of `averaged` trainings of them."""
    trainings = repeats_AR.shape[1]
    mean_A = repeats_AR.mean(axis=1)
    variance_A = repeats_AR.var(axis=1, ddof=1)
    total = float(mean_A.var(ddof=1))
    if total == 0:
        return float("nan")
    true_share = max(0.0, 1.0 - float(variance_A.mean()) / trainings / total)
    expected_A = mean_A.mean() + np.sqrt(true_share) * (mean_A - mean_A.mean())
    noise_A = np.sqrt(_smooth(variance_A, mean_A) / averaged)
    taus = [
        kendall_tau(expected_A, expected_A + noise_A * rng.normal(size=len(mean_A)))
        for _ in range(draws)
    ]
    return float(np.mean(taus))


def _smooth(variance_A: Values, mean_A: Values) -> Values:
    """Mean variance of the neighbours in the order of the means.

    The variance of two or three numbers is itself so noisy that as it stands it would leave half of
    the architectures with hardly any noise, and the ceiling too high.
    """
    order = np.argsort(mean_A, kind="stable")
    width = min(NEIGHBOURS, len(order))
    ones = np.ones(width)
    sums = np.convolve(variance_A[order], ones, mode="same")
    smooth_A = np.empty_like(variance_A)
    smooth_A[order] = sums / np.convolve(np.ones(len(order)), ones, mode="same")
    return smooth_A

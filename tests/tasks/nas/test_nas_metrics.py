"""Ranking metrics against definitions written out slowly."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.tasks.nas.metrics import (
    best_rank_at,
    calibration,
    error_metrics,
    kendall_tau,
    precision_at,
    predicted_ranks,
    ranking_metrics,
    regret_at,
    spearman_rho,
)

# few distinct values: ties are the rule
TIED = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=7)


def slow_tau(x: np.ndarray, y: np.ndarray) -> float:
    concordant = x_tied = y_tied = total = 0.0
    for i, j in itertools.combinations(range(len(x)), 2):
        concordant += np.sign(x[i] - x[j]) * np.sign(y[i] - y[j])
        x_tied += x[i] == x[j]
        y_tied += y[i] == y[j]
        total += 1
    return float(concordant / math.sqrt((total - x_tied) * (total - y_tied)))


def slow_firsts(predicted: np.ndarray, k: int) -> list[tuple[int, ...]]:
    """Every choice of k that some order of equal predictions puts first."""
    return [
        chosen
        for chosen in itertools.combinations(range(len(predicted)), k)
        if min(predicted[list(chosen)])
        >= max(np.delete(predicted, list(chosen)), default=-math.inf)
    ]


@settings(max_examples=80, deadline=None)
@given(pairs=TIED)
def test_correlations_with_ties(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    if len(set(y)) == 1:
        assert math.isnan(kendall_tau(x, y))
        assert math.isnan(spearman_rho(x, y))
    elif len(set(x)) == 1:
        assert kendall_tau(x, y) == 0.0
        assert spearman_rho(x, y) == 0.0
    else:
        assert kendall_tau(x, y) == pytest.approx(slow_tau(x, y), abs=1e-12)
        ranks = [[np.mean([(v > z) * 1.0 + (v == z) * 0.5 for z in one]) for v in one]
                 for one in (x, y)]  # fmt: skip
        assert spearman_rho(x, y) == pytest.approx(np.corrcoef(ranks)[0, 1], abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(pairs=TIED, data=st.data())
def test_the_first_k_are_an_expectation_over_orders(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    x, y = np.array(pairs, dtype=float).T
    k = data.draw(st.integers(1, len(x)))
    firsts = slow_firsts(x, k)
    good = y >= sorted(y)[-k]
    ranks = np.array([1 + (y > value).sum() for value in y])
    assert precision_at(x, y, k) == pytest.approx(np.mean([good[list(c)].mean() for c in firsts]))
    assert best_rank_at(x, y, k) == pytest.approx(np.mean([ranks[list(c)].min() for c in firsts]))
    regrets = [y.max() - y[list(c)].max() for c in firsts]
    assert regret_at(x, y, k) == pytest.approx(np.mean(regrets), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_lower_is_better_mirrors_everything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 40, 80).astype(float)
    x = y + rng.normal(0, 10, 80)
    up = ranking_metrics(x, y, higher_is_better=True)
    assert ranking_metrics(-x, -y, higher_is_better=False) == pytest.approx(up)
    order = rng.permutation(80)  # the order of the rows says nothing
    assert ranking_metrics(x[order], y[order], higher_is_better=True) == pytest.approx(up)


def test_a_perfect_and_a_reversed_predictor() -> None:
    y = np.arange(200.0)
    best = ranking_metrics(y, y, higher_is_better=True)
    assert best["kendall_tau"] == best["spearman_rho"] == pytest.approx(1.0)
    assert best["precision_at_5pct"] == best["precision_at_10"] == best["precision_at_50"] == 1.0
    assert (best["n_at_5"], best["regret_at_5"]) == (1.0, 0.0)
    worst = ranking_metrics(-y, y, higher_is_better=True)
    assert worst["kendall_tau"] == pytest.approx(-1.0)
    assert (worst["precision_at_50"], worst["n_at_10"], worst["regret_at_10"]) == (0.0, 191, 190)


def test_small_splits_have_no_first_fifty() -> None:
    names = ranking_metrics(np.arange(30), np.arange(30), higher_is_better=True)
    assert "precision_at_10" in names
    assert not {"precision_at_50", "n_at_50", "regret_at_50"} & set(names)


def test_a_prediction_that_is_not_finite_spoils_every_number() -> None:
    y = np.arange(100.0)
    x = np.where(y == 3, np.nan, y)
    found = ranking_metrics(x, y, higher_is_better=True) | error_metrics(x, y)
    assert all(math.isnan(value) for value in found.values())
    assert predicted_ranks(x, higher_is_better=True)[3] == 100


def test_errors_and_calibration() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    predicted = truth + rng.normal(0, 0.5, 20_000)
    errors = error_metrics(predicted, truth)
    assert errors["rmse"] == pytest.approx(0.5, rel=0.02)
    assert errors["r2"] == pytest.approx(0.75, abs=0.01)
    good = calibration(predicted, np.full(20_000, 0.5), truth)
    assert good["coverage_1sd"] == pytest.approx(0.683, abs=0.01)
    assert good["coverage_2sd"] == pytest.approx(0.954, abs=0.01)
    assert good["nll"] == pytest.approx(0.5 * math.log(2 * math.pi * 0.25) + 0.5, abs=0.02)
    for sd in (0.1, 2.0):
        assert calibration(predicted, np.full(20_000, sd), truth)["nll"] > good["nll"]
    assert math.isinf(calibration([1.0, 2.0], [0.0, 1.0], [1.5, 2.0])["nll"])
    assert math.isnan(error_metrics([1.0, 2.0], [3.0, 3.0])["r2"])

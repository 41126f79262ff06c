"""Metrics against scipy and scikit-learn, and what they say where a formula does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from graphwright.errors import DataError
from graphwright.tasks.genes.metrics import (
    call_metrics,
    pearson,
    score_metrics,
    spearman,
)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 60), st.integers(2, 9))
def test_metrics_are_those_of_the_libraries(seed: int, count: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    predicted = rng.integers(levels, size=count) + 0.0
    predicted[:2] = 0, 1  # some order
    label = rng.normal(size=count)
    found = score_metrics(predicted, label)
    assert found["pearson"] == pytest.approx(stats.pearsonr(predicted, label)[0])
    assert found["spearman"] == pytest.approx(stats.spearmanr(predicted, label)[0])
    assert found["mse"] == pytest.approx(reference.mean_squared_error(label, predicted))
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(label, predicted))


def test_weighted_pearson_counts_a_set_several_times() -> None:
    rng = np.random.default_rng(0)
    one, two, weight = rng.normal(size=20), rng.normal(size=20), rng.integers(0, 4, size=20)
    repeated = stats.pearsonr(np.repeat(one, weight), np.repeat(two, weight))[0]
    assert pearson(one, two, weight) == pytest.approx(repeated)


def test_equal_predictions_have_no_order() -> None:
    label = np.array([0.1, -0.2, 0.3])
    for value in (0.0, 0.1, 1e6 / 3):
        assert pearson(np.full(3, value), label) == 0
        assert spearman(np.full(3, value), label) == 0
    called = np.array([0, 1, 0])
    found = call_metrics(np.zeros(3), called)
    assert found["auroc"] == 0.5
    assert found["average_precision"] == pytest.approx(found["prevalence"])


def test_what_cannot_be_measured_is_nan_or_refused() -> None:
    assert np.isnan(pearson([1.0, 2.0], [3.0, 3.0]))
    assert np.isnan(spearman([np.nan, 2.0], [3.0, 4.0]))
    assert np.isnan(list(score_metrics([np.inf, 2.0, 3.0], [3.0, 4.0, 5.0]).values())).all()
    with pytest.raises(DataError, match="not finite"):
        pearson([1.0, 2.0], [np.nan, 1.0])
    with pytest.raises(DataError, match="not both"):
        pearson([1.0, 2.0], [1.0])
    with pytest.raises(DataError, match="at least two"):
        pearson([1.0], [1.0])

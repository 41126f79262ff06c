"""AUROC and average precision against scikit-learn, all pairs and repeated rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from graphwright.data.classification import auroc, average_precision
from graphwright.errors import DataError


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 60), st.integers(1, 9))
def test_calls_with_equal_scores_and_weights(seed: int, count: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(levels, size=count) + 0.0
    positive = rng.integers(2, size=count)
    positive[:2] = 0, 1
    weight = rng.integers(1, 4, size=count)
    assert auroc(score, positive) == pytest.approx(reference.roc_auc_score(positive, score))
    assert average_precision(score, positive) == pytest.approx(
        reference.average_precision_score(positive, score)
    )
    assert auroc(score, positive, weight) == pytest.approx(
        auroc(np.repeat(score, weight), np.repeat(positive, weight))
    )
    assert average_precision(score, positive, weight) == pytest.approx(
        average_precision(np.repeat(score, weight), np.repeat(positive, weight))
    )


def test_auroc_against_all_pairs() -> None:
    rng = np.random.default_rng(3)
    score, positive = rng.integers(0, 5, 60), rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in score[positive] for b in score[~positive]]
    assert auroc(score, positive) == pytest.approx(np.mean(pairs))
    assert math.isnan(auroc(score, np.ones(60)))


def test_what_a_missing_class_or_score_leaves() -> None:
    assert math.isnan(auroc([], []))
    assert math.isnan(average_precision([], []))
    assert math.isnan(auroc([1.0, 2.0], [0, 0]))
    assert math.isnan(average_precision([1.0], [0]))
    assert average_precision([1.0, 2.0], [1, 1]) == 1.0
    assert math.isnan(auroc([math.nan, 2.0], [1, 0]))
    assert math.isnan(average_precision([math.nan, 2.0], [1, 0]))
    assert math.isnan(auroc([1.0, 2.0], [1, 0], [0, 1]))


def test_infinite_and_constant_scores() -> None:
    assert auroc([math.inf, -math.inf, math.inf], [1, 0, 0]) == 0.75
    assert auroc(np.ones(4), [0, 0, 0, 1]) == 0.5
    assert average_precision(np.ones(4), [0, 0, 0, 1]) == 0.25


def test_lengths_must_agree() -> None:
    with pytest.raises(DataError, match="not both"):
        auroc([1.0], [1, 0])

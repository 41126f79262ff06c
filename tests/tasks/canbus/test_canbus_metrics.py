"""Metrics of verdicts and scores, against scikit-learn, and where nothing is defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from graphwright.data.classification import auroc, average_precision
from graphwright.errors import DataError
from graphwright.tasks.canbus.metrics import (
    METRICS,
    verdict_metrics,
    window_metrics,
)

WINDOWS = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), min_size=1)


@settings(deadline=None)
@given(WINDOWS)
def test_metrics_are_those_of_scikit_learn(windows: list[tuple[int, bool, bool]]) -> None:
    score, alarm, label = (np.array(column) for column in zip(*windows, strict=True))
    found = window_metrics(score, alarm, label)
    if label.any():
        assert found["f1"] == pytest.approx(reference.f1_score(label, alarm, zero_division=0))
        assert found["recall"] == pytest.approx(reference.recall_score(label, alarm))
        assert found["ap"] == pytest.approx(reference.average_precision_score(label, score))
    if alarm.any():
        assert found["precision"] == pytest.approx(reference.precision_score(label, alarm))
    if label.any() and not label.all():
        assert found["auroc"] == pytest.approx(reference.roc_auc_score(label, score))
        assert found["mcc"] == pytest.approx(reference.matthews_corrcoef(label, alarm))
    if not label.all():
        negative = reference.recall_score(~label, ~alarm, zero_division=0)
        assert found["fpr"] == pytest.approx(1 - negative)


@pytest.mark.parametrize("alarm", [False, True])
def test_one_class_leaves_undefined_what_needs_the_other(alarm: bool) -> None:
    score, verdict = np.arange(4.0), np.full(4, alarm)
    benign = window_metrics(score, verdict, np.zeros(4))
    undefined = {name for name in METRICS if math.isnan(benign[name])}
    assert undefined == {"f1", "recall", "mcc", "auroc", "ap"} | (set() if alarm else {"precision"})
    assert benign["fpr"] == float(alarm)
    attack = window_metrics(score, verdict, np.ones(4))
    undefined = {name for name in METRICS if math.isnan(attack[name])}
    assert undefined == {"mcc", "auroc", "fpr"} | (set() if alarm else {"precision"})
    assert attack["recall"] == attack["f1"] == float(alarm)
    assert attack["ap"] == 1.0


def test_a_constant_score_ranks_nothing() -> None:
    label = np.array([0, 0, 0, 1])
    assert auroc(np.ones(4), label) == 0.5
    assert average_precision(np.ones(4), label) == 0.25
    silent = verdict_metrics(np.zeros(4), label)
    assert silent["f1"] == silent["mcc"] == silent["recall"] == silent["fpr"] == 0.0
    assert math.isnan(silent["precision"])


def test_order_of_rows_and_infinite_scores_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    label, score = rng.integers(0, 2, 200), rng.integers(0, 9, 200).astype(float)
    score[score == 8] = math.inf
    order = rng.permutation(200)
    one = window_metrics(score, score > 4, label)
    assert window_metrics(score[order], score[order] > 4, label[order]) == pytest.approx(one)
    finite = np.minimum(score, 100)
    assert one == pytest.approx(window_metrics(finite, finite > 4, label))


def test_a_score_that_is_no_number_spoils_everything() -> None:
    found = window_metrics([0.1, math.nan, 0.3], [0, 0, 1], [0, 0, 1])
    assert set(found) == set(METRICS)
    assert all(math.isnan(value) for value in found.values())


def test_many_windows_do_not_overflow_mcc() -> None:
    label = np.repeat([0, 1], 200_000)
    alarm = label.copy()
    alarm[::1000] ^= 1
    found = verdict_metrics(alarm, label)
    assert found["mcc"] == pytest.approx(reference.matthews_corrcoef(label, alarm))


def test_lengths_must_agree() -> None:
    with pytest.raises(DataError, match="same windows"):
        verdict_metrics([1, 0], [1, 0, 0])

"""Thresholds keep the false-positive rate that they promise, on benign data alone."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from graphwright.errors import DataError
from graphwright.tasks.canbus.thresholds import (
    Threshold,
    benign_quantile,
    fit_threshold,
    legacy_youden,
    prefix_rows,
    prefix_threshold,
    prefix_thresholds,
)

SCORES = st.lists(st.integers(0, 20), min_size=1, max_size=200)


@given(SCORES, st.sampled_from([0.001, 0.01, 0.05, 0.2, 0.5]))
def test_at_most_the_wanted_share_is_above(scores: list[int], rate: float) -> None:
    values = np.array(scores, float)
    threshold = benign_quantile(values, rate)
    assert threshold in values
    assert (values > threshold).mean() <= rate
    # the next lower score would let too many through, but for the rounding of one window
    lower = values[values < threshold]
    if len(lower):
        assert (values > lower.max()).sum() >= math.floor(rate * (len(values) - 1))


def test_labels_only_leave_attacks_out() -> None:
    score, label = np.array([1.0, 2.0, 3.0, 900.0]), np.array([0, 0, 0, 1])
    found = fit_threshold(score, label, rate=0.01)
    assert (found.value, found.windows, found.rule) == (3.0, 3, "benign_quantile")
    np.testing.assert_array_equal(found.alarms(score), [False, False, False, True])
    with pytest.raises(DataError, match="there are none"):
        fit_threshold(score, np.ones(4), rate=0.01)
    with pytest.raises(DataError, match="not finite"):
        fit_threshold(np.array([1.0, math.nan]), np.zeros(2), rate=0.01)
    with pytest.raises(DataError, match="given, not fitted"):
        fit_threshold(score, label, rate=0.01, rule="fixed")


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2))
def test_youden_is_the_largest_distance_of_the_roc_curve(rows: list[tuple[int, bool]]) -> None:
    score = np.array([value for value, _ in rows], float)
    label = np.array([attack for _, attack in rows])
    if label.all() or not label.any():
        with pytest.raises(DataError, match="benign and attack"):
            legacy_youden(score, label)
        return
    false, true, _ = roc_curve(label, score, drop_intermediate=False)
    above = score > legacy_youden(score, label)
    own = above[label].mean() - above[~label].mean()
    # alarms are strictly above a score that occurs: "everything" is no verdict, nor worth one
    assert own == pytest.approx((true - false).max())
    assert fit_threshold(score, label, rate=0.1, rule="legacy_youden").rule == "legacy_youden"


@pytest.mark.parametrize(
    "threshold",
    [
        Threshold(value=0.5),
        Threshold(value=2.25, rule="benign_quantile", rate=0.01, windows=5000),
        Threshold(value=-1.0, rule="legacy_youden", windows=7),
    ],
)
def test_state_is_json(threshold: Threshold) -> None:
    text = json.dumps(threshold.to_json(), allow_nan=False)
    again = Threshold.from_json(json.loads(text))
    assert again.to_json() == threshold.to_json()
    assert again.describe() == threshold.describe()


@pytest.mark.parametrize(
    "change", [{"rule": "magic"}, {"value": None}, {"value": "x"}, {"windows": "many"}]
)
def test_damaged_state_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DataError, match="no threshold"):
        Threshold.from_json(Threshold(value=0.5).to_json() | change)
    with pytest.raises(DataError, match="no threshold"):
        Threshold.from_json({})


def test_a_threshold_that_is_no_number_is_refused() -> None:
    with pytest.raises(DataError, match="nothing would ever be an alarm"):
        Threshold(value=math.nan)


def test_descriptions_say_where_a_threshold_is_from() -> None:
    found = Threshold(value=2.25, rule="benign_quantile", rate=0.01, windows=5000)
    assert found.describe() == "2.25 (1 % of 5,000 benign validation windows above)"
    assert "labels" in Threshold(value=1.0, rule="legacy_youden").describe()


def test_a_prefix_keeps_its_promise_on_what_follows() -> None:
    rng = np.random.default_rng(3)
    above = []
    for _ in range(400):
        scores = rng.exponential(size=300)
        value = prefix_threshold(scores, np.arange(300.0), start=0.0, seconds=98.5, rate=0.02)
        above.append((scores[99:] > value).mean())
    assert 0.01 < np.mean(above) <= 0.02 + 0.002


def test_a_prefix_needs_enough_windows() -> None:
    scores, time = np.arange(99.0), np.arange(99.0)
    assert prefix_threshold(scores, time, start=0.0, seconds=1000, rate=0.01) == 98.0
    with pytest.raises(DataError, match=r"hold 98 windows, .* needs 99"):
        prefix_threshold(scores, time, start=0.0, seconds=97.5, rate=0.01)
    with pytest.raises(DataError, match="not finite"):
        prefix_threshold(np.full(99, np.nan), time, start=0.0, seconds=1000, rate=0.01)


def test_a_prefix_ends_once() -> None:
    capture = np.array([0, 0, 0, 0, 1, 1])
    start = np.array([5.0, 6.0, 7.0, 5.5, 5.0, 6.0])
    found = prefix_rows(capture, start, start + 0.9, 2.0)
    # the clock goes back in the fourth window: the prefix stays over
    np.testing.assert_array_equal(found, [True, True, False, False, True, True])


def test_every_capture_has_its_own_threshold_and_a_short_one_is_named() -> None:
    capture = np.repeat([0, 3, 7], [40, 40, 5])
    start = np.concatenate([np.arange(40.0), np.arange(40.0), np.arange(5.0)])
    scores = start + 100.0 * (capture == 3)
    found = prefix_thresholds(
        scores, capture, start, start + 0.9, seconds=10.0, rate=0.1, otherwise=0.5
    )
    assert found.threshold[capture == 0].tolist() == [9.0] * 40
    assert found.threshold[capture == 3].tolist() == [109.0] * 40
    assert found.threshold[capture == 7].tolist() == [0.5] * 5
    assert list(found.refused) == [7]
    assert "hold 5 windows" in found.refused[7]
    assert found.rows[capture == 0].sum() == 10
    assert not found.rows[capture == 7].any()

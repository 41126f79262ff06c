"""Failed trainings are masked, and transforms can be undone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphwright.errors import BundleError, DataError
from graphwright.tasks.nas.data_config import LabelsConfig, SentinelConfig
from graphwright.tasks.nas.labels import Labels, LabelTransform, SentinelRule, find_failures


def losses_with_sentinels(count: int = 299, bad: int = 40) -> NDArray[np.float64]:
    """Losses as in the table that this rule is for: 13 % are 1e6 … 1e12, or not finite."""
    rng = np.random.default_rng(0)
    values = rng.gamma(5.0, 0.2, count)
    values[: bad - 12] = 10 ** rng.uniform(6, 12, bad - 12)
    values[bad - 12 : bad] = np.nan
    values[bad - 12 : bad - 6] = np.inf
    return values


def test_sentinels_are_found_and_told() -> None:
    values = losses_with_sentinels()
    failed, words = find_failures(values, SentinelConfig(), metric="iou_loss")
    assert failed[:40].all()
    assert not failed[40:].any()
    assert words.startswith("iou_loss: 40 of 299 labels are failures: 12 not finite, 28 above ")


def test_labels_are_what_they_are_without_the_failures() -> None:
    values = losses_with_sentinels()
    labels = Labels.fit(values[:, None], ("loss",), LabelsConfig())
    scores, valid = labels.transform(values[:, None])
    clean = values[40:]
    assert np.isfinite(scores).all()
    assert not valid[:40].any()
    assert np.allclose(scores[40:, 0], (clean - clean.mean()) / clean.std())
    assert (scores[:40] == 0).all()
    # held-out labels meet the bounds of the training labels
    assert labels.valid(np.array([[1.0], [5e5], [np.nan]])).ravel().tolist() == [True, False, False]


def test_the_rule_is_off_without_a_factor_and_without_a_range() -> None:
    values = np.array([1.0, 1.0, 1.0, 1.0, 1e9, np.nan])
    for config in (SentinelConfig(), SentinelConfig(factor=0)):
        failed, words = find_failures(values, config)
        assert failed.tolist() == [False] * 5 + [True]
        assert "1 not finite" in words
    assert find_failures(values[:4], SentinelConfig())[1] == "label: 0 of 4 labels are failures"


def test_low_sentinels_and_infinite_ones_are_counted_once() -> None:
    values = np.array([*np.linspace(0, 1, 50), -1e6, -np.inf, np.inf])
    words = find_failures(values, SentinelConfig())[1]
    assert words.startswith("label: 3 of 53 labels are failures: 2 not finite, 1 below -")


finite = st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=50)


@given(values=finite, kind=st.sampled_from(["standardise", "rank", "none"]), other=finite)
def test_transforms_are_monotone_and_can_be_undone(
    values: list[float], kind: str, other: list[float]
) -> None:
    known = np.round(np.array(values), 3)
    transform = LabelTransform.from_json(
        json.loads(json.dumps(LabelTransform.fit(known, kind).to_json()))  # type: ignore[arg-type]
    )
    new = np.sort(np.array(other))
    scores = transform.transform(new)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) >= -1e-12).all()  # but for rounding
    back = transform.inverse(scores)
    assert np.allclose(back, new, atol=1e-6 * max(1.0, np.abs(new).max()))


def test_ranks_become_normal_scores() -> None:
    values = np.random.default_rng(1).gamma(1.0, 3.0, 4000)
    transform = LabelTransform.fit(values, "rank")
    scores = transform.transform(values)
    assert abs(scores.mean()) < 0.01
    assert abs(scores.std() - 1) < 0.01
    assert len(transform.values) == 1001
    spread = transform.inverse_spread(np.array([0.0]), np.array([0.1]))
    assert 0 < spread[0] < 1


def test_a_metric_without_valid_labels_is_an_error() -> None:
    with pytest.raises(DataError, match="'b' has no valid training label"):
        Labels.fit(np.array([[1.0, np.nan], [2.0, np.nan]]), ("a", "b"), LabelsConfig())


def test_state_goes_through_json_and_damage_is_named() -> None:
    labels = Labels.fit(losses_with_sentinels()[:, None], ("loss",), LabelsConfig(transform="rank"))
    again = Labels.from_json(json.loads(json.dumps(labels.to_json())))
    assert again == labels
    with pytest.raises(BundleError, match="label transform"):
        LabelTransform.from_json(
            {"kind": "rank", "mean": 0, "scale": 1, "values": [], "scores": []}
        )
    with pytest.raises(BundleError, match="sentinel rule"):
        SentinelRule.from_json({"low": None})

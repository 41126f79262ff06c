"""Splits of a table of architectures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.errors import DataError
from graphwright.tasks.nas.data_config import SplitConfig
from graphwright.tasks.nas.splitting import split_rows


def test_counts_and_shares_are_met_exactly_and_splits_are_disjoint() -> None:
    parts = split_rows(1000, SplitConfig(train=50, val=0.1, test=300), seed=3)
    assert {name: len(rows) for name, rows in parts.items()} == {
        "train": 50,
        "val": 100,
        "test": 300,
    }
    everyone = np.concatenate(list(parts.values()))
    assert len(np.unique(everyone)) == 450
    assert everyone.max() < 1000


def test_a_smaller_training_split_is_not_another_test_split() -> None:
    small = split_rows(1000, SplitConfig(train=50, val=10, test=300), seed=3)
    large = split_rows(1000, SplitConfig(train=400, val=10, test=300), seed=3)
    other = split_rows(1000, SplitConfig(train=50, val=10, test=300), seed=4)
    assert np.array_equal(small["test"], large["test"])
    assert np.isin(small["train"], large["train"]).all()
    assert not np.array_equal(small["test"], other["test"])


@given(
    groups=st.lists(st.integers(0, 30), min_size=60, max_size=200),
    seed=st.integers(0, 1000),
)
def test_no_group_is_on_two_sides(groups: list[int], seed: int) -> None:
    config = SplitConfig(train=10, val=3, test=5, by="group")
    groups_N = np.array(groups)
    try:
        parts = split_rows(len(groups), config, seed, groups_N)
    except DataError:
        assert np.bincount(groups_N).max() > len(groups) // 6  # few, large groups
        return
    assert [len(parts[name]) for name in ("train", "val", "test")] == [10, 3, 5]
    sides = [set(groups_N[rows].tolist()) for rows in parts.values()]
    assert not sides[0] & sides[1]
    assert not (sides[0] | sides[1]) & sides[2]


def test_a_large_group_counts_as_in_a_random_split() -> None:
    """A thousand twins must not fill a training split of fifty."""
    groups_N = np.concatenate([np.zeros(1000, np.int64), np.arange(1, 3001)])
    config = SplitConfig(train=50, val=10, test=500, by="group")
    shares = []
    for seed in range(60):
        train = split_rows(len(groups_N), config, seed, groups_N)["train"]
        shares.append(float((groups_N[train] == 0).mean()))
    assert 0.1 < np.mean(shares) < 0.4  # a quarter of all rows
    assert max(shares) < 0.9


def test_the_groups_held_out_do_not_depend_on_the_training_size() -> None:
    groups_N = np.random.default_rng(0).integers(0, 400, 1000)
    small, large = (
        split_rows(1000, SplitConfig(train=n, val=10, test=300, by="group"), 3, groups_N)
        for n in (50, 200)
    )
    assert np.array_equal(small["test"], large["test"])
    assert np.isin(small["train"], large["train"]).all()


def test_too_few_rows_and_no_groups_are_told() -> None:
    with pytest.raises(DataError, match="asks for"):
        split_rows(100, SplitConfig(train=90, val=10, test=10), seed=0)
    with pytest.raises(DataError, match=r"data\.source\.group"):
        split_rows(100, SplitConfig(by="group"), seed=0)

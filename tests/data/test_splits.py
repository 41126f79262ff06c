"""Splits are disjoint, complete and reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.data.splits import group_split, random_split, split_digest
from graphwright.errors import ConfigError, DataError

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def assert_complete(splits: dict[str, np.ndarray], n: int) -> None:
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(n))
    for rows in splits.values():
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()


@given(n=st.integers(10, 500), seed=st.integers(0, 9))
@settings(deadline=None)
def test_random_split_is_complete_and_has_the_sizes(n: int, seed: int) -> None:
    splits = random_split(n, FRACTIONS, seed)
    assert_complete(splits, n)
    for name, share in FRACTIONS.items():
        assert abs(len(splits[name]) - share * n) <= 1


def test_random_split_follows_from_the_seed() -> None:
    one, same, other = (random_split(100, FRACTIONS, seed) for seed in (1, 1, 2))
    assert split_digest(one) == split_digest(same) != split_digest(other)
    assert len(one["train"]) == 70


@given(groups=st.lists(st.integers(0, 30), min_size=60, max_size=300), seed=st.integers(0, 3))
@settings(deadline=None)
def test_groups_stay_together(groups: list[int], seed: int) -> None:
    try:
        splits = group_split(groups, FRACTIONS, seed)
    except DataError:
        assert len(set(groups)) < 10
        return
    assert_complete(splits, len(groups))
    homes = [set(np.array(groups)[rows]) for rows in splits.values()]
    assert sum(len(home) for home in homes) == len(set(groups))


def test_group_sizes_are_met_and_depend_on_the_seed() -> None:
    groups = [f"g{i // 4}" for i in range(400)]
    splits = group_split(groups, FRACTIONS, 0)
    assert {name: len(rows) for name, rows in splits.items()} == {
        "train": 280,
        "val": 40,
        "test": 80,
    }
    assert split_digest(splits) != split_digest(group_split(groups, FRACTIONS, 1))


def test_a_fraction_of_zero_may_be_empty() -> None:
    assert len(random_split(5, {"train": 1.0, "test": 0.0}, 0)["test"]) == 0


@pytest.mark.parametrize("fractions", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": float("nan")}])
def test_fractions_without_sense(fractions: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="fractions"):
        random_split(10, fractions, 0)


def test_an_empty_split_is_an_error() -> None:
    with pytest.raises(DataError, match="'val'"):
        random_split(3, FRACTIONS, 0)
    with pytest.raises(DataError, match="1 groups"):
        group_split([1, 1, 1], FRACTIONS, 0)
    with pytest.raises(ConfigError, match="seed"):
        random_split(10, FRACTIONS, -1)


def test_the_digest_sees_names_and_samples() -> None:
    rows = np.arange(3)
    assert split_digest({"a": rows}) != split_digest({"b": rows})
    assert split_digest({"a": rows}) != split_digest({"a": rows[1:]})
    assert split_digest({"a": rows, "b": rows}) == split_digest({"b": rows, "a": rows})

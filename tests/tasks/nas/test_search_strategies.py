"""What the strategies ask for, on made-up values."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from helpers_search import (
    NearestNeighbours,
    accuracy,
    generate,
    small_pool,
    small_source,
    table_config,
    write_table,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.errors import ConfigError, DataError, TrainingError
from graphwright.tasks.nas.search.acquisition import pick
from graphwright.tasks.nas.search.ask_tell import Searcher
from graphwright.tasks.nas.search.candidates import Candidate, Trial, best_first, without_sentinels
from graphwright.tasks.nas.search.config import GuideConfig, PoolConfig, SearchConfig
from graphwright.tasks.nas.search.pools import Pool, SampledSource, make_source, pool_of_texts
from graphwright.tasks.nas.search.predictor import Prediction
from graphwright.tasks.nas.spaces import get_search_space

STRATEGIES = ("random", "regularised_evolution", "predictor")


def searcher(strategy: str, **changes: object) -> Searcher:
    config = table_config(Path("none.csv"), strategy=strategy, **changes)
    return Searcher.from_config(config, small_source(), NearestNeighbours())


def spend(one: Searcher, budget: int, batch: int = 5) -> list[str]:
    while len(one.asked) < budget:
        for candidate in one.ask(batch):
            one.tell(candidate, accuracy(candidate.text))
    return [candidate.text for candidate in one.asked]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_never_asks_twice(strategy: str) -> None:
    """Neither for the same architecture nor for its twin, until nothing is left."""
    one = Searcher.from_config(
        table_config(Path("none.csv"), strategy=strategy), small_source(40), NearestNeighbours()
    )
    keys = small_pool(40).keys
    while batch := one.ask(7):
        for candidate in batch:
            one.tell(candidate, accuracy(candidate.text))
    asked = [candidate.key for candidate in one.asked]
    assert len(set(asked)) == len(asked) == len(set(keys.tolist()))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_same_tells_same_asks(strategy: str) -> None:
    """The order of telling within a batch does not matter; the seed does."""
    forward, backward = searcher(strategy), searcher(strategy)
    for _ in range(4):
        batches = forward.ask(5), backward.ask(5)
        assert batches[0] == batches[1]
        for candidate in batches[0]:
            forward.tell(candidate, accuracy(candidate.text))
        for candidate in reversed(batches[1]):
            backward.tell(candidate, accuracy(candidate.text))
    assert spend(searcher(strategy, seed=1), 30) != spend(searcher(strategy), 30)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_restored_goes_on_alike(strategy: str) -> None:
    """A searcher that takes up another one's past asks what that one would have asked."""
    first = searcher(strategy)
    spend(first, 20)
    second = searcher(strategy)
    second.restore(first.asked, first.trials)
    assert second.ask(5) == first.ask(5)


def test_guided_finds_better_than_random() -> None:
    """Over a few seeds."""
    found = {}
    for strategy in ("random", "predictor", "regularised_evolution"):
        best = [max(map(accuracy, spend(searcher(strategy, seed=s), 40))) for s in range(5)]
        found[strategy] = np.median(best)
    assert found["predictor"] > found["random"]
    assert found["regularised_evolution"] > found["random"]


def test_lower_is_better() -> None:
    """A loss is minimised: the predictor's choices have lower values than random ones."""
    one = searcher("predictor", higher_is_better=False)
    spend(one, 30)
    values = [trial.value for trial in one.trials if trial.value is not None]
    assert np.mean(values[10:]) < np.mean(values[:10]) - 1


def test_batches_and_origins() -> None:
    """The first batch ends with the initial ones; a share of each later batch is explored."""
    one = searcher("predictor", initial=8)
    first = one.ask(20)
    assert [c.origin for c in first] == ["initial"] * 8
    assert all(c.mean is None for c in first)
    for candidate in first:
        one.tell(candidate, accuracy(candidate.text))
    second = one.ask(20)
    assert [c.origin for c in second].count("explored") == 2
    assert all(c.mean is not None and c.sd is not None for c in second)
    assert [c.round for c in (first[0], second[0])] == [0, 1]


def test_failures_are_no_numbers() -> None:
    """None and what is not finite reach the predictor as failures only."""
    predictor = NearestNeighbours()
    config = table_config(Path("none.csv"))
    one = Searcher.from_config(config, small_source(), predictor)
    for i, candidate in enumerate(one.ask(10)):
        bad = {2: None, 5: math.nan, 7: math.inf}
        one.tell(candidate, bad.get(i, accuracy(candidate.text)))
    one.ask(5)
    assert predictor.fits == [(10, 7)]
    assert [i for i, trial in enumerate(one.trials) if trial.value is None] == [2, 5, 7]


def test_all_failed_is_random() -> None:
    """With nothing to learn from, the next are drawn."""
    one = searcher("predictor")
    for candidate in one.ask(10):
        one.tell(candidate, None, reason="no")
    assert {c.origin for c in one.ask(5)} == {"random"}


def test_sentinels() -> None:
    """1e9 is a failure, also where lower is better; it does not end as the best."""
    one = searcher("predictor")
    for i, candidate in enumerate(one.ask(10)):
        one.tell(candidate, 1e9 if i == 3 else accuracy(candidate.text))
    assert one.trials[3].value is None
    assert "mark" in one.trials[3].reason
    assert all(t.value is not None for i, t in enumerate(one.trials) if i != 3)


def _trial(number: int, value: float | None, origin: str = "initial") -> Trial:
    candidate = Candidate(text=str(number), key="", origin=origin, number=number, round=0)
    return Trial(candidate=candidate, value=value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.floats(-100, 100), min_size=1, max_size=30), st.booleans())
def test_best_first_is_sorted(values: list[float | None], higher: bool) -> None:
    """Values in order, failures left out."""
    ranked = best_first([_trial(i, v) for i, v in enumerate(values)], higher_is_better=higher)
    found = [trial.value for trial in ranked]
    assert found == sorted((v for v in values if v is not None), reverse=higher)


def test_sentinels_are_measured_on_the_first() -> None:
    """A late batch of nearly equal values does not turn ordinary ones into failures."""
    first = [_trial(i, 50.0 + i) for i in range(10)]
    late = [_trial(10 + i, 94.0 + i * 1e-6, "predicted") for i in range(50)]
    assert all(trial.value is not None for trial in without_sentinels([*first, *late], 10))


def test_tell_refuses() -> None:
    """What was never asked, and what was told before."""
    one = searcher("random")
    candidate = one.ask(1)[0]
    with pytest.raises(ConfigError, match="never asked"):
        one.tell(dataclasses.replace(candidate, text="x"), 1.0)
    one.tell(candidate, 1.0)
    with pytest.raises(ConfigError, match="told before"):
        one.tell(candidate, 1.0)
    with pytest.raises(ConfigError, match="restored"):
        one.restore([], [])


def _numbers(count: int) -> Pool:
    pool = small_pool(count)
    return dataclasses.replace(pool, keys=np.array([str(i // 2) for i in range(len(pool))]))


def test_acquisitions() -> None:
    """By mean, by mean and spread, by the eyes of members; twins once."""
    pool, rng = _numbers(8), np.random.default_rng(0)
    members = np.array([[0, 1, 2, 3, 4, 5, 6, 7.0], [0, 1, 2, 3, 4, 5, 6, 7.0]])
    members[0, 2] = 11.0  # mean 6.5, sd 4.5
    prediction = Prediction(members)
    mean = pick(pool, prediction, set(), 2, GuideConfig(acquisition="mean"), rng)
    assert mean == [7, 2]
    ucb = pick(pool, prediction, set(), 2, GuideConfig(acquisition="ucb", beta=1.0), rng)
    assert ucb == [2, 7]
    drawn = [
        pick(pool, prediction, set(), 1, GuideConfig(acquisition="thompson"), rng)[0]
        for _ in range(40)
    ]
    assert set(drawn) == {2, 7}
    assert pick(pool, prediction, {"3"}, 9, GuideConfig(), rng) == [2, 5, 1]


def test_expected_failures_come_last() -> None:
    """Even the best looking."""
    pool, rng = _numbers(8), np.random.default_rng(0)
    likely = np.array([1, 1, 1, 1, 1, 1, 0.1, 0.2])
    prediction = Prediction(np.arange(8.0)[None], feasible_P=likely)
    chosen = pick(pool, prediction, set(), 4, GuideConfig(acquisition="mean"), rng)
    assert chosen == [5, 3, 1, 7]


def test_predictor_that_breaks() -> None:
    """NaN from a predictor is an error and not an order."""

    class Broken(NearestNeighbours):
        def predict(self, pool: Pool) -> Prediction:
            return Prediction(np.full((1, len(pool)), np.nan))

    one = Searcher.from_config(table_config(Path("none.csv")), small_source(), Broken())
    for candidate in one.ask(10):
        one.tell(candidate, accuracy(candidate.text))
    with pytest.raises(TrainingError, match="not finite"):
        one.ask(5)


def test_pools(tmp_path: Path) -> None:
    """A whole space, a generator, samples; and what is no architecture."""
    whole = make_source(PoolConfig(space="tiny_cells"), [], tmp_path)
    pool = whole.pool([], np.random.default_rng(0))
    assert len(pool) == 15_625 > len(set(pool.keys.tolist()))
    made = PoolConfig(kind="generator", generator="helpers_search:generate", size=50)
    generated = make_source(made, [], tmp_path).pool([], np.random.default_rng(0))
    assert list(generated.texts) == generate()[:50]
    assert generated.space == "nasbench201"
    twice = pool_of_texts("nasbench201", ["421211", "421211"])
    assert len(twice) == 1
    with pytest.raises(DataError, match="pool"):
        pool_of_texts("nasbench201", ["421211", "no cell"])
    with pytest.raises(ConfigError, match="no function"):
        make_source(dataclasses.replace(made, generator="helpers_search:genrate"), [], tmp_path)


def test_sampled_pool_is_around_the_best() -> None:
    """Half of it are neighbours of the best."""
    source = SampledSource(get_search_space("nasbench201"), 100)
    best = list(small_pool(2).texts)[:1]
    pool = source.pool(best, np.random.default_rng(0))
    again = source.pool(best, np.random.default_rng(0))
    assert list(pool.texts) == list(again.texts)
    from helpers_search import codes_of

    apart = (codes_of(pool.texts) != codes_of(best)).sum(axis=1)
    assert (apart == 1).sum() >= 15  # 24 neighbours there are


def test_config_says_what_is_wrong(tmp_path: Path) -> None:
    """Combinations that make no sense."""
    config = table_config(write_table(tmp_path / "t.csv"))
    assert config.problems() == []
    wrong = dataclasses.replace(
        config, initial=99, sample=99, guide=GuideConfig(recipe="dag_ensembel"), name="a/b"
    )
    text = "\n".join(wrong.problems())
    for part in ("initial=99", "sample=99", "did you mean dag_ensemble", "name=a/b"):
        assert part in text
    assert isinstance(config, SearchConfig)
    assert config.levels() == ("nas_search", "t_dag_ensemble")

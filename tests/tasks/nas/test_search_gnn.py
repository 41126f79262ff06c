"""The package's own predictors behind the search."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_search import accuracy, small_pool, table_config, write_table

from graphwright.errors import ConfigError
from graphwright.tasks.nas.metrics import kendall_tau
from graphwright.tasks.nas.search.ask_tell import Searcher
from graphwright.tasks.nas.search.config import (
    FunctionTrainer,
    GuideConfig,
    PoolConfig,
    SearchConfig,
)
from graphwright.tasks.nas.search.gnn_predictor import GnnPredictor, guide_config
from graphwright.tasks.nas.search.pools import make_source
from graphwright.tasks.nas.search.run import create_search, open_problem, run_search

SMALL = ("model.hidden_dim=16", "model.members=2")
GUIDE = GuideConfig(recipe="fr_nas", epochs=30, overrides=SMALL)


def known(count: int) -> tuple[list[str], np.ndarray]:
    texts = list(small_pool().texts)[:count]
    return texts, np.array([accuracy(text) for text in texts])


def test_it_learns_and_repeats_itself() -> None:
    """Orders what it has not seen; the same seed gives the same numbers, and leaves no trace."""
    texts, values_N = known(60)
    values_N[5] = np.nan
    pool, predictions = small_pool(), []
    for seed in (1, 1, 2):
        predictor = GnnPredictor(GUIDE, "nasbench201")
        before = torch.random.get_rng_state()
        predictor.fit(texts, values_N, seed)
        assert torch.equal(before, torch.random.get_rng_state())
        predictions.append(predictor.predict(pool))
    first, second, third = predictions
    assert first.members_MP.shape == (2, len(pool))
    np.testing.assert_array_equal(first.members_MP, second.members_MP)
    assert not np.array_equal(first.members_MP, third.members_MP)
    truth = np.array([accuracy(text) for text in pool.texts])
    assert kendall_tau(first.mean[60:], truth[60:]) > 0.4
    assert abs(first.mean.mean() - truth.mean()) < 10  # in the metric's unit
    assert (first.sd > 0).any()


def test_feasibility() -> None:
    """It learns which trainings fail, if asked to."""
    texts, values_N = known(80)
    failing = np.array([text.startswith("|none") for text in texts])
    assert 5 < failing.sum() < 40
    values_N[failing] = np.nan
    guide = GuideConfig(
        recipe="fr_nas", epochs=40, overrides=(*SMALL, "data.labels.feasibility=true")
    )
    predictor = GnnPredictor(guide, "nasbench201")
    predictor.fit(texts, values_N, 0)
    pool = small_pool()
    feasible_P = predictor.predict(pool).feasible_P
    assert feasible_P is not None
    fails = np.array([text.startswith("|none") for text in pool.texts])
    assert feasible_P[fails].mean() < feasible_P[~fails].mean() - 0.2


def test_features_of_the_space() -> None:
    """Parameters and multiply-adds are known without training."""
    guide = GuideConfig(recipe="fr_nas", epochs=5, overrides=(*SMALL, "data.graph.features=true"))
    texts, values_N = known(20)
    predictor = GnnPredictor(guide, "nasbench201")
    predictor.fit(texts, values_N, 0)
    assert np.isfinite(predictor.predict(small_pool()).members_MP).all()


def test_settings() -> None:
    """Epochs and overrides arrive; a misspelt one is named."""
    config = guide_config(GUIDE)
    assert (config.training.epochs, config.model.hidden_dim) == (30, 16)
    assert guide_config(GuideConfig(recipe="fr_nas", epochs=0)).training.epochs == 300
    with pytest.raises(ConfigError, match="hiden_dim"):
        guide_config(GuideConfig(recipe="fr_nas", overrides=("model.hiden_dim=3",)))


def test_search_with_it(tmp_path: Path) -> None:
    """A search of three rounds, and the same asks when it is taken up in the middle."""
    config = table_config(write_table(tmp_path / "t.csv"), guide=GUIDE, budget=20)
    folder = create_search(config, tmp_path)
    found = json.loads(run_search(folder, tmp_path).read_text())
    assert found["evaluated"] == 20
    assert {line["origin"] for line in found["top"]} >= {"predicted", "initial"}
    source, table = open_problem(config, tmp_path)
    assert table is not None
    again = Searcher.from_config(config, source)
    journal = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    for record in (line for line in journal if line["event"] == "asked"):
        batch = again.ask(len(record["candidates"]))
        assert [one.to_json() for one in batch] == record["candidates"]
        for one in batch:
            again.tell(one, table.value(one.text))


def test_modules_of_the_user(tmp_path: Path) -> None:
    """Networks that a generator builds are traced, learnt and picked by name."""
    pool = PoolConfig(kind="generator", generator="helpers_search:generate_modules")
    source = make_source(pool, [], tmp_path)
    config = SearchConfig(
        trainer=FunctionTrainer(function="x:y"),
        pool=pool,
        guide=GUIDE,
        initial=8,
        batch=6,
    )
    searcher = Searcher.from_config(config, source)
    for _ in range(2):
        for one in searcher.ask(8):
            width, depth = one.text.split("x")
            searcher.tell(one, int(width) + int(depth))
    assert len({one.text for one in searcher.asked}) == 16
    assert {one.origin for one in searcher.asked[8:]} == {"predicted", "explored"}

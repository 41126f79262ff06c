"""What models and losses take over the rows of a batch is exact, whoever holds which rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rank_pair import RankPair
from rank_parts import PARTS, ROWS, of_whole
from toy_task import toy_config

from graphwright.launch.local import create_run


@pytest.mark.parametrize("cut", [0, 3, 4, ROWS])
@pytest.mark.parametrize("name", PARTS)
def test_value_and_gradient(pair: RankPair, name: str, cut: int) -> None:
    whole = of_whole(name)
    first, second = pair("rank_parts:of_piece", name, cut)
    assert whole.keys() == first.keys() == second.keys()
    assert "loss" in whole
    for key, wanted in whole.items():
        if key.startswith("gradient"):
            torch.testing.assert_close(first[key] + second[key], wanted, rtol=1e-9, atol=1e-12)
        else:
            torch.testing.assert_close(first[key], wanted, rtol=1e-9, atol=1e-12)
            assert torch.equal(first[key], second[key]), key


@pytest.mark.parametrize("rank", [0, 1])
def test_a_bad_loss_stops_all_ranks(pair: RankPair, rank: int, tmp_path: Path) -> None:
    run = create_run(toy_config(), tmp_path)
    first, second = pair("rank_jobs:poisoned", run.path, rank)
    assert first == second
    assert "the train loss is not finite at step 6" in first
    assert "parameter 0.weight (1 of 32 values" in first

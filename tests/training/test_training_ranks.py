"""Which rank a process is, and what one process does without others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import yaml

from graphwright.config import io
from graphwright.config.presets import from_yaml, resolve_preset
from graphwright.errors import ConfigError
from graphwright.nn import across_ranks
from graphwright.training.rank_place import RankPlace, one_gpu_each, place_from_environment
from graphwright.training.ranks import OneProcess
from graphwright.training.task import StepOutput

NAMES = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "here",
    "MASTER_PORT": "5000",
}
SLURM = {
    "SLURM_PROCID": "3",
    "SLURM_NTASKS": "4",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_ID": "77",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "gpu[007-009,12]",
}


def test_names_of_torchrun() -> None:
    assert place_from_environment(NAMES) == RankPlace(1, 4, 0, "here", 5000)
    assert place_from_environment({**SLURM, **NAMES}) == RankPlace(1, 4, 0, "here", 5000)
    with_socket = {**NAMES, "GRAPHWRIGHT_LISTEN_FD": "7"}
    assert place_from_environment(with_socket) == RankPlace(1, 4, 0, "here", 5000, 7)


def test_names_of_slurm() -> None:
    found = place_from_environment(SLURM)
    assert found is not None
    assert found == RankPlace(3, 4, 1, "gpu007", found.port)
    assert 1024 < found.port < 32768
    other = place_from_environment({**SLURM, "SLURM_STEP_ID": "1"})
    assert other is not None
    assert other.port != found.port
    told = place_from_environment({**SLURM, "MASTER_ADDR": "a", "MASTER_PORT": "6000"})
    assert told == RankPlace(3, 4, 1, "a", 6000)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("n1", "n1"), ("n1,n2", "n1"), ("n[3-5]", "n3"), ("a[01,07]-ib,b", "a01-ib")],
)
def test_first_host(nodes: str, first: str) -> None:
    found = place_from_environment({**SLURM, "SLURM_STEP_NODELIST": nodes})
    assert found is not None
    assert found.address == first


def test_alone() -> None:
    assert place_from_environment({}) is None
    # a batch script, or a job of one task
    assert place_from_environment({**SLURM, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) is None


@pytest.mark.parametrize("name", ["LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_half_an_environment(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        place_from_environment({k: v for k, v in NAMES.items() if k != name})
    with pytest.raises(ConfigError, match="which rank"):
        place_from_environment({**NAMES, "RANK": "first"})


@pytest.mark.parametrize(
    ("rank", "environment", "wanted"),
    [
        (1, {}, "1"),
        (1, {"CUDA_VISIBLE_DEVICES": "4,6"}, "6"),
        (1, {"CUDA_VISIBLE_DEVICES": "4"}, ""),
        (1, {"CUDA_VISIBLE_DEVICES": "4", "SLURM_PROCID": "1"}, "4"),
        (0, {"CUDA_VISIBLE_DEVICES": ""}, ""),
    ],
)
def test_a_gpu_each(rank: int, environment: dict[str, str], wanted: str) -> None:
    assert one_gpu_each(rank, environment) == wanted


def test_one_process_changes_nothing() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert not across_ranks.is_shared()
    across_ranks.rows_count(False)  # there is nobody to whom it matters
    for function in (across_ranks.total, across_ranks.gather_rows):
        assert function(x) is x
    assert across_ranks.pooled_mean(x, 0) is x
    assert across_ranks.all_rows(3) == 3
    output = StepOutput(x.sum(), {"m": x.mean()}, 3)
    step = OneProcess().combine(output, {"samples": 3})
    assert step.output is output
    assert step.objective is output.loss
    plain, ours = torch.nn.BatchNorm1d(2), across_ranks.SharedBatchNorm(2)
    assert torch.equal(plain(x), ours(x))
    assert_same_state(plain.state_dict(), ours.state_dict())


def assert_same_state(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_older_runs_are_still_found() -> None:
    """Their configurations do not have `training.devices`."""
    config = resolve_preset("geometry/tiny")
    older = io.to_dict(config)
    del older["training"]["devices"]
    assert from_yaml(yaml.safe_dump(older)) == config
    assert io.digest(older) == io.digest(config)
    several = resolve_preset("geometry/tiny", ("training.devices=2",))
    assert io.digest(several) != io.digest(config)

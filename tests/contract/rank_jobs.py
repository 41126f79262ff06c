"""What the processes of `rank_pair` are asked to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from toy_task import ToyTask, toy_config

from graphwright.config.presets import from_yaml, task_module
from graphwright.errors import TrainingError
from graphwright.runs.folder import RunFolder
from graphwright.training.engine import Interrupted, fit, prepare
from graphwright.training.phases import Phases
from graphwright.training.rank_place import RankPlace
from graphwright.training.ranks import ManyProcesses, OneProcess
from graphwright.training.signals import StopRequest

__all__ = ["draws", "poisoned", "starts", "train", "train_until"]


def train(place: RankPlace | None, run: Path, data_root: Path) -> None:
    """The training of a run folder, without what comes after it; alone where there is no place.

    The noise of a variational model, which no setting takes away, is zero.
    """
    ranks = OneProcess() if place is None else ManyProcesses(place)
    randn_like, torch.randn_like = torch.randn_like, torch.zeros_like  # type: ignore[assignment]
    try:
        _fit(ranks, run, data_root, StopRequest(), resume=False)
    finally:
        torch.randn_like = randn_like


def _fit(ranks: OneProcess, run: Path, data_root: Path, stop: StopRequest, *, resume: bool) -> None:
    folder = RunFolder.open(run)
    config = from_yaml(folder.config_path.read_text())
    task = task_module(config.task, "task").TASK(config, data_root)
    fit(task, prepare(task, Phases(), ranks), folder, Phases(), stop, resume=resume)


def train_until(
    place: RankPlace, run: Path, data_root: Path, stop: tuple[int, int], resume: bool
) -> str:
    """A training, or the rest of one; the signal that it was stopped by, if it was.

    Args:
        place: of this process.
        run: folder with the configuration.
        data_root: of prepared data.
        stop: the rank that is asked to stop, and after how many of its looks; 0: never.
        resume: go on from the last checkpoint. Both ranks must have come to the end before: one
            that was stopped does not wait for what rank 0 writes.
    """
    rank, looks = stop
    asked = _AskedAfter(looks if rank == place.rank else 0)
    try:
        _fit(ManyProcesses(place), run, data_root, asked, resume=resume)
    except Interrupted as interrupted:
        return str(interrupted)
    return ""


def draws(place: RankPlace) -> list[float]:
    """The first random numbers of training."""
    with ManyProcesses(place).connected(torch.device("cpu"), 5):
        return torch.rand(4).tolist()


def starts(place: RankPlace, steps: Sequence[int]) -> str:
    """What is said to ranks that are at these steps."""
    ranks = ManyProcesses(place)
    try:
        with ranks.connected(torch.device("cpu"), 0):
            ranks.check_start(steps[ranks.rank])
    except TrainingError as error:
        return error.what
    return "they go on"


class _AskedAfter(StopRequest):
    """A request that arrives at the n-th look; 0: never."""

    def __init__(self, looks: int) -> None:
        self._looks = looks
        super().__init__()

    @property
    def received(self) -> str | None:
        self._looks -= 1
        return "SIGUSR1" if self._looks == 0 else None

    @received.setter
    def received(self, value: str | None) -> None:
        del value


def poisoned(place: RankPlace, run: Path, poisoned_rank: int) -> str:
    """What each rank says when a weight of one of them goes bad before its sixth step."""
    step = 6 if place.rank == poisoned_rank else -1
    task = ToyTask(dataclasses.replace(toy_config(), poison_step=step), run)
    prepared = prepare(task, Phases(), ManyProcesses(place))
    try:
        fit(task, prepared, RunFolder.open(run), Phases(), StopRequest(), resume=False)
    except TrainingError as error:
        return error.what
    return "nothing"

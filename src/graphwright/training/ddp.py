"""What Lightning must know of processes that it did not start.

To Lightning each rank is a machine of its own with one device: the numbers come from us alone, and
nothing is guessed from Slurm's variables, which are there as well when one Slurm task starts ranks
of its own.
"""

from __future__ import annotations

import warnings
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch.strategies import DDPStrategy

from graphwright.training.rank_place import RankPlace
from graphwright.training.ranks import ManyProcesses, OneProcess

__all__ = ["keep_signals", "trainer_arguments"]


def trainer_arguments(ranks: OneProcess) -> dict[str, Any]:
    """Arguments of Lightning's Trainer for these ranks."""
    if not isinstance(ranks, ManyProcesses):
        return {"devices": 1}
    # without unused parameters a batch must use them all, and torch would order the sums anew
    # after the first step of every process, which a resumed training would show
    for message in ("find_unused_parameters=True was specified", "Grad strides do not match"):
        warnings.filterwarnings("ignore", message=f".*{message}.*")
    strategy = DDPStrategy(
        find_unused_parameters=True,
        broadcast_buffers=False,  # they follow from the whole batch on every rank
    )
    environment = _Environment(ranks.place)
    return {
        "devices": 1,
        "num_nodes": ranks.world_size,
        "strategy": strategy,
        "plugins": [environment],
    }


def keep_signals(trainer: pl.Trainer) -> None:
    """Leave the signals to our own handlers.

    Lightning's would broadcast from inside the handler, at whatever point one rank happens to be.
    """
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]


class _Environment(ClusterEnvironment):
    """The ranks as they are; what Lightning computes is not taken in."""

    def __init__(self, place: RankPlace) -> None:
        super().__init__()
        self._place = place

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._place.address

    @property
    def main_port(self) -> int:
        return self._place.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._place.world_size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self._place.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self._place.rank

    def teardown(self) -> None:
        pass

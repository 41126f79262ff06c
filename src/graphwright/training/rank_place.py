"""Which of the processes of one training this is: from the environment, without torch."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from graphwright.errors import ConfigError

__all__ = ["LISTEN_FD", "RankPlace", "one_gpu_each", "place_from_environment"]

LISTEN_FD = "GRAPHWRIGHT_LISTEN_FD"  # rank 0's listening socket, opened by who started it
_FIRST_PORT, _PORTS = 20_000, 12_000  # below the ports that systems give to outgoing connections


@dataclass(frozen=True)
class RankPlace:
    """One process among those that train one model.

    Attributes:
        rank: from 0 to `world_size` - 1.
        world_size: number of processes.
        local_rank: the same among those on this machine.
        address, port: where rank 0 listens.
        listen_fd: in rank 0, a descriptor that listens there already; -1: none.
    """

    rank: int
    world_size: int
    local_rank: int
    address: str
    port: int
    listen_fd: int = -1


def place_from_environment(environment: Mapping[str, str] = os.environ) -> RankPlace | None:
    """This process's place, as torchrun's names give it, or else Slurm's; None: it is alone.

    Raises:
        ConfigError: some of the names are there, and others missing or no numbers.
    """
    try:
        if "RANK" in environment and "WORLD_SIZE" in environment:
            return _from_names(environment)
        if int(environment.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in environment:
            return _from_slurm(environment)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"the environment does not say which rank this is: {error!r}",
            fix="set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, or use srun",
        ) from None
    return None


def one_gpu_each(local_rank: int, environment: Mapping[str, str] = os.environ) -> str:
    """What CUDA_VISIBLE_DEVICES must be for a rank to see its own GPU alone, as device 0.

    Where one is all there is to see, a cluster has given each rank its own.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return str(local_rank)
    names = [name for name in visible.split(",") if name]
    if len(names) == 1 and "SLURM_PROCID" in environment:
        return names[0]
    return names[local_rank] if local_rank < len(names) else ""


def _from_names(environment: Mapping[str, str]) -> RankPlace:
    return RankPlace(
        rank=int(environment["RANK"]),
        world_size=int(environment["WORLD_SIZE"]),
        local_rank=int(environment["LOCAL_RANK"]),
        address=environment["MASTER_ADDR"],
        port=int(environment["MASTER_PORT"]),
        listen_fd=int(environment.get(LISTEN_FD, "-1")),
    )


def _from_slurm(environment: Mapping[str, str]) -> RankPlace:
    nodes = environment.get("SLURM_STEP_NODELIST") or environment["SLURM_JOB_NODELIST"]
    # two jobs on one node, or two steps of one job, listen at different ports
    job = int(environment["SLURM_JOB_ID"]) * 7 + int(environment.get("SLURM_STEP_ID", "0"))
    return RankPlace(
        rank=int(environment["SLURM_PROCID"]),
        world_size=int(environment["SLURM_NTASKS"]),
        local_rank=int(environment["SLURM_LOCALID"]),
        address=environment.get("MASTER_ADDR") or _first_host(nodes),
        port=int(environment.get("MASTER_PORT") or _FIRST_PORT + job % _PORTS),
    )


def _first_host(nodes: str) -> str:
    """`node1,node2` → node1; `gpu[003-007,9]-ib` → gpu003-ib."""
    found = re.match(r"([^\[,]*)(?:\[([^\],-]*)[^\]]*\])?([^,]*)", nodes)
    assert found is not None
    before, number, after = found.groups()
    return f"{before}{number or ''}{after}"

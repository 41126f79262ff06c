"""One training by several processes (ranks): what they tell each other, and who writes.

Every rank has the same model and its piece of every batch (`Loader`). Sums over the rows of a batch
inside models and losses are taken over all pieces (`nn.across_ranks`); here the rest of a step is
put together: losses and metrics, weighted by `StepOutput.weight`; the request to stop, so that all
stop after the same step; the random states, so that a checkpoint has those of all.

`OneProcess` does the same for one process, which is: nothing.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from graphwright.errors import ConfigError, TrainingError
from graphwright.nn import across_ranks
from graphwright.training.random_state import seed_everything
from graphwright.training.rank_place import RankPlace
from graphwright.training.signals import Asked, StopRequest
from graphwright.training.task import StepOutput

__all__ = ["ManyProcesses", "OneProcess", "Step"]

# what gloo and NCCL say when a peer is gone
_LOST = re.compile("connection (closed|reset)|broken pipe|gloo|nccl|remote process", re.I)
_PATIENCE = timedelta(minutes=30)  # for the slowest rank to prepare its data


class Step(NamedTuple):
    """A step over all ranks.

    Attributes:
        output: loss, metrics and samples of the whole batch.
        counts: of the whole batch, see `Task.counts`.
        objective: what this rank must minimise.
    """

    output: StepOutput
    counts: Mapping[str, int]
    objective: Tensor


class OneProcess:
    """A training that shares nothing."""

    rank, world_size = 0, 1

    @property
    def writes(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    @contextmanager
    def connected(self, device: torch.device, seed: int) -> Iterator[None]:
        """Inside, the ranks can talk to one another."""
        yield

    def combine(
        self, output: StepOutput, counts: Mapping[str, int], *, stand_in: bool = False
    ) -> Step:
        """What all ranks' outputs are together.

        Args:
            output: of this rank's piece of the batch.
            counts: of the same.
            stand_in: whether the piece is a stand-in for none, and counts nowhere.
        """
        return Step(output, counts, output.loss)

    def check_start(self, step: int) -> None:
        """Stop ranks that would go on from different steps: no pair of them would ever meet.

        Raises:
            TrainingError: they would.
        """

    def agree(self, stop: Asked) -> Asked:
        """A request that all ranks see at the same look."""
        return stop

    def collect_state(self, own: dict[str, Any]) -> dict[str, Any]:
        """The random states of all ranks, for a checkpoint, from this rank's."""
        return own

    def own_state(self, collected: dict[str, Any]) -> dict[str, Any]:
        """This rank's random state out of a checkpoint."""
        return collected

    def first_text(self, text: str) -> str:
        """The first text of any rank that is not empty."""
        return text


class ManyProcesses(OneProcess):
    """A training shared with other processes.

    Args:
        place: this process among them.
    """

    def __init__(self, place: RankPlace) -> None:
        self.place = place
        self.rank, self.world_size = place.rank, place.world_size
        self._device = torch.device("cpu")

    @contextmanager
    def connected(self, device: torch.device, seed: int) -> Iterator[None]:
        """Inside, the ranks can talk to one another, and models and losses see all their rows.

        Each rank draws random numbers of its own from here on; rank 0 those of one process.

        Raises:
            ConfigError: one rank has a GPU and another has none.
            TrainingError: the other ranks cannot be reached.
        """
        self._device = device
        backend = "nccl" if device.type == "cuda" else "gloo"
        store = self._meet(device)
        dist.init_process_group(
            backend,
            store=store,
            rank=self.rank,
            world_size=self.world_size,
            device_id=device if backend == "nccl" else None,
        )
        if self.rank:
            state = np.random.SeedSequence([seed, self.rank]).generate_state(1, np.uint64)
            seed_everything(int(state[0]) >> 1)
        try:
            # apart from the group that averages gradients, whose calls may come in any order
            with across_ranks.shared(dist.new_group()):
                yield
            dist.barrier()  # rank 0 takes with it what the others may still be connecting to
        except RuntimeError as error:
            if _LOST.search(str(error)) is None:
                raise
            raise TrainingError(
                "another rank of this training has ended",
                fix="see what it said; graphwright resume goes on from the last checkpoint",
            ) from error
        finally:
            if backend == "gloo":  # nccl's would wait for a rank that is no more
                dist.destroy_process_group()

    def combine(
        self, output: StepOutput, counts: Mapping[str, int], *, stand_in: bool = False
    ) -> Step:
        """See `OneProcess.combine`; means weighted by `StepOutput.weight`."""
        weight = 0 if stand_in else output.weight
        values = {"": output.loss, **output.metrics}
        own = [torch.as_tensor(weight, device=self._device), *values.values()]
        own += [torch.as_tensor(0 if stand_in else n, device=self._device) for n in counts.values()]
        table_RK = self._gather(
            torch.stack([v.detach().to(self._device, torch.float64) for v in own])
        )
        weight_R = table_RK[:, 0]
        everyone = int(weight_R.sum())
        means = table_RK[:, 1 : 1 + len(values)]
        means = torch.where(weight_R[:, None] > 0, means, 0.0)  # a stand-in's may be anything
        loss, *metrics = (weight_R @ means / max(everyone, 1)).unbind()
        sums = table_RK[:, 1 + len(values) :].sum(0).tolist()
        whole = StepOutput(
            loss=loss,
            metrics=dict(zip(output.metrics, metrics, strict=True)),
            weight=everyone,
            samples={k: across_ranks.gather_rows(v.detach()) for k, v in output.samples.items()},
        )
        # the gradients are averaged over the ranks, and are to be summed with these weights
        share = self.world_size * weight / max(everyone, 1)
        return Step(whole, dict(zip(counts, map(int, sums), strict=True)), output.loss * share)

    def check_start(self, step: int) -> None:
        """See `OneProcess.check_start`."""
        steps = self._gather(torch.tensor(step, device=self._device)).tolist()
        if len(set(steps)) > 1:
            raise TrainingError(
                f"the ranks would go on from different steps: {', '.join(map(str, steps))}",
                fix="a shared file system may lag behind: resume again",
            )

    def agree(self, stop: Asked) -> Asked:
        """See `OneProcess.agree`."""
        return _AgreedStop(stop, self)

    def collect_state(self, own: dict[str, Any]) -> dict[str, Any]:
        """A list: one state for each rank."""
        buffer = io.BytesIO()
        torch.save(own, buffer)
        states = (io.BytesIO(data) for data in self._gather_bytes(buffer.getvalue()))
        return {"ranks": [torch.load(state, weights_only=True) for state in states]}

    def own_state(self, collected: dict[str, Any]) -> dict[str, Any]:
        """See `OneProcess.own_state`."""
        found: dict[str, Any] = collected["ranks"][self.rank]
        return found

    def first_text(self, text: str) -> str:
        """See `OneProcess.first_text`."""
        texts = [data.decode() for data in self._gather_bytes(text.encode())]
        return next((found for found in texts if found), "")

    def largest(self, number: int) -> int:
        """Of all ranks' numbers."""
        return int(self._gather(torch.tensor(float(number), device=self._device)).max())

    def _meet(self, device: torch.device) -> TCPStore:
        """The ranks find each other, and agree on what they compute on."""
        place, listens = self.place, self.place.listen_fd if self.rank == 0 else -1
        try:
            store = TCPStore(
                place.address,
                place.port,
                place.world_size,
                is_master=place.rank == 0,
                timeout=_PATIENCE,
                wait_for_workers=False,
                master_listen_fd=listens if listens >= 0 else None,
            )
            store.set(f"device/{self.rank}", device.type)
            kinds = [store.get(f"device/{rank}").decode() for rank in range(self.world_size)]
        except (dist.DistError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise TrainingError(
                f"rank {place.rank} of {place.world_size} cannot reach rank 0 at "
                f"{place.address}:{place.port}: {reason}",
                fix="set MASTER_PORT if another program uses this port",
            ) from error
        if len(set(kinds)) > 1:
            raise ConfigError(
                f"training.devices={self.world_size}, but there is a GPU for only "
                f"{kinds.count('cuda')} of the ranks",
                fix="set training.devices to the number of GPUs, or training.device=cpu",
            )
        return store

    def _gather(self, value: Tensor) -> Tensor:
        """`[ranks, ...]` of a tensor with the same shape on all ranks."""
        found = [torch.empty_like(value) for _ in range(self.world_size)]
        dist.all_gather(found, value)
        return torch.stack(found)

    def _gather_bytes(self, data: bytes) -> list[bytes]:
        sizes = self._gather(torch.tensor(len(data), device=self._device)).tolist()
        padded = np.zeros(max(sizes), np.uint8)
        padded[: len(data)] = np.frombuffer(data, np.uint8)
        table = self._gather(torch.from_numpy(padded).to(self._device)).cpu().numpy()
        return [row[:size].tobytes() for row, size in zip(table, sizes, strict=True)]


class _AgreedStop:
    """Every look is one question to all ranks: has anyone been asked?"""

    def __init__(self, stop: Asked, ranks: ManyProcesses) -> None:
        self._stop, self._ranks = stop, ranks
        self._agreed: str | None = None

    @property
    def received(self) -> str | None:
        """The signal that any rank has received; None: none."""
        if self._agreed is None:
            names = [signal.name for signal in StopRequest.SIGNALS]
            own = self._stop.received
            found = self._ranks.largest(0 if own is None else 1 + names.index(own))
            self._agreed = names[found - 1] if found else None
        return self._agreed

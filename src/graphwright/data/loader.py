"""Batches of a source, shuffled by a seed, from a position that can be saved and taken up again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from graphwright.data.plan import BatchPlan, shard
from graphwright.data.source import Batch, IndexArray, SampleSource
from graphwright.errors import BundleError, ConfigError

__all__ = ["Loader", "LoaderState"]


class LoaderState(TypedDict):
    """Position of a loader: `batch` batches of `epoch` have been handed out."""

    epoch: int
    batch: int
    seed: int
    digest: str


class Loader:
    """Iterates over the batches of one epoch; exactly resumable.

    The batches of an epoch follow from the settings, the seed and the epoch alone (`plan`); they
    do not depend on worker processes or on what was iterated before. An iteration does not
    advance the epoch: call `set_epoch`.

    Args:
        source: the samples.
        batch_size: most samples in a batch.
        seed: seed of the order, from 0 up.
        shuffle: a new order in every epoch.
        max_size: bound on the sum of `source.sizes()` in a batch. Samples of similar size then
            share batches (with `shuffle`), which still come in random order.
        weights: chance of every sample to be drawn [n]; an epoch is n draws with replacement.
        drop_last: leave out the samples that do not fill a last batch.
        select: samples of an epoch, a pure function of it (a curriculum); None: all of them.
        num_workers: processes that fetch ahead; 0 fetches here, when asked.
        persistent_workers: keep those processes from epoch to epoch.
        prefetch_factor: batches that each process fetches ahead.
        pin_memory: page-locked batches for non-blocking copies; nothing happens without CUDA.
        rank: this process, among those that share every batch.
        world_size: number of these processes. Each gets its piece of each batch (`plan.shard`), or,
            where a batch has fewer samples than there are processes, a stand-in for none.

    Raises:
        ConfigError: settings that make no sense.
        DataError: no samples, or one that alone exceeds `max_size`.
    """

    def __init__(
        self,
        source: SampleSource,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
        max_size: int | None = None,
        weights: npt.ArrayLike | None = None,
        drop_last: bool = False,
        select: Callable[[int], IndexArray] | None = None,
        num_workers: int = 0,
        persistent_workers: bool = False,
        prefetch_factor: int = 2,
        pin_memory: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if num_workers < 0 or prefetch_factor < 1:
            raise ConfigError("num_workers must be 0 or more, and prefetch_factor 1 or more")
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank {rank} is not one of {world_size}")
        self.source = source
        self.settings = BatchPlan(
            length=len(source),
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            sizes=None if max_size is None else source.sizes(),
            max_size=max_size,
            weights=None if weights is None else np.asarray(weights, np.float64),
            drop_last=drop_last,
            select=select,
        )
        self.rank, self.world_size = rank, world_size
        self._num_workers = num_workers
        self._persistent = persistent_workers and num_workers > 0
        self._prefetch = prefetch_factor
        self._pin = pin_memory and torch.cuda.is_available()
        self._epoch = self._start = self._handed_out = 0
        self._planned: tuple[int, list[IndexArray]] | None = None
        self._workers: DataLoader[Batch] | None = None
        self._queue = _Queue()

    @property
    def epoch(self) -> int:
        """The epoch that an iteration goes through."""
        return self._epoch

    @property
    def batch_size(self) -> int:
        """Most samples in a batch."""
        return self.settings.batch_size

    def plan(self, epoch: int) -> list[IndexArray]:
        """This rank's samples of every batch in `epoch`: a pure function of seed and epoch."""
        return [shard(batch, self.rank, self.world_size) for batch in self._batches(epoch)]

    def is_stand_in(self, batch: int) -> bool:
        """Whether this rank has no sample of a batch of the present epoch.

        It is handed the batch's last sample then, so that it can take part in what all ranks do;
        this sample is another rank's.
        """
        return self.rank >= len(self._batches(self._epoch)[batch])

    def __len__(self) -> int:
        """Batches in the present epoch, wherever an iteration starts; the same on all ranks."""
        return len(self._batches(self._epoch))

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch. A position that was loaded is kept if it is of the same epoch."""
        if epoch < 0:
            raise ConfigError(f"the epoch must be 0 or more, not {epoch}")
        if epoch != self._epoch:
            self._epoch, self._start, self._handed_out = epoch, 0, 0

    def state_dict(self) -> LoaderState:
        """The position: how many batches of which epoch were handed out."""
        return LoaderState(
            epoch=self._epoch,
            batch=self._handed_out,
            seed=self.settings.seed,
            digest=self._digest,
        )

    def load_state_dict(self, state: LoaderState) -> None:
        """Let the next iteration begin where the state was taken.

        Raises:
            BundleError: the state is of a loader with another source length, seed or settings.
        """
        try:
            epoch, batch = int(state["epoch"]), int(state["batch"])
            seed, digest = state["seed"], state["digest"]
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"this is not the state of a loader: {error!r}") from error
        if digest != self._digest:
            other = "" if seed == self.settings.seed else f" (seed {seed}, here it is {self.seed})"
            raise BundleError(
                f"the saved position belongs to a loader with other settings{other}",
                fix="resume with the same data, seed and batch size",
            )
        if epoch < 0 or not 0 <= batch <= len(self._batches(epoch)):
            raise BundleError(f"epoch {epoch} has no batch {batch}")
        self._epoch, self._start, self._handed_out = epoch, batch, batch

    @property
    def seed(self) -> int:
        """The seed of the order."""
        return self.settings.seed

    @cached_property
    def _digest(self) -> str:
        return self.settings.digest

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the present epoch, from the position that was loaded, if any."""
        start, self._start = self._start, 0
        todo = [self._to_fetch(batch) for batch in self._batches(self._epoch)[start:]]
        self._handed_out = start
        fetched = self._fetched(todo) if self._num_workers == 0 else self._from_workers(todo)
        return self._counted(fetched)

    def _batches(self, epoch: int) -> list[IndexArray]:
        """What all ranks share."""
        if self._planned is None or self._planned[0] != epoch:
            self._planned = epoch, self.settings.batches(epoch)
        return self._planned[1]

    def _to_fetch(self, batch: IndexArray) -> IndexArray:
        mine = shard(batch, self.rank, self.world_size)
        return mine if len(mine) else batch[-1:]

    def _counted(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self._handed_out += 1
            yield batch

    def _fetched(self, todo: list[IndexArray]) -> Iterator[Batch]:
        for index in todo:
            batch = self.source.batch(index)
            yield batch.pin_memory() if self._pin else batch

    def _from_workers(self, todo: list[IndexArray]) -> Iterator[Batch]:
        self._queue.todo = todo
        loader = self._workers or self._start_workers()
        if self._persistent:
            self._workers = loader
        return iter(loader)

    def _start_workers(self) -> DataLoader[Batch]:
        # The generator keeps DataLoader from drawing on torch's global random state, which would
        # make a resumed run differ from one that was never interrupted.
        return DataLoader(
            _Fetch(self.source),
            batch_size=None,
            sampler=self._queue,
            num_workers=self._num_workers,
            collate_fn=_unchanged,
            pin_memory=self._pin,
            prefetch_factor=self._prefetch,
            persistent_workers=self._persistent,
            generator=torch.Generator().manual_seed(self.seed),
        )


class _Queue:
    """The batches that the worker processes are to fetch."""

    def __init__(self) -> None:
        self.todo: list[IndexArray] = []

    def __iter__(self) -> Iterator[IndexArray]:
        return iter(self.todo)

    def __len__(self) -> int:
        return len(self.todo)


class _Fetch(Dataset[Batch]):
    """What a worker process does: one batch for one vector of indices."""

    def __init__(self, source: SampleSource) -> None:
        self._source = source

    def __getitem__(self, index: Any) -> Batch:
        return self._source.batch(index)


def _unchanged(batch: Any) -> Any:
    return batch

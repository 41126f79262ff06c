"""Which samples go into which batch: a pure function of the seed and the epoch.

Every function here is deterministic; the loader only walks through what they return. Processes that
train one model share every batch (`shard`), so that the batches do not depend on their number.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphwright.data.source import IndexArray
from graphwright.errors import ConfigError, DataError

__all__ = ["BatchPlan", "shard"]

# Samples of one bucket differ in size by this factor at most: it bounds the room left in a batch.
_BUCKET_RATIO = 1.25


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchPlan:
    """The settings that decide the batches of every epoch.

    Attributes:
        length: number of samples n.
        batch_size: most samples in a batch.
        seed: seed, from 0 up.
        shuffle: whether every epoch has an order of its own.
        sizes: cost of every sample [n], needed with `max_size`.
        max_size: most cost in a batch; samples of similar cost then share batches.
        weights: chance of every sample [n] to be drawn, in any scale; n draws with replacement.
        drop_last: leave out what does not fill a batch.
        select: samples of an epoch, a pure function of it; None: all of them in every epoch.

    Raises:
        ConfigError: settings that make no sense.
        DataError: no samples, or one that alone exceeds `max_size`.
    """

    length: int
    batch_size: int
    seed: int
    shuffle: bool
    sizes: IndexArray | None = None
    max_size: int | None = None
    weights: npt.NDArray[np.float64] | None = None
    drop_last: bool = False
    select: Callable[[int], IndexArray] | None = None

    def __post_init__(self) -> None:
        if self.length < 1:
            raise DataError("there are no samples to load")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, not {self.batch_size}")
        if self.seed < 0:
            raise ConfigError(f"the seed must be 0 or more, not {self.seed}")
        self._check_weights()
        self._check_sizes()

    def _check_weights(self) -> None:
        found = self.weights
        if found is None:
            return
        if self.select is not None:
            raise ConfigError("an epoch's samples are drawn by weights or selected, not both")
        if not self.shuffle:
            raise ConfigError("weights draw at random, which needs shuffle=True")
        if found.shape != (self.length,):
            raise ConfigError(f"{self.length} weights are needed, got the shape {found.shape}")
        if not np.isfinite(found).all() or float(found.min()) < 0 or float(found.sum()) <= 0:
            raise ConfigError("weights must be finite, 0 or more, and not all 0")

    def _check_sizes(self) -> None:
        if self.max_size is None:
            return
        if self.sizes is None or len(self.sizes) != self.length:
            raise ConfigError("max_size needs the size of every sample")
        largest = int(self.sizes.argmax())
        if int(self.sizes[largest]) > self.max_size:
            raise DataError(
                f"sample {largest} has size {self.sizes[largest]}, more than max_size "
                f"{self.max_size} allows in a whole batch",
                fix="raise max_size, or leave such samples out",
            )

    @property
    def digest(self) -> str:
        """SHA-256 over everything that the batches follow from."""
        parts = {
            "length": self.length,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "max_size": self.max_size,
            "sizes": None if self.max_size is None else _array_digest(self.sizes),
            "weights": _array_digest(self.weights),
            "drop_last": self.drop_last,
            "select": None if self.select is None else _array_digest(self.select(0)),
            "world_size": 1,  # of earlier versions: their checkpoints are still taken up
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def batches(self, epoch: int) -> list[IndexArray]:
        """Batches of one epoch, however many processes share them.

        Every sample (every draw, with weights) is in exactly one batch, unless `drop_last`. The
        number of batches is the same in every epoch, except with `select`, and with both weights
        and `max_size`.
        """
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, epoch])))
        order = self._order(rng, epoch)
        if self.max_size is None:
            return self._even(order)
        if not self.shuffle:
            return self._greedy(order)
        batches = self._bucketed(order, rng)
        return [batches[place] for place in rng.permutation(len(batches))]

    def _order(self, rng: np.random.Generator, epoch: int) -> IndexArray:
        if self.select is not None:
            rows = np.asarray(self.select(epoch), np.int64)
            return rng.permutation(rows) if self.shuffle else rows
        if self.weights is not None:
            chances = self.weights / self.weights.sum()
            return rng.choice(self.length, size=self.length, p=chances).astype(np.int64)
        return rng.permutation(self.length) if self.shuffle else np.arange(self.length)

    def _even(self, order: IndexArray) -> list[IndexArray]:
        """Batches of `batch_size`, and what is left over."""
        whole = len(order) // self.batch_size * self.batch_size
        stop = whole if self.drop_last else len(order)
        starts = range(0, stop, self.batch_size)
        return [order[start : start + self.batch_size] for start in starts]

    def _greedy(self, order: IndexArray) -> list[IndexArray]:
        """Batches in the given order, each as full as `max_size` and `batch_size` allow."""
        assert self.sizes is not None
        assert self.max_size is not None
        ends = np.cumsum(self.sizes[order])
        batches, start, used = [], 0, 0
        while start < len(order):
            stop = int(np.searchsorted(ends, used + self.max_size, side="right"))
            stop = min(stop, start + self.batch_size)
            batches.append(order[start:stop])
            start, used = stop, int(ends[stop - 1])
        return batches

    def _bucketed(self, order: IndexArray, rng: np.random.Generator) -> list[IndexArray]:
        """Batches of samples of similar size, drawn at random within buckets of sizes.

        A batch of a bucket has room for as many of its largest samples as `max_size` allows. What
        is left over goes to the next larger bucket, where it fits all the more, so that the
        number of batches depends on the sizes alone and not on the epoch.
        """
        assert self.sizes is not None
        assert self.max_size is not None
        costs = np.maximum(self.sizes[order], 1)
        bucket = np.floor(np.log(costs) / math.log(_BUCKET_RATIO)).astype(np.int64)
        batches: list[IndexArray] = []
        left = np.zeros(0, np.int64)
        for number in np.unique(bucket):
            members = order[bucket == number]
            room = self.max_size // max(int(self.sizes[members].max()), 1)
            room = min(self.batch_size, room)
            pool = rng.permutation(np.concatenate((left, members)))
            full = len(pool) // room * room
            batches += list(pool[:full].reshape(-1, room))
            left = pool[full:]
        return [*batches, left] if len(left) and not self.drop_last else batches


def shard(batch: IndexArray, rank: int, world_size: int) -> IndexArray:
    """One process's piece of a batch: consecutive samples, as evenly as possible, perhaps none."""
    return batch if world_size == 1 else np.array_split(batch, world_size)[rank]


def _array_digest(array: npt.NDArray[np.generic] | None) -> str | None:
    return None if array is None else hashlib.sha256(array.tobytes()).hexdigest()

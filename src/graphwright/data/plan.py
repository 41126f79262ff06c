"""Which samples go into which batch: a pure function of the seed and the epoch.

Every function here is deterministic; the loader only walks through what they return.
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

__all__ = ["BatchPlan"]

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
        drop_last: leave out what does not fill a batch (on every rank).
        select: samples of an epoch, a pure function of it; None: all of them in every epoch.
        world_size: number of processes that share the epoch.

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
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.length < 1:
            raise DataError("there are no samples to load")
        for name in ("batch_size", "world_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise ConfigError(f"the seed must be 0 or more, not {self.seed}")
        if self.length < self.world_size:
            raise DataError(f"{self.length} samples cannot be shared by {self.world_size} ranks")
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
            "world_size": self.world_size,
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def batches(self, epoch: int) -> list[IndexArray]:
        """Batches of all ranks in one epoch; rank r has every `world_size`-th, from r on.

        Every sample (every draw, with weights) is in exactly one batch, unless `drop_last`. The
        number of batches is a multiple of `world_size`. It is the same in every epoch, except
        with `select`, and with both weights and `max_size`.
        """
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, epoch])))
        order = self._order(rng, epoch)
        if self.max_size is None:
            return self._even(order)
        batches = self._bucketed(order, rng) if self.shuffle else self._greedy(order)
        batches = self._shared(batches)
        return self._shuffled_steps(batches, rng) if self.shuffle else batches

    def _order(self, rng: np.random.Generator, epoch: int) -> IndexArray:
        if self.select is not None:
            rows = np.asarray(self.select(epoch), np.int64)
            return rng.permutation(rows) if self.shuffle else rows
        if self.weights is not None:
            chances = self.weights / self.weights.sum()
            return rng.choice(self.length, size=self.length, p=chances).astype(np.int64)
        return rng.permutation(self.length) if self.shuffle else np.arange(self.length)

    def _even(self, order: IndexArray) -> list[IndexArray]:
        """Batches of `batch_size`; the last step is shared evenly among the ranks."""
        step, ranks = self.batch_size * self.world_size, self.world_size
        whole = len(order) // step
        rest = len(order) - whole * step
        parts = ranks
        if self.drop_last or rest == 0:
            rest = 0
        elif rest < ranks and whole:
            # Too few for every rank: the last two steps are shared as evenly as possible (with
            # batch_size 1 there is nothing to share, and some last batches hold 2).
            whole, rest = whole - 1, rest + step
            parts = 2 * ranks if rest >= 2 * ranks else ranks
        cut = whole * step
        batches = np.split(order[:cut], np.arange(self.batch_size, cut, self.batch_size))
        batches = batches if cut else []
        return batches + (np.array_split(order[cut : cut + rest], parts) if rest else [])

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

    def _shared(self, batches: list[IndexArray]) -> list[IndexArray]:
        """As many batches as the ranks can share, by dropping some or by halving large ones."""
        surplus = len(batches) % self.world_size
        if surplus == 0:
            return batches
        if self.drop_last:
            return batches[: len(batches) - surplus]
        batches = list(batches)
        for _ in range(self.world_size - surplus):
            largest = max(range(len(batches)), key=lambda i: len(batches[i]))
            if len(batches[largest]) < 2:
                raise DataError(
                    f"{len(batches)} batches of one sample cannot be shared by "
                    f"{self.world_size} ranks",
                    fix="set drop_last, or change the number of ranks",
                )
            batches[largest : largest + 1] = np.array_split(batches[largest], 2)
        return batches

    def _shuffled_steps(
        self, batches: list[IndexArray], rng: np.random.Generator
    ) -> list[IndexArray]:
        """Steps in random order; the ranks of one step keep batches of similar size."""
        ranks = self.world_size
        steps = rng.permutation(len(batches) // ranks)
        return [batches[step * ranks + rank] for step in steps for rank in range(ranks)]


def _array_digest(array: npt.NDArray[np.generic] | None) -> str | None:
    return None if array is None else hashlib.sha256(array.tobytes()).hexdigest()

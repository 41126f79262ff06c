"""Training and validation batches, and the position in them.

Lightning asks for the loader anew each epoch and gets a view on what is left of it, so that an
epoch resumed in its middle is, to Lightning, simply a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphwright.data.loader import Loader

__all__ = ["Feed"]


class Feed:
    """Position = (epoch, batches of it that are trained on).

    Args:
        train: shuffled loader; its order is a pure function of (seed, epoch).
        validation: loader in fixed order.
        limit: at most so many batches of each; 0 is no limit.
    """

    def __init__(self, train: Loader, validation: Loader, *, limit: int = 0) -> None:
        self._train = train
        self._validation = validation
        self._limit = limit
        self.epoch = 0
        self.batch = 0

    @property
    def batches(self) -> int:
        """Training batches in the present epoch."""
        return self._limited(len(self._train))

    def mean_batches(self, epochs: int) -> int:
        """Training batches of an epoch, over all of them; they differ only in a curriculum."""
        if self._train.settings.select is None:
            return self.batches
        counts = [self._limited(len(self._train.plan(epoch))) for epoch in range(epochs)]
        return max(1, round(sum(counts) / epochs))

    @property
    def at_end(self) -> bool:
        """The epoch's last batch is trained on; its validation is not done."""
        return self.batch >= self.batches

    def is_stand_in(self, validation_batch: int | None = None) -> bool:
        """Whether this process holds a stand-in, for a batch of validation or the present one."""
        if validation_batch is not None:
            return self._validation.is_stand_in(validation_batch)
        return self._train.is_stand_in(self.batch)

    def training(self) -> _Limited:
        """What is left of the present epoch."""
        self._train.load_state_dict(
            {**self._train.state_dict(), "epoch": self.epoch, "batch": self.batch}
        )
        return _Limited(self._train, self.batches - self.batch)

    def validation(self) -> _Limited:
        """All validation batches."""
        return _Limited(self._validation, self._limited(len(self._validation)))

    def advance(self) -> None:
        """One more training batch is done."""
        self.batch += 1

    def next_epoch(self) -> None:
        """The epoch and its validation are done."""
        self.epoch, self.batch = self.epoch + 1, 0
        self._train.set_epoch(self.epoch)

    def state_dict(self) -> dict[str, Any]:
        """Position and the loader's own identity, so that another loader is refused."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "loader": {**self._train.state_dict(), "epoch": self.epoch, "batch": self.batch},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            BundleError: the state is of a loader over other data or settings.
        """
        self._train.load_state_dict(state["loader"])
        self.epoch, self.batch = state["epoch"], state["batch"]

    def _limited(self, count: int) -> int:
        return min(count, self._limit) if self._limit else count


class _Limited:
    """The next `count` batches of a loader."""

    def __init__(self, loader: Loader, count: int) -> None:
        self._loader = loader
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self._loader)
        for _ in range(self._count):
            yield next(batches)

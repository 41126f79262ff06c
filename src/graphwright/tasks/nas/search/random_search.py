"""Random search: every architecture of the pool is as likely as any other."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.search.candidates import Proposal, Trial
from graphwright.tasks.nas.search.pools import Pool, PoolSource

__all__ = ["RandomSearch", "draw", "first_distinct"]


class RandomSearch:
    """Without replacement, and one of architectures that are the same function."""

    def __init__(self, source: PoolSource, *, origin: str = "random") -> None:
        self._source, self._origin = source, origin

    def propose(
        self,
        trials: Sequence[Trial],
        taken: Collection[str],
        count: int,
        rng: np.random.Generator,
    ) -> list[Proposal]:
        """See `Strategy`."""
        return draw(self._source.pool([], rng), taken, count, rng, self._origin)


def draw(
    pool: Pool, taken: Collection[str], count: int, rng: np.random.Generator, origin: str
) -> list[Proposal]:
    """So many of the pool at random, or all that are left."""
    rows = rng.permutation(pool.free(taken))
    chosen = first_distinct(pool, rows, taken, count)
    return [
        Proposal(text=pool.texts[row], key=str(pool.keys[row]), origin=origin) for row in chosen
    ]


def first_distinct(
    pool: Pool, rows: NDArray[np.int64], taken: Collection[str], count: int
) -> list[int]:
    """The first rows whose keys are neither taken nor equal to one another."""
    seen, chosen = set(taken), list[int]()
    for row in rows.tolist():
        if len(chosen) == count:
            break
        if (key := str(pool.keys[row])) not in seen:
            seen.add(key)
            chosen.append(row)
    return chosen

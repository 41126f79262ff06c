"""Where architectures come from: a whole space, a table, a generator, or new samples each round.

Legend: P = architectures of the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import ConfigError, DataError
from graphwright.tasks.nas.arch import Arch, Cells
from graphwright.tasks.nas.search.canonical import keys_of
from graphwright.tasks.nas.search.config import PoolConfig
from graphwright.tasks.nas.search.named import load_named
from graphwright.tasks.nas.spaces import SearchSpace, detect, get_search_space, get_space

__all__ = ["FixedSource", "Pool", "PoolSource", "SampledSource", "make_source", "pool_of_texts"]

_SAMPLED = 2000
_PARENTS = 20  # of the best, whose mutations are half of a sampled pool
_TRIES = 50


@dataclass(frozen=True, eq=False)
class Pool:
    """Architectures to choose from.

    Attributes:
        space: name of their space; "module" for the user's own networks.
        texts: as the space writes them.
        keys: `[P]` strings, equal for architectures that are the same function.
        cells: their graphs; None for modules.
        archs: graphs of modules by their text; empty for a space.
    """

    space: str
    texts: Sequence[str]
    keys: NDArray[np.str_]
    cells: Cells | None
    archs: Mapping[str, Arch] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def free(self, taken: Collection[str]) -> NDArray[np.int64]:
        """Rows whose key is not taken, in order."""
        return np.flatnonzero(~np.isin(self.keys, np.array(sorted(taken), dtype=np.str_)))


class PoolSource(Protocol):
    """Gives the pool of a round, and neighbours of an architecture."""

    @property
    def space(self) -> str:
        """Name of the space of all its architectures."""
        ...

    @property
    def archs(self) -> Mapping[str, Arch]:
        """See `Pool.archs`."""
        ...

    def pool(self, best: Sequence[str], rng: np.random.Generator) -> Pool:
        """The pool, given the architectures known so far, the best first."""
        ...

    def mutate(self, text: str, rng: np.random.Generator) -> tuple[str, str] | None:
        """(text, key) of an allowed neighbour; None where none was found.

        Raises:
            ConfigError: the space knows no neighbours.
        """
        ...


class FixedSource:
    """The same pool in every round."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._rows: dict[str, int] | None = None
        self.space, self.archs = pool.space, pool.archs

    def pool(self, best: Sequence[str], rng: np.random.Generator) -> Pool:
        """All of it."""
        return self._pool

    def mutate(self, text: str, rng: np.random.Generator) -> tuple[str, str] | None:
        """A neighbour that is in the pool (`PoolSource.mutate`)."""
        space = get_search_space(self._pool.space)
        if self._rows is None:
            self._rows = {text: row for row, text in enumerate(self._pool.texts)}
        for _ in range(_TRIES):
            row = self._rows.get(space.mutate(text, rng))
            if row is not None:
                return self._pool.texts[row], str(self._pool.keys[row])
        return None


class SampledSource:
    """For spaces without end: half of every pool is new, half are mutations of the best."""

    def __init__(self, space: SearchSpace, size: int) -> None:
        self._space, self._size = space, size
        self.space, self.archs = space.name, dict[str, Arch]()

    def pool(self, best: Sequence[str], rng: np.random.Generator) -> Pool:
        """A new one each time."""
        parents = best[:_PARENTS]
        half = self._size // 2 if parents else 0
        mutated = [self._space.mutate(parents[i % len(parents)], rng) for i in range(half)]
        sampled = self._space.sample(self._size - half, rng)
        return pool_of_texts(self._space.name, [*mutated, *sampled])

    def mutate(self, text: str, rng: np.random.Generator) -> tuple[str, str] | None:
        """Any neighbour (`PoolSource.mutate`)."""
        pool = pool_of_texts(self._space.name, [self._space.mutate(text, rng)])
        return pool.texts[0], str(pool.keys[0])


def make_source(config: PoolConfig, table_texts: Sequence[str], data_root: Path) -> PoolSource:
    """The source of a configuration.

    Args:
        config: which architectures.
        table_texts: those of the trainer's table; used by `kind: table` only.
        data_root: keeps the cells of NAS-Bench-101.

    Raises:
        ConfigError: the space is unknown or too large to be listed.
        DataError: architectures that no space can read.
    """
    if config.kind == "sampled":
        return SampledSource(get_search_space(config.space), config.size or _SAMPLED)
    if config.kind == "space":
        return FixedSource(_everything(config.space, data_root))
    if config.kind == "generator":
        return FixedSource(_generated(config))
    texts = table_texts
    return FixedSource(pool_of_texts(config.space or detect(texts), texts))


def pool_of_texts(space: str, texts: Sequence[str]) -> Pool:
    """A pool of given architectures, each once, written as their space does.

    Raises:
        DataError: one is not of this space, or there are none.
    """
    cells, bad = get_space(space).encode(texts)
    if bad:
        row, reason = bad[0]
        raise DataError(f"{texts[row]!r}: {reason}", where=f"architecture {row + 1} of the pool")
    if not len(cells):
        raise DataError("the pool is empty: there is nothing to search")
    written = get_space(space).decode(cells)
    first = sorted({text: row for row, text in reversed(list(enumerate(written)))}.values())
    if len(first) < len(written):
        cells, written = cells.take(np.array(first)), [written[row] for row in first]
    return Pool(space, written, keys_of(space, cells, written), cells)


def _everything(name: str, data_root: Path) -> Pool:
    if name == "nasbench101":
        from graphwright.tasks.nas.spaces.nasbench101_all import all_cells

        # no two of them are the same: their texts are keys already
        cells = all_cells(data_root / "nas")
        texts = get_space(name).decode(cells)
        return Pool(name, texts, np.array(texts), cells)
    space = get_search_space(name)
    found = space.everything()
    if found is None:
        raise ConfigError(
            f"{name} has too many architectures to list them all",
            fix="take samples of it: --sampled",
        )
    texts = space.decode(found)
    return Pool(name, texts, keys_of(name, found, texts), found)


def _generated(config: PoolConfig) -> Pool:
    """What the user's generator yields: texts of a space, or (text, module or builder) pairs."""
    found = load_named(config.generator)()
    if isinstance(found, str) or not hasattr(found, "__iter__"):
        raise DataError(f"{config.generator} gives {type(found).__name__}, not many architectures")
    items = list(islice(found, config.size or None))
    if items and all(isinstance(item, str) for item in items):
        return pool_of_texts(config.space or detect(items), items)
    odd = [item for item in items if not _is_pair(item)]
    if odd or not items:
        given = type(odd[0]).__name__ if odd else "nothing"
        raise DataError(
            f"{config.generator} yields {given}",
            fix="yield texts of a space, or pairs of a text and a function that builds a module",
        )
    return _pool_of_modules(dict(items))


def _is_pair(item: object) -> bool:
    return (
        isinstance(item, tuple)
        and len(item) == 2
        and isinstance(item[0], str)
        and callable(item[1])
    )


def _pool_of_modules(builders: Mapping[str, Callable[[], Any]]) -> Pool:
    from graphwright.tasks.nas.tracing.from_module import from_module

    archs = {text: from_module(build) for text, build in builders.items()}
    texts = list(archs)
    return Pool("module", texts, np.array(texts, dtype=np.str_), None, archs)

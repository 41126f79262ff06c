"""Search spaces of published benchmarks: between their texts and graphs. No torch here.

A space reads the text that a benchmark writes for an architecture and makes its graph, with the
operations on the nodes, "input" first and "output" last; `decode` goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import ConfigError, DataError, nearest
from graphwright.tasks.nas.arch import Cells

__all__ = [
    "SPACES",
    "SearchSpace",
    "Space",
    "canonical_of",
    "detect",
    "get_search_space",
    "get_space",
]

SPACES: Final = (
    "nasbench201",
    "nasbench101",
    "darts",
    "nats_sss",
    "nasbench_macro",
    "transnas_micro",
    "transnas_macro",
    "tiny_cells",
)

_LOOK_AT = 200  # values of a column that tell its format


class Space(Protocol):
    """Architectures of one benchmark."""

    @property
    def name(self) -> str:
        """One of `SPACES`."""
        ...

    @property
    def ops(self) -> tuple[str, ...]:
        """Type name of every code of an operation; "input" and "output" are among them."""
        ...

    def encode(self, texts: Sequence[str]) -> tuple[Cells, list[tuple[int, str]]]:
        """Graphs of the good texts, in order, and (row, reason) of every bad one.

        The same reason is always said in the same words, so that rows can be counted by it.
        """
        ...

    def decode(self, cells: Cells) -> list[str]:
        """The text of each: `encode(decode(cells))` gives the cells again.

        Raises:
            DataError: graphs that this space does not have (pruned ones, for example).
        """
        ...


class SearchSpace(Space, Protocol):
    """A space that architectures can be drawn from."""

    def sample(self, count: int, rng: np.random.Generator) -> list[str]:
        """Random architectures, distinct where the space has that many."""
        ...

    def mutate(self, text: str, rng: np.random.Generator) -> str:
        """Another valid architecture, one edit away.

        Raises:
            DataError: `text` is no architecture of this space.
        """
        ...

    def everything(self) -> Cells | None:
        """All of them, or None where they are too many to make in a moment."""
        ...


def get_space(name: str) -> Space:
    """The space of this name.

    Raises:
        ConfigError: an unknown name; the message has the nearest one.
    """
    if name not in SPACES:
        raise ConfigError(
            f"{name!r} is not a search space{nearest(name, SPACES)}",
            fix=f"one of: {', '.join(SPACES)}",
        )
    space: Space = import_module(f"{__name__}.{name}").SPACE
    return space


def get_search_space(name: str) -> SearchSpace:
    """The space of this name, to draw architectures from.

    Raises:
        ConfigError: an unknown name, or a space that can only be read.
    """
    space = get_space(name)
    if not hasattr(space, "mutate"):
        raise ConfigError(f"{name} can be read, but no architectures can be drawn from it")
    return cast(SearchSpace, space)


def canonical_of(name: str) -> Callable[[Cells], NDArray[np.uint64]] | None:
    """The function that gives equal architectures of a space equal keys; None where it has none.

    Raises:
        ConfigError: an unknown name.
    """
    get_space(name)
    found = getattr(import_module(f"{__name__}.{name}"), "canonical", None)
    return cast("Callable[[Cells], NDArray[np.uint64]] | None", found)


def detect(texts: Sequence[str]) -> str:
    """Name of the space whose text the first values of a column are.

    The space that reads the most values, and more than half of them, is taken. `tiny_cells` has the
    text of `nasbench201` and is never found here: it must be named.

    Raises:
        DataError: no space reads them, or two read them equally well.
    """
    first = list(texts[:_LOOK_AT])
    names = [name for name in SPACES if name != "tiny_cells"]
    read = {name: len(first) - len(get_space(name).encode(first)[1]) for name in names}
    most = max(read.values())
    best = [name for name in names if read[name] == most]
    if most * 2 <= len(first):
        shown = f", the first is {first[0][:80]!r}" if first else ""
        raise DataError(
            f"the architectures are in no format that is known here{shown}",
            fix=f"name the format: {', '.join(names)}",
        )
    if len(best) > 1:
        raise DataError(
            f"the architectures, {first[0][:80]!r} first, can be read as {' and as '.join(best)}",
            fix=f"name the format: {' or '.join(best)}",
        )
    return best[0]

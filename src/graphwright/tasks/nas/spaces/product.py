"""Spaces of one graph whose K slots are filled from lists of choices, independently.

Legend: A = architectures, K = slots, N = nodes, E = edges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import Cells
from graphwright.tasks.nas.spaces.arrays import Bad, same_shape

__all__ = ["ProductSpace", "integers", "read_each"]

Codes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ProductSpace:
    """Every slot takes one of the same `choices` operations, whatever the others take.

    Attributes:
        name: of the space.
        ops: type names; the choices of a slot are `ops[first]` and those that follow.
        first: code of the first choice.
        choices: how many a slot has.
        node_ops: `[N]` codes of the fixed nodes, anything at the slots.
        slots: `[K]` nodes that are slots.
        edges: `[2, E]` in the order of (target, source).
        read: text -> K numbers of choices, or the reason why not.
        write: K numbers of choices -> text.
        level: `[N]`, where there are cells above the operations.
    """

    name: str
    ops: tuple[str, ...]
    first: int
    choices: int
    node_ops: Codes
    slots: NDArray[np.int64]
    edges: Codes
    read: Callable[[str], Sequence[int] | str]
    write: Callable[[Sequence[int]], str]
    level: Codes | None = None

    def encode(self, texts: Sequence[str]) -> tuple[Cells, Bad]:
        """Graphs of the good texts, and (row, reason) of the bad ones."""
        codes_AK, bad = read_each(texts, self.read, len(self.slots))
        return self.cells(codes_AK), bad

    def decode(self, cells: Cells) -> list[str]:
        """Text of each (`Space.decode`).

        Raises:
            DataError: graphs of another shape.
        """
        return [self.write(row) for row in self.codes(cells).tolist()]

    def cells(self, codes_AK: Codes) -> Cells:
        """Graphs of the numbers of choices."""
        ops_AN = np.tile(self.node_ops, (len(codes_AK), 1))
        ops_AN[:, self.slots] = codes_AK + np.uint8(self.first)
        return same_shape(ops_AN, self.edges, self.level)

    def codes(self, cells: Cells) -> Codes:
        """Numbers of choices, [A, K].

        Raises:
            DataError: graphs of another shape.
        """
        nodes, edges = len(self.node_ops), self.edges.shape[1]
        if (cells.node_counts != nodes).any() or (cells.edge_counts != edges).any():
            raise DataError(
                f"a graph of {self.name} has {nodes} nodes and {edges} edges, and some have not",
                fix="decode graphs as they were read, before pruning",
            )
        codes_AK: Codes = cells.ops.reshape(-1, nodes)[:, self.slots].astype(np.uint8)
        return codes_AK - np.uint8(self.first)

    def sample(self, count: int, rng: np.random.Generator) -> list[str]:
        """Uniform, without repeats up to the size of the space."""
        total = self.choices ** len(self.slots)
        full = [rng.permutation(total) for _ in range(count // total)]
        numbers = np.concatenate([*full, rng.choice(total, count % total, replace=False)])
        return [self.write(row) for row in self._digits(numbers).tolist()]

    def mutate(self, text: str, rng: np.random.Generator) -> str:
        """Another choice in one slot.

        Raises:
            DataError: `text` is no architecture of this space.
        """
        codes = self.read(text)
        if isinstance(codes, str):
            raise DataError(f"{text!r}: {codes}")
        changed = list(codes)
        slot = int(rng.integers(len(changed)))
        changed[slot] = (changed[slot] + int(rng.integers(1, self.choices))) % self.choices
        return self.write(changed)

    def everything(self) -> Cells:
        """All of them; the last slot changes fastest."""
        return self.cells(self._digits(np.arange(self.choices ** len(self.slots))))

    def _digits(self, numbers_A: NDArray[np.int64]) -> Codes:
        places = self.choices ** np.arange(len(self.slots))[::-1]
        return (numbers_A[:, None] // places % self.choices).astype(np.uint8)


def read_each(
    texts: Sequence[str], read: Callable[[str], Sequence[int] | str], width: int
) -> tuple[Codes, Bad]:
    """Codes [A, width] of the good texts, and (row, reason) of the bad ones."""
    good: list[Sequence[int]] = []
    bad: Bad = []
    for row, text in enumerate(texts):
        codes = read(text)
        if isinstance(codes, str):
            bad.append((row, codes))
        else:
            good.append(codes)
    return np.array(good, np.uint8).reshape(-1, width), bad


def integers(text: str) -> list[int] | None:
    """Numbers of "(1, 0, 2)", "[1,0,2]" or "1, 0, 2"; None for anything else."""
    inner = text.strip()
    if inner[:1] + inner[-1:] in ("()", "[]"):
        inner = inner[1:-1]
    parts = [part.strip() for part in inner.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts):
        return None
    return [int(part) for part in parts]

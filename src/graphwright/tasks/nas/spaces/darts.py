"""DARTS genotypes (Liu et al., ICLR 2019, arXiv 1806.09055) and NAS-Bench-301: two cells of 8 ops.

Texts: `Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=[2, 3, 4, 5], reduce=[…],
reduce_concat=range(2, 6))`, or the short form `[[(0, 3), …], [(1, 0), …]]` of (input, operation)
that concatenates all four nodes. A text is only ever parsed, never evaluated.

The graph has the 8 operations of each cell once, between the cell's two inputs, and above them the
network as a chain of cell instances N N R N N R N N, nodes of level 1: an operation that the output
of its cell concatenates leads to every instance of it, an instance to the next two.

Legend: A = architectures, D = 2 cells, J = 8 operations, two for each of four nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import INPUT, OUTPUT, Cells
from graphwright.tasks.nas.spaces.arrays import Bad, from_adjacency, to_adjacency
from graphwright.tasks.nas.spaces.darts_text import OPERATIONS, ROW, read, write
from graphwright.tasks.nas.spaces.product import read_each

__all__ = ["OPERATIONS", "SPACE", "Darts"]

_INSTANCES = np.array([0, 0, 1, 0, 0, 1, 0, 0])  # 0 normal, 1 reduction
_CELL_NODES = 10  # two inputs and eight operations
_FIRST_INSTANCE = 1 + 2 * _CELL_NODES
_OUTPUT_NODE = _FIRST_INSTANCE + len(_INSTANCES)
_FIRST_OP = 6


class Darts:
    """The space; 30 nodes, level 1 for the cell instances."""

    name = "darts"
    ops = (
        INPUT,
        OUTPUT,
        "cell_before_last",
        "last_cell",
        "cell:normal",
        "cell:reduction",
        *OPERATIONS,
    )

    def encode(self, texts: Sequence[str]) -> tuple[Cells, Bad]:
        """Graphs of the good texts, and (row, reason) of the bad ones.

        The two operations of a node are put in the order of (input, operation): their order in the
        text says nothing.
        """
        rows, bad = read_each(texts, read, ROW)
        return _graphs(rows.reshape(-1, 2, ROW // 2)), bad

    def decode(self, cells: Cells) -> list[str]:
        """The genotype of each (`Space.decode`).

        Raises:
            DataError: graphs of another shape.
        """
        if (cells.node_counts != _OUTPUT_NODE + 1).any():
            raise DataError(
                f"a graph of {self.name} has {_OUTPUT_NODE + 1} nodes, and some have not",
                fix="decode graphs as they were read, before pruning",
            )
        ops_AN, adjacency_ANN = to_adjacency(cells, _OUTPUT_NODE + 1)
        rows = np.zeros((len(cells), 2, ROW // 2), np.uint8)
        for d in range(2):
            base = 1 + d * _CELL_NODES
            for j in range(8):
                # inputs are the two of the cell, then the first operation of each earlier node
                feeds = [base, base + 1, *range(base + 2, base + 2 + j // 2 * 2, 2)]
                rows[:, d, 2 * j] = adjacency_ANN[:, feeds, base + 2 + j].argmax(axis=1)
                rows[:, d, 2 * j + 1] = ops_AN[:, base + 2 + j] - _FIRST_OP
            instance = _FIRST_INSTANCE + int(np.flatnonzero(np.equal(_INSTANCES, d))[0])
            rows[:, d, 16:] = adjacency_ANN[:, base + 2 : base + 10 : 2, instance]
        return [write(row) for row in rows.reshape(-1, ROW).tolist()]

    def sample(self, count: int, rng: np.random.Generator) -> list[str]:
        """Every node takes two different inputs and two operations; all nodes are concatenated."""
        found: dict[str, None] = {}
        while len(found) < count:
            found.setdefault(write(_draw(rng)))
        return list(found)

    def mutate(self, text: str, rng: np.random.Generator) -> str:
        """Another operation, or another input of one.

        Raises:
            DataError: `text` is no genotype.
        """
        before = read(text)
        if isinstance(before, str):
            raise DataError(f"{text!r}: {before}")
        while True:  # a changed input can only be refused where the node's other operation has it
            after = _edit(list(before), rng)
            if after is not None:
                return write(after)

    def everything(self) -> None:
        """None: there are 10 ** 18."""
        return


SPACE: Final = Darts()


def _draw(rng: np.random.Generator) -> list[int]:
    row: list[int] = []
    for _ in range(2):
        for node in range(4):
            for feed in sorted(rng.choice(2 + node, 2, replace=False).tolist()):
                row += [feed, int(rng.integers(len(OPERATIONS)))]
        row += [1, 1, 1, 1]
    return row


def _edit(row: list[int], rng: np.random.Generator) -> list[int] | None:
    """The row with one change; None where both operations of a node would have one input."""
    cell, j, kind = (int(rng.integers(high)) for high in (2, 8, 2))
    at = cell * (ROW // 2) + 2 * j
    if kind:
        row[at + 1] = (row[at + 1] + int(rng.integers(1, len(OPERATIONS)))) % len(OPERATIONS)
        return row
    choices = 2 + j // 2
    row[at] = (row[at] + int(rng.integers(1, choices))) % choices
    twin = at + 2 if j % 2 == 0 else at - 2
    return None if row[at] == row[twin] else row


def _graphs(rows: NDArray[np.uint8]) -> Cells:
    """Graphs of [A, D, 20]: input and operation of each of 8, then which nodes are concatenated."""
    count = len(rows)
    nodes = _OUTPUT_NODE + 1
    ops_AN = np.zeros((count, nodes), np.uint8)
    ops_AN[:, -1] = 1
    ops_AN[:, _FIRST_INSTANCE:_OUTPUT_NODE] = 4 + _INSTANCES
    adjacency_ANN = np.zeros((count, nodes, nodes), np.bool_)
    each = np.arange(count)
    for d in range(2):
        base = 1 + d * _CELL_NODES
        ops_AN[:, [base, base + 1]] = [2, 3]
        adjacency_ANN[:, 0, [base, base + 1]] = True
        instances = _FIRST_INSTANCE + np.flatnonzero(np.equal(_INSTANCES, d))
        for j in range(8):
            node, feed_A = base + 2 + j, rows[:, d, 2 * j].astype(np.int64)
            ops_AN[:, node] = _FIRST_OP + rows[:, d, 2 * j + 1]
            # input i >= 2 is the sum of operations 2(i-2) and 2(i-2)+1, at base + 2(i-1) and next
            adjacency_ANN[each, base + np.where(feed_A < 2, feed_A, 2 * feed_A - 2), node] = True
            adjacency_ANN[each, base + np.where(feed_A < 2, feed_A, 2 * feed_A - 1), node] = True
            adjacency_ANN[:, node, instances] = rows[:, d, 16 + j // 2, None] == 1
    _connect_instances(adjacency_ANN)
    level_N = np.zeros(nodes, np.uint8)
    level_N[_FIRST_INSTANCE:_OUTPUT_NODE] = 1
    cells = from_adjacency(ops_AN, adjacency_ANN, np.full(count, nodes, np.int64))
    return Cells(
        cells.ops, cells.node_counts, cells.edge_counts, cells.edge_index, np.tile(level_N, count)
    )


def _connect_instances(adjacency_ANN: NDArray[np.bool_]) -> None:
    """The network: every instance takes the two before it, the first two also the input."""
    for k in range(len(_INSTANCES)):
        here = _FIRST_INSTANCE + k
        for before in (k - 1, k - 2):
            adjacency_ANN[:, _FIRST_INSTANCE + before if before >= 0 else 0, here] = True
    adjacency_ANN[:, _OUTPUT_NODE - 1, _OUTPUT_NODE] = True

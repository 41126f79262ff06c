"""Paths through architectures: pruning, longest paths, and the path encoding of BANANAS.

Everything runs over all architectures at once; loops are over the places of nodes in their
topological order. The first node of an architecture is its input, the last its output.

Legend: A = architectures, N = nodes, E = edges, P = paths, all architectures together;
K = paths of a vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import INPUT, OUTPUT, Cells

__all__ = [
    "MAX_PATHS",
    "PathStatistics",
    "longest_path_ops",
    "path_encoding",
    "path_statistics",
    "path_vocabulary",
    "prune",
]

MAX_PATHS: Final = 1 << 16
"""Paths that one architecture may have for the path encoding."""

_PATHS_AT_ONCE = 1 << 22
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no step of a path's code loses anything

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PathStatistics:
    """Lengths are in edges.

    Attributes:
        depth: `[N]` longest path to a node from any node that nothing leads to.
        height: `[N]` longest path from a node to any node that leads nowhere.
        count: `[A]` paths from the first node to the last; float64, deep networks have very many.
        longest: `[A]` longest of them, 0 where there is none.
        shortest: `[A]` shortest of them, 0 where there is none.
    """

    depth: Index
    height: Index
    count: NDArray[np.float64]
    longest: Index
    shortest: Index


def prune(cells: Cells, ops: Sequence[str], remove: Sequence[str] = ("none",)) -> Cells:
    """Without some operations, and without what is then on no path from an input to an output.

    Nodes of type "input" and "output" always stay; without a path they are all that stays. Removing
    a node removes its edges: what went through it is gone, as with the operation `none`.

    Args:
        cells: any architectures.
        ops: type name of every code (`Space.ops`).
        remove: type names; those that `ops` does not have are passed over.
    """
    names = np.array(ops)
    source, target = _global_edges(cells)
    alive = ~np.isin(names, list(remove))[cells.ops]
    inputs, outputs = (names == INPUT)[cells.ops], (names == OUTPUT)[cells.ops]
    live = alive[source] & alive[target]

    forward, backward = inputs.copy(), outputs.copy()
    for edges in _forward(cells):
        edges = edges[live[edges]]
        forward[target[edges[forward[source[edges]]]]] = True
    for edges in _backward(cells):
        edges = edges[live[edges]]
        backward[source[edges[backward[target[edges]]]]] = True
    on_path = forward & backward
    return _keep(cells, on_path | inputs | outputs, live & on_path[source] & on_path[target])


def path_statistics(cells: Cells) -> PathStatistics:
    """Longest, shortest and number of paths."""
    source, target = _global_edges(cells)
    depth, height = (np.zeros(len(cells.ops), np.int64) for _ in range(2))
    longest = _from_first(cells)
    shortest, count = np.full(len(cells.ops), np.inf), np.zeros(len(cells.ops))
    shortest[cells.node_ptr[:-1]], count[cells.node_ptr[:-1]] = 0, 1
    for edges in _forward(cells):
        np.maximum.at(depth, target[edges], depth[source[edges]] + 1)
        np.minimum.at(shortest, target[edges], shortest[source[edges]] + 1)
        np.add.at(count, target[edges], count[source[edges]])
    for edges in _backward(cells):
        np.maximum.at(height, source[edges], height[target[edges]] + 1)
    last = cells.node_ptr[1:] - 1
    found = longest[last] >= 0
    return PathStatistics(
        depth=depth,
        height=height,
        count=count[last],
        longest=np.where(found, longest[last], 0),
        shortest=np.where(found, shortest[last], 0).astype(np.int64),
    )


def longest_path_ops(cells: Cells, types: int) -> Index:
    """How often every operation is on the longest path from the first node to the last.

    Of paths of equal length the one that comes from the earliest node at every step, seen from the
    output, is taken.

    Args:
        cells: any architectures.
        types: number of codes (`len(space.ops)`).

    Returns:
        [A, types]; all zero where there is no path. The first and the last node count too.
    """
    source, target = _global_edges(cells)
    longest = _from_first(cells)
    best = (longest[source] >= 0) & (longest[source] + 1 == longest[target])
    nowhere = len(cells.ops)
    came_from = np.full(nowhere + 1, nowhere)
    np.minimum.at(came_from, target[best], source[best])

    counts_AT = np.zeros((len(cells), types), np.int64)
    node = cells.node_ptr[1:] - 1
    rows = np.flatnonzero(longest[node] >= 0)
    node = node[rows]
    while len(rows):
        counts_AT[rows, cells.ops[node]] += 1
        node = came_from[node]
        rows, node = rows[node < nowhere], node[node < nowhere]
    return counts_AT


def path_vocabulary(cells: Cells, limit: int) -> NDArray[np.uint64]:
    """Codes of the paths that occur in most architectures, the most frequent first.

    Args:
        cells: architectures to learn it from (the training split).
        limit: K at most.

    Raises:
        DataError: an architecture has more than `MAX_PATHS` paths.
    """
    found = [_once_each(owner, code) for owner, code in _paths(cells)]
    code, count = np.unique(np.concatenate([np.zeros(0, np.uint64), *found]), return_counts=True)
    vocabulary_K: NDArray[np.uint64] = code[np.argsort(-count, kind="stable")[:limit]]
    return vocabulary_K


def path_encoding(cells: Cells, vocabulary_K: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Which paths of operations lead from input to output: the path encoding, truncated.

    White et al., BANANAS, AAAI 2021 (arXiv 1910.11858), section 3.

    Args:
        cells: architectures over the operation codes that the vocabulary was made with.
        vocabulary_K: codes of paths, from `path_vocabulary`.

    Returns:
        [A, K], 1 where the architecture has the path.

    Raises:
        DataError: an architecture has more than `MAX_PATHS` paths.
    """
    order = np.argsort(vocabulary_K)
    in_order = vocabulary_K[order]
    encoding_AK = np.zeros((len(cells), len(vocabulary_K)), np.uint8)
    for owner, code in _paths(cells):
        place = np.searchsorted(in_order, code)
        known = place < len(in_order)
        known[known] = in_order[place[known]] == code[known]
        encoding_AK[owner[known], order[place[known]]] = 1
    return encoding_AK


def _paths(cells: Cells) -> Iterator[tuple[Index, NDArray[np.uint64]]]:
    """Owner and code of every path from the first to the last node, in chunks."""
    count_A = path_statistics(cells).count
    if len(cells) and count_A.max() > MAX_PATHS:
        raise DataError(
            f"architecture {int(count_A.argmax())} has {count_A.max():.3g} paths from input to "
            f"output, and the path encoding takes {MAX_PATHS:,} at most",
            fix="data.graph.paths=0: the path encoding is for cells",
        )
    chunk_A = (np.cumsum(count_A + 1) // _PATHS_AT_ONCE).astype(np.int64)
    for rows in np.split(np.arange(len(cells)), np.flatnonzero(np.diff(chunk_A)) + 1):
        if len(rows):
            owner, code = _walk(cells.take(rows))
            yield rows[owner], code


def _walk(cells: Cells) -> tuple[Index, NDArray[np.uint64]]:
    """All paths at once, one step further in every round."""
    source, target = _global_edges(cells)
    by_source = np.argsort(source, kind="stable")
    degree = np.bincount(source, minlength=len(cells.ops))
    begin = np.cumsum(degree) - degree
    last = cells.node_ptr[1:] - 1

    owner, node = np.arange(len(cells)), cells.node_ptr[:-1]
    code = np.zeros(len(cells), np.uint64)
    owners, codes = [], []
    while len(node):
        steps = degree[node]
        ahead = np.repeat(begin[node] - (np.cumsum(steps) - steps), steps) + np.arange(steps.sum())
        node = target[by_source[ahead]]
        owner, code = np.repeat(owner, steps), np.repeat(code, steps)
        done = node == last[owner]
        owners.append(owner[done])
        codes.append(code[done])
        owner, node, code = owner[~done], node[~done], code[~done]
        code = (code + cells.ops[node].astype(np.uint64) + np.uint64(1)) * _MULTIPLIER
    return np.concatenate(owners), np.concatenate(codes)


def _once_each(owner_P: Index, code_P: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Codes, each once for every owner that has it."""
    order = np.lexsort((owner_P, code_P))
    owner, code = owner_P[order], code_P[order]
    again = (owner[1:] == owner[:-1]) & (code[1:] == code[:-1])
    once_P: NDArray[np.uint64] = code[np.concatenate([np.ones(min(1, len(code)), bool), ~again])]
    return once_P


def _from_first(cells: Cells) -> Index:
    """Longest path from the first node of an architecture to each of its nodes, -1 for none."""
    source, target = _global_edges(cells)
    longest = np.full(len(cells.ops), -1)
    longest[cells.node_ptr[:-1]] = 0
    for edges in _forward(cells):
        edges = edges[longest[source[edges]] >= 0]
        np.maximum.at(longest, target[edges], longest[source[edges]] + 1)
    return longest


def _global_edges(cells: Cells) -> tuple[Index, Index]:
    """Source and target of every edge, numbered through all architectures."""
    start = np.repeat(cells.node_ptr[:-1], cells.edge_counts)
    return cells.edge_index[0] + start, cells.edge_index[1] + start


def _forward(cells: Cells) -> Iterator[Index]:
    """Edges by the place of their target: after a group, the nodes at that place are complete."""
    return _groups(cells.edge_index[1])


def _backward(cells: Cells) -> Iterator[Index]:
    """Edges by the place of their source, the last place first."""
    place = cells.edge_index[0]
    return _groups(place.max(initial=0) - place)


def _groups(place_E: NDArray[np.unsignedinteger[Any]]) -> Iterator[Index]:
    order = np.argsort(place_E, kind="stable")
    yield from np.split(order, np.cumsum(np.bincount(place_E, minlength=1))[:-1])


def _keep(cells: Cells, node_N: NDArray[np.bool_], edge_E: NDArray[np.bool_]) -> Cells:
    """Some nodes and edges of every architecture."""
    owner_N = np.repeat(np.arange(len(cells)), cells.node_counts)
    owner_E = np.repeat(np.arange(len(cells)), cells.edge_counts)
    before: Index = np.cumsum(node_N) - node_N
    place: NDArray[Any] = (before - before[cells.node_ptr[:-1]][owner_N]).astype(
        cells.edge_index.dtype
    )
    source, target = _global_edges(cells)
    return Cells(
        ops=cells.ops[node_N],
        node_counts=np.bincount(owner_N[node_N], minlength=len(cells)),
        edge_counts=np.bincount(owner_E[edge_E], minlength=len(cells)),
        edge_index=np.stack([place[source[edge_E]], place[target[edge_E]]]),
        level=None if cells.level is None else cells.level[node_N],
    )

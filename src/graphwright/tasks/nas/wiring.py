"""How operations are wired: what lies on the paths of an architecture, and what feeds what.

A graph network has to learn to count these from a few hundred labels; given, they carry most of
what such a small training split can teach (as in Kadlecova et al., "Surprisingly Strong
Performance Prediction with Neural Graph Features", ICML 2024, https://arxiv.org/abs/2404.16551).

Everything runs over all architectures at once; loops are over the places of nodes in their
topological order. Legend: A = architectures, N = nodes, E = edges, T = types of operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.arch import Cells

__all__ = ["OperationsOnPaths", "edge_kinds", "operations_on_paths"]

Float = NDArray[np.float32]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OperationsOnPaths:
    """How often each type occurs on the paths from the first node to the last, ends included.

    All zero for an architecture without such a path.

    Attributes:
        least: `[A, T]` on the path that has it least often.
        mean: `[A, T]` on average over all paths.
        most: `[A, T]` on the path that has it most often.
    """

    least: Float
    mean: Float
    most: Float


def operations_on_paths(cells: Cells, types: int) -> OperationsOnPaths:
    """Least, mean and most occurrences of every type on a path.

    Args:
        cells: any architectures; nodes that no path from the first node reaches are passed over.
        types: number of codes (`len(space.ops)`), T.
    """
    nodes, first = len(cells.ops), cells.node_ptr[:-1]
    least, mean, most = (np.zeros((nodes, types), np.float32) for _ in range(3))
    # logarithms, because deep networks have more paths than a float can count
    log_paths = np.full(nodes, -np.inf)
    log_paths[first] = 0
    for table in (least, mean, most):
        table[first, cells.ops[first]] = 1
    for source, starts, target in _arrivals(cells, log_paths):
        log_paths[target] = np.logaddexp.reduceat(log_paths[source], starts)
        here = np.repeat(log_paths[target], np.diff(starts, append=len(source)))
        share = np.exp(log_paths[source] - here).astype(np.float32)
        least[target] = np.minimum.reduceat(least[source], starts)
        mean[target] = np.add.reduceat(mean[source] * share[:, None], starts)
        most[target] = np.maximum.reduceat(most[source], starts)
        for table in (least, mean, most):
            table[target, cells.ops[target]] += 1
    last = cells.node_ptr[1:] - 1
    found = np.isfinite(log_paths[last])[:, None]
    return OperationsOnPaths(*(table[last] * found for table in (least, mean, most)))


def edge_kinds(cells: Cells, types: int) -> NDArray[np.int64]:
    """Number of edges from every type to every type `[A, T, T]`, source first."""
    start_E = np.repeat(cells.node_ptr[:-1], cells.edge_counts)
    source, target = (cells.ops[ends + start_E].astype(np.int64) for ends in cells.edge_index)
    owner_E = np.repeat(np.arange(len(cells)), cells.edge_counts)
    flat_E = (owner_E * types + source) * types + target
    shape = len(cells), types, types
    return np.bincount(flat_E, minlength=len(cells) * types**2).reshape(shape)


def _arrivals(cells: Cells, log_paths: NDArray[np.float64]) -> Iterator[tuple[Index, Index, Index]]:
    """Edges by the place of their target: all of their sources are complete when they come.

    Those that no path from a first node reaches are left out. Gives sources `[K]`, where each
    target's begin `[L]`, and the targets `[L]`.
    """
    start_E = np.repeat(cells.node_ptr[:-1], cells.edge_counts)
    source_E, target_E = (ends + start_E for ends in cells.edge_index)
    place_E = cells.edge_index[1]
    # stable: edges of one target lie together in a batch that is sorted by target
    order = np.argsort(place_E, kind="stable")
    for edges in np.split(order, np.cumsum(np.bincount(place_E, minlength=1))[:-1]):
        edges = edges[np.isfinite(log_paths[source_E[edges]])]
        if not len(edges):
            continue
        target = target_E[edges]
        starts = np.flatnonzero(np.diff(target, prepend=-1))
        yield source_E[edges], starts, target[starts]

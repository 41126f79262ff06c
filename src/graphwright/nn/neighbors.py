"""Neighbour lists of batched point sets: nearest neighbours and all pairs within a radius.

Points of different graphs are never neighbours. Work is done in blocks of bounded memory: small
graphs are padded to a common size and done together, large ones some rows at a time.

Legend: N = points, B = graphs, G = graphs of a block, M = points of its largest graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["knn_edges", "radius_edges"]

# Distances held at once: 4M float32 are 16 MB, and about four such arrays live together.
_BLOCK = 1 << 22

_Select = Callable[[Tensor], tuple[Tensor, Tensor]]


def knn_edges(pos_N3: Tensor, ptr: Tensor, k: int) -> Tensor:
    """Directed edges j → i from the k nearest points j of every point i.

    Args:
        pos_N3: `[N, 3]` positions, graph after graph.
        ptr: `[B + 1]` bounds of the graphs.
        k: neighbours; a graph with fewer other points gives all of them.

    Returns:
        `[2, E]` int64, row 0 = source, row 1 = target, sorted by target and then by distance;
        points at equal distance come in the order of their index. No self edges.

    Raises:
        ValueError: if k is not positive.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")

    def select(squared: Tensor) -> tuple[Tensor, Tensor]:
        return _smallest(squared, k)

    return _collect(pos_N3, ptr, select)


def radius_edges(
    pos_N3: Tensor, ptr: Tensor, radius: float, max_neighbors: int | None = None
) -> Tensor:
    """Directed edges j → i between all points at most `radius` apart, both ways.

    Args:
        pos_N3: `[N, 3]` positions, graph after graph.
        ptr: `[B + 1]` bounds of the graphs.
        radius: largest distance, inclusive, in the unit of the positions.
        max_neighbors: keep only this many nearest neighbours of each point.

    Returns:
        `[2, E]` int64, sorted by target and then by source, or by distance where
        `max_neighbors` is given. No self edges.

    Raises:
        ValueError: if radius or max_neighbors is not positive.
    """
    if radius <= 0 or (max_neighbors is not None and max_neighbors < 1):
        raise ValueError("radius and max_neighbors must be positive")

    def select(squared: Tensor) -> tuple[Tensor, Tensor]:
        within = squared <= radius * radius
        if max_neighbors is None:
            everyone = torch.arange(squared.shape[-1], device=squared.device)
            return everyone.expand_as(squared), within
        source, _ = _smallest(squared, max_neighbors)
        return source, within.gather(-1, source)

    return _collect(pos_N3, ptr, select)


def _smallest(squared: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Columns of the k smallest finite values of each row, ties by column, and which are real."""
    k = min(k, squared.shape[-1])
    if squared.dtype == torch.float32:
        # Non-negative floats order like their bits: value and column in one integer make every
        # key unique, so that the fast selection breaks ties by index too.
        column = torch.arange(squared.shape[-1], device=squared.device)
        key = (squared.view(torch.int32).to(torch.int64) << 32) | column
        source = key.topk(k, dim=-1, largest=False, sorted=True).values & 0xFFFFFFFF
    else:
        source = squared.argsort(dim=-1, stable=True)[..., :k]
    return source, squared.gather(-1, source).isfinite()


def _collect(pos_N3: Tensor, ptr: Tensor, select: _Select) -> Tensor:
    """Edges of all blocks, sorted by target."""
    pos_N3 = pos_N3.detach()
    sizes = ptr.diff()
    found = [
        _block_edges(pos_N3, ptr[graphs], sizes[graphs], rows, select)
        for graphs, rows in _blocks(sizes)
    ]
    if not found:
        return torch.empty(2, 0, dtype=torch.int64, device=pos_N3.device)
    edges = torch.cat(found, dim=1)
    if bool((edges[1, 1:] >= edges[1, :-1]).all()):
        return edges
    return edges[:, edges[1].argsort(stable=True)]


def _blocks(sizes: Tensor) -> Iterator[tuple[Tensor, tuple[int, int]]]:
    """Groups of graphs of similar size, and the rows of their distance matrices to do at once."""
    order = sizes.argsort(stable=True, descending=True)
    ordered = sizes[order].tolist()
    start = 0
    while start < len(ordered) and ordered[start] > 1:
        largest = ordered[start]
        count = max(1, _BLOCK // (largest * largest))
        # A graph of less than half the size would be mostly padding: leave it to the next group.
        stop = start + 1
        while stop < min(start + count, len(ordered)) and 2 * ordered[stop] >= largest:
            stop += 1
        step = max(1, _BLOCK // (largest * (stop - start)))
        graphs = order[start:stop].sort().values
        for row in range(0, largest, step):
            yield graphs, (row, min(row + step, largest))
        start = stop


def _block_edges(
    pos_N3: Tensor, first_G: Tensor, size_G: Tensor, rows: tuple[int, int], select: _Select
) -> Tensor:
    """Edges `[2, E]` into points rows[0]..rows[1] of each graph of a block."""
    column_M = torch.arange(int(size_G.max()), device=pos_N3.device)
    node_GM = first_G[:, None] + column_M
    real_GM = column_M < size_G[:, None]
    pos_GM3 = pos_N3[node_GM.clamp(max=len(pos_N3) - 1)]
    wanted = slice(*rows)
    # Differences, not the expanded square: that one loses all digits for close points.
    squared = pos_GM3.new_zeros(len(first_G), rows[1] - rows[0], len(column_M))
    for axis in range(3):
        squared += (pos_GM3[:, wanted, None, axis] - pos_GM3[:, None, :, axis]).square_()
    itself = column_M[wanted, None] == column_M
    squared.masked_fill_(~real_GM[:, None] | itself, torch.inf)
    source, kept = select(squared)
    kept = kept & real_GM[:, wanted, None]
    target_GR1 = node_GM[:, wanted, None].expand_as(source)
    return torch.stack([(source + first_G[:, None, None])[kept], target_GR1[kept]])

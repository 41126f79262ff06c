"""From pairs of genes to compressed rows, in the two storages, with counts that add up.

Row i lists the genes j whose messages flow into i.

Legend: N genes, R pairs that were given, E stored edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.genes.data_config import Storage

__all__ = ["BuiltCsr", "csr_from_pairs", "rows_of"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BuiltCsr:
    """One network.

    Attributes:
        indptr: int64 [N+1].
        indices: int32 [E], ascending within a row.
        symmetric: whether each edge is there in both directions.
        counts: `given` pairs, `self_loops` and `duplicates` (the same pair in the same direction)
            among them, `one_way` (given in one direction only) and `stored` edges. Symmetric:
            stored = given − self_loops − duplicates + one_way.
    """

    indptr: Ints
    indices: NDArray[np.int32]
    symmetric: bool
    counts: dict[str, int]


def csr_from_pairs(
    source: NDArray[Any], target: NDArray[Any], num_genes: int, storage: Storage
) -> BuiltCsr:
    """A network from pairs of gene places [R], each in any direction or both.

    Args:
        source: where each edge begins.
        target: where it ends.
        num_genes: N.
        storage: "symmetric": both directions, no self loops. "compat": each edge once, from the
            lower place to the higher, and a self loop on *every* gene, as the original stores it.

    Raises:
        DataError: vectors of different length, or a place outside 0..N-1.
    """
    source, target = _places(source, num_genes), _places(target, num_genes)
    if len(source) != len(target):
        raise DataError(f"{len(source)} edges begin but {len(target)} end")
    loops = source == target
    # one number for a directed pair: sorting it sorts by target row, then by source
    keys = target[~loops] * num_genes + source[~loops]
    once = _distinct(keys)
    back = (once % num_genes) * num_genes + once // num_genes if num_genes else once
    both = _distinct(np.concatenate([once, back]))
    one_way = len(both) - len(once)
    stored = both if storage == "symmetric" else _compat(both, num_genes)
    counts = {
        "given": len(source),
        "self_loops": int(loops.sum()),
        "duplicates": len(keys) - len(once),
        "one_way": one_way,
        "stored": len(stored),
    }
    row = stored // num_genes if num_genes else stored
    indptr = np.searchsorted(row, np.arange(num_genes + 1)).astype(np.int64)
    indices = (stored % num_genes if num_genes else stored).astype(np.int32)
    return BuiltCsr(indptr, indices, storage == "symmetric", counts)


def rows_of(indptr: Ints) -> Ints:
    """Row of every edge, int64 [E]."""
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def _compat(both: Ints, num_genes: int) -> Ints:
    upward = both[both % num_genes < both // num_genes] if num_genes else both
    loops = np.arange(num_genes) * (num_genes + 1)
    return np.sort(np.concatenate([upward, loops]))


def _distinct(values: Ints) -> Ints:
    """Different values, ascending."""
    # np.unique hashes whole numbers since numpy 2.3: 30 times slower on such keys
    ordered = np.sort(values)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(ordered)]]


def _places(values: NDArray[Any], num_genes: int) -> Ints:
    found = np.asarray(values)
    if found.size == 0:
        return np.zeros(0, np.int64)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise DataError(f"edges must be whole numbers, got {found.dtype} {list(found.shape)}")
    places = found.astype(np.int64)
    if places.min() < 0 or places.max() >= num_genes:
        bad = places[(places < 0) | (places >= num_genes)][0]
        raise DataError(f"an edge names gene {bad}, there are {num_genes} (from 0)")
    return places

"""Every cell of NAS-Bench-101: 423,624 that are not isomorphic to one another.

Of each class of matrices one is kept, the smallest in `nasbench101_keys`, and of its 3 ** (n-2)
labelings those that are the smallest under the orders that leave the matrix as it is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import Cells
from graphwright.tasks.nas.spaces.nasbench101_keys import (
    canonical,
    cells_of_keys,
    label_tables,
    matrix_images,
    pack,
)

__all__ = ["COUNT", "all_cells", "all_keys", "canonical", "cells_of_keys"]

COUNT: Final = 423_624
"""Cells of the benchmark (arXiv 1902.09635, section 2.1)."""

_FILE = "nasbench101_keys.npy"
_OPERATIONS = 3
_CHUNK = 1 << 14


def all_cells(cache: Path) -> Cells:
    """All cells, in the order of their keys.

    Args:
        cache: folder (made where it is not there) that keeps the keys, 3.4 MB.

    Raises:
        DataError: the file in the cache is not what was written there.
    """
    path = cache / _FILE
    if not path.is_file():
        _write(path, all_keys())
    try:
        keys_A = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(str(error), where=path, fix="delete it; it is made again") from error
    if keys_A.shape != (COUNT,) or keys_A.dtype != np.uint64:
        raise DataError(f"not the {COUNT:,} cells", where=path, fix="delete it; it is made again")
    return cells_of_keys(keys_A)


def all_keys(vertices: int = 7, edges: int = 9) -> NDArray[np.uint64]:
    """Sorted keys of all cells of up to so many vertices (7 at most) and edges."""
    return np.concatenate([_keys_of_size(n, edges) for n in range(2, vertices + 1)])


def _keys_of_size(n: int, edges: int) -> NDArray[np.uint64]:
    """Sorted keys of the cells with n vertices."""
    tables = label_tables(n)
    labels_L = _labelings(n)
    matrices, labels = [], []
    for matrix_M, same_MP in _smallest_matrices(n, edges):
        best_ML = np.tile(labels_L, (len(matrix_M), 1))
        for p in range(same_MP.shape[1]):
            rows = np.flatnonzero(same_MP[:, p])
            best_ML[rows] = np.minimum(best_ML[rows], tables[p][labels_L])
        row, column = np.nonzero(best_ML == labels_L)
        matrices.append(matrix_M[row])
        labels.append(labels_L[column])
    return np.sort(pack(n, np.concatenate(matrices), np.concatenate(labels)))


def _smallest_matrices(n: int, edges: int) -> list[tuple[NDArray[np.uint32], NDArray[np.bool_]]]:
    """One matrix of each class [M], and the orders that leave it as it is [M, P], in chunks."""
    matrix_M = _valid_matrices(n, edges)
    parts = []
    for low in range(0, len(matrix_M), _CHUNK):
        chunk = matrix_M[low : low + _CHUNK]
        images_MP = matrix_images(n, chunk)
        smallest = images_MP.min(axis=1) == chunk
        parts.append((chunk[smallest], images_MP[smallest] == chunk[smallest][:, None]))
    return parts


def _valid_matrices(n: int, edges: int) -> NDArray[np.uint32]:
    """Upper triangles with every vertex on a path from first to last, and not too many edges."""
    source, target = np.triu_indices(n, 1)
    matrix_M = np.arange(1 << len(source), dtype=np.uint32)
    places = np.arange(len(source), dtype=np.uint32)
    bits = np.uint32(1) << places
    count_M = sum((matrix_M >> bit & np.uint32(1) for bit in places), np.zeros_like(matrix_M))
    matrix_M = matrix_M[count_M <= edges]
    for v in range(n - 1):
        # in an upper triangle it is enough that all but the last lead on, all but the first follow
        matrix_M = matrix_M[matrix_M & bits[source == v].sum(dtype=np.uint32) != 0]
        matrix_M = matrix_M[matrix_M & bits[target == v + 1].sum(dtype=np.uint32) != 0]
    return matrix_M


def _labelings(n: int) -> NDArray[np.uint32]:
    """All operations of the inner vertices, two bits each."""
    numbers = np.arange(_OPERATIONS ** (n - 2))
    labels = np.zeros(len(numbers), np.uint32)
    for v in range(n - 2):
        labels |= (numbers // _OPERATIONS**v % _OPERATIONS).astype(np.uint32) << np.uint32(2 * v)
    return labels


def _write(path: Path, keys_A: NDArray[np.uint64]) -> None:
    """Under another name first: whoever finds the file finds all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.save(file, keys_A, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

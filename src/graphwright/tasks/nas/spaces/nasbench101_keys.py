"""One number for a NAS-Bench-101 cell, the same for isomorphic cells and for no others.

A cell of n vertices is n, the n(n-1)/2 bits of its upper triangle and two bits for each of its n-2
operations. Its key is the smallest such number over all orders of its inner vertices that keep the
matrix upper triangular; cells have at most 7 vertices, so that 120 orders are tried.

Legend: A = cells, M = matrices, P = (n-2)! orders.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import Cells
from graphwright.tasks.nas.spaces.arrays import from_adjacency

__all__ = ["INVALID", "canonical", "cells_of_keys", "label_tables", "matrix_images", "pack"]

INVALID: Final = np.uint32(1 << 31)
"""Bit of an image that is no longer upper triangular."""

_MAX_VERTICES = 7
_CHUNK = 1 << 14
_LABEL_BITS, _MATRIX_BITS = np.uint64(10), np.uint64(21)

Words = NDArray[np.uint32]


def canonical(cells: Cells) -> NDArray[np.uint64]:
    """Key of every cell, equal if and only if the cells are isomorphic, [A].

    Raises:
        DataError: a cell of fewer than 2 or more than 7 vertices.
    """
    counts_A = cells.node_counts
    if len(cells) and not 2 <= counts_A.min() <= counts_A.max() <= _MAX_VERTICES:
        raise DataError(f"a NAS-Bench-101 cell has 2 to {_MAX_VERTICES} vertices")
    matrix_A, label_A = _numbers(cells)
    keys_A = np.zeros(len(cells), np.uint64)
    for n in np.unique(counts_A).tolist():
        rows = np.flatnonzero(counts_A == n)
        keys_A[rows] = pack(n, *_smallest(n, matrix_A[rows], label_A[rows]))
    return keys_A


def pack(n: int, matrix_A: Words, label_A: Words) -> NDArray[np.uint64]:
    """The number of cells of n vertices."""
    high = (np.uint64(n) << _MATRIX_BITS) | matrix_A.astype(np.uint64)
    key_A: NDArray[np.uint64] = (high << _LABEL_BITS) | label_A.astype(np.uint64)
    return key_A


def cells_of_keys(keys_A: NDArray[np.uint64]) -> Cells:
    """The cells that have these keys, their vertices in the order that the key describes."""
    counts_A = (keys_A >> (_LABEL_BITS + _MATRIX_BITS)).astype(np.int64)
    matrix_A = (keys_A >> _LABEL_BITS).astype(np.uint32) & np.uint32((1 << 21) - 1)
    label_A = (keys_A & np.uint64((1 << 10) - 1)).astype(np.uint32)
    ops_AV = np.zeros((len(keys_A), _MAX_VERTICES), np.uint8)
    for v in range(1, _MAX_VERTICES - 1):
        ops_AV[:, v] = ((label_A >> np.uint32(2 * v - 2)) & np.uint32(3)) + 2
    ops_AV[np.arange(len(keys_A)), counts_A - 1] = 1
    adjacency_AVV = np.zeros((len(keys_A), _MAX_VERTICES, _MAX_VERTICES), np.bool_)
    for n in np.unique(counts_A).tolist():
        rows = np.flatnonzero(counts_A == n)
        for bit, (source, target) in enumerate(zip(*np.triu_indices(n, 1), strict=True)):
            present = (matrix_A[rows] >> np.uint32(bit)) & np.uint32(1)
            adjacency_AVV[rows, source, target] = present == 1
    return from_adjacency(ops_AV, adjacency_AVV, counts_A)


def matrix_images(n: int, matrix_M: Words) -> Words:
    """The matrices in all orders of their inner vertices, [M, P]; `INVALID` bit where not allowed.

    The first order is the one that is there.
    """
    tables = _matrix_tables(n)
    image_MP = np.zeros((len(matrix_M), tables.shape[1]), np.uint32)
    for part in range(3):
        image_MP |= tables[part][:, (matrix_M >> np.uint32(7 * part)) & np.uint32(127)].T
    return image_MP


@lru_cache
def label_tables(n: int) -> Words:
    """What becomes of the operations in each order: [P, 4 ** (n-2)]."""
    codes = np.arange(4 ** (n - 2), dtype=np.uint32)
    tables = np.zeros((len(_orders(n)), len(codes)), np.uint32)
    for p, order in enumerate(_orders(n)):
        for v in range(1, n - 1):
            tables[p] |= ((codes >> np.uint32(2 * v - 2)) & np.uint32(3)) << np.uint32(
                2 * order[v] - 2
            )
    return tables


def _numbers(cells: Cells) -> tuple[Words, Words]:
    """Numbers of the matrix and of the operations as the cells have them, [A] each."""
    count = len(cells)
    bits = np.zeros((_MAX_VERTICES + 1, _MAX_VERTICES, _MAX_VERTICES))
    for n in range(2, _MAX_VERTICES + 1):
        source, target = np.triu_indices(n, 1)
        bits[n, source, target] = 2.0 ** np.arange(len(source))
    owner = np.repeat(np.arange(count), cells.edge_counts)
    weight = bits[cells.node_counts[owner], cells.edge_index[0], cells.edge_index[1]]
    matrix_A = np.bincount(owner, weight, minlength=count)

    owner = np.repeat(np.arange(count), cells.node_counts)
    place = np.arange(len(owner)) - cells.node_ptr[owner]
    inner = (place > 0) & (place < cells.node_counts[owner] - 1)
    digit = cells.ops[inner].astype(np.float64) - 2
    label_A = np.bincount(owner[inner], digit * 4.0 ** (place[inner] - 1), minlength=count)
    return matrix_A.astype(np.uint32), label_A.astype(np.uint32)


def _smallest(n: int, matrix_A: Words, label_A: Words) -> tuple[Words, Words]:
    """Smallest matrix over all orders, and the smallest operations among those that reach it."""
    kinds_M, kind_A = np.unique(matrix_A, return_inverse=True)
    tables = label_tables(n)
    best_A = np.zeros_like(matrix_A)
    label_best_A = np.full_like(label_A, np.iinfo(np.uint32).max)
    by_kind = np.argsort(kind_A, kind="stable")
    ends = np.cumsum(np.bincount(kind_A, minlength=len(kinds_M)))
    for low in range(0, len(kinds_M), _CHUNK):
        images_MP = matrix_images(n, kinds_M[low : low + _CHUNK])
        smallest_M = images_MP.min(axis=1)
        reached_PM = np.ascontiguousarray((images_MP == smallest_M[:, None]).T)
        start = ends[low - 1] if low else 0
        rows = by_kind[start : ends[min(low + _CHUNK, len(kinds_M)) - 1]]
        kind = kind_A[rows] - low
        best_A[rows] = smallest_M[kind]
        for p, reached_M in enumerate(reached_PM):
            some = rows[reached_M[kind]]
            label_best_A[some] = np.minimum(label_best_A[some], tables[p][label_A[some]])
    return best_A, label_best_A


@lru_cache
def _orders(n: int) -> list[tuple[int, ...]]:
    """New place of every vertex; the first and the last stay where they are."""
    return [(0, *inner, n - 1) for inner in permutations(range(1, n - 1))]


@lru_cache
def _matrix_tables(n: int) -> Words:
    """Image of seven bits of a matrix in each order: [3, P, 128]."""
    pairs = list(zip(*(axis.tolist() for axis in np.triu_indices(n, 1)), strict=True))
    bit_of = {pair: bit for bit, pair in enumerate(pairs)}
    orders = _orders(n)
    tables = np.zeros((3, len(orders), 128), np.uint32)
    part = np.arange(128, dtype=np.uint32)
    for p, order in enumerate(orders):
        for bit, (source, target) in enumerate(pairs):
            new = bit_of.get((order[source], order[target]))
            image = INVALID if new is None else np.uint32(1 << new)
            has = (part >> np.uint32(bit % 7)) & np.uint32(1) == 1
            tables[bit // 7, p, has] |= image
    return tables

"""One number for a NAS-Bench-201 cell, the same for cells that compute the same functions.

What reaches a node is a sum of terms: the input or the result of one of the convolutions, each
after some number of average poolings, with a whole factor. `none` adds nothing, `skip_connect` adds
the terms of its source, and the pooling (3 x 3, padding not counted, no activation) is linear, so
that it acts on every term; two poolings of one thing are one thing. A convolution has weights of
its own: two convolutions of one input are two terms, while one convolution that arrives twice is
one term with factor 2. A convolution of nothing counts as nothing, as pruning has it (its batch
norm could learn a constant), and one that does not reach the output does not count.

Two cells are equal when a renaming of their convolutions makes their terms equal. The key is a hash
of that: every convolution is described by all that leads to it and by all that it leads to.

Legend: A = cells, T = 7 x 4 terms: input and six convolutions, each after 0 to 3 poolings.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import Cells

__all__ = ["canonical"]

_EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_SKIP, _CONV, _POOL = 3, (4, 5), 6  # codes
_INPUT, _OUTPUT = np.uint64(0x243F6A8885A308D3), np.uint64(0x13198A2E03707344)

Words = NDArray[np.uint64]


def canonical(cells: Cells) -> Words:
    """Key of every cell, [A]; equal for cells that compute the same family of functions.

    Raises:
        DataError: graphs that are not whole cells (pruned ones, for example).
    """
    if (cells.node_counts != 8).any():
        raise DataError("the key of a NAS-Bench-201 cell needs all of its eight nodes")
    ops_AE = cells.ops.reshape(-1, 8)[:, 1:7]
    into, out_ATT = _terms(ops_AE)
    from_AE = _hash_from_input(ops_AE, into)
    return _hash_whole(from_AE, into, out_ATT)


def _terms(ops_AE: NDArray[np.unsignedinteger]) -> tuple[list[Words], Words]:
    """Terms that enter each edge, and those of the last node: factors [A, 7, 4]."""
    count = len(ops_AE)
    nodes = [np.zeros((count, 7, 4), np.uint64) for _ in range(4)]
    nodes[0][:, 0, 0] = 1
    into: list[Words] = []
    for edge, (source, target) in enumerate(_EDGES):
        op_A, terms = ops_AE[:, edge], nodes[source]
        conv_A = np.isin(op_A, _CONV) & terms.any(axis=(1, 2))
        nodes[target] += terms * (op_A == _SKIP)[:, None, None]
        nodes[target][:, :, 1:] += terms[:, :, :3] * (op_A == _POOL)[:, None, None]
        nodes[target][conv_A, 1 + edge, 0] += np.uint64(1)
        into.append(terms * conv_A[:, None, None])
    return into, nodes[3]


def _hash_from_input(ops_AE: NDArray[np.unsignedinteger], into: list[Words]) -> Words:
    """A number for all that leads to the input and to each convolution, [A, 7]."""
    from_AE = np.zeros((len(ops_AE), 7), np.uint64)
    from_AE[:, 0] = _INPUT
    for edge, terms in enumerate(into):
        inside_A = _hash_terms(terms, from_AE)
        from_AE[:, 1 + edge] = _mix(inside_A ^ _mix(ops_AE[:, edge].astype(np.uint64)))
    return from_AE


def _hash_whole(from_AE: Words, into: list[Words], out_ATT: Words) -> Words:
    """Join what leads to every living convolution with what it leads to."""
    key_A = _mix(_hash_terms(out_ATT, from_AE))
    leads_AE = np.zeros((len(out_ATT), 6), np.uint64)
    for edge in range(5, -1, -1):
        leads_A = _hash_uses(out_ATT[:, 1 + edge], np.full(len(out_ATT), _OUTPUT))
        for later in range(edge + 1, 6):
            uses_A = _hash_uses(into[later][:, 1 + edge], _mix(leads_AE[:, later]))
            used_A = leads_AE[:, later] != 0  # what leads nowhere is not there
            leads_A += np.where(used_A, _mix(uses_A ^ from_AE[:, 1 + later]), 0) * (uses_A != 0)
        leads_AE[:, edge] = leads_A
        whole_A = _mix(from_AE[:, 1 + edge] ^ _mix(leads_A))
        key_A = key_A + np.where(leads_A != 0, whole_A, np.uint64(0))
    return key_A


def _hash_terms(factor_ATT: Words, atom_AE: Words) -> Words:
    """A number for a sum of terms, whatever their order, [A]; 0 for nothing."""
    poolings = np.arange(4, dtype=np.uint64)
    term = _mix(_mix(atom_AE[:, :, None] + poolings) ^ factor_ATT)
    total_A: Words = np.where(factor_ATT != 0, term, np.uint64(0)).sum(axis=(1, 2), dtype=np.uint64)
    return total_A


def _hash_uses(factor_AT: Words, where_A: Words) -> Words:
    """A number for how one atom enters at one place, [A]; 0 where it does not."""
    poolings = np.arange(4, dtype=np.uint64)
    term = _mix(_mix(where_A[:, None] + poolings) ^ factor_AT)
    total_A: Words = np.where(factor_AT != 0, term, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    return total_A


def _mix(x: Words) -> Words:
    """The finaliser of splitmix64 (Steele et al., OOPSLA 2014): a bijection of 64 bits."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

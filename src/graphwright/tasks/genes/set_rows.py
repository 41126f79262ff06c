"""Rows of a table as genes, before sets that are the same become one.

Legend: R = rows, C = most genes of a row, K = query groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SetRows", "number_rows"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SetRows:
    """Rows.

    Attributes:
        gene_RC: int64, places of genes, ascending in a row, then −1 in what is left.
        pair: int64 [R], query group.
        pair_names: names of the K query groups.
        row: int64 [R], place in the file.
    """

    gene_RC: Ints
    pair: Ints
    pair_names: list[str]
    row: Ints

    def __len__(self) -> int:
        return len(self.gene_RC)

    def take(self, places: Ints) -> SetRows:
        """Some of the rows."""
        return SetRows(self.gene_RC[places], self.pair[places], self.pair_names, self.row[places])


def sorted_genes(gene_RC: Ints) -> Ints:
    """Places ascending within each row, the −1 of missing genes last."""
    last = np.iinfo(np.int64).max
    ordered = np.sort(np.where(gene_RC < 0, last, gene_RC), axis=1)
    return np.where(ordered == last, -1, ordered)


def number_rows(value_RC: Ints) -> Ints:
    """A number for each different row, int64 [R], in the order of first appearance."""
    count = len(value_RC)
    if not count or not value_RC.shape[1]:
        return np.zeros(count, np.int64)
    order = np.lexsort(value_RC.T[::-1])
    ordered = value_RC[order]
    starts = np.concatenate(([True], (ordered[1:] != ordered[:-1]).any(1)))
    group = np.empty(count, np.int64)
    group[order] = np.cumsum(starts) - 1
    # lexsort is stable: the first of a group in sorted order is the first in the table
    rank = np.empty(int(starts.sum()), np.int64)
    rank[np.argsort(order[starts], kind="stable")] = np.arange(len(rank))
    found: Ints = rank[group]
    return found

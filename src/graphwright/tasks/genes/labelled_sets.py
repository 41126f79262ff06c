"""Gene sets with labels as plain arrays: what splits, nulls and evaluation work on.

Legend: P = genes of all sets, S = sets, N = genes, K = query groups of the training split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from graphwright.errors import DataError

__all__ = ["LabelledSets"]

Index = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledSets:
    """Sets of deleted genes.

    Attributes:
        gene_index: `[P]` genes of set 0, then of set 1, …
        gene_ptr: `[S+1]` where each set begins.
        label: `[S]` score in its own unit (ε, τ), or 1 for a call and 0 for none.
        pair: `[S]` query group; equal for sets that were measured with the same query.
    """

    gene_index: Index
    gene_ptr: Index
    label: Values
    pair: Index

    def __post_init__(self) -> None:
        count = len(self.gene_ptr) - 1
        if not (len(self.label) == len(self.pair) == count):
            raise DataError(
                f"{count} gene sets have {len(self.label)} labels and {len(self.pair)} query groups"
            )
        if count and int(self.gene_ptr[-1]) != len(self.gene_index):
            raise DataError(
                f"the sets end at {int(self.gene_ptr[-1])}, and there are "
                f"{len(self.gene_index)} genes"
            )

    def __len__(self) -> int:
        return len(self.gene_ptr) - 1

    def sizes(self) -> Index:
        """Genes of each set `[S]`."""
        return np.diff(self.gene_ptr).astype(np.int64)

    def take(self, rows: NDArray[np.integer]) -> LabelledSets:
        """The sets at `rows`, in that order."""
        sizes = self.sizes()[rows]
        gene_ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        start = np.repeat(self.gene_ptr[:-1][rows] - gene_ptr[:-1], sizes)
        return LabelledSets(
            gene_index=self.gene_index[start + np.arange(gene_ptr[-1])],
            gene_ptr=gene_ptr,
            label=self.label[rows],
            pair=self.pair[rows],
        )

    def membership(self, num_genes: int) -> sparse.csr_matrix:
        """One row a set, 1 where a gene is deleted `[S, N]`, float64."""
        ones = np.ones(len(self.gene_index))
        shape = (len(self), num_genes)
        return sparse.csr_matrix((ones, self.gene_index, self.gene_ptr), shape=shape)

    def pair_columns(self, known_K: Index) -> sparse.csr_matrix:
        """One row a set, 1 at its query group's place in `known_K` `[S, K]`; none if not there.

        Args:
            known_K: groups, ascending.
        """
        place_S = np.minimum(np.searchsorted(known_K, self.pair), max(len(known_K) - 1, 0))
        known_S = np.zeros(len(self), bool) if not len(known_K) else known_K[place_S] == self.pair
        rows = np.flatnonzero(known_S)
        shape = (len(self), len(known_K))
        return sparse.csr_matrix((np.ones(len(rows)), (rows, place_S[rows])), shape=shape)

    def same_set(self) -> Index:
        """A number for each set `[S]`, equal for sets of the same genes in any order."""
        order = np.lexsort([self.gene_index, np.repeat(np.arange(len(self)), self.sizes())])
        longest = int(self.sizes().max(initial=0))
        padded = np.full((len(self), longest), -1, np.int64)
        row_P = np.repeat(np.arange(len(self)), self.sizes())
        place_P = np.arange(len(self.gene_index)) - np.repeat(self.gene_ptr[:-1], self.sizes())
        padded[row_P, place_P] = self.gene_index[order]
        _, number = np.unique(padded, axis=0, return_inverse=True)
        return number.reshape(-1).astype(np.int64)

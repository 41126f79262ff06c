"""One interaction network as compressed rows.

Legend: N genes, E edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.genes.csr import rows_of

__all__ = ["Network"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Network:
    """One network as compressed rows.

    Attributes:
        name: what it is called.
        indptr: int64 [N+1].
        indices: int32 [E]; row i lists the genes whose messages flow into gene i, ascending.
        symmetric: whether every edge is there in both directions.
        counts: what became of the edges that were given (`csr.BuiltCsr.counts`).
    """

    name: str
    indptr: Ints
    indices: NDArray[np.int32]
    symmetric: bool
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def num_edges(self) -> int:
        """E, directed."""
        return len(self.indices)

    def edge_index(self) -> Ints:
        """int64 [2, E]: sources and targets, in the order of `indices`."""
        return np.stack([self.indices.astype(np.int64), rows_of(self.indptr)])

    def summary(self) -> dict[str, Any]:
        """Edges, degrees, and what was dropped of what was given."""
        degree_N = np.diff(self.indptr)
        return {
            "edges": self.num_edges,
            "degree": f"mean {degree_N.mean():.1f}, largest {degree_N.max()}"
            if len(degree_N)
            else "",
            "genes without neighbours": int((degree_N == 0).sum()),
            **{name.replace("_", " "): n for name, n in self.counts.items() if name != "stored"},
        }

    def check(self, num_genes: int) -> None:
        """Whether this is a network of so many genes.

        Raises:
            DataError: it is not.
        """
        ptr, indices = self.indptr, self.indices
        where = f"network {self.name}"
        if ptr.dtype != np.int64 or indices.dtype != np.int32:
            raise DataError(
                f"expected int64 and int32, got {ptr.dtype} and {indices.dtype}", where=where
            )
        if ptr.shape != (num_genes + 1,) or indices.ndim != 1:
            raise DataError(
                f"{num_genes} genes need a pointer of {num_genes + 1} places, not {ptr.shape}",
                where=where,
            )
        if ptr[0] != 0 or ptr[-1] != len(indices) or (np.diff(ptr) < 0).any():
            raise DataError(
                "the pointer does not ascend from 0 to the number of edges", where=where
            )
        if len(indices) and (indices.min() < 0 or indices.max() >= num_genes):
            raise DataError(f"an edge names a gene outside 0..{num_genes - 1}", where=where)

    def without(self, kept_N: NDArray[np.bool_]) -> Network:
        """The same without some genes; those that are kept are numbered anew."""
        source_E, target_E = self.edge_index()
        left_E = kept_N[source_E] & kept_N[target_E]
        ptr = np.concatenate(([0], np.cumsum(left_E)))[self.indptr]
        rows = np.diff(ptr)[kept_N]
        place_N = np.cumsum(kept_N) - 1
        indptr = np.concatenate(([0], np.cumsum(rows))).astype(np.int64)
        indices = place_N[source_E[left_E]].astype(np.int32)
        return Network(self.name, indptr, indices, self.symmetric)

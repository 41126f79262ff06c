"""The wild type and B cells in which genes are deleted, layer after layer of an encoder.

Most genes of a cell do as in the wild type: a deletion reaches its neighbours in the first layer,
theirs in the second. `PerturbedCells` knows which genes it has reached, so that a layer computes
the others once, in the wild type.

Legend: N = genes, B = cells, P = deleted genes of all cells, D = features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from graphwright.nn.shared_graph import keep_mask

__all__ = ["PerturbedCells"]


@dataclass(frozen=True, eq=False)
class PerturbedCells:
    """Features of the wild type and of B cells; made by `PerturbedCells.start`.

    Attributes:
        wild_ND: the wild type.
        cells_BND: the cells; None before the first layer, where all have the wild type's.
        touched_BN: bool, the genes of a cell that a deletion has reached, deleted ones included;
            elsewhere a row of `cells_BND` equals the wild type's.
        gene_index: `[P]` int64, the deleted genes of all cells, one cell after the other.
        gene_ptr: `[B + 1]` int64, the bounds of the cells.
    """

    wild_ND: Tensor
    cells_BND: Tensor | None
    touched_BN: Tensor
    gene_index: Tensor
    gene_ptr: Tensor

    @classmethod
    def start(cls, x_ND: Tensor, gene_index: Tensor, gene_ptr: Tensor) -> PerturbedCells:
        """Before the first layer.

        Args:
            x_ND: features of the genes, of all cells alike.
            gene_index, gene_ptr: the deleted genes; on the device of x. A gene may occur twice.
        """
        touched_NB = keep_mask(gene_index, gene_ptr, len(x_ND), torch.bool).logical_not_()
        return cls(x_ND, None, touched_NB.t().contiguous(), gene_index, gene_ptr)

    @property
    def num_cells(self) -> int:
        """B."""
        return len(self.gene_ptr) - 1

    @property
    def x_BND(self) -> Tensor:  # noqa: N802  (the shape)
        """The cells, also before the first layer (then without a copy)."""
        if self.cells_BND is None:
            return self.wild_ND.expand(self.num_cells, -1, -1)
        return self.cells_BND

    @property
    def x_NBD(self) -> Tensor:  # noqa: N802  (the shape)
        """The same with the genes first: a view whose memory lies cell by cell."""
        return self.x_BND.transpose(0, 1)

    @property
    def keep_NB(self) -> Tensor:  # noqa: N802  (the shape)
        """1 at genes that a cell has, 0 at deleted ones; in the dtype of the features."""
        return keep_mask(self.gene_index, self.gene_ptr, len(self.wild_ND), self.wild_ND.dtype)

    def map(self, function: Callable[[Tensor], Tensor]) -> PerturbedCells:
        """Apply a function of each gene's row alone, `[..., D]` to `[..., K]`.

        It must give equal rows for equal rows: no dropout with a mask of its own for every cell,
        no normalisation over genes.
        """
        cells = None if self.cells_BND is None else function(self.cells_BND)
        return replace(self, wild_ND=function(self.wild_ND), cells_BND=cells)

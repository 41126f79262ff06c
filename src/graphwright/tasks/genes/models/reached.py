"""Which rows of the cells differ from the wild type, where looking at those alone pays.

Legend: N = genes, B = cells, R = rows that a deletion has reached.
"""

from __future__ import annotations

from torch import Tensor

from graphwright.nn.shared_cells import PerturbedCells

__all__ = ["reached_rows"]

# Above this share of B N rows, gathering and putting back costs what computing fewer rows saves.
_SHARE = 0.5


def reached_rows(cells: PerturbedCells) -> tuple[Tensor, Tensor] | None:
    """(cell `[R]`, gene `[R]`) of the rows, or None where they are too many."""
    touched_BN = cells.touched_BN
    if int(touched_BN.sum()) > _SHARE * touched_BN.numel():
        return None
    cell_R, gene_R = touched_BN.nonzero(as_tuple=True)
    return cell_R, gene_R

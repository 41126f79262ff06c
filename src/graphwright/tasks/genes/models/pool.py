"""Attentional pooling of a cell: which genes speak for it.

Li et al., "Gated Graph Sequence Neural Networks", ICLR 2016, https://arxiv.org/abs/1511.05493.
z = sum_n α_n (T h_n + t) over the genes of a cell; α = softmax of w2 · relu(W1 h_n + b1) + b2.
The α of a cell sum to 1, so that z = T (sum_n α_n h_n) + t: T is applied to B rows, not to N B.

Legend: N = genes, B = cells, R = rows that a deletion has reached, D = features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.nn.shared_cells import PerturbedCells
from graphwright.tasks.genes.models.reached import reached_rows

__all__ = ["AttentionPool"]


class AttentionPool(nn.Module):
    """One embedding for each cell.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        half = max(dim // 2, 1)
        self.gate = nn.Sequential(nn.Linear(dim, half), nn.ReLU(), nn.Linear(half, 1))
        self.transform = nn.Linear(dim, dim)

    def wild_type(self, wild_ND: Tensor) -> Tensor:
        """z `[1, D]` over all genes."""
        weight_1N = self.gate(wild_ND).t().softmax(1)
        out: Tensor = self.transform(weight_1N @ wild_ND)
        return out

    def perturbed(self, cells: PerturbedCells) -> Tensor:
        """z `[B, D]` over the genes that each cell has kept."""
        deleted_BN = cells.keep_NB.t() == 0
        score_BN = self._scores(cells).masked_fill(deleted_BN, -torch.inf)
        pooled_B1D = torch.bmm(score_BN.softmax(1)[:, None], cells.x_BND)
        out: Tensor = self.transform(pooled_B1D[:, 0])
        return out

    def _scores(self, cells: PerturbedCells) -> Tensor:
        rows = reached_rows(cells)
        if rows is None:
            all_BN: Tensor = self.gate(cells.x_BND).squeeze(2)
            return all_BN
        wild_BN: Tensor = self.gate(cells.wild_ND).t().expand(cells.num_cells, -1)
        return wild_BN.index_put(rows, self.gate(cells.x_BND[rows]).squeeze(1))

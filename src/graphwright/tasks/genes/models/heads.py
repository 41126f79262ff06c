"""What is made of pooled cells: the global head, and how it is joined with the local one.

Legend: B = gene sets, D = features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Gate", "GlobalHead", "RidgeBase"]

_GATE_DIM = 8


class GlobalHead(nn.Module):
    """w2 · relu(W1 z + b1) + b2 of what a deletion changes in the whole cell.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, 1)

    def forward(self, change_BD: Tensor) -> Tensor:
        """`[B, D]` to `[B, 1]`."""
        out: Tensor = self.out(self.hidden(change_BD).relu())
        return out


class Gate(nn.Module):
    """softmax(W2 relu(W1 [global, local] + b1) + b2): how much each of the two heads counts."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, _GATE_DIM)
        self.out = nn.Linear(_GATE_DIM, 2)

    def forward(self, both_B2: Tensor) -> Tensor:
        """Weights `[B, 2]` of (global, local); each row sums to 1."""
        score_B2: Tensor = self.out(self.hidden(both_B2).relu())
        return score_B2.softmax(1)


class RidgeBase(nn.Module):
    """intercept + sum of the effects of the deleted genes: what is additive, fitted beforehand.

    Zero until the buffers are filled from the training split; they are not trained.

    Args:
        num_genes: N.

    Attributes:
        effect: `[N]`, of each gene, in the unit of the (standardised) labels.
        intercept: scalar.
    """

    def __init__(self, num_genes: int) -> None:
        super().__init__()
        self.register_buffer("effect", torch.zeros(num_genes))
        self.register_buffer("intercept", torch.zeros(()))
        self.effect: Tensor
        self.intercept: Tensor

    def forward(self, gene_P: Tensor, owner_P: Tensor, num_sets: int) -> Tensor:
        """`[B, 1]` for the deleted genes `[P]` and the set `[P]` of each."""
        start_B = self.intercept.expand(num_sets)
        return start_B.index_add(0, owner_P, self.effect[gene_P])[:, None]

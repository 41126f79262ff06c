"""The local head that compares the deleted genes of a set two by two.

score = sum over pairs i < j of w2 · relu(W1 [(h_i - h_j)², h_i ⊙ h_j] + b1) + b2: the Euclidean and
the product form of link prediction (Grover & Leskovec, "node2vec", KDD 2016,
https://arxiv.org/abs/1607.00653, table 1), with a network behind them. Two genes with the same
neighbours are near one another before anything is trained, so that a rule about company needs no
more than the last map; in `SetAttentionHead` it first has to grow out of what a gene is alone.

Legend: B = gene sets, P = deleted genes, S = largest set, R = pairs of slots, D = features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.tasks.genes.models.gene_sets import PaddedSets

__all__ = ["PairHead"]


class PairHead(nn.Module):
    """Interaction as a sum over the pairs of a set; 0 of a gene alone. Order has no effect.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * dim, dim)
        self.out = nn.Linear(dim, 1)

    def forward(self, gene_PD: Tensor, sets: PaddedSets) -> Tensor:
        """Interaction `[B, 1]` from the wild-type embeddings of the deleted genes."""
        gene_BSD, largest = sets.pad(gene_PD), sets.present_BS.shape[1]
        one_R, other_R = torch.triu_indices(largest, largest, offset=1, device=gene_PD.device)
        there_BR = sets.present_BS[:, one_R] & sets.present_BS[:, other_R]
        one_BRD, other_BRD = gene_BSD[:, one_R], gene_BSD[:, other_R]
        met_BRF = torch.cat([(one_BRD - other_BRD).square(), one_BRD * other_BRD], dim=2)
        score_BR = self.out(self.hidden(met_BRF).relu()).squeeze(2)
        return torch.where(there_BR, score_BR, 0).sum(1, keepdim=True)

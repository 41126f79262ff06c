"""How the deleted genes of a set are related in each network: by an edge, by shared neighbours.

A convolution sums over neighbours, so which two genes are neighbours is in its embeddings only as
far as these are wide enough to tell 6,400 genes apart. Here it is looked up in the shared rows:
exact, a few thousand comparisons a batch, no copy of an edge. Topological indices of pairs are the
usual features of link prediction (Liben-Nowell & Kleinberg, CIKM 2003); the cosine is Salton's.

Legend: N = genes, G = networks, B = gene sets, S = size of the largest, R = pairs, F = 3 G
features, D = features of the hidden layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.labelled_sets import LabelledSets
from graphwright.tasks.genes.models.gene_sets import PaddedSets

__all__ = ["OverlapHead", "overlap_features", "pair_overlaps", "set_overlaps"]

_AT_ONCE = 4096  # sets: what a set's neighbours take is then a few tens of MB
_LARGEST = 8.0  # of a scaled feature: an edge in a network where next to no pair has one


@dataclass(frozen=True)
class _Sets:
    gene_index: Tensor
    gene_ptr: Tensor

    @classmethod
    def of(cls, sets: LabelledSets) -> _Sets:
        return cls(torch.from_numpy(sets.gene_index), torch.from_numpy(sets.gene_ptr))


class OverlapHead(nn.Module):
    """w · f + W2 relu(W1 f + b1) of the scaled features f of a set; it starts at zero.

    Args:
        num_networks: G.
        dim: D.
        dropout: of the hidden layer.

    Attributes:
        scale: `[F]`, root mean squares of the features of the training sets; ones until filled.
    """

    def __init__(self, num_networks: int, dim: int, dropout: float) -> None:
        super().__init__()
        features = 3 * num_networks
        self.register_buffer("scale", torch.ones(features))
        self.scale: Tensor
        self.linear = nn.Linear(features, 1, bias=False)
        self.hidden = nn.Linear(features, dim)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(dim, 1)
        for last in (self.linear, self.out):
            nn.init.zeros_(last.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, graphs: Sequence[SharedGraph], sets: PaddedSets) -> Tensor:
        """Interaction `[B, 1]`; a gene alone has no pair and gets what no relation gets."""
        with torch.no_grad():
            found_BF = overlap_features(graphs, sets).to(self.scale.dtype)
            found_BF = (found_BF / self.scale).clamp_(max=_LARGEST)
        hidden_BD = self.dropout(self.hidden(found_BF).relu())
        out: Tensor = self.linear(found_BF) + self.out(hidden_BD)
        return out


def overlap_features(graphs: Sequence[SharedGraph], sets: PaddedSets) -> Tensor:
    """Means over the pairs of each set `[B, 3 G]`, float64; zeros for a gene alone.

    For each network in turn: whether the pair is joined by an edge, the cosine of the two
    neighbourhoods, and ln(1 + number of shared neighbours); all in the wild type.
    """
    count, largest = sets.place_BS.shape
    slots = torch.triu_indices(largest, largest, offset=1, device=sets.gene_P.device)
    gene_BS = sets.gene_P[sets.place_BS]
    there_BR = sets.present_BS[:, slots[0]] & sets.present_BS[:, slots[1]]
    one_R, other_R = gene_BS[:, slots[0]][there_BR], gene_BS[:, slots[1]][there_BR]
    owner_R = there_BR.nonzero()[:, 0]
    pairs_B1 = there_BR.sum(1, keepdim=True).clamp(min=1)
    found_RF = torch.cat([pair_overlaps(graph, one_R, other_R) for graph in graphs], dim=1)
    total_BF = found_RF.new_zeros(count, found_RF.shape[1]).index_add_(0, owner_R, found_RF)
    return total_BF / pairs_B1


def set_overlaps(graphs: Sequence[SharedGraph], sets: LabelledSets) -> NDArray[np.float64]:
    """`overlap_features` of a whole table `[S, F]`, a few thousand sets at a time."""
    parts = []
    for start in range(0, len(sets), _AT_ONCE):
        part = sets.take(np.arange(start, min(start + _AT_ONCE, len(sets))))
        parts.append(overlap_features(graphs, PaddedSets.of(_Sets.of(part))).numpy())
    return np.concatenate(parts)


def pair_overlaps(graph: SharedGraph, one_R: Tensor, other_R: Tensor) -> Tensor:
    """Edge, cosine and ln(1 + shared neighbours) of pairs of genes `[R, 3]`, float64.

    Args:
        graph: its row of a gene are the gene's neighbours.
        one_R, other_R: the genes of each pair.
    """
    pairs, genes = len(one_R), graph.num_nodes
    one_E, degree_R = _neighbours(graph, one_R)
    other_E, other_degree_R = _neighbours(graph, other_R)
    owner_E = torch.repeat_interleave(torch.arange(pairs, device=one_R.device), degree_R)
    other_owner_E = torch.repeat_interleave(
        torch.arange(pairs, device=one_R.device), other_degree_R
    )
    # an edge in either direction, for networks that are not symmetric
    joined_R = torch.zeros(pairs, dtype=torch.float64, device=one_R.device)
    joined_R[owner_E[one_E == other_R[owner_E]]] = 1
    joined_R[other_owner_E[other_E == one_R[other_owner_E]]] = 1
    key_E, _ = (other_owner_E * genes + other_E).sort()
    asked_E = owner_E * genes + one_E
    shared_R = torch.zeros_like(joined_R)
    if len(key_E):
        place_E = torch.searchsorted(key_E, asked_E).clamp_(max=len(key_E) - 1)
        shared_R.index_add_(0, owner_E, (key_E[place_E] == asked_E).to(torch.float64))
    product_R = (degree_R * other_degree_R).to(torch.float64)
    cosine_R = shared_R / product_R.sqrt().clamp(min=1)
    return torch.stack([joined_R, cosine_R, shared_R.log1p()], dim=1)


def _neighbours(graph: SharedGraph, gene_R: Tensor) -> tuple[Tensor, Tensor]:
    """Neighbours of each gene, gene after gene, and how many each has `[R]`; both int64."""
    start_R = graph.indptr[gene_R]
    degree_R = graph.indptr[gene_R + 1] - start_R
    first_R = degree_R.cumsum(0) - degree_R
    place_E = torch.repeat_interleave(start_R - first_R, degree_R)
    place_E = place_E + torch.arange(len(place_E), device=gene_R.device)
    return graph.indices[place_E].long(), degree_R

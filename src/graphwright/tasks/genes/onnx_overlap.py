"""The head on edges and shared neighbours for an exporter: products of rows of ones.

The rows of the deleted genes in a network, as ones and zeros over all genes, hold everything that
`models/overlap_head.py` looks up: a product of two rows counts shared neighbours.

Legend: N = genes, G = networks, B = sets, S = genes of the largest set, P = B S, M = neighbours of
all of them, F = 3 G features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.models.model import GeneInteractionModel

__all__ = ["TracedOverlap", "pairs_of"]

_LARGEST = 8.0  # of a scaled feature, as in the head


class TracedOverlap(nn.Module):
    """`OverlapHead` on a padded table.

    Args:
        model: trained, with its networks and an overlap head.
    """

    def __init__(self, model: GeneInteractionModel) -> None:
        super().__init__()
        self.graphs, self.head = model.graphs, model.overlap_head

    def forward(self, gene_BS: Tensor, present_BS: Tensor) -> Tensor:
        """Interaction `[B, 1]`."""
        head = self.head
        assert head is not None
        found_BF = torch.cat([_features(graph, gene_BS, present_BS) for graph in self.graphs], 1)  # type: ignore[arg-type]
        scaled_BF = (found_BF.to(head.scale.dtype) / head.scale).clamp(max=_LARGEST)
        out: Tensor = head.linear(scaled_BF) + head.out(head.hidden(scaled_BF).relu())
        return out


def _features(graph: SharedGraph, gene_BS: Tensor, present_BS: Tensor) -> Tensor:
    """Means over the pairs of each set `[B, 3]`: edge, cosine, ln(1 + shared neighbours)."""
    rows_BSN, degree_BS = _rows(graph, gene_BS)
    shared_BSS = (rows_BSN @ rows_BSN.mT).double()
    largest = gene_BS.shape[1]
    to_BSS = rows_BSN.gather(2, gene_BS[:, None].expand(-1, largest, -1))
    joined_BSS = torch.maximum(to_BSS, to_BSS.mT).double()
    product_BSS = (degree_BS[:, :, None] * degree_BS[:, None]).double()
    cosine_BSS = shared_BSS / product_BSS.sqrt().clamp(min=1)
    pair_BSS = pairs_of(present_BS)
    count_B = pair_BSS.sum((1, 2)).clamp(min=1)
    kinds = (joined_BSS, cosine_BSS, shared_BSS.log1p())
    return torch.stack([torch.where(pair_BSS, x, 0.0).sum((1, 2)) / count_B for x in kinds], 1)


def pairs_of(present_BS: Tensor) -> Tensor:
    """Which pairs of slots are two genes of a set, each pair once `[B, S, S]`."""
    slot_S = torch.arange(present_BS.shape[1], device=present_BS.device)
    upper_SS = slot_S[:, None] < slot_S
    return present_BS[:, :, None] & present_BS[:, None] & upper_SS


def _rows(graph: SharedGraph, gene_BS: Tensor) -> tuple[Tensor, Tensor]:
    """1 at the neighbours of each gene `[B, S, N]`, and how many it has `[B, S]`."""
    gene_P = gene_BS.flatten()
    start_P = graph.indptr.index_select(0, gene_P)
    degree_P = graph.indptr.index_select(0, gene_P + 1) - start_P
    every_P = torch.arange(gene_P.shape[0], device=gene_P.device)
    owner_M = torch.repeat_interleave(every_P, degree_P)
    place_M = (start_P - degree_P.cumsum(0) + degree_P).index_select(0, owner_M)
    place_M = place_M + torch.arange(owner_M.shape[0], device=owner_M.device)
    neighbour_M = graph.indices.index_select(0, place_M).long()
    flat = torch.zeros(gene_P.shape[0] * graph.num_nodes, device=gene_P.device)
    flat = flat.index_fill(0, owner_M * graph.num_nodes + neighbour_M, 1.0)
    rows_PN = torch.unflatten(flat, 0, (gene_P.shape[0], graph.num_nodes))
    shape = gene_BS.shape
    return torch.unflatten(rows_PN, 0, shape), torch.unflatten(degree_P, 0, shape)

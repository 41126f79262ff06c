"""Scores of many sets that share most of their genes: {a, b, x} for thousands of x.

The shared genes are deleted once. What is left of the networks without their edges is the same for
all sets, and each cell differs from it only by its own partner: what the encoder computes apart for
a cell is the neighbourhood of one gene instead of all. The wild type is encoded once for all sets.

Legend: N = genes, B = partners of one pass, K = shared genes, D = features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graphwright.errors import ConfigError
from graphwright.nn.shared_cells import PerturbedCells
from graphwright.nn.shared_graph import SharedGraph, keep_mask
from graphwright.tasks.genes.models.gene_sets import PaddedSets
from graphwright.tasks.genes.scaled_model import ScaledModel

__all__ = ["PartnerScores", "cells_at_once", "without_genes"]

_BYTES = 64 << 20  # of one tensor [B, N, D]


@dataclass(frozen=True, eq=False)
class _Sets:
    """As a batch: B sets of the shared genes and a partner each."""

    gene_index: Tensor
    gene_ptr: Tensor


class PartnerScores:
    """Scores of sets of some shared genes with one partner each.

    Args:
        model: trained; in eval mode.
        shared: places of the K shared genes; none is allowed.

    Raises:
        ConfigError: a model whose prediction depends on the other sets of its batch.
    """

    def __init__(self, model: ScaledModel, shared: Sequence[int]) -> None:
        network = model.network
        if any(layer.whole_batch for layer in network.encoder.layers):
            raise ConfigError(
                "with model.norm=compat a prediction depends on its batch: there is no ranking",
                fix="train with model.norm=node",
            )
        self.model = model
        self.x_ND = network.inputs()
        self.whole = [graph for graph in network.graphs if isinstance(graph, SharedGraph)]
        self.shared_K = torch.tensor(list(shared), dtype=torch.int64, device=self.x_ND.device)
        nobody = self.shared_K[:0]
        wild = PerturbedCells.start(self.x_ND, nobody, self.shared_K.new_zeros(1))
        self.wild_ND = network.encoder(self.whole, wild)[0].wild_ND
        self.left: list[SharedGraph] = []  # without the edges of the shared genes
        if network.pool is not None:
            self.z_w = network.pool.wild_type(self.wild_ND)
            self.left = [without_genes(graph, self.shared_K) for graph in self.whole]

    def __call__(self, partner_B: Tensor) -> Tensor:
        """Scores `[B]` in their unit, float64, for the places of B unshared partners."""
        network, sets = self.model.network, self._sets(partner_B)
        padded = PaddedSets.of(sets)
        local_B1 = global_B1 = None
        if network.local_head is not None:
            local_B1 = network.local_head(self.wild_ND.index_select(0, padded.gene_P), padded)
        if network.pool is not None and network.global_head is not None:
            cells, _ = network.encoder(self.left, self._start(partner_B, sets))
            global_B1 = network.global_head(self.z_w - network.pool.perturbed(cells))
        score_B1, _ = network.combine(global_B1, local_B1)
        if network.overlap_head is not None:
            score_B1 = score_B1 + network.overlap_head(self.whole, padded)
        if network.base is not None:
            score_B1 = score_B1 + network.base(padded.gene_P, padded.owner_P, len(padded))
        return self.model.in_units(score_B1[:, 0])

    def _sets(self, partner_B: Tensor) -> _Sets:
        count, size = len(partner_B), len(self.shared_K) + 1
        shared_BK = self.shared_K.expand(count, -1)
        index_P = torch.cat([shared_BK, partner_B[:, None]], dim=1).flatten()
        return _Sets(index_P, torch.arange(count + 1, device=index_P.device) * size)

    def _start(self, partner_B: Tensor, sets: _Sets) -> PerturbedCells:
        """Cells that lack all their genes, of which only the partner's edges are still there."""
        own_ptr = torch.arange(len(partner_B) + 1, device=partner_B.device)
        touched_NB = keep_mask(partner_B, own_ptr, len(self.x_ND), torch.bool).logical_not_()
        touched_BN = touched_NB.t().contiguous()
        return PerturbedCells(self.x_ND, None, touched_BN, sets.gene_index, sets.gene_ptr)


def without_genes(graph: SharedGraph, gene_K: Tensor) -> SharedGraph:
    """The same genes without the edges that touch some of them."""
    deleted_N = torch.zeros(graph.num_nodes, dtype=torch.bool, device=graph.indptr.device)
    deleted_N[gene_K] = True
    places = torch.arange(graph.num_nodes, device=graph.indptr.device)
    row_E = torch.repeat_interleave(places, graph.indptr.diff(), output_size=graph.num_edges)
    left_E = ~(deleted_N[row_E] | deleted_N[graph.indices.long()])
    ends = torch.cat([left_E.new_zeros(1, dtype=torch.int64), left_E.cumsum(0)])
    return SharedGraph.from_csr(ends[graph.indptr], graph.indices[left_E])


def cells_at_once(model: ScaledModel, num_genes: int) -> int:
    """Partners of one pass, so that a tensor of all their cells stays small."""
    network = model.network
    if network.pool is None:
        return num_genes
    width = network.pool.transform.in_features
    return max(1, _BYTES // (num_genes * width * 4))

"""The model of gene interactions: what deletions change in a whole cell, and between themselves.

The architecture is that of torchcell's graph model with the local head of DANGO (Zhang et al.,
https://www.biorxiv.org/content/10.1101/2020.11.26.400739), computed without a copy of an edge: see
`nn/shared_graph.py`. The wild type is encoded once a step; no tensor has a row for each edge and
cell, and without the global head none has a row for each gene and cell.

Legend: N = genes, G = networks, B = gene sets, P = deleted genes of all sets, D = features, L =
layers, K = options that an aggregator weighs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from graphwright.errors import DataError
from graphwright.nn.shared_cells import PerturbedCells
from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.model_configs import GeneInteractionConfig
from graphwright.tasks.genes.models.encoder import Encoder, EncoderLayer, LayerWeights
from graphwright.tasks.genes.models.gene_sets import GeneSetsOf, PaddedSets
from graphwright.tasks.genes.models.heads import Gate, GlobalHead, RidgeBase
from graphwright.tasks.genes.models.inputs import GeneInputs
from graphwright.tasks.genes.models.output import GeneOutput
from graphwright.tasks.genes.models.overlap_head import OverlapHead
from graphwright.tasks.genes.models.pair_head import PairHead
from graphwright.tasks.genes.models.pool import AttentionPool
from graphwright.tasks.genes.models.set_attention import SetAttentionHead

__all__ = ["GeneInteractionModel", "NetworkSize", "Sizes"]


class NetworkSize(NamedTuple):
    """A network before its edges are there."""

    name: str
    edges: int
    symmetric: bool


@dataclass(frozen=True)
class Sizes:
    """What a model must know of its data to be built.

    Attributes:
        genes: N.
        networks: G, in the order of the model's `graphs`.
        features: given features of a gene; 0: none.
    """

    genes: int
    networks: tuple[NetworkSize, ...]
    features: int = 0

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """From `state["genes"]`, `state["networks"]` and, if there, `state["features"]`."""
        networks = tuple(
            NetworkSize(entry["name"], entry["edges"], entry["symmetric"])
            for entry in state["networks"]
        )
        return cls(len(state["genes"]), networks, len(state.get("features", ())))


class GeneInteractionModel(nn.Module):
    """Gene sets to interaction scores.

    Args:
        config: sizes and parts.
        sizes: of the data. The networks' edges are buffers `graphs.<i>.indptr` and
            `graphs.<i>.indices` (`back_…` too where not symmetric), zero until they are filled.

    Raises:
        ConfigError: heads that do not divide the width, or features that are not there.
    """

    def __init__(self, config: GeneInteractionConfig, sizes: Sizes) -> None:
        super().__init__()
        dim, self.combination = config.hidden_dim, config.combination
        self.num_genes = sizes.genes
        self.graphs = nn.ModuleList(
            SharedGraph(sizes.genes, network.edges, symmetric=network.symmetric)
            for network in sizes.networks
        )
        self.inputs = GeneInputs(config, sizes.genes, sizes.features)
        self.encoder = Encoder(config, len(sizes.networks))
        names = [network.name for network in sizes.networks]
        self.option_names = _option_names(self.encoder, names)
        looks_around, looks_inside = self.combination != "local", self.combination != "global"
        self.pool = AttentionPool(dim) if looks_around else None
        self.global_head = GlobalHead(dim) if looks_around else None
        self.local_head = _local_head(config) if looks_inside else None
        self.gate = Gate() if self.combination == "gating" else None
        self.overlap_head = (
            OverlapHead(len(sizes.networks), dim, config.dropout) if config.overlap else None
        )
        self.base = RidgeBase(sizes.genes) if config.base == "ridge" else None

    def forward(self, batch: GeneSetsOf) -> GeneOutput:
        """Predictions for the sets of a batch.

        Raises:
            DataError: an empty set, or one that leaves no gene.
        """
        sets = PaddedSets.of(batch)
        if sets.present_BS.shape[1] >= self.num_genes:
            raise DataError(f"a set of the batch deletes all {self.num_genes} genes of a cell")
        cells, weights = self._encode(batch)
        around = self._global(cells)
        gene_PD = cells.wild_ND.index_select(0, sets.gene_P)
        local_B1 = None if self.local_head is None else self.local_head(gene_PD, sets)
        score_B1, gate_B2 = self.combine(around.get("global_interaction"), local_B1)
        overlap_B1 = base_B1 = None
        if self.overlap_head is not None:
            overlap_B1 = self.overlap_head(_graphs(self.graphs), sets)
            score_B1 = score_B1 + overlap_B1
        if self.base is not None:
            base_B1 = self.base(sets.gene_P, sets.owner_P, len(sets))
            score_B1 = score_B1 + base_B1
        return GeneOutput(
            gene_interaction=score_B1,
            local_interaction=local_B1,
            gate_weights=gate_B2,
            pert_gene_embs=gene_PD,
            overlap_interaction=overlap_B1,
            base_interaction=base_B1,
            **around,
            **_layer_weights(weights, sets),
        )

    def _encode(self, batch: GeneSetsOf) -> tuple[PerturbedCells, list[LayerWeights]]:
        """The wild type, with the cells of the batch where the global head needs them."""
        index, ptr = batch.gene_index, batch.gene_ptr
        if self.pool is None:
            index, ptr = index[:0], ptr[:1]
        start = PerturbedCells.start(self.inputs(), index, ptr)
        cells, weights = self.encoder(_graphs(self.graphs), start)
        return cells, weights

    def _global(self, cells: PerturbedCells) -> dict[str, Tensor]:
        if self.pool is None or self.global_head is None:
            return {}
        z_w, z_i = self.pool.wild_type(cells.wild_ND), self.pool.perturbed(cells)
        z_p = z_w - z_i
        return {"z_w": z_w, "z_i": z_i, "z_p": z_p, "global_interaction": self.global_head(z_p)}

    def combine(
        self, global_B1: Tensor | None, local_B1: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The score `[B, 1]` and the weights `[B, 2]` of the heads, one of which may be None."""
        if global_B1 is None or local_B1 is None:
            only_B1 = local_B1 if global_B1 is None else global_B1
            assert only_B1 is not None
            return only_B1, None
        both_B2 = torch.cat([global_B1, local_B1], dim=1)
        weight_B2 = torch.full_like(both_B2, 0.5) if self.gate is None else self.gate(both_B2)
        return (weight_B2 * both_B2).sum(1, keepdim=True), weight_B2


def _local_head(config: GeneInteractionConfig) -> SetAttentionHead | PairHead:
    if config.local_head == "pairs":
        return PairHead(config.hidden_dim)
    return SetAttentionHead(config.hidden_dim, config.set_heads, config.set_layers)


def _graphs(modules: nn.ModuleList) -> list[SharedGraph]:
    return [graph for graph in modules if isinstance(graph, SharedGraph)]


def _option_names(encoder: Encoder, networks: Sequence[str]) -> tuple[str, ...]:
    layer = encoder.layers[0]
    assert isinstance(layer, EncoderLayer)
    return layer.aggregation.option_names(networks)


def _layer_weights(weights: list[LayerWeights], sets: PaddedSets) -> dict[str, Tensor]:
    if not weights:
        return {}
    # without cells, what the wild type has
    cells = [
        layer.cells_BK if len(layer.cells_BK) else layer.wild_NK.mean(0).expand(len(sets), -1)
        for layer in weights
    ]
    deleted = [layer.wild_NK.index_select(0, sets.gene_P) for layer in weights]
    return {
        "layer_aggregation_weights": torch.stack(cells),
        "pert_gene_weights": torch.stack(deleted),
    }

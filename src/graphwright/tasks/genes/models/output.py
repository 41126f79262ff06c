"""What the model gives for a batch.

Legend: B = gene sets, P = deleted genes of all sets, D = features, L = layers, K = options that an
aggregator weighs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import Tensor

__all__ = ["GeneOutput"]


@dataclass(frozen=True, eq=False, kw_only=True)
class GeneOutput:
    """Outputs of one batch; None is what the configured combination does not compute.

    Attributes:
        gene_interaction: `[B, 1]`, the prediction on the scale of the standardised labels.
        z_w: `[1, D]`, the pooled wild type.
        z_i: `[B, D]`, the pooled cells, each over the genes that it has kept.
        z_p: `[B, D]`, z_w - z_i.
        local_interaction, global_interaction: `[B, 1]`, of each head alone.
        gate_weights: `[B, 2]`, of (global, local); with `concat` they are halves.
        pert_gene_embs: `[P, D]`, the deleted genes in the wild type.
        layer_aggregation_weights: `[L, B, K]`, mean over the kept genes of a cell (over all genes
            of the wild type where no cell is computed); K as in `option_names` of the model. None
            with the aggregators sum and mean.
        pert_gene_weights: `[L, P, K]`, the same weights of the deleted genes in the wild type.
        overlap_interaction: `[B, 1]`, of the head on edges and shared neighbours.
        base_interaction: `[B, 1]`, what a base adds.
    """

    gene_interaction: Tensor
    z_w: Tensor | None = None
    z_i: Tensor | None = None
    z_p: Tensor | None = None
    local_interaction: Tensor | None = None
    global_interaction: Tensor | None = None
    gate_weights: Tensor | None = None
    pert_gene_embs: Tensor
    layer_aggregation_weights: Tensor | None = None
    pert_gene_weights: Tensor | None = None
    overlap_interaction: Tensor | None = None
    base_interaction: Tensor | None = None

    def as_dict(self) -> dict[str, Tensor | None]:
        """By name, every name, without copies."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

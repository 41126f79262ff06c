"""The network with the unit of its labels around it.

Legend: B = gene sets, G = networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from graphwright.data.scaling import Standardizer
from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.build import build_model
from graphwright.tasks.genes.model_configs import GeneInteractionConfig
from graphwright.tasks.genes.models.gene_sets import GeneSetsOf
from graphwright.tasks.genes.models.model import GeneInteractionModel
from graphwright.tasks.genes.models.output import GeneOutput

__all__ = ["ScaledModel"]


class ScaledModel(nn.Module):
    """Interaction scores in their own unit (ε, τ).

    Args:
        network: gives scores on the scale of the standardised labels.
        scale: that scale, fitted on the training split.
        names: `[G]`, of the networks.
    """

    def __init__(
        self, network: GeneInteractionModel, scale: Standardizer, names: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.network = network
        self.scale = scale
        self.names = names

    @classmethod
    def of(cls, config: GeneInteractionConfig, state: Mapping[str, Any]) -> ScaledModel:
        """Freshly initialised, its networks still without edges."""
        scale = Standardizer.from_json(state["label"])
        names = tuple(network["name"] for network in state["networks"])
        return cls(build_model(config, state), scale, names)

    def forward(self, batch: GeneSetsOf) -> GeneOutput:
        """See the network: everything is on the standardised scale."""
        out: GeneOutput = self.network(batch)
        return out

    def interaction(self, batch: GeneSetsOf) -> Tensor:
        """The scores `[B]` in their own unit, float64."""
        return self.in_units(self(batch).gene_interaction[:, 0])

    def in_units(self, score_B: Tensor) -> Tensor:
        """From the standardised scale, float64."""
        return self.scale.inverse(score_B.double())

    def effects(self, batch: GeneSetsOf) -> Tensor:
        """How far each network moves each score `[B, G]`, in the score's unit.

        The prediction minus that of the same weights where the network has no edges: its genes then
        hear nobody in it. G + 1 forward passes. It says what this model's answer rests on, and not
        what a model that was trained without the network would answer; networks that carry the same
        edges share an effect, or hide it from one another.
        """
        whole_B = self.interaction(batch)
        without = []
        for place in range(len(self.names)):
            with self._without_edges(place):
                without.append(self.interaction(batch))
        return whole_B[:, None] - torch.stack(without, dim=1)

    @contextmanager
    def _without_edges(self, place: int) -> Iterator[None]:
        graphs = self.network.graphs
        whole = graphs[place]
        assert isinstance(whole, SharedGraph)
        graphs[place] = SharedGraph(whole.num_nodes, 0, symmetric=True).to(whole.indptr.device)
        try:
            yield
        finally:
            graphs[place] = whole

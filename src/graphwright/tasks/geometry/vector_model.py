"""A network with what stands around it: element vocabulary in front, scale behind."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.tasks.geometry.config import GeometryConfig

__all__ = ["VectorModel", "build_network"]

LARGEST_Z = 118


class VectorModel(nn.Module):
    """One vector per structure, in the target's unit, relative to the mean of its points.

    Args:
        network: maps a batch to [B, 3] in units of the scale.
        elements: atomic numbers of the training split, ascending; empty without elements.
        scale: root mean square length of the training targets: one number for all three
            components, so that equivariance is kept.
        target_is_position: whether the target is translated with its structure.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        elements: Sequence[int],
        scale: float,
        target_is_position: bool,
    ) -> None:
        super().__init__()
        self.target_is_position = target_is_position
        self.network = network
        lookup = torch.full((LARGEST_Z + 1,), -1, dtype=torch.int64)
        lookup[list(elements)] = torch.arange(len(elements))
        self.register_buffer("lookup", lookup)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))
        self.lookup: Tensor
        self.scale: Tensor

    def forward(self, batch: GraphBatch) -> Tensor:
        """Vectors [B, 3]."""
        nodes = dict(batch.nodes)
        if "z" in nodes:
            nodes["z"] = self.lookup[nodes["z"].long()]
        if "features" in nodes:
            nodes["x"] = nodes.pop("features")
        out: Tensor = self.network(replace(batch, nodes=nodes))
        return out * self.scale.to(out.dtype)

    def in_input_frame(self, batch: GraphBatch, vectors_B3: Tensor) -> Tensor:
        """Vectors [B, 3] as the user's file would have them: positions not relative to the mean."""
        return vectors_B3 + batch.graphs["origin"] if self.target_is_position else vectors_B3


def build_network(config: GeometryConfig, *, num_elements: int, num_features: int) -> nn.Module:
    """The network that `config.model` names: `models/<name>.py` offers it as `MODEL`."""
    module = importlib.import_module(f"graphwright.tasks.geometry.models.{config.model.name}")
    network: nn.Module = module.MODEL(
        config.model, num_elements=num_elements, num_features=num_features
    )
    return network

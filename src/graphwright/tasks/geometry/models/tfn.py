"""Tensor field network on e3nn (the optional extra `tfn`).

Thomas et al., "Tensor field networks", 2018, https://arxiv.org/abs/1802.08219; tensor products,
linear maps and gates are those of e3nn, https://arxiv.org/abs/2207.09453.

Legend: N = points, E = edges, B = structures, C = copies of each representation.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.errors import MissingExtraError
from graphwright.nn.edge_geometry import EdgeGeometry, edge_geometry
from graphwright.nn.edges import SortedEdges
from graphwright.nn.harmonics import spherical_harmonics
from graphwright.nn.radial import GaussianBasis
from graphwright.tasks.geometry.model_configs import TFNConfig
from graphwright.tasks.geometry.models.inputs import PointEmbedding, pool_points

__all__ = ["MODEL", "TFNModel"]


class TFNModel(nn.Module):
    """One vector per structure, equivariant by construction.

    Args:
        config: sizes, cutoff and highest degree of the features.
        num_elements: size of the element vocabulary, 0 for point clouds.
        num_features: invariant features given per point.

    Raises:
        MissingExtraError: e3nn is not installed.
    """

    def __init__(self, config: TFNConfig, *, num_elements: int, num_features: int) -> None:
        super().__init__()
        o3, _ = _e3nn()
        copies = config.hidden_dim
        self.config = config
        self.embedding = PointEmbedding(
            copies, num_elements=num_elements, num_features=num_features
        )
        self.basis = GaussianBasis(config.num_basis, config.cutoff)
        inputs = o3.Irreps(f"{copies}x0e")
        layers: list[_Convolution] = []
        for _ in range(config.num_layers):
            layers.append(_Convolution(inputs, config))
            inputs = layers[-1].irreps_out
        self.layers = nn.ModuleList(layers)
        self.dropout = nn.Dropout(config.dropout)
        self.readout = o3.Linear(inputs, o3.Irreps("1x0e + 1x1o"))

    def forward(self, batch: GraphBatch) -> Tensor:
        """Vectors `[B, 3]` of a batch with node fields `pos` (and `z`, `x`)."""
        pos_N3 = batch.nodes["pos"]
        edges = SortedEdges.build(batch.edge_index, batch.num_nodes)
        geometry = edge_geometry(pos_N3, edges, self.basis, self.config.cutoff)
        harmonics = spherical_harmonics(geometry.unit.t(), self.config.degree)
        state = self.dropout(self.embedding(batch))
        for layer in self.layers:
            state = layer(state, harmonics, geometry)
        out_N4 = self.readout(state)
        # The cutoff is the model's unit of length: nothing else depends on the user's unit.
        vector_N3 = out_N4[:, :1] * pos_N3 / self.config.cutoff + out_N4[:, 1:]
        return pool_points(vector_N3, batch, self.config.pool)


class _Convolution(nn.Module):
    """Sum over neighbours of their features times the edge's harmonics, then a gate."""

    def __init__(self, irreps_in: Any, config: TFNConfig) -> None:
        super().__init__()
        o3, gated = _e3nn()
        copies = config.hidden_dim
        self.spread = config.neighbors**-0.5
        vectors = " + ".join(f"{copies}x{n}{'eo'[n % 2]}" for n in range(1, config.degree + 1))
        self.gate = gated.Gate(
            f"{copies}x0e", [torch.nn.functional.silu],
            f"{copies * config.degree}x0e", [torch.sigmoid], vectors,
        )  # fmt: skip
        self.irreps_out = self.gate.irreps_out
        harmonics = o3.Irreps.spherical_harmonics(config.degree)
        middle, paths = _paths(o3, irreps_in, harmonics, copies, config.degree)
        self.product = o3.TensorProduct(
            irreps_in, harmonics, middle, paths, internal_weights=False, shared_weights=False
        )
        self.radial = nn.Sequential(
            nn.Linear(config.num_basis + 1, 2 * copies, bias=False),
            nn.SiLU(),
            nn.Linear(2 * copies, self.product.weight_numel, bias=False),
        )
        self.mix = o3.Linear(middle.simplify(), self.gate.irreps_in)
        self.keep = o3.Linear(irreps_in, self.gate.irreps_in)

    def forward(self, state: Tensor, harmonics: Tensor, geometry: EdgeGeometry) -> Tensor:
        edges = geometry.edges
        message = self.product(edges.gather_source(state), harmonics, self.radial(geometry.basis))
        # e3nn keeps every product at unit variance: keep the sum near it as well. A count taken
        # from the batch would let structures feel each other.
        summed = edges.sum_to_target(message) * self.spread
        out: Tensor = self.gate(self.mix(summed) + self.keep(state))
        return out


def _paths(
    o3: Any, irreps_in: Any, harmonics: Any, copies: int, degree: int
) -> tuple[Any, list[tuple[int, int, int, str, bool]]]:
    """Outputs, sorted by kind, and the products that make them, one weight per copy."""
    found = [
        (i, j, out)
        for i, (_, left) in enumerate(irreps_in)
        for j, (_, right) in enumerate(harmonics)
        for out in left * right
        # Pseudoscalars and pseudovectors cost as much as the rest and lead nowhere here.
        if out.l <= degree and out.p == (-1) ** out.l
    ]
    middle = o3.Irreps([(copies, out) for _, _, out in found])
    ordered, place, _ = middle.sort()
    paths = [(i, j, place[n], "uvu", True) for n, (i, j, _) in enumerate(found)]
    return ordered, paths


def _e3nn() -> tuple[Any, Any]:
    """e3nn's modules `o3` and `nn`, imported when a model is made."""
    try:
        return importlib.import_module("e3nn.o3"), importlib.import_module("e3nn.nn")
    except ImportError as error:
        raise MissingExtraError("e3nn", "tfn", "the model tfn") from error


MODEL = TFNModel

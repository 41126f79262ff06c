"""PaiNN with a readout of charges and vectors.

Layers: Schütt et al., ICML 2021, https://arxiv.org/abs/2102.03150. The readout is that of its
dipole moments, mu = sum_i (vector_i + charge_i r_i).

Legend: N = points, B = structures, D = features.
"""

from __future__ import annotations

from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.edge_geometry import edge_geometry
from graphwright.nn.edges import SortedEdges
from graphwright.nn.painn import (
    GatedEquivariantBlock,
    PaiNNMessage,
    PaiNNUpdate,
    vector_norm,
)
from graphwright.nn.radial import GaussianBasis
from graphwright.nn.segment import segment_mean
from graphwright.tasks.geometry.model_configs import PaiNNConfig
from graphwright.tasks.geometry.models.inputs import PointEmbedding, pool_points

__all__ = ["MODEL", "PaiNNModel"]


class PaiNNModel(nn.Module):
    """One vector per structure, equivariant by construction.

    Args:
        config: sizes and cutoff.
        num_elements: size of the element vocabulary, 0 for point clouds.
        num_features: invariant features given per point.
    """

    def __init__(self, config: PaiNNConfig, *, num_elements: int, num_features: int) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.config = config
        self.embedding = PointEmbedding(dim, num_elements=num_elements, num_features=num_features)
        self.basis = GaussianBasis(config.num_basis, config.cutoff)
        self.place = Place(dim) if config.context else None
        rounds = range(config.num_layers)
        self.messages = nn.ModuleList(
            PaiNNMessage(dim, config.num_basis, first=not config.context and i == 0) for i in rounds
        )
        self.updates = nn.ModuleList(PaiNNUpdate(dim) for _ in rounds)
        self.contexts = nn.ModuleList(Context(dim) for _ in rounds if config.context)
        self.dropout = nn.Dropout(config.dropout)
        self.readout = GatedEquivariantBlock(dim, 1, 1, dropout=config.dropout)

    def forward(self, batch: GraphBatch) -> Tensor:
        """Vectors `[B, 3]` of a batch with node fields `pos` (and `z`, `x`)."""
        pos_N3 = batch.nodes["pos"]
        edges = SortedEdges.build(batch.edge_index, batch.num_nodes)
        geometry = edge_geometry(pos_N3, edges, self.basis, self.config.cutoff)
        # The cutoff is the model's unit of length: nothing else depends on the user's unit.
        place_N3 = pos_N3 / self.config.cutoff
        s_ND = self.embedding(batch)
        v_N3D = None
        if self.place is not None:
            s_ND, v_N3D = self.place(s_ND, place_N3)
        for i, (message, update) in enumerate(zip(self.messages, self.updates, strict=True)):
            s_ND, v_N3D = update(*message(s_ND, v_N3D, geometry))
            if self.config.context:
                s_ND, v_N3D = self.contexts[i](s_ND, v_N3D, batch)
            s_ND = self.dropout(s_ND)
        charge_N1, vector_N31 = self.readout(s_ND, v_N3D)
        return pool_points(charge_N1 * place_N3 + vector_N31[:, :, 0], batch, self.config.pool)


class Place(nn.Module):
    """Where a point is, seen from the mean of its structure's points: distance and direction."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.basis = GaussianBasis(16, 4.0)
        self.scalar = nn.Linear(16, dim)
        self.vector = nn.Linear(16, dim)

    def forward(self, s_ND: Tensor, place_N3: Tensor) -> tuple[Tensor, Tensor]:
        """First (s, v), from positions `[N, 3]` in units of the cutoff."""
        near = self.basis(vector_norm(place_N3[:, :, None])[:, 0])
        return s_ND + self.scalar(near), place_N3[:, :, None] * self.vector(near)[:, None]


class Context(nn.Module):
    """Every point hears the mean state of its structure."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.block = GatedEquivariantBlock(dim, dim, dim)

    def forward(self, s_ND: Tensor, v_N3D: Tensor, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """(s, v) plus a gated map of their means over the structure."""
        graph = batch.node_graph
        mean_s = segment_mean(s_ND, graph, batch.num_graphs)
        mean_v = segment_mean(v_N3D, graph, batch.num_graphs)
        ds, dv = self.block(mean_s, mean_v)
        return s_ND + ds.index_select(0, graph), v_N3D + dv.index_select(0, graph)


MODEL = PaiNNModel

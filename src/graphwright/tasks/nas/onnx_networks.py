"""Predictors in a form that an exporter can follow, with the same weights and the same numbers.

Most can be followed as they are. Layers that want self loops keep them in a cached property, whose
lock stops the exporter: their graphs have a plain one here. `HierarchicalModel` cuts each level out
of the batch. Here both networks look at all nodes, and an edge that is not of their level leads
from and to one more node that nobody reads: every node hears exactly whom it hears in the model.

Legend: M = members, C = 2 M copies, N = nodes, B = architectures, D = features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.dag import GraphStacker, StackedGraphs
from graphwright.nn.edges import SortedEdges
from graphwright.tasks.nas.models.convolutions import ConvEncoder
from graphwright.tasks.nas.models.hierarchical import HierarchicalModel
from graphwright.tasks.nas.models.inputs import side_by_side, with_features
from graphwright.tasks.nas.models.predicted import Predicted

__all__ = ["traced_network"]


def traced_network(network: nn.Module) -> nn.Module:
    """The predictor to be exported; it shares its weights with `network`, which is changed."""
    if isinstance(network, HierarchicalModel):
        return _Hierarchical(network)
    for part in network.modules():
        if isinstance(part, ConvEncoder):
            part.stacker = _Stacker(forward=part.stacker.forward, reverse=part.stacker.reverse)
    return network


class _StackedGraphs(StackedGraphs):
    """Self loops without a cache."""

    @property
    def rows_with_loops(self) -> SortedEdges:
        """`rows` with a self loop at each of them."""
        size = self.rows.num_nodes
        every = torch.arange(size, device=self.node_ptr.device)
        ends = torch.stack([self.rows.source, self.rows.target])
        return SortedEdges.build(torch.cat([ends, every.expand(2, -1)], dim=1), size)


class _Stacker(GraphStacker):
    def __call__(self, batch: GraphBatch) -> StackedGraphs:
        ends, size = batch.edge_index, batch.num_nodes
        directions = {"forward": self.forward, "reverse": self.reverse}
        return _StackedGraphs(ends, batch.node_ptr, size, **directions)


class _Hierarchical(nn.Module):
    """`HierarchicalModel` on all nodes at once."""

    def __init__(self, model: HierarchicalModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: GraphBatch) -> Predicted:
        model, level_N = self.model, batch.nodes["level"]
        x_NF = _with_nobody(model.inputs(batch), 0)
        inner_CND = model.cells(x_NF, self._graphs(batch, level_N, 0, 0))
        own_CNF = x_NF.expand(2 * model.members, -1, -1)
        made_of_CND = _made_of(inner_CND, batch, level_N)
        cell_CNF = torch.cat([own_CNF, made_of_CND], dim=2)
        outer_CND = model.network(cell_CNF, self._graphs(batch, level_N, 1, 1))
        pooled = [_level_mean(inner_CND, batch, 0), _level_mean(outer_CND, batch, 1)]
        both_MBD = side_by_side(torch.cat(pooled, dim=2), model.members)
        hidden = model.hidden(with_features(both_MBD, batch)).relu()
        return Predicted(model.out(hidden))

    def _graphs(
        self, batch: GraphBatch, level_N: Tensor, source: int, target: int
    ) -> StackedGraphs:
        """Edges from one level to another; the others belong to nobody."""
        members, nobody = self.model.members, batch.num_nodes
        ends = _between(batch, level_N, source, target)
        return StackedGraphs(ends, batch.node_ptr, nobody + 1, forward=members, reverse=members)


def _between(batch: GraphBatch, level_N: Tensor, source: int, target: int) -> Tensor:
    """`[2, E]`, both ends N where an edge is not from one level to the other."""
    source_E, target_E = batch.edge_index.unbind(0)
    chosen_E = (level_N[source_E] == source) & (level_N[target_E] == target)
    return torch.where(chosen_E, batch.edge_index, batch.num_nodes)


def _with_nobody(x: Tensor, dim: int) -> Tensor:
    """One row of zeros behind the nodes."""
    rows = x.narrow(dim, 0, 1)
    return torch.cat([x, torch.zeros_like(rows)], dim=dim)


def _made_of(inner_CND: Tensor, batch: GraphBatch, level_N: Tensor) -> Tensor:
    """Mean of the operations that each cell is made of `[C, N + 1, D]`; zero where it has none."""
    source_E, target_E = _between(batch, level_N, 0, 1).unbind(0)
    total = torch.zeros_like(inner_CND).index_add(1, target_E, inner_CND.index_select(1, source_E))
    count_N = torch.zeros_like(inner_CND[0, :, 0]).index_add(
        0, target_E, torch.ones_like(target_E, dtype=inner_CND.dtype)
    )
    return total / count_N.clamp(min=1)[:, None]


def _level_mean(x_CND: Tensor, batch: GraphBatch, level: int) -> Tensor:
    """Mean over the nodes of a level of each architecture `[C, B, D]`; zero without any."""
    inside_N = (batch.nodes["level"] == level).to(x_CND.dtype)
    owner_N, size = batch.node_graph, batch.num_graphs
    zeros = x_CND.new_zeros(x_CND.shape[0], size, x_CND.shape[2])
    total = zeros.index_add(1, owner_N, x_CND[:, :-1] * inside_N[:, None])
    count_B = x_CND.new_zeros(size).index_add(0, owner_N, inside_N)
    return total / count_B.clamp(min=1)[:, None]

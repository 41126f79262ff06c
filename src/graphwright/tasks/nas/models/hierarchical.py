"""Two levels: a graph network embeds the operations of cells, a second one the network of cells.

Nodes have a level, 0 for operations and 1 for cells. Edges between operations are the cells' own;
one from an operation to a cell says that the cell is made of it; edges between cells are the
network. An edge from a cell back to an operation (the output node) carries nothing here.

Legend: M = members, C = 2 M copies (along the edges, and against them), N = nodes, L = nodes of one
level, B = architectures, D = features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.errors import DataError
from graphwright.nn.dag import StackedGraphs
from graphwright.nn.gin import StackedGINEncoder
from graphwright.nn.stacked import StackedLinear, stacked_dropout
from graphwright.tasks.nas.model_configs import HierarchicalConfig
from graphwright.tasks.nas.models.inputs import OneHotNodes, Sizes, side_by_side, with_features
from graphwright.tasks.nas.models.predicted import Predicted

__all__ = ["MODEL", "HierarchicalModel"]


class HierarchicalModel(nn.Module):
    """Cells by their operations, the architecture by its cells; each level in both directions.

    Args:
        config: sizes.
        sizes: of input and output.
    """

    def __init__(self, config: HierarchicalConfig, sizes: Sizes) -> None:
        super().__init__()
        members, dim = config.members, config.hidden_dim
        self.members, self.dropout = members, config.dropout
        self.inputs = OneHotNodes(sizes)
        copies, width = 2 * members, self.inputs.width
        self.cells = StackedGINEncoder(copies, width, dim, config.num_layers, relu=True)
        self.network = StackedGINEncoder(copies, width + dim, dim, config.network_layers, relu=True)
        self.hidden = StackedLinear(members, 4 * dim + sizes.graph, dim)
        self.out = StackedLinear(members, dim, sizes.outputs)

    def forward(self, batch: GraphBatch) -> Predicted:
        """Values of every member.

        Raises:
            DataError: the architectures have no levels, or one of them no cells.
        """
        level_N, x_NF = _levels(batch), self.inputs(batch)
        operations, cells = (self._level(batch, level_N == level) for level in (0, 1))
        if bool((cells.node_ptr.diff() == 0).any()):
            raise _flat()
        inner_CLD = self._dropped(self.cells(x_NF[level_N == 0], operations))
        own_CLF = x_NF[level_N == 1].expand(2 * self.members, -1, -1)
        made_of_CLD = _made_of(inner_CLD, batch, level_N)
        cell_CLF = torch.cat([own_CLF, made_of_CLD], dim=2)
        outer_CLD = self._dropped(self.network(cell_CLF, cells))
        pooled = [operations.pool_mean(inner_CLD), cells.pool_mean(outer_CLD)]
        both_MBD = side_by_side(torch.cat(pooled, dim=2), self.members)
        hidden = self.hidden(with_features(both_MBD, batch)).relu()
        return Predicted(self.out(self._dropped(hidden)))

    def _level(self, batch: GraphBatch, chosen_N: Tensor) -> StackedGraphs:
        """The nodes of one level with the edges between them, numbered anew."""
        number_N = chosen_N.cumsum(0) - 1
        inside_E = chosen_N[batch.edge_index].all(0)
        ptr = torch.cat([number_N.new_zeros(1), chosen_N.cumsum(0)])[batch.node_ptr]
        inner = number_N[batch.edge_index[:, inside_E]]
        return StackedGraphs(inner, ptr, int(ptr[-1]), forward=self.members, reverse=self.members)

    def _dropped(self, x: Tensor) -> Tensor:
        return stacked_dropout(x, self.dropout, self.training)


MODEL = HierarchicalModel


def _levels(batch: GraphBatch) -> Tensor:
    if "level" not in batch.nodes:
        raise _flat()
    return batch.nodes["level"]


def _made_of(inner_CLD: Tensor, batch: GraphBatch, level_N: Tensor) -> Tensor:
    """Mean of the operations that each cell is made of `[C, cells, D]`; zero where it has none."""
    number_N = torch.where(level_N == 1, (level_N == 1).cumsum(0), (level_N == 0).cumsum(0)) - 1
    source, target = batch.edge_index
    belongs_E = (level_N[source] == 0) & (level_N[target] == 1)
    part_E, cell_E = number_N[source[belongs_E]], number_N[target[belongs_E]]
    zeros = inner_CLD.new_zeros(len(inner_CLD), int((level_N == 1).sum()), inner_CLD.shape[2])
    total = zeros.index_add(1, cell_E, inner_CLD.index_select(1, part_E))
    count = torch.bincount(cell_E, minlength=zeros.shape[1]).clamp(min=1)
    return total / count[:, None].to(total.dtype)


def _flat() -> DataError:
    return DataError(
        "the predictor hierarchical needs architectures of two levels, cells and their operations",
        fix="use darts or nasbench_macro without data.graph.prune, or another predictor",
    )

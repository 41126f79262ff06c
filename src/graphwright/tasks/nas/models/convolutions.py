"""Plain stacks of convolutions by name, in either direction or both.

Legend: M = members, C = M or 2 M copies, N = nodes, B = architectures, D = features.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.dag import GraphStacker
from graphwright.nn.directed import StackedGCN
from graphwright.nn.gat import StackedGAT
from graphwright.nn.gin import StackedGIN
from graphwright.nn.sage import StackedSAGE
from graphwright.nn.stacked import stacked_dropout
from graphwright.tasks.nas.model_configs import Conv, Direction
from graphwright.tasks.nas.models.inputs import side_by_side

__all__ = ["ConvEncoder", "copies_of"]

_CONVS: dict[Conv, type[nn.Module]] = {
    "gcn": StackedGCN,
    "gin": StackedGIN,
    "gat": StackedGAT,
    "sage": StackedSAGE,
}


def copies_of(members: int, direction: Direction) -> int:
    """C: in both directions every member has two encoders."""
    return 2 * members if direction == "bidirectional" else members


class ConvEncoder(nn.Module):
    """num_layers x [convolution, relu, dropout], then the mean over the nodes.

    Args:
        conv: name of the convolution.
        members: M.
        in_dim: features of a node.
        dim: D.
        num_layers: convolutions.
        direction: along the edges, against them, or an encoder of its own for each.
        dropout: share of the features that are zeroed in training.
    """

    def __init__(
        self,
        conv: Conv,
        members: int,
        in_dim: int,
        dim: int,
        num_layers: int,
        *,
        direction: Direction,
        dropout: float,
    ) -> None:
        super().__init__()
        self.members, self.dropout = members, dropout
        forward = 0 if direction == "reverse" else members
        reverse = 0 if direction == "forward" else members
        self.stacker = GraphStacker(forward=forward, reverse=reverse)
        self.out_dim = dim * (forward + reverse) // members
        widths = [in_dim, *[dim] * num_layers]
        layers = (_CONVS[conv](forward + reverse, *pair) for pair in pairwise(widths))
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, batch: GraphBatch) -> Tensor:
        """`[C, N, in_dim]`, or `[N, in_dim]` that all copies share, to `[M, B, out_dim]`."""
        graphs = self.stacker(batch)
        for layer in self.layers:
            x = stacked_dropout(layer(x, graphs).relu(), self.dropout, self.training)
        return side_by_side(graphs.pool_mean(x), self.members)

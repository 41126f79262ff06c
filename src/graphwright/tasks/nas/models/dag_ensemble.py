"""The default predictor: an ensemble that reads a graph both ways, and its structure in numbers.

Every member has two graph isomorphism networks, one along the edges and one against them (as in
FR-NAS, https://arxiv.org/abs/2404.15622), and a single head over both and over the global features.
With a hundred labels those features decide (`wiring.py`, https://arxiv.org/abs/2404.16551); the
networks add what they do not count, the more so the more labels there are.

Each encoder: num_layers x [GIN, batch normalisation, relu], mean over the nodes. Legend: M =
members, C = 2 M, B = architectures, D = features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.dag import GraphStacker
from graphwright.nn.gin import StackedGINEncoder
from graphwright.nn.stacked import StackedLinear, stacked_dropout
from graphwright.tasks.nas.model_configs import DagEnsembleConfig
from graphwright.tasks.nas.models.inputs import OneHotNodes, Sizes, with_features
from graphwright.tasks.nas.models.predicted import Predicted

__all__ = ["MODEL", "DagEnsembleModel"]

# A structure that no training architecture came near is not further away than this.
_FARTHEST = 4.0


class DagEnsembleModel(nn.Module):
    """Members differ by their initial weights alone; their spread is the uncertainty.

    Args:
        config: sizes.
        sizes: of input and output.
    """

    def __init__(self, config: DagEnsembleConfig, sizes: Sizes) -> None:
        super().__init__()
        members, dim = config.members, config.hidden_dim
        self.dropout = config.dropout
        self.stacker = GraphStacker(forward=members, reverse=members)
        self.inputs = OneHotNodes(sizes)
        width, layers = self.inputs.width, config.num_layers
        self.encoders = StackedGINEncoder(2 * members, width, dim, layers, relu=True)
        self.hidden = StackedLinear(members, 2 * dim + sizes.graph, config.head_dim)
        self.out = StackedLinear(members, config.head_dim, sizes.outputs)

    def forward(self, batch: GraphBatch) -> Predicted:
        """Values of every member, and the embeddings of both encoders."""
        pooled_CBD = self.encoders.pooled(self.inputs(batch), self.stacker(batch))
        forward_MBD, reverse_MBD = pooled_CBD.chunk(2)
        return Predicted(self._head(forward_MBD, reverse_MBD, batch), forward_MBD, reverse_MBD)

    def _head(self, forward_MBD: Tensor, reverse_MBD: Tensor, batch: GraphBatch) -> Tensor:
        graph_MBD = torch.cat([forward_MBD, reverse_MBD], dim=2)
        # features have a scale, but no bounds
        known_MBD = with_features(graph_MBD, batch).clamp(-_FARTHEST, _FARTHEST)
        hidden_MBD = self.hidden(known_MBD).relu()
        values_MBT: Tensor = self.out(stacked_dropout(hidden_MBD, self.dropout, self.training))
        return values_MBT


MODEL = DagEnsembleModel

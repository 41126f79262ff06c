"""FR-NAS: two graph isomorphism networks, one along the edges and one against them.

Zhang & Cheng, "FR-NAS: Forward-and-Reverse Graph Predictor for Efficient Neural Architecture
Search", IJCNN 2024, https://arxiv.org/abs/2404.15622.

Each encoder: num_layers x [GIN, batch normalisation], mean over the nodes, linear, relu, linear.
The prediction is the mean of both. Legend: M = members, C = 2 M, B = architectures, D = features.
"""

from __future__ import annotations

import torch
from torch import nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.dag import GraphStacker
from graphwright.nn.gin import StackedGINEncoder
from graphwright.nn.stacked import StackedMLP
from graphwright.tasks.nas.model_configs import FRNASConfig
from graphwright.tasks.nas.models.inputs import OneHotNodes, Sizes, with_features
from graphwright.tasks.nas.models.predicted import Predicted

__all__ = ["MODEL", "FRNASModel"]

_PAPER_SCALE, _PAPER_DROPOUT = 20.0, 0.1


class FRNASModel(nn.Module):
    """Both encoders of every member are trained at once, as 2 M copies of one network.

    Args:
        config: sizes. With `paper` the output is 20 times a sigmoid, as published: labels must
            then lie between 0 and 20 (errors in percent, not standardised), and the hidden layer of
            the head has dropout 0.1.
        sizes: of input and output.
    """

    def __init__(self, config: FRNASConfig, sizes: Sizes) -> None:
        super().__init__()
        self.members, self.paper = config.members, config.paper
        copies, dim = 2 * config.members, config.hidden_dim
        self.stacker = GraphStacker(forward=config.members, reverse=config.members)
        self.inputs = OneHotNodes(sizes)
        self.encoder = StackedGINEncoder(copies, self.inputs.width, dim, config.num_layers)
        self.head = StackedMLP(
            copies,
            dim + sizes.graph,
            config.head_dim,
            sizes.outputs,
            dropout=_PAPER_DROPOUT if config.paper else 0.0,
        )

    def forward(self, batch: GraphBatch) -> Predicted:
        """Values of every member, and the embeddings of both encoders."""
        pooled_CBD = self.encoder.pooled(self.inputs(batch), self.stacker(batch))
        values_CBT = self.head(with_features(pooled_CBD, batch))
        if self.paper:
            values_CBT = _PAPER_SCALE * values_CBT.sigmoid()
        values_MBT = torch.unflatten(values_CBT, 0, (2, -1)).mean(0)
        return Predicted(values_MBT, *pooled_CBD.chunk(2))


MODEL = FRNASModel

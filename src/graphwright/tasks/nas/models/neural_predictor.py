"""The Neural Predictor: Wen et al., "Neural Predictor for Neural Architecture Search", ECCV 2020,
https://arxiv.org/abs/1912.00848.

num_layers x [directed convolution (`nn/directed.py`), dropout], mean over the nodes, linear, relu,
dropout, linear.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.dag import GraphStacker
from graphwright.nn.directed import StackedDirected
from graphwright.nn.stacked import StackedLinear, stacked_dropout
from graphwright.tasks.nas.model_configs import NeuralPredictorConfig
from graphwright.tasks.nas.models.inputs import OneHotNodes, Sizes, with_features
from graphwright.tasks.nas.models.predicted import Predicted

__all__ = ["MODEL", "NeuralPredictorModel"]


class NeuralPredictorModel(nn.Module):
    """Its first stage, who is feasible at all, is `data.labels.feasibility`.

    Args:
        config: sizes.
        sizes: of input and output.
    """

    def __init__(self, config: NeuralPredictorConfig, sizes: Sizes) -> None:
        super().__init__()
        members, dim = config.members, config.hidden_dim
        self.dropout = config.dropout
        self.stacker = GraphStacker(forward=members, reverse=members)
        self.inputs = OneHotNodes(sizes)
        widths = [self.inputs.width, *[dim] * config.num_layers]
        self.layers = nn.ModuleList(StackedDirected(members, *pair) for pair in pairwise(widths))
        self.hidden = StackedLinear(members, dim + sizes.graph, config.head_dim)
        self.out = StackedLinear(members, config.head_dim, sizes.outputs)

    def forward(self, batch: GraphBatch) -> Predicted:
        """Values of every member."""
        graphs = self.stacker(batch)
        x = self.inputs(batch)
        for layer in self.layers:
            x = stacked_dropout(layer(x, graphs), self.dropout, self.training)
        hidden = self.hidden(with_features(graphs.pool_mean(x), batch)).relu()
        return Predicted(self.out(stacked_dropout(hidden, self.dropout, self.training)))


MODEL = NeuralPredictorModel

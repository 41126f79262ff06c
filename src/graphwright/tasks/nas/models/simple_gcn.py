"""The original predictor: two graph convolutions over one-hot operations, mean, linear.

With `conv` another convolution takes their place: gin, gat or sage.
"""

from __future__ import annotations

from torch import nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.stacked import StackedLinear
from graphwright.tasks.nas.model_configs import SimpleGCNConfig
from graphwright.tasks.nas.models.convolutions import ConvEncoder
from graphwright.tasks.nas.models.inputs import OneHotNodes, Sizes, with_features
from graphwright.tasks.nas.models.predicted import Predicted

__all__ = ["MODEL", "SimpleGCNModel"]


class SimpleGCNModel(nn.Module):
    """The honest reference.

    Args:
        config: sizes.
        sizes: of input and output.
    """

    def __init__(self, config: SimpleGCNConfig, sizes: Sizes) -> None:
        super().__init__()
        self.inputs = OneHotNodes(sizes)
        self.encoder = ConvEncoder(
            config.conv,
            config.members,
            self.inputs.width,
            config.hidden_dim,
            config.num_layers,
            direction=config.direction,
            dropout=config.dropout,
        )
        self.out = StackedLinear(config.members, self.encoder.out_dim + sizes.graph, sizes.outputs)

    def forward(self, batch: GraphBatch) -> Predicted:
        """Values of every member."""
        pooled_MBD = self.encoder(self.inputs(batch), batch)
        return Predicted(self.out(with_features(pooled_MBD, batch)))


MODEL = SimpleGCNModel

"""The original predictor of traced networks: embedded operation types beside hyperparameters.

Embedding, hyperparameters and their presence, then graph convolutions, mean, linear. With `conv`
another convolution takes their place: gin, gat or sage.
"""

from __future__ import annotations

from torch import nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.stacked import StackedLinear
from graphwright.tasks.nas.model_configs import CombinedGCNConfig
from graphwright.tasks.nas.models.convolutions import ConvEncoder, copies_of
from graphwright.tasks.nas.models.inputs import EmbeddedNodes, Sizes, with_features
from graphwright.tasks.nas.models.predicted import Predicted

__all__ = ["MODEL", "CombinedGCNModel"]


class CombinedGCNModel(nn.Module):
    """Each encoder has an embedding of its own.

    Args:
        config: sizes.
        sizes: of input and output.
    """

    def __init__(self, config: CombinedGCNConfig, sizes: Sizes) -> None:
        super().__init__()
        copies = copies_of(config.members, config.direction)
        self.inputs = EmbeddedNodes(copies, sizes, config.embedding_dim)
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


MODEL = CombinedGCNModel

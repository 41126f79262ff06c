"""What is trained and shipped: a network of any kind, asked for a score between 0 and 1.

An alarm is a score above 0.5: a probability for classifiers and fusions, and for a VGAE its
anomaly, which is 0.5 at the quantile of benign windows that the configuration asks for.

Legend: B = windows.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.tasks.canbus.fusion.model import FusionModel
from graphwright.tasks.canbus.models.gat import GATModel, attack_probability
from graphwright.tasks.canbus.models.vgae import VGAEModel

__all__ = ["ALARM", "CanbusModel", "score_of"]

ALARM = 0.5


class CanbusModel(nn.Module):
    """A network with its score.

    Args:
        network: VGAE, GAT or fusion.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: GraphBatch) -> Any:
        """The network's own output of a batch of windows."""
        if isinstance(self.network, FusionModel):
            return self.network.score(batch)
        return self.network(batch)

    def scores(self, batch: GraphBatch) -> dict[str, Tensor]:
        """`score` `[B]`; of a fusion also those of its parts."""
        if isinstance(self.network, FusionModel):
            fusion = self.network
            states_BS = fusion.states(batch)
            anomaly_B, attack_B = fusion.head.scores(states_BS)
            return {"score": fusion(states_BS), "vgae": anomaly_B, "gat": attack_B}
        return {"score": score_of(self.network, batch)}


def score_of(network: nn.Module, batch: GraphBatch) -> Tensor:
    """Anomaly of a VGAE, probability of an attack of a GAT: `[B]` in 0 to 1."""
    if isinstance(network, VGAEModel):
        return network.anomaly(batch)
    assert isinstance(network, GATModel)
    return attack_probability(network(batch).logits)

"""The loss of a batch of windows: a mean over windows, whatever kind of network is trained.

Legend: B = windows.
"""

from __future__ import annotations

from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.segment import pool_mean
from graphwright.tasks.canbus.config import CanbusConfig
from graphwright.tasks.canbus.distill import Teacher, distillation_loss
from graphwright.tasks.canbus.fusion.model import FusionModel
from graphwright.tasks.canbus.losses import classifier_loss, vgae_loss
from graphwright.tasks.canbus.model_configs import GATConfig, VGAEConfig
from graphwright.tasks.canbus.models.gat import GATOutput
from graphwright.tasks.canbus.models.vgae import VGAEOutput

__all__ = ["objective"]


def objective(
    network: nn.Module, batch: GraphBatch, config: CanbusConfig, teacher: Teacher | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Scalar loss, and metrics that are means over windows.

    Args:
        network: VGAE, GAT or fusion.
        batch: windows with their labels.
        config: losses and distillation.
        teacher: None: the task's own loss alone, as in validation.
    """
    if isinstance(network, FusionModel):
        step = network.step(batch)
        return step.loss, dict(step.metrics)
    output = network(batch)
    own = _own_loss(output, batch, config).mean()
    if teacher is None:
        return own, {}
    taught = distillation_loss(network, output, teacher(batch), batch, config.distillation)
    alpha = config.distillation.alpha
    return alpha * taught + (1 - alpha) * own, {"own": own.detach(), "taught": taught.detach()}


def _own_loss(output: VGAEOutput | GATOutput, batch: GraphBatch, config: CanbusConfig) -> Tensor:
    """`[B]`."""
    if isinstance(output, GATOutput):
        assert isinstance(config.model, GATConfig)
        label_B = batch.graphs["label"]
        loss_B = classifier_loss(output.logits, label_B, config.model)
        if output.strange is None:
            return loss_B
        # both heads see all windows; the second one's gradient meets no weight of the first
        return loss_B + classifier_loss(output.strange, label_B, config.model)
    assert isinstance(config.model, VGAEConfig)
    return pool_mean(vgae_loss(output, config.model), batch.node_ptr)

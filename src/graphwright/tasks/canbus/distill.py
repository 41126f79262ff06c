"""A student learns from a teacher: what it adds to the loss of its own task.

loss = alpha x distillation + (1 - alpha) x task, in both methods.

`standard` (Hinton et al., https://arxiv.org/abs/1503.02531)
    GAT: T^2 KL(softmax(teacher / T) ‖ softmax(student / T)) over the classes of each window.
    VGAE: squared distance of the latent means, the student's through a trained linear projection,
    plus that of the reconstructions.

`topology_preserving` keeps what does not depend on the student's width, and replaces the rest by
the structure of the embeddings:
    GAT: the same KL + structure. VGAE: the distance of the reconstructions + structure.
    structure = mean over edges (s_ij - t_ij)^2 + mean over pairs of windows (S_ab - T_ab)^2.
    s_ij, t_ij: cosine of the student's and the teacher's embeddings of the two ends of an edge;
    S_ab, T_ab: of the mean embeddings of two windows of the batch. All embeddings are centred on
    the batch first: activations are mostly positive, and every cosine would be close to 1.
    So neighbours that are alike for the teacher become alike for the student (local; in the spirit
    of Yang et al., https://arxiv.org/abs/2003.10477), and so do windows (global; Tung & Mori,
    https://arxiv.org/abs/1907.09682). Rotating or scaling either space changes nothing.

Legend: B = windows, N = nodes, E = edges, D = features, C = classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, mse_loss, normalize

from graphwright.data.batch import GraphBatch
from graphwright.errors import ConfigError
from graphwright.nn.across_ranks import gather_rows, is_shared, pooled_mean
from graphwright.nn.segment import pool_mean
from graphwright.tasks.canbus.model_configs import DistillationConfig
from graphwright.tasks.canbus.models.gat import GATOutput, two_logits
from graphwright.tasks.canbus.models.vgae import VGAEModel, VGAEOutput

__all__ = ["Teacher", "distillation_loss", "soft_targets", "structure_loss"]


class Teacher:
    """A trained model that never changes: no gradient, always in evaluation mode.

    Not a module, so that no optimizer, checkpoint or `train()` of the student ever meets it.

    Args:
        model: its parameters are frozen.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model.requires_grad_(False).eval()

    @torch.no_grad()
    def __call__(self, batch: GraphBatch) -> Any:
        """The model's output of a batch."""
        self._model.to(batch.device)
        return self._model(batch)


def distillation_loss(
    model: nn.Module,
    student: GATOutput | VGAEOutput,
    teacher: GATOutput | VGAEOutput,
    batch: GraphBatch,
    config: DistillationConfig,
) -> Tensor:
    """What is to be weighted by alpha: a scalar.

    Args:
        model: the student; of a VGAE with `standard` its projection is used.
        student, teacher: outputs for the batch.
        batch: what both have read.
        config: the method ("no" is not one) and its temperature.

    Raises:
        ConfigError: the outputs are of different kinds, or a VGAE has no projection.
    """
    whole = config.method == "topology_preserving"
    if isinstance(student, GATOutput) and isinstance(teacher, GATOutput):
        soft = soft_targets(student.logits, teacher.logits, config.temperature).mean()
        return soft + structure_loss(student.nodes, teacher.nodes, batch) if whole else soft
    if not isinstance(student, VGAEOutput) or not isinstance(teacher, VGAEOutput):
        raise ConfigError("a student learns from a teacher of its own kind: a GAT or a VGAE")
    nodes = len(student.mean)
    rebuilt = pooled_mean(mse_loss(student.reconstructed, teacher.reconstructed), nodes)
    if whole:
        return rebuilt + structure_loss(student.mean, teacher.mean, batch)
    if not isinstance(model, VGAEModel) or model.projection is None:
        raise ConfigError(
            "this student has no projection to its teacher's latent space",
            fix='build it with state["teacher_latent"]',
        )
    return rebuilt + pooled_mean(mse_loss(model.projection(student.mean), teacher.mean), nodes)


def soft_targets(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher / T) ‖ softmax(student / T)) of each row, over its classes: `[B]`.

    Args:
        student, teacher: logits `[B, C]`; one column is an attack's logit against 0.
        temperature: T.
    """
    ours_BC = (two_logits(student) / temperature).log_softmax(1)
    theirs_BC = (two_logits(teacher) / temperature).log_softmax(1)
    divergence_BC = kl_div(ours_BC, theirs_BC, reduction="none", log_target=True)
    return temperature**2 * divergence_BC.sum(1)


def structure_loss(student_ND: Tensor, teacher_ND: Tensor, batch: GraphBatch) -> Tensor:
    """How differently both embeddings place neighbours and windows, a scalar in 0..8.

    Args:
        student_ND, teacher_ND: embeddings of the same nodes, of any widths.
        batch: whose edges and windows they are.
    """
    local = [_along_edges(x, batch) for x in (student_ND, teacher_ND)]
    among = [_among_windows(x, batch) for x in (student_ND, teacher_ND)]
    loss = mse_loss(among[0], among[1])
    if not (batch.num_edges or is_shared()):
        return loss
    return loss + pooled_mean(mse_loss(local[0], local[1]), batch.num_edges)


def _along_edges(x_ND: Tensor, batch: GraphBatch) -> Tensor:
    unit_ND = _directions(x_ND)
    source, target = batch.edge_index
    return (unit_ND.index_select(0, source) * unit_ND.index_select(0, target)).sum(1)


def _among_windows(x_ND: Tensor, batch: GraphBatch) -> Tensor:
    unit_BD = _directions(gather_rows(pool_mean(x_ND, batch.node_ptr)), whole=True)
    return unit_BD @ unit_BD.t()


def _directions(x_RD: Tensor, *, whole: bool = False) -> Tensor:
    """Unit vectors of the rows, centred on the batch, of which `whole` says they are all."""
    mean_D = x_RD.mean(0) if whole else pooled_mean(x_RD.mean(0), len(x_RD))
    return normalize(x_RD - mean_D, dim=1)

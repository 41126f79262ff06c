"""Losses of the canbus models: pure functions with one value a row; the caller reduces.

Legend: B = windows, N = nodes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from graphwright.tasks.canbus.model_configs import GATConfig, VGAEConfig
from graphwright.tasks.canbus.models.gat import two_logits
from graphwright.tasks.canbus.models.vgae import VGAEOutput, node_errors

__all__ = ["classifier_loss", "focal_loss", "vgae_loss", "weighted_cross_entropy"]


def classifier_loss(logits: Tensor, label_B: Tensor, config: GATConfig) -> Tensor:
    """The loss that a GAT's configuration names, `[B]`.

    Args:
        logits: `[B, 2]`, or `[B, 1]` of the attack class against 0.
        label_B: 0 benign, 1 attack; any integer type.
        config: names the loss and its weights.
    """
    logits_B2, label_B = two_logits(logits), label_B.long()
    if config.loss == "ce":
        return cross_entropy(logits_B2, label_B, reduction="none")
    if config.loss == "weighted_ce":
        return weighted_cross_entropy(logits_B2, label_B, config.attack_weight)
    return focal_loss(logits_B2, label_B, config.focal_gamma, config.attack_weight)


def weighted_cross_entropy(logits_B2: Tensor, label_B: Tensor, attack_weight: float) -> Tensor:
    """-w log p of the true class `[B]`; w is `attack_weight` for attacks and 1 for benign ones."""
    loss_B = cross_entropy(logits_B2, label_B, reduction="none")
    return torch.where(label_B > 0, attack_weight * loss_B, loss_B)


def focal_loss(
    logits_B2: Tensor, label_B: Tensor, gamma: float, attack_weight: float = 1.0
) -> Tensor:
    """-w (1 - p)^gamma log p of the true class `[B]`: Lin et al., https://arxiv.org/abs/1708.02002."""
    loss_B = cross_entropy(logits_B2, label_B, reduction="none")
    # 1 - exp(-loss) is 1 - p without a second softmax, and exact where p is close to 1
    focus_B = (-torch.expm1(-loss_B)).pow(gamma)
    return focus_B * weighted_cross_entropy(logits_B2, label_B, attack_weight)


def vgae_loss(output: VGAEOutput, config: VGAEConfig) -> Tensor:
    """MSE + id_weight CE(id) + neighbour_weight BCE(neighbours) + kl_weight KL, of each node `[N]`.

    Without ids (`id_free`) the two terms of the ids are left out.
    """
    weights = {
        "features": 1.0,
        "id": config.id_weight,
        "neighbours": config.neighbour_weight,
        "kl": config.kl_weight,
    }
    errors = node_errors(output)
    parts = [weight * errors[name] for name, weight in weights.items() if name in errors]
    return torch.stack(parts).sum(0)

"""Losses against plain formulas."""

import dataclasses

import pytest
import torch
from model_windows import window_batch, window_state

from graphwright.tasks.canbus.build import build_model
from graphwright.tasks.canbus.losses import classifier_loss, vgae_loss
from graphwright.tasks.canbus.model_configs import GATConfig, VGAEConfig
from graphwright.tasks.canbus.models.vgae import node_errors

LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.5], [-3.0, 4.0], [1.0, 0.0]], dtype=torch.float64)
LABEL = torch.tensor([0, 1, 1, 1], dtype=torch.uint8)
P = LOGITS.softmax(1)[torch.arange(4), LABEL.long()]
W = torch.tensor([1.0, 5.0, 5.0, 5.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("config", "want"),
    [
        (GATConfig(loss="ce"), -P.log()),
        (GATConfig(loss="weighted_ce", attack_weight=5.0), -W * P.log()),
        (
            GATConfig(loss="focal", attack_weight=5.0, focal_gamma=2.0),
            -W * (1 - P) ** 2 * P.log(),
        ),
        (GATConfig(loss="focal", focal_gamma=0.0), -P.log()),
    ],
)
def test_classifier_losses(config, want):
    torch.testing.assert_close(classifier_loss(LOGITS, LABEL, config), want)


def test_one_logit_is_a_binary_cross_entropy():
    logit = torch.tensor([-1.0, 0.3, 2.0, 9.0])
    want = torch.nn.functional.binary_cross_entropy_with_logits(
        logit, LABEL.float(), reduction="none"
    )
    torch.testing.assert_close(classifier_loss(logit[:, None], LABEL, GATConfig()), want)


def test_a_certain_focal_loss_has_a_finite_gradient():
    logits = torch.tensor([[0.0, 100.0]], requires_grad=True)
    loss = classifier_loss(logits, torch.tensor([1]), GATConfig(loss="focal"))
    loss.sum().backward()
    assert loss.item() == 0
    assert logits.grad.isfinite().all()


def outputs(id_free=False):
    torch.manual_seed(0)
    config = VGAEConfig(hidden_dims=(8,), latent_dim=3)
    model = build_model(config, window_state(id_free=id_free)).eval()
    return config, model(window_batch())


def test_vgae_loss_is_the_published_sum():
    config, out = outputs()
    square = (out.reconstructed - out.features).pow(2).mean(1)
    id_error = -out.id_logits.log_softmax(1).gather(1, out.ids[:, None])[:, 0]
    p = out.neighbour_logits.sigmoid()
    binary = -(out.neighbours * p.log() + (1 - out.neighbours) * (1 - p).log()).mean(1)
    kl = -0.5 * (1 + out.log_variance - out.mean**2 - out.log_variance.exp()).mean(1)
    want = square + 0.1 * id_error + 0.05 * binary + 0.01 * kl
    torch.testing.assert_close(vgae_loss(out, config), want)


def test_weights_of_the_vgae_loss_count():
    config, out = outputs()
    only = dataclasses.replace(config, id_weight=0.0, neighbour_weight=0.0, kl_weight=0.0)
    torch.testing.assert_close(vgae_loss(out, only), node_errors(out)["features"])


def test_without_ids_their_terms_are_left_out():
    config, out = outputs(id_free=True)
    errors = node_errors(out)
    assert list(errors) == ["features", "kl"]
    torch.testing.assert_close(vgae_loss(out, config), errors["features"] + 0.01 * errors["kl"])


def test_kl_is_that_of_torch():
    _, out = outputs()
    drawn = torch.distributions.Normal(out.mean, (out.log_variance / 2).exp())
    want = torch.distributions.kl_divergence(drawn, torch.distributions.Normal(0.0, 1.0)).mean(1)
    torch.testing.assert_close(node_errors(out)["kl"], want)

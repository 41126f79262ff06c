"""Fusion: rewards, heads behind one interface, frozen parts, exploration."""

import dataclasses

import pytest
import torch
from model_windows import KNOWN, window_batch, window_state

from graphwright.errors import ConfigError
from graphwright.tasks.canbus.build import build_model, parameter_count
from graphwright.tasks.canbus.fusion.heads import build_head
from graphwright.tasks.canbus.fusion.reward import mixtures, reward
from graphwright.tasks.canbus.model_configs import (
    FUSIONS,
    BanditConfig,
    DQNConfig,
    GATConfig,
    VGAEConfig,
)

VGAE = VGAEConfig(hidden_dims=(8,), latent_dim=3)
GAT = GATConfig(head_dim=4, heads=1, num_layers=1, fc_layers=1)
WIDTH, CLASSIFIER = 6, 3
QUICK = DQNConfig(epsilon_decay_steps=60)
HEADS = [*(c for c in FUSIONS.values() if c.name != "dqn"), QUICK]


def parts():
    state = window_state()
    return {
        "parts": {
            "vgae": {"config": dataclasses.asdict(VGAE), "state": state},
            "gat": {"config": dataclasses.asdict(GAT), "state": state},
        }
    }


def states(windows=256, seed=0):
    """The third number says which of both scores is to be believed."""
    generator = torch.Generator().manual_seed(seed)
    label = (torch.rand(windows, generator=generator) < 0.4).long()
    right = torch.where(label > 0, 0.9, 0.1)
    blind = torch.rand(windows, generator=generator) < 0.5
    noise = torch.rand(windows, generator=generator)
    found = torch.zeros(windows, WIDTH)
    found[:, 0] = torch.where(blind, noise, right)
    found[:, CLASSIFIER] = torch.where(blind, right, noise)
    found[:, 2] = torch.where(blind, 4.0, -4.0)
    return found, label


def trained(config, steps=300, seed=0):
    torch.manual_seed(seed)
    head = build_head(config, WIDTH, CLASSIFIER, seed)
    optimizer = torch.optim.AdamW([p for p in head.parameters() if p.requires_grad], 5e-3)
    for step in range(steps):
        optimizer.zero_grad()
        done = head.step(*states(seed=step % 20))
        done.loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
    return head.eval()


def accuracy(head):
    found, label = states(windows=2000, seed=99)
    return ((head(found) > 0.5) == (label > 0)).float().mean().item()


def test_rewards_by_hand():
    alpha = mixtures(3)
    got = reward(torch.tensor([0.9, 0.9]), torch.tensor([0.3, 0.3]), torch.tensor([1, 0]), alpha)
    # fused: 0.9, 0.6, 0.3; agreement 0.4; balance 0, 1, 0
    right = [3 + 0.4 + 0.5 * 0.9, 3 + 0.4 + 0.5 * 0.6 + 0.3, -3 - 0.6 - 1.5 * 0.4]
    wrong = [-3 - 0.6 - 1.5 * 0.8, -3 - 0.6 - 1.5 * 0.2 + 0.3, 3 + 0.4 + 0.5 * 0.7]
    torch.testing.assert_close(got, torch.tensor([right, wrong]))


def test_21_mixtures():
    assert mixtures(21).tolist() == pytest.approx([i / 20 for i in range(21)])


@pytest.mark.parametrize("config", HEADS, ids=lambda c: c.name)
def test_every_head_trains_and_gives_scores(config):
    head = trained(config)
    found, label = states(seed=50)
    fused = head(found)
    assert fused.shape == (256,)
    assert ((fused >= 0) & (fused <= 1)).all()
    done = head.step(found, label)
    want = torch.nn.functional.binary_cross_entropy(fused.clamp(1e-6, 1 - 1e-6), label.float())
    torch.testing.assert_close(done.loss, want)
    assert not done.loss.requires_grad
    again = build_head(config, WIDTH, CLASSIFIER, 0)
    again.load_state_dict(head.state_dict())
    assert torch.equal(again.eval()(found), fused)


@pytest.mark.parametrize("config", [QUICK, BanditConfig(), FUSIONS["mlp"]], ids=lambda c: c.name)
def test_heads_learn_whom_to_believe(config):
    assert accuracy(trained(config)) > 0.97
    assert accuracy(trained(FUSIONS["average"])) < 0.93


@pytest.mark.parametrize("config", HEADS, ids=lambda c: c.name)
def test_training_repeats_itself_by_seed(config):
    first, second = trained(config, steps=20, seed=3), trained(config, steps=20, seed=3)
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_epsilon_really_decays():
    head = build_head(QUICK, WIDTH, CLASSIFIER, 0)
    assert head.epsilon == 1.0
    greedy = torch.zeros(4000, dtype=torch.int64)
    assert (head.explore(greedy) != 0).float().mean() == pytest.approx(20 / 21, abs=0.02)
    head.steps += 600
    assert head.epsilon == pytest.approx(0.05, abs=1e-3)
    assert (head.explore(greedy) != 0).float().mean() == pytest.approx(0.05, abs=0.02)


def test_dqn_moves_only_what_it_tried_and_its_target_follows():
    head = build_head(DQNConfig(target_rate=0.5), WIDTH, CLASSIFIER, 0)
    before = head.target[0].weight.clone()
    with torch.no_grad():
        head.online[0].weight.add_(1)
    head.step(*states())
    torch.testing.assert_close(head.target[0].weight, before + 0.5)
    assert head.steps.item() == 1
    assert not any(p.requires_grad for p in head.target.parameters())


def test_double_q_learning_with_a_discount():
    torch.manual_seed(0)
    head = build_head(DQNConfig(discount=0.5), WIDTH, CLASSIFIER, 0)
    with torch.no_grad():
        head.target[0].weight.mul_(2)
    found, _ = states(windows=4)
    after = head.context(found.roll(-1, 0))
    choice = head.online(after).argmax(1)
    want = head.target(after)[torch.arange(4), choice]
    torch.testing.assert_close(head._next_values(found)[:, 0], want)


def test_linucb_is_ridge_regression_of_what_was_tried():
    head = build_head(BanditConfig(actions=2, exploration=0.5, ridge=2.0), WIDTH, CLASSIFIER, 0)
    found, label = states(windows=50)
    head.step(found, label)
    x = torch.cat([head.context(found), torch.ones(50, 1)], 1).double()
    # all models are equal at first, so the first action is tried for every window
    earned = head.rewards(found, label)[:, 0].double()
    want = torch.linalg.solve(2 * torch.eye(7).double() + x.t() @ x, x.t() @ earned)
    torch.testing.assert_close(head.theta[0], want)
    assert (head.theta[1] == 0).all()
    far = torch.full((1, 7), 3.0, dtype=torch.float64)
    assert head._spread(far)[0, 1] > head._spread(far)[0, 0]


def test_average_takes_the_best_f1():
    head = trained(FUSIONS["average"], steps=20)
    found, label = (torch.cat(p) for p in zip(*(states(seed=s) for s in range(20)), strict=True))

    def f1(alpha):
        alarm = (1 - alpha) * found[:, 0] + alpha * found[:, CLASSIFIER] > 0.5
        hits = (alarm & (label > 0)).sum()
        return (2 * hits / (alarm.sum() + label.sum())).item()

    scores = [f1(alpha) for alpha in mixtures(21)]
    assert scores[int(head.best)] == pytest.approx(max(scores))


def test_fusion_carries_its_frozen_parts():
    torch.manual_seed(0)
    model = build_model(FUSIONS["mlp"], parts())
    model.train()
    assert not model.vgae.training
    assert not model.gat.training
    assert model.head.training
    trains = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trains == {"head"}
    assert parameter_count(model) > parameter_count(model.vgae) + parameter_count(model.gat)
    batch = window_batch()
    found = model.states(batch)
    assert found.shape == (6, model.head.width)
    torch.testing.assert_close(found[:, 0], model.vgae.anomaly(batch))
    before = {k: v.clone() for k, v in model.vgae.state_dict().items()}
    model.step(batch).loss.backward()
    assert all(torch.equal(v, before[k]) for k, v in model.vgae.state_dict().items())
    model.eval()
    scores = model.score(batch)
    batch.graphs["states"] = found
    torch.testing.assert_close(model.score(batch), scores)
    again = build_model(FUSIONS["mlp"], parts())
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again.eval().score(window_batch()), scores)


def test_max_is_the_larger_probability():
    torch.manual_seed(0)
    model = build_model(FUSIONS["max"], parts()).eval()
    found = model.states(window_batch())
    column = model.vgae.summary_dim
    torch.testing.assert_close(model(found), torch.maximum(found[:, 0], found[:, column]))


def test_a_missing_part_is_told():
    with pytest.raises(ConfigError, match="no part 'vgae'"):
        build_model(FUSIONS["max"], {"parts": {}})


@pytest.mark.parametrize("name", list(FUSIONS))
def test_windows_of_an_unknown_vehicle_get_the_classifiers_score(name):
    torch.manual_seed(0)
    found = parts()
    found["parts"]["gat"]["config"] |= {"window_stats": True, "pool": "mean_max"}
    model = build_model(FUSIONS[name], found).eval()
    batch = window_batch(windows=20)
    batch.nodes["id"] = torch.tensor(KNOWN)[torch.arange(batch.num_nodes) % len(KNOWN)]
    states = model.states(batch)
    torch.testing.assert_close(model(states), model.head(states))
    batch.nodes["id"] = torch.arange(batch.num_nodes) + 2**20
    states = model.states(batch)
    classifier = model.gat(batch)
    torch.testing.assert_close(model(states), classifier.strange.softmax(1)[:, 1])
    assert not torch.equal(model(states), model.head(states)) or name == "average"

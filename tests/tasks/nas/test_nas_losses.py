"""Losses against slow loops in numpy, and what is not valid takes no part."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graphwright.tasks.nas import losses

RANKING = {
    "mse": losses.mse,
    "pairwise_hinge": losses.pairwise_hinge,
    "list_mle": losses.list_mle,
    "warp": losses.warp,
}


def _slow(name: str, y: np.ndarray, t: np.ndarray, margin: float = 0.1) -> float:
    """Of one member, over valid labels only."""
    n = len(t)
    if name == "mse":
        return float(np.mean((y - t) ** 2)) if n else 0.0
    pairs = [(i, j) for i in range(n) for j in range(n) if t[i] > t[j]]
    hinge = {(i, j): max(0.0, margin - (y[i] - y[j])) for i, j in pairs}
    if name == "pairwise_hinge":
        return sum(hinge.values()) / max(1, len(pairs))
    if name == "warp":
        total = 0.0
        for i in range(n):
            falls = [value for (k, _), value in hinge.items() if k == i and value > 0]
            if falls:
                total += sum(1 / k for k in range(1, len(falls) + 1)) / len(falls) * sum(falls)
        return total / max(1, n)
    order = np.argsort(-t, kind="stable")
    terms = [y[i] - math.log(sum(math.exp(y[k]) for k in order[p:])) for p, i in enumerate(order)]
    return -sum(terms) / max(1, n)


@pytest.mark.parametrize("name", RANKING)
@pytest.mark.parametrize("share", [1.0, 0.6, 0.0])
def test_equals_a_slow_loop_over_the_valid_labels(name, share):
    rng = np.random.default_rng(0)
    predicted, label = rng.normal(size=(3, 12)), rng.normal(size=12)
    label[5] = label[2]  # a tie
    valid = (rng.random(12) < share).astype(float)
    known = np.flatnonzero(valid)
    tensors = [torch.tensor(array) for array in (predicted, label, valid)]
    got = RANKING[name](*tensors)
    want = [_slow(name, row[known], label[known]) for row in predicted]
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64))


@pytest.mark.parametrize("name", RANKING)
def test_what_is_not_valid_has_no_influence_and_no_gradient(name):
    torch.manual_seed(0)
    valid = torch.tensor([1.0, 0, 1, 1, 0, 1])
    predicted = torch.randn(2, 6, requires_grad=True)
    label = torch.randn(6)
    other = label.clone()
    other[valid == 0] = 1e12
    loss = RANKING[name](predicted, label, valid)
    torch.testing.assert_close(loss, RANKING[name](predicted, other, valid))
    (grad,) = torch.autograd.grad(loss.sum(), predicted)
    assert grad.isfinite().all()
    assert not grad[:, valid == 0].any()
    assert grad[:, valid == 1].any()


@pytest.mark.parametrize("name", RANKING)
def test_gradients_numerically(name):
    torch.manual_seed(0)
    predicted = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    label, valid = torch.randn(5).double(), torch.tensor([1.0, 1, 0, 1, 1]).double()
    assert torch.autograd.gradcheck(lambda y: RANKING[name](y, label, valid), (predicted,))


@pytest.mark.parametrize("name", ["pairwise_hinge", "list_mle", "warp"])
def test_the_right_order_costs_less_than_the_wrong_one(name):
    label = torch.arange(8.0)
    right, wrong = 3 * label[None], -3 * label[None]
    ones = torch.ones(8)
    assert RANKING[name](right, label, ones) < RANKING[name](wrong, label, ones)


@pytest.mark.parametrize("name", RANKING)
def test_large_predictions_stay_finite(name):
    predicted = torch.tensor([[1e4, -1e4, 0.0, 1e4]], requires_grad=True)
    loss = RANKING[name](predicted, torch.arange(4.0), torch.tensor([1.0, 1, 1, 0]))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert predicted.grad.isfinite().all()


def _slow_relation(forward: np.ndarray, reverse: np.ndarray) -> float:
    size = len(forward)
    return sum(
        (np.linalg.norm(forward[i] - forward[j]) - np.linalg.norm(reverse[i] - reverse[j])) ** 2
        for i in range(size)
        for j in range(size)
    )


def test_relations_of_two_embeddings():
    rng = np.random.default_rng(0)
    forward, reverse = rng.normal(size=(2, 3, 6, 4))
    want = torch.tensor([_slow_relation(f, r) for f, r in zip(forward, reverse, strict=True)])
    pair = torch.tensor(forward), torch.tensor(reverse)
    torch.testing.assert_close(losses.distance_relation(*pair), want / 36)
    torch.testing.assert_close(losses.instance_relation(*pair), want / 6)


@pytest.mark.parametrize("relation", [losses.distance_relation, losses.instance_relation])
def test_gradients_of_relations_numerically(relation):
    torch.manual_seed(0)
    pair = [torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(relation, pair)


def test_equal_architectures_leave_the_relation_finite():
    forward = torch.ones(1, 4, 3, requires_grad=True)
    reverse = torch.randn(1, 4, 3, requires_grad=True)
    losses.distance_relation(forward, reverse).sum().backward()
    assert forward.grad.isfinite().all()
    assert reverse.grad.isfinite().all()


def test_feasibility_is_a_cross_entropy():
    logit, valid = torch.tensor([[0.0, 2.0], [-3.0, 50.0]]), torch.tensor([1.0, 0.0])
    chance = logit.double().sigmoid()
    want = -(chance[:, 0].log() + (-logit[:, 1].double()).sigmoid().log()) / 2
    torch.testing.assert_close(losses.feasibility(logit, valid).double(), want)


def test_the_operators_of_torch_compile_give_the_same(monkeypatch):
    torch.manual_seed(0)
    predicted, label = torch.randn(2, 6).double().requires_grad_(), torch.randn(6).double()
    valid = torch.tensor([1.0, 0, 1, 1, 0, 1]).double()
    pair = [torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]

    def run():
        total = losses.mse(predicted, label, valid) + losses.distance_relation(*pair)
        return total, torch.autograd.grad(total.sum(), [predicted, *pair])

    want = run()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(run(), want)

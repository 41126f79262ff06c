"""Losses of the genes task against plain formulas, and non-finite numbers by name."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.errors import DataError
from graphwright.tasks.genes.losses import (
    absolute,
    distribution_distance,
    gene_loss,
    log_cosh,
    squared,
)
from graphwright.tasks.genes.model_configs import LossConfig

ERRORS = st.floats(-300, 300, allow_nan=False)


@given(ERRORS)
@settings(max_examples=40, deadline=None)
def test_log_cosh_is_the_logarithm_of_cosh(error: float) -> None:
    got = log_cosh(torch.tensor(error, dtype=torch.float64), torch.tensor(0.0))
    assert float(got) == pytest.approx(math.log(math.cosh(error)), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("error", [-1e30, -1e4, 1e4, 1e30])
def test_log_cosh_does_not_overflow(error: float) -> None:
    value = torch.tensor(error, requires_grad=True)
    loss = log_cosh(value, torch.tensor(0.0))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(abs(error) - math.log(2), rel=1e-6)
    assert value.grad is not None
    assert float(value.grad) == math.copysign(1.0, error)


def test_gradient_of_log_cosh_is_tanh() -> None:
    error = torch.linspace(-6, 6, 101, dtype=torch.float64, requires_grad=True)
    log_cosh(error, torch.zeros_like(error)).sum().backward()
    assert error.grad is not None
    torch.testing.assert_close(error.grad, error.detach().tanh(), rtol=1e-12, atol=1e-12)


def test_gradients_numerically() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, label = torch.randn(2, 7, dtype=torch.float64, generator=generator)
    predicted.requires_grad_()
    for loss in (log_cosh, squared, absolute, distribution_distance):
        assert torch.autograd.gradcheck(loss, (predicted, label))


def test_distribution_distance_minds_the_spread_and_not_the_order() -> None:
    label = torch.tensor([0.0, 1.0, 2.0])
    assert float(distribution_distance(label.flip(0), label)) == 0
    # all at the mean: the mean squared distance from it
    assert float(distribution_distance(torch.ones(3), label)) == pytest.approx(2 / 3)


def test_the_loss_that_is_minimised() -> None:
    predicted, label = torch.tensor([[0.0], [3.0]]), torch.tensor([1.0, 1.0])
    assert float(gene_loss(predicted, label, LossConfig(name="mse"))) == pytest.approx(2.5)
    assert float(gene_loss(predicted, label, LossConfig(name="mae"))) == pytest.approx(1.5)
    expected = (math.log(math.cosh(1)) + math.log(math.cosh(2))) / 2
    assert float(gene_loss(predicted, label, LossConfig())) == pytest.approx(expected)
    both = LossConfig(name="mse", distribution=0.5)
    assert float(gene_loss(predicted, label, both)) == pytest.approx(2.5 + 0.5 * 2.5)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (4, 1)])
def test_shapes_that_would_broadcast_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="do not fit"):
        gene_loss(torch.zeros(shape), torch.zeros(3), LossConfig())

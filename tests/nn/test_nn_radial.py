"""Radial bases and cutoffs: values, limits and smoothness."""

import math

import pytest
import torch

from graphwright.nn.radial import BesselBasis, GaussianBasis, cosine_cutoff, polynomial_cutoff


@pytest.mark.parametrize("cut", [cosine_cutoff, polynomial_cutoff])
def test_cutoffs_fall_from_one_to_zero_and_stay_there(cut):
    value = cut(torch.linspace(0, 6, 61, dtype=torch.float64), 5.0)
    assert value[0] == 1.0
    assert bool((value[50:] == 0).all())
    assert bool((value[:51].diff() <= 0).all())


def test_polynomial_cutoff_is_flat_at_its_end():
    d = torch.tensor([5.0 - 1e-9], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(polynomial_cutoff(d, 5.0).sum(), d, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), d)
    assert abs(float(slope.detach())) < 1e-6
    assert abs(float(bend)) < 1e-6


def test_gaussians_peak_at_their_centres():
    basis = GaussianBasis(6, 5.0)
    value = basis(torch.arange(6.0))
    torch.testing.assert_close(value.diagonal(), torch.ones(6))
    assert float(value[0, 1]) == pytest.approx(math.exp(-0.5))


def test_bessel_functions_are_orthonormal_and_vanish_at_the_cutoff():
    basis = BesselBasis(4, 5.0).double()
    d = torch.linspace(1e-3, 5.0, 20001, dtype=torch.float64)
    value = basis(d)
    gram = torch.trapezoid(value[:, :, None] * value[:, None] * d[:, None, None] ** 2, d, dim=0)
    torch.testing.assert_close(gram, torch.eye(4, dtype=torch.float64), atol=2e-3, rtol=0)
    torch.testing.assert_close(value[-1], torch.zeros(4, dtype=torch.float64), atol=1e-6, rtol=0)


def test_bessel_functions_are_finite_at_distance_zero():
    basis = BesselBasis(3, 5.0)
    limit = math.sqrt(2 / 5) * math.pi / 5 * torch.arange(1, 4)
    torch.testing.assert_close(basis(torch.zeros(1))[0], limit)

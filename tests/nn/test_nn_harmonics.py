"""Spherical harmonics against e3nn, and their defining properties."""

import math

import pytest
import torch

from graphwright.nn.harmonics import spherical_harmonics


def units(count=50):
    x = torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return x / x.norm(dim=1, keepdim=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("degree", [0, 1, 2])
@pytest.mark.parametrize("normalization", ["integral", "norm"])
def test_equal_to_e3nn(degree, normalization):
    o3 = pytest.importorskip("e3nn.o3")
    want = o3.spherical_harmonics(
        list(range(degree + 1)), units(), normalize=False, normalization=normalization
    )
    got = spherical_harmonics(units(), degree, normalization=normalization)
    torch.testing.assert_close(got, want)


def test_integral_normalization_is_orthonormal_on_the_sphere():
    # A product of two harmonics of degree <= 2 is integrated exactly by this rule.
    nodes = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    heights = torch.tensor([-math.sqrt(0.6), 0.0, math.sqrt(0.6)], dtype=torch.float64)
    weights = torch.tensor([5 / 9, 8 / 9, 5 / 9], dtype=torch.float64) * (2 * math.pi / 8)
    z = heights.repeat_interleave(8)
    ring = (1 - z * z).sqrt()
    points = torch.stack([ring * nodes.cos().repeat(3), ring * nodes.sin().repeat(3), z], dim=1)
    y = spherical_harmonics(points, 2)
    gram = (y * weights.repeat_interleave(8)[:, None]).t() @ y
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64))


def test_other_degrees_are_refused():
    with pytest.raises(ValueError, match="not 3"):
        spherical_harmonics(units(), 3)

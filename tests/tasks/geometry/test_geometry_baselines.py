"""Baselines against bodies with a known centroid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.tasks.geometry.baselines import predict_hull_centroid, predict_zero
from graphwright.tasks.geometry.metrics import random_rotations


def hull_of(*clouds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.concatenate([[0], np.cumsum([len(cloud) for cloud in clouds])])
    found = predict_hull_centroid(np.concatenate(clouds), offsets)
    return found.vectors, found.degenerate


def test_zero_is_the_mean_of_the_points() -> None:
    assert np.array_equal(predict_zero(np.array([0, 2, 5])), np.zeros((2, 3)))


def test_box_with_crowded_corners() -> None:
    corners = np.array([[x, y, z] for x in (0, 2) for y in (0, 3) for z in (0, 4)], dtype=float)
    crowd = np.concatenate([corners, np.repeat(corners[:1], 20, axis=0)])
    vectors, degenerate = hull_of(crowd)
    assert vectors[0] + crowd.mean(axis=0) == pytest.approx([1, 1.5, 2])
    assert not degenerate[0]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-100, 100), scale=st.floats(0.01, 100))
def test_tetrahedron_turned_moved_and_scaled(seed: int, shift: float, scale: float) -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], dtype=float)
    inner = np.random.default_rng(seed).dirichlet(np.ones(4), size=10) @ corners
    placed = scale * (np.concatenate([corners, inner]) @ random_rotations(1, seed)[0].T) + shift
    vectors, _ = hull_of(placed)
    expected = placed[:4].mean(axis=0) - placed.mean(axis=0)
    assert np.allclose(vectors[0], expected, atol=1e-7 * (scale + abs(shift)))


def test_structures_without_volume_are_counted() -> None:
    flat = np.random.default_rng(0).normal(size=(10, 3)) * [1, 1, 0]
    line = np.linspace(0, 1, 6)[:, None] * np.ones(3)
    solid = np.random.default_rng(1).normal(size=(20, 3))
    vectors, degenerate = hull_of(flat, line, solid[:3], solid, np.ones((5, 3)))
    assert degenerate.tolist() == [True, True, True, False, True]
    assert (vectors[degenerate] == 0).all()
    assert (vectors[3] != 0).all()

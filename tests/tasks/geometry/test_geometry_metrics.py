"""Errors of vectors and random rotations."""

from __future__ import annotations

import numpy as np
import pytest

from graphwright.errors import DataError
from graphwright.tasks.geometry.metrics import angles_deg, random_rotations, vector_metrics


def test_values_worked_out_by_hand() -> None:
    target = np.array([[1.0, 0, 0], [0, 2, 0]])
    predicted = np.array([[1.0, 3, 4], [0, 2, 0]])
    metrics = vector_metrics(predicted, target)
    assert metrics == pytest.approx(
        {
            "mae": 7 / 6,
            "mse": 25 / 6,
            "mae_x": 0,
            "mae_y": 1.5,
            "mae_z": 2,
            "mse_x": 0,
            "mse_y": 4.5,
            "mse_z": 8,
            "displacement_mean": 2.5,
            "displacement_median": 2.5,
            "displacement_p95": 4.75,
        }
    )
    assert list(metrics)[:2] == ["mae", "mse"]


def test_angles_count_only_real_directions() -> None:
    target = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1e-6]])
    predicted = np.array([[2.0, 0, 0], [1, 1, 0], [1, 0, 0]])
    metrics = vector_metrics(predicted, target, angles=True)
    assert metrics["angle_count"] == 2
    assert metrics["angle_mean_deg"] == pytest.approx(22.5)
    assert metrics["angle_median_deg"] == pytest.approx(22.5)
    nothing = vector_metrics(predicted, target * 0, angles=True)
    assert nothing["angle_count"] == 0
    assert "angle_mean_deg" not in nothing


def test_small_angles_keep_their_digits() -> None:
    tilt = 1e-9
    found = angles_deg(np.array([[1.0, tilt, 0], [0, 0, 0]]), np.array([[1.0, 0, 0], [1, 0, 0]]))
    assert found == pytest.approx([np.degrees(tilt), 90])


def test_float32_is_measured_in_float64() -> None:
    value = np.full((1, 3), 1e4, np.float32)
    assert vector_metrics(value, value + np.float64(1e-3))["mae"] == pytest.approx(1e-3)


@pytest.mark.parametrize("shapes", [((2, 3), (3, 3)), ((3,), (3,)), ((2, 2), (2, 2))])
def test_shapes_that_do_not_fit(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(DataError, match=r"are not both \[S,3\]"):
        vector_metrics(np.zeros(shapes[0]), np.zeros(shapes[1]))


def test_nothing_to_measure() -> None:
    with pytest.raises(DataError, match="no predictions"):
        vector_metrics(np.zeros((0, 3)), np.zeros((0, 3)))


def test_rotations_are_proper_orthogonal_and_seeded() -> None:
    turns = random_rotations(50, 3)
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-14)
    assert np.allclose(np.linalg.det(turns), 1)
    assert np.array_equal(turns, random_rotations(50, 3))
    assert not np.allclose(turns, random_rotations(50, 4))


def test_reflections_alternate() -> None:
    signs = np.linalg.det(random_rotations(6, 0, reflections=True))
    assert np.allclose(signs, [1, -1, 1, -1, 1, -1])


def test_rotations_are_uniform() -> None:
    """The density of the angle is (1 - cos θ)/π on SO(3), and a turned axis fills the sphere."""
    turns = random_rotations(20_000, 0)
    trace = np.trace(turns, axis1=1, axis2=2)
    assert trace.mean() == pytest.approx(0, abs=0.03)  # the character of an irreducible: mean 0
    assert (trace**2).mean() == pytest.approx(1, abs=0.04)  # and mean square 1
    for axis in turns.transpose(2, 0, 1):
        assert np.allclose(axis.mean(axis=0), 0, atol=0.02)
        assert np.allclose(axis.T @ axis / len(axis), np.eye(3) / 3, atol=0.02)

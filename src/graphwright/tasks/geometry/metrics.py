"""How far predicted vectors are from the true ones, and random rotations to test with.

S = structures. Everything is computed in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphwright.errors import DataError

__all__ = ["AXES", "angles_deg", "random_rotations", "rotation_matrices", "vector_metrics"]

AXES = ("x", "y", "z")
"""Names of the components, as the ends of metric names."""


def vector_metrics(
    predicted: ArrayLike, target: ArrayLike, *, angles: bool = False, min_norm: float = 1e-3
) -> dict[str, float]:
    """Errors of predicted vectors.

    `mae`, `mse` and their `_x`, `_y`, `_z` are means over components; `displacement_mean`,
    `_median` and `_p95` are of the length of the error vector, in the unit of the target (mse: its
    square). With `angles`: `angle_mean_deg`, `angle_median_deg` and `angle_count`, over structures
    whose true vector is longer than `min_norm` (the direction of a vanishing vector is noise).

    Args:
        predicted: [S,3].
        target: [S,3].
        angles: also compare directions (dipoles).
        min_norm: shortest true vector whose direction counts, in the unit of the target.

    Raises:
        DataError: shapes that differ or are not [S,3], or no structure.
    """
    predicted_S3 = np.asarray(predicted, dtype=np.float64)
    target_S3 = np.asarray(target, dtype=np.float64)
    if predicted_S3.shape != target_S3.shape or target_S3.ndim != 2 or target_S3.shape[1] != 3:
        raise DataError(
            f"predictions {predicted_S3.shape} and targets {target_S3.shape} are not both [S,3]"
        )
    if not len(target_S3):
        raise DataError("there are no predictions to measure")
    error_S3 = predicted_S3 - target_S3
    absolute, squared = np.abs(error_S3).mean(axis=0), np.square(error_S3).mean(axis=0)
    metrics = {"mae": float(absolute.mean()), "mse": float(squared.mean())}
    for name, values in (("mae", absolute), ("mse", squared)):
        metrics |= {f"{name}_{axis}": float(v) for axis, v in zip(AXES, values, strict=True)}
    length_S = np.linalg.norm(error_S3, axis=1)
    metrics["displacement_mean"] = float(length_S.mean())
    metrics["displacement_median"] = float(np.median(length_S))
    metrics["displacement_p95"] = float(np.percentile(length_S, 95))
    return metrics | (_angle_metrics(predicted_S3, target_S3, min_norm) if angles else {})


def angles_deg(
    predicted_S3: NDArray[np.float64], target_S3: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Angle between vectors in degrees, shape [S]; 90 where either vanishes.

    atan2(|a x b|, a·b) keeps its precision near 0 and 180 degrees, where arccos loses it.
    """
    cross = np.linalg.norm(np.cross(predicted_S3, target_S3), axis=1)
    dot = (predicted_S3 * target_S3).sum(axis=1)
    angle_S: NDArray[np.float64] = np.degrees(np.arctan2(cross, dot))
    return np.where((cross == 0) & (dot == 0), 90.0, angle_S)


def random_rotations(count: int, seed: int, *, reflections: bool = False) -> NDArray[np.float64]:
    """Rotation matrices drawn uniformly from SO(3), or with reflections from O(3).

    A normalised 4D Gaussian is a uniform unit quaternion (Shoemake, Graphics Gems III, 1992).

    Args:
        count: how many.
        seed: the same seed gives the same matrices.
        reflections: make every second matrix improper (determinant -1).

    Returns:
        Orthogonal matrices [count,3,3]; row vectors turn as `points @ matrix.T`.
    """
    rng = np.random.default_rng(seed)
    matrices = rotation_matrices(rng.normal(size=(count, 4)))
    if reflections:
        matrices[1::2] *= -1
    return matrices


def rotation_matrices(quaternions_Q4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrices [Q,3,3] of quaternions (w, x, y, z) of any non-zero length."""
    w, x, y, z = (quaternions_Q4 / np.linalg.norm(quaternions_Q4, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def _angle_metrics(
    predicted_S3: NDArray[np.float64], target_S3: NDArray[np.float64], min_norm: float
) -> dict[str, float]:
    counted_S = np.linalg.norm(target_S3, axis=1) > min_norm
    if not counted_S.any():
        return {"angle_count": 0.0}
    angle = angles_deg(predicted_S3[counted_S], target_S3[counted_S])
    return {
        "angle_mean_deg": float(angle.mean()),
        "angle_median_deg": float(np.median(angle)),
        "angle_count": float(counted_S.sum()),
    }

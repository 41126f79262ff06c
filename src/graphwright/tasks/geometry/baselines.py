"""What a model has to beat: predictors that need no training.

S = structures, N = points. Predictions are relative to the mean of the points of each structure,
as the targets of the packed graphs are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from graphwright.tasks.geometry.structures import point_means

__all__ = ["HullPrediction", "predict_hull_centroid", "predict_zero"]


@dataclass(frozen=True, eq=False)
class HullPrediction:
    """Predictions of the convex-hull baseline."""

    vectors: NDArray[np.float64]
    """[S,3]: centroid of the hull's volume, relative to the mean of the points."""
    degenerate: NDArray[np.bool_]
    """[S]: structures without a volume (fewer than 4 points, all in a plane); they predict zero."""


def predict_zero(offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The centroid of the points, which is zero relative to itself, for every structure: [S,3]."""
    return np.zeros((len(offsets) - 1, 3))


def predict_hull_centroid(
    pos_N3: NDArray[np.float64], offsets: NDArray[np.int64]
) -> HullPrediction:
    """Centroid of the volume of the convex hull of each structure's points.

    The hull is cut into tetrahedra between its facets and an inner point q: V = Σ V_f and
    c = Σ V_f (a + b + c + q)/4 / V, V_f = |det(a - q, b - q, c - q)| / 6.

    Args:
        pos_N3: points of all structures.
        offsets: [S+1], structure i owns the points offsets[i] to offsets[i+1].
    """
    vectors = np.zeros((len(offsets) - 1, 3))
    degenerate = np.zeros(len(offsets) - 1, dtype=bool)
    means = point_means(pos_N3, offsets)
    for i, (start, stop) in enumerate(pairwise(offsets)):
        centroid = _hull_centroid(pos_N3[start:stop] - means[i])
        degenerate[i] = centroid is None
        if centroid is not None:
            vectors[i] = centroid
    return HullPrediction(vectors, degenerate)


def _hull_centroid(points_P3: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Centroid of the hull of points that have their mean (an inner point) at zero."""
    if len(points_P3) < 4:
        return None
    try:
        corners_T33 = points_P3[ConvexHull(points_P3).simplices]
    except QhullError:  # all points in a plane or on a line
        return None
    volume_T = np.abs(np.linalg.det(corners_T33))
    centroid: NDArray[np.float64] = volume_T @ corners_T33.sum(axis=1) / (4 * volume_T.sum())
    return centroid

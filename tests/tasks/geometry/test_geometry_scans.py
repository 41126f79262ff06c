"""Generated bodies and scans against independent integrals."""

from __future__ import annotations

import numpy as np
import pytest

from graphwright.tasks.geometry.baselines import predict_hull_centroid
from graphwright.tasks.geometry.bodies import FAMILIES, Body, box, dome, ellipsoid, random_body
from graphwright.tasks.geometry.scans import (
    MAX_POINTS,
    MIN_POINTS,
    cast_rays,
    generate_scans,
    scan_body,
)
from graphwright.tasks.geometry.structures import point_means


def voxel_integral(body: Body, cells: int = 60) -> tuple[float, np.ndarray]:
    """Volume and centre of mass from a grid of cells, by `contains` alone."""
    low, high = body.lo.min(axis=0), body.hi.max(axis=0)
    axes = [a + (b - a) * (np.arange(cells) + 0.5) / cells for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = points[body.contains(points)]
    return float(np.prod((high - low) / cells) * len(inside)), inside.mean(axis=0)


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("seed", range(3))
def test_volume_and_centre_agree_with_a_voxel_integral(family: str, seed: int) -> None:
    body = FAMILIES[family](np.random.default_rng(seed))
    volume, center = voxel_integral(body)
    assert body.volume == pytest.approx(volume, rel=0.03)
    assert np.linalg.norm(center - body.centroid) < 0.006 * body.radius


def test_known_bodies() -> None:
    l_shape = Body.of([box([0, 0, 0], [2, 1, 1]), box([0, 0, 1], [1, 1, 2])])
    assert l_shape.volume == pytest.approx(3)
    assert l_shape.centroid == pytest.approx([(2 * 1 + 0.5) / 3, 0.5, (2 * 0.5 + 1.5) / 3])
    half = Body.of([dome([0, 0, 1], [1, 1, 2])])
    assert half.volume == pytest.approx(4 / 3 * np.pi)
    assert half.centroid == pytest.approx([0, 0, 1 + 0.75])
    hollow = Body.of([box([0, 0, 0], [2, 2, 2])], [box([0.5, 0.5, 1], [1.5, 1.5, 2])])
    assert hollow.volume == pytest.approx(7)
    assert hollow.centroid[2] == pytest.approx((8 - 1.5) / 7)


def test_rays_meet_known_surfaces() -> None:
    x = np.array([1.0, 0, 0])
    down = np.array([0.0, 0, -1])
    sphere = Body.of([ellipsoid([5, 0, 0], [1, 2, 2])])
    rays = cast_rays(sphere, np.array([[0.0, 0, 0], [0, 3, 0]]), np.stack([x, x]))
    assert rays.tolist() == [4, np.inf]
    tray = Body.of([box([0, 0, 0], [2, 2, 2])], [box([0.5, 0.5, 1], [1.5, 1.5, 2])])
    origins = np.array([[1.0, 1, 5], [0.2, 1, 5], [-3, 1, 1.5], [1, 1, -5]])
    directions = np.stack([down, down, x, -down])
    # through the opening to its floor, on the rim, on the outer wall, on the underside
    assert cast_rays(tray, origins, directions) == pytest.approx([4, 3, 3, 5])
    assert np.isinf(cast_rays(tray, origins, -directions)).all()


def test_rays_stop_at_the_first_point_inside() -> None:
    """Against marching along each ray with `contains`, which shares no code with the rays."""
    rng = np.random.default_rng(3)
    for family, make in FAMILIES.items():
        body = make(rng)
        inner = body.middle + rng.uniform(-0.5, 0.5, size=(40, 3)) * body.radius
        origins = rng.normal(size=(40, 3))
        origins = body.middle + origins / np.linalg.norm(origins, axis=1)[:, None] * body.radius * 2
        directions = inner - origins
        t = cast_rays(body, origins, directions)
        steps = np.linspace(0, 3, 1501)
        points = origins[:, None] + steps[:, None] * directions[:, None]
        inside = body.contains(points.reshape(-1, 3)).reshape(40, -1)
        marched = np.where(inside.any(axis=1), steps[inside.argmax(axis=1)], np.inf)
        both = np.isfinite(t) & np.isfinite(marched)
        # a thin sliver may fall between two steps, the other way round nothing can be missed
        assert (np.isfinite(t) | ~np.isfinite(marched)).all(), family
        assert both.sum() > 10, family
        assert np.mean(np.abs(t[both] - marched[both]) <= 0.002 + 1e-9) > 0.9, family


def test_scans_are_a_function_of_seed_and_number() -> None:
    few, many = generate_scans(5, 7), generate_scans(8, 7)
    assert many.select(np.arange(5)).equals(few)
    assert not generate_scans(5, 8).equals(few)


def test_shape_of_the_scans() -> None:
    table = generate_scans(150, 0)
    assert table.counts.min() >= MIN_POINTS
    assert table.counts.max() <= MAX_POINTS
    assert np.linalg.norm(table.pos, axis=1).max() < 1.2
    assert len({name.rsplit("_", 1)[0] for name in table.names}) == len(FAMILIES)
    assert table.target_is_position
    assert len(generate_scans(0, 0)) == 0


def test_partial_views_mislead_the_baselines() -> None:
    table = generate_scans(200, 0)
    assert table.target is not None
    true = table.target - point_means(table.pos, table.offsets)
    hull = predict_hull_centroid(table.pos, table.offsets)
    assert 0.15 < np.linalg.norm(true, axis=1).mean() < 0.35
    assert 0.05 < np.linalg.norm(true - hull.vectors, axis=1).mean() < 0.15
    assert not hull.degenerate.any()


def test_points_lie_on_the_surface_of_the_placed_body() -> None:
    """A sphere is known wherever it is turned: every point is one radius from the target."""
    body = Body.of([ellipsoid([1, 2, 3], [0.5, 0.5, 0.5])])
    points, target = scan_body(body, np.random.default_rng(0))
    distance = np.linalg.norm(points - target, axis=1)
    assert distance.std() < 0.006
    assert 0.8 / np.sqrt(3) - 0.01 < distance.mean() < 1 / np.sqrt(3) + 0.01


def test_a_thin_plate_still_gives_enough_points() -> None:
    body = Body.of([box([0, 0, 0], [1, 0.01, 0.01])])
    for seed in range(5):
        points, _ = scan_body(body, np.random.default_rng(seed))
        assert MIN_POINTS <= len(points) <= MAX_POINTS


def test_random_bodies_follow_their_generator() -> None:
    (name, first), (same, second) = (random_body(np.random.default_rng(5)) for _ in range(2))
    assert name == same
    assert np.array_equal(first.centroid, second.centroid)

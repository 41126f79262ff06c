"""Generated scans: rigid bodies seen by three depth cameras, with their exact centre of mass.

Each scan draws a body (`bodies.py`), turns and scales it, and looks at it with three pinhole
cameras that stand on one side of it, as a rig over a table does: the back of the body, whatever it
hides from itself and whatever an obstacle in front of a camera hides stay unseen. Rays meet the
parts analytically; a depth reading carries noise along its ray. The camera rig keeps its place in
the world, so a model that is not equivariant can learn that bodies extend away from the cameras;
turn the test data to see it.

Scan i is a function of (seed, i) alone.
R = rays, M = parts of the body.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.geometry.bodies import Body, random_body
from graphwright.tasks.geometry.metrics import rotation_matrices
from graphwright.tasks.geometry.structures import StructureTable

__all__ = ["MAX_POINTS", "MIN_POINTS", "cast_rays", "generate_scans", "scan_body"]

MIN_POINTS: Final = 40
MAX_POINTS: Final = 256

_AZIMUTHS = np.deg2rad([-80.0, 0.0, 80.0])
_ELEVATION = np.deg2rad(30.0)
_JITTER = np.deg2rad(8.0)
_DISTANCE = 3.0
_GRID = 24
_NOISE = 0.004
_OBSTACLE_CHANCE = 0.3

Points = NDArray[np.float64]


def generate_scans(count: int, seed: int) -> StructureTable:
    """Scans of random bodies of radius 0.8 to 1 (half the diagonal of the bounding box).

    Args:
        count: number of scans.
        seed: every scan follows from (seed, its number), so that more scans keep the first ones.

    Returns:
        A table with 40 to 256 points per scan, and as target the exact volumetric centre of mass,
        in the same (arbitrary) unit. Names are the family of the body and the number.
    """
    clouds, targets, names = [], [], []
    for i in range(count):
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, i])))
        family, body = random_body(rng)
        points, target = scan_body(body, rng)
        clouds.append(points)
        targets.append(target)
        names.append(f"{family}_{i:06d}")
    sizes = [len(points) for points in clouds]
    return StructureTable(
        offsets=np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]),
        pos=np.concatenate([np.zeros((0, 3)), *clouds]),
        names=np.array(names, dtype=np.str_),
        target=np.array(targets).reshape(-1, 3),
        target_name="center_of_mass",
        target_is_position=True,
    )


def scan_body(body: Body, rng: np.random.Generator) -> tuple[Points, Points]:
    """Place a body at random before the cameras and scan it.

    Args:
        body: the body in its own frame.
        rng: all randomness.

    Returns:
        Points [n,3] in the world, 40 <= n <= 256, and the centre of mass [3] in the world.
    """
    scale = rng.uniform(0.8, 1.0) / body.radius
    turn = _random_turn(rng)
    shift = rng.uniform(-0.1, 0.1, size=3)

    def to_body(points: Points) -> Points:
        return ((points - shift) @ turn) / scale + body.middle

    hits = np.zeros((0, 3))
    grid = _GRID
    while len(hits) < MIN_POINTS:  # a thin plate seen edge-on fills few pixels: look closer
        origins, directions = _camera_rays(rng, grid)
        # direction vectors are only turned and scaled, so the same t holds in both frames
        t_R = cast_rays(body, to_body(origins), directions @ turn / scale)
        t_R = np.where(_behind_obstacle(rng, origins, directions), np.inf, t_R)
        seen = np.isfinite(t_R)
        depth = t_R[seen] + rng.normal(scale=_NOISE, size=int(seen.sum()))
        hits = origins[seen] + depth[:, None] * directions[seen]
        grid *= 2
    # more scans near the upper end, as with the real ones (median 209 of 256)
    wanted = round(MIN_POINTS + (MAX_POINTS - MIN_POINTS) * np.sqrt(rng.uniform()))
    keep = rng.permutation(len(hits))[:wanted]
    target = (body.centroid - body.middle) * scale @ turn.T + shift
    return hits[np.sort(keep)], target


def cast_rays(body: Body, origins_R3: Points, directions_R3: Points) -> NDArray[np.float64]:
    """Where rays first meet the surface of a body.

    The ray o + t d is inside part m for t between `enter` and `leave`. The surface can only be
    met where an added part is entered or a cut-away part is left; a meeting counts when the point
    just behind it is inside an added part and outside every cut-away one.

    Args:
        body: the body.
        origins_R3: in the body's frame, outside the body.
        directions_R3: need not have length 1.

    Returns:
        The smallest such t > 0 of each ray, shape [R]; infinite for a miss.
    """
    enter_RM, leave_RM = _intervals(body, origins_R3, directions_R3)
    t_RM = np.where(body.solid, enter_RM, leave_RM)
    t_RM = np.where((enter_RM < leave_RM) & (t_RM > 0), t_RM, np.inf)
    behind_RM = (t_RM + 1e-9)[:, :, None]
    inside_RMM = (enter_RM[:, None, :] <= behind_RM) & (behind_RM < leave_RM[:, None, :])
    filled_RM = (inside_RMM & body.solid).any(axis=2) & ~(inside_RMM & ~body.solid).any(axis=2)
    best_R: NDArray[np.float64] = np.where(filled_RM, t_RM, np.inf).min(axis=1)
    return best_R


def _intervals(body: Body, origins_R3: Points, directions_R3: Points) -> tuple[Points, Points]:
    """Stretch of each ray inside each part, [R,M] and [R,M]; empty where enter >= leave."""
    o, d = origins_R3[:, None], directions_R3[:, None]
    d = np.where(np.abs(d) < 1e-12, 1e-12, d)  # a ray along a face: no division by zero
    first, second = (body.lo - o) / d, (body.hi - o) / d
    enter_RM = np.minimum(first, second).max(axis=2)
    leave_RM = np.maximum(first, second).min(axis=2)

    curved = np.flatnonzero(np.isfinite(body.semi).all(axis=1))
    if len(curved):
        # |(o - c)/a + t d/a|² = 1, a quadratic in t
        u = (o - body.center[curved]) / body.semi[curved]
        v = d / body.semi[curved]
        vv, uv, uu = (v * v).sum(2), (u * v).sum(2), (u * u).sum(2)
        under_root = uv * uv - vv * (uu - 1)
        root = np.sqrt(np.maximum(under_root, 0))
        near = np.where(under_root > 0, (-uv - root) / vv, np.inf)
        far = np.where(under_root > 0, (-uv + root) / vv, -np.inf)
        enter_RM[:, curved] = np.maximum(enter_RM[:, curved], near)
        leave_RM[:, curved] = np.minimum(leave_RM[:, curved], far)
    return enter_RM, leave_RM


def _camera_rays(rng: np.random.Generator, grid: int) -> tuple[Points, Points]:
    """Origins [R,3] and unit directions [R,3] of three cameras with grid x grid pixels."""
    azimuth = _AZIMUTHS + rng.uniform(-_JITTER, _JITTER, size=3)
    height = _ELEVATION + rng.uniform(-_JITTER, _JITTER, size=3)
    flat = np.cos(height)
    toward = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(height)], axis=1)
    right = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros(3)], axis=1)
    up = np.cross(toward, right)

    pixel = (np.arange(grid) + 0.5) / grid * 2.2 - 1.1
    a, b = (axis.reshape(1, -1, 1) for axis in np.meshgrid(pixel, pixel))
    plane = a * right[:, None] + b * up[:, None]
    directions = (plane - _DISTANCE * toward[:, None]).reshape(-1, 3)
    origins = np.repeat(_DISTANCE * toward, grid * grid, axis=0)
    return origins, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _behind_obstacle(
    rng: np.random.Generator, origins_R3: Points, directions_R3: Points
) -> NDArray[np.bool_]:
    """Rays that end at a ball in front of their camera (not every camera has one), shape [R]."""
    cameras = 3
    per_camera = len(origins_R3) // cameras
    present = rng.uniform(size=cameras) < _OBSTACLE_CHANCE
    place = rng.uniform(-0.6, 0.6, size=(cameras, 3))
    radius = rng.uniform(0.1, 0.3, size=cameras) / 2
    owner = np.repeat(np.arange(cameras), per_camera)
    center = (origins_R3 + place[owner]) / 2  # half-way to somewhere near the body
    along = ((center - origins_R3) * directions_R3).sum(axis=1)
    nearest = origins_R3 + along[:, None] * directions_R3
    hit = np.linalg.norm(nearest - center, axis=1) < radius[owner]
    return np.asarray(hit & present[owner])


def _random_turn(rng: np.random.Generator) -> Points:
    """A uniform random rotation matrix, from a normalised quaternion."""
    turn: Points = rotation_matrices(rng.normal(size=(1, 4)))[0]
    return turn

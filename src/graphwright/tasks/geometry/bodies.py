"""Rigid bodies whose volume and centre of mass are known exactly.

A body is a set of parts in its own frame. A part is a box, an ellipsoid, or half an ellipsoid cut
through its centre (a dome), added or cut away. Added parts are disjoint and a part that is cut away
lies inside the added ones, so that volumes and first moments simply add and subtract:
V = Σ ±V_m, c = Σ ±V_m c_m / V. No number here is sampled.

M = parts of a body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FAMILIES", "Body", "Part", "box", "dome", "ellipsoid", "random_body"]

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """The points inside an axis-aligned box and, if `semi` is finite, inside an ellipsoid."""

    lo: Vector
    """[3]: lower corner of the box."""
    hi: Vector
    """[3]: upper corner."""
    center: Vector
    """[3]: centre of the ellipsoid."""
    semi: Vector
    """[3]: its semi-axes, infinite for a plain box."""
    volume: float
    centroid: Vector
    """[3]."""


@dataclass(frozen=True, eq=False)
class Body:
    """Added and cut-away parts, as arrays over the M parts."""

    lo: NDArray[np.float64]
    """[M,3]."""
    hi: NDArray[np.float64]
    """[M,3]."""
    center: NDArray[np.float64]
    """[M,3]."""
    semi: NDArray[np.float64]
    """[M,3]."""
    solid: NDArray[np.bool_]
    """[M]: added (true) or cut away."""
    volume: float
    centroid: Vector
    """[3]: the exact volumetric centre of mass."""
    middle: Vector
    """[3]: centre of the bounding box."""
    radius: float
    """Half the diagonal of the bounding box."""

    @classmethod
    def of(cls, added: Sequence[Part], cut: Sequence[Part] = ()) -> Body:
        """A body from disjoint parts, less parts that lie inside them (and apart)."""
        parts = [*added, *cut]
        signed_M = np.array([part.volume for part in added] + [-part.volume for part in cut])
        centroids_M3 = np.stack([part.centroid for part in parts])
        volume = float(signed_M.sum())
        lo, hi = (np.stack([getattr(part, name) for part in parts]) for name in ("lo", "hi"))
        low, high = lo.min(axis=0), hi.max(axis=0)
        return cls(
            lo=lo,
            hi=hi,
            center=np.stack([part.center for part in parts]),
            semi=np.stack([part.semi for part in parts]),
            solid=signed_M > 0,
            volume=volume,
            centroid=signed_M @ centroids_M3 / volume,
            middle=(low + high) / 2,
            radius=float(np.linalg.norm(high - low) / 2),
        )

    def contains(self, points_P3: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points [P,3] of the body's frame lie inside it, shape [P]."""
        p = points_P3[:, None]
        round_PM = (((p - self.center) / self.semi) ** 2).sum(axis=2) <= 1
        inside_PM = ((p >= self.lo) & (p <= self.hi)).all(axis=2) & round_PM
        added_P = inside_PM[:, self.solid].any(axis=1)
        return np.asarray(added_P & ~inside_PM[:, ~self.solid].any(axis=1))


def box(lo: ArrayLike, hi: ArrayLike) -> Part:
    """The box between two corners."""
    low, high = np.asarray(lo, dtype=np.float64), np.asarray(hi, dtype=np.float64)
    middle = (low + high) / 2
    return Part(low, high, middle, np.full(3, np.inf), float(np.prod(high - low)), middle)


def ellipsoid(center: ArrayLike, semi: ArrayLike) -> Part:
    """An ellipsoid with semi-axes along x, y, z; V = 4/3 π a b c."""
    c, a = np.asarray(center, dtype=np.float64), np.asarray(semi, dtype=np.float64)
    return Part(c - a, c + a, c, a, float(4 / 3 * np.pi * np.prod(a)), c)


def dome(center: ArrayLike, semi: ArrayLike, *, up: bool = True) -> Part:
    """The upper (or lower) half of an ellipsoid, cut by the plane z = centre.

    V = 2/3 π a b c; its centroid lies 3/8 c above (below) the plane.
    """
    whole = ellipsoid(center, semi)
    lo, hi = whole.lo.copy(), whole.hi.copy()
    (lo if up else hi)[2] = whole.center[2]
    shift = np.array([0.0, 0.0, (0.375 if up else -0.375) * whole.semi[2]])
    return Part(lo, hi, whole.center, whole.semi, whole.volume / 2, whole.center + shift)


def random_body(rng: np.random.Generator) -> tuple[str, Body]:
    """A body of a random family and random proportions, with the name of its family."""
    name = list(FAMILIES)[rng.integers(len(FAMILIES))]
    return name, FAMILIES[name](rng)


def _sides(rng: np.random.Generator) -> Vector:
    """Lengths that differ by up to a factor of about 4."""
    return rng.uniform(0.25, 1.0, size=3)


def _box(rng: np.random.Generator) -> Body:
    return Body.of([box(np.zeros(3), _sides(rng))])


def _ellipsoid(rng: np.random.Generator) -> Body:
    return Body.of([ellipsoid(np.zeros(3), _sides(rng))])


def _l_shape(rng: np.random.Generator) -> Body:
    (x, y, z), (foot, post) = _sides(rng) + 0.2, rng.uniform(0.2, 0.5, size=2)
    return Body.of([box([0, 0, 0], [x, y, foot * z]), box([0, 0, foot * z], [post * x, y, z])])


def _t_shape(rng: np.random.Generator) -> Body:
    (x, y, z), (bar, stem) = _sides(rng) + 0.2, rng.uniform(0.2, 0.45, size=2)
    left = rng.uniform(0.1, 0.9 - stem) * x
    low = (1 - bar) * z
    return Body.of([box([left, 0, 0], [left + stem * x, y, low]), box([0, 0, low], [x, y, z])])


def _u_shape(rng: np.random.Generator) -> Body:
    (x, y, z), (base, left, right) = _sides(rng) + 0.2, rng.uniform(0.15, 0.35, size=3)
    floor, second = base * z, z * rng.uniform(0.5, 1.0)
    arms = [box([0, 0, floor], [left * x, y, z]), box([(1 - right) * x, 0, floor], [x, y, second])]
    return Body.of([box([0, 0, 0], [x, y, floor]), *arms])


def _capped_block(rng: np.random.Generator) -> Body:
    x, y, z = _sides(rng)
    a, b = rng.uniform(0.5, 1.0, size=2) * (x / 2, y / 2)
    cx, cy = rng.uniform(a, x - a), rng.uniform(b, y - b)
    cap = dome([cx, cy, z], [a, b, rng.uniform(0.2, 0.8)])
    return Body.of([box(np.zeros(3), [x, y, z]), cap])


def _egg(rng: np.random.Generator) -> Body:
    x, y, z = _sides(rng)
    blunt = rng.uniform(0.15, 0.7) * z
    return Body.of([dome(np.zeros(3), [x, y, z]), dome(np.zeros(3), [x, y, blunt], up=False)])


def _tray(rng: np.random.Generator) -> Body:
    x, y, z = _sides(rng) + 0.1
    wall = rng.uniform(0.08, 0.25) * min(x, y, z)
    floor = rng.uniform(0.1, 0.5) * z
    hollow = box([wall, wall, floor], [x - wall, y - wall, z])
    return Body.of([box(np.zeros(3), [x, y, z])], [hollow])


def _bowl(rng: np.random.Generator) -> Body:
    x, y, z = _sides(rng) + 0.1
    a, b, c = rng.uniform(0.6, 0.95, size=3) * (x / 2, y / 2, z)
    pocket = dome([x / 2, y / 2, z], [a, b, c], up=False)
    return Body.of([box(np.zeros(3), [x, y, z])], [pocket])


FAMILIES: Final[dict[str, Callable[[np.random.Generator], Body]]] = {
    "box": _box,
    "ellipsoid": _ellipsoid,
    "l_shape": _l_shape,
    "t_shape": _t_shape,
    "u_shape": _u_shape,
    "capped_block": _capped_block,
    "egg": _egg,
    "tray": _tray,
    "bowl": _bowl,
}
"""Name of each family and the function that draws one body of it."""

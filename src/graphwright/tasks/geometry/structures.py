"""Structures held flat: a few arrays for a whole data set, no object per structure.

S = structures, N = points of all of them, F = features of a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.geometry.elements import MAX_ATOMIC_NUMBER, atomic_masses

__all__ = [
    "StructureTable",
    "center_of_mass",
    "drop_bad_structures",
    "find_faults",
    "point_means",
]

_POINT_FIELDS = ("pos", "z", "features")
_STRUCTURE_FIELDS = ("target", "group", "names")
_METADATA = ("position_unit", "target_unit", "target_name", "target_is_position")


@dataclass(frozen=True, eq=False)
class StructureTable:
    """Many point clouds or molecules in flat arrays.

    Construction converts dtypes and checks the layout; whether the *values* make sense is the
    business of `find_faults`. Elements that are no element become number 0.

    Raises:
        DataError: shapes that do not fit each other, offsets that are not monotone.
    """

    offsets: NDArray[np.int64]
    """[S+1]: structure i owns the points offsets[i] to offsets[i+1]."""
    pos: NDArray[np.float64]
    """[N,3], in `position_unit`."""
    names: NDArray[np.str_]
    """[S]: what the user calls each structure."""
    z: NDArray[np.int16] | None = None
    """[N]: atomic numbers."""
    features: NDArray[np.float64] | None = None
    """[N,F]: invariant features of the points."""
    target: NDArray[np.float64] | None = None
    """[S,3], in `target_unit`."""
    group: NDArray[np.int64] | None = None
    """[S]: structures of one group must not be split between training and test."""
    position_unit: str = ""
    target_unit: str = ""
    target_name: str = ""
    target_is_position: bool = True
    """Whether the target is translated with the structure (a centre of mass is, a dipole of a
    neutral molecule is not)."""

    def __post_init__(self) -> None:
        """Convert every array to its dtype, then check that the shapes fit."""
        put = object.__setattr__
        put(self, "offsets", _offsets(self.offsets))
        put(self, "pos", _floats("positions", self.pos))
        put(self, "names", np.asarray(self.names, dtype=np.str_))
        if self.z is not None:
            put(self, "z", _elements(self.z))
        if self.features is not None:
            put(self, "features", _floats("features", self.features))
        if self.target is not None:
            put(self, "target", _floats("targets", self.target))
        if self.group is not None:
            put(self, "group", np.asarray(self.group, dtype=np.int64))
        self._check_shapes()

    def _check_shapes(self) -> None:
        S, N, F = len(self), len(self.pos), None
        if self.features is not None and self.features.ndim == 2:
            F = self.features.shape[1]
        expected = {
            "pos": (N, 3),
            "names": (S,),
            "z": (N,),
            "features": (N, F),
            "target": (S, 3),
            "group": (S,),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise DataError(f"{name} has shape {value.shape}, expected {shape}")
        if self.offsets[-1] != N:
            raise DataError(f"offsets end at {self.offsets[-1]}, but there are {N} points")

    def __len__(self) -> int:
        """Number of structures, S."""
        return len(self.offsets) - 1

    @property
    def num_points(self) -> int:
        """Number of points of all structures, N."""
        return len(self.pos)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Points of each structure, shape [S]."""
        return np.diff(self.offsets)

    @property
    def point_structure(self) -> NDArray[np.int64]:
        """The structure that each point belongs to, shape [N]."""
        return np.repeat(np.arange(len(self)), self.counts)

    def select(self, indices: ArrayLike) -> Self:
        """The structures `indices` (numbers in any order, repeats allowed, or a mask [S])."""
        chosen = np.arange(len(self))[np.asarray(indices)]
        counts = self.counts[chosen]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        points = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], counts)
        parts: dict[str, Any] = {"offsets": offsets}
        for names, index in ((_POINT_FIELDS, points), (_STRUCTURE_FIELDS, chosen)):
            for name in names:
                value = getattr(self, name)
                parts[name] = None if value is None else value[index]
        return replace(self, **parts)

    @classmethod
    def concat(cls, tables: Sequence[Self]) -> Self:
        """One table from several. Group numbers are kept: equal numbers are one group.

        Raises:
            DataError: no table, or tables of unlike fields, units or targets.
        """
        if not tables:
            raise DataError("there are no structures to join")
        parts: dict[str, Any] = {name: getattr(tables[0], name) for name in _METADATA}
        for table in tables[1:]:
            for name in _METADATA:
                if getattr(table, name) != parts[name]:
                    raise DataError(
                        f"tables differ in {name}: {parts[name]!r} and {getattr(table, name)!r}"
                    )
        for name in (*_POINT_FIELDS, *_STRUCTURE_FIELDS):
            parts[name] = _join(name, [getattr(table, name) for table in tables])
        counts = np.concatenate([table.counts for table in tables])
        return cls(offsets=np.concatenate([[0], np.cumsum(counts)]), **parts)

    def equals(self, other: StructureTable) -> bool:
        """Whether two tables hold the same structures, value for value (NaN equals NaN)."""
        return all(
            _same(getattr(self, item.name), getattr(other, item.name)) for item in fields(self)
        )


def find_faults(table: StructureTable) -> dict[str, NDArray[np.bool_]]:
    """Which structures are bad, by reason, each a mask [S]; the gravest reason comes first."""
    faults = {"fewer than 2 points": table.counts < 2}
    if table.z is not None:
        faults["unknown element"] = _any_point(table, table.z == 0)
    faults["non-finite position"] = _any_point(table, _bad_rows(table.pos))
    if table.features is not None:
        faults["non-finite feature"] = _any_point(table, _bad_rows(table.features))
    if table.target is not None:
        faults["non-finite target"] = _bad_rows(table.target)
    return faults


def drop_bad_structures(table: StructureTable, source: str, rejects: Rejects) -> StructureTable:
    """The good structures of a table; each bad one goes to `rejects` under its gravest reason.

    Args:
        table: structures as they were read.
        source: the file they come from, for the report.
        rejects: where bad structures are counted and named.

    Raises:
        DataError: a bad structure when `rejects` is strict, or no good structure at all.
    """
    bad_S = np.zeros(len(table), dtype=bool)
    for reason, mask_S in find_faults(table).items():
        for i in np.flatnonzero(mask_S & ~bad_S):
            rejects.add(source, f"structure {i} ({table.names[i]})", reason)
        bad_S |= mask_S
    if bad_S.all():
        raise DataError(
            f"no usable structure among {len(table)}", where=source, fix="see rejected.csv"
        )
    return table.select(~bad_S) if bad_S.any() else table


def point_means(pos_N3: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the points of each structure, shape [S,3]; zero for a structure without points."""
    return _weighted_means(pos_N3, np.ones(len(pos_N3)), offsets)


def center_of_mass(table: StructureTable) -> NDArray[np.float64]:
    """Centre of mass of each molecule from the masses of its elements, shape [S,3].

    NaN where an element is unknown.

    Raises:
        DataError: a table without elements.
    """
    if table.z is None:
        raise DataError(
            "center_of_mass needs the element of every point, and there is none",
            fix="name a target that the file has",
        )
    known_N = table.z > 0
    mass_N = np.full(len(table.z), np.nan)
    mass_N[known_N] = atomic_masses(table.z[known_N])
    return _weighted_means(table.pos, mass_N, table.offsets)


def _weighted_means(
    pos_N3: NDArray[np.float64], weight_N: NDArray[np.float64], offsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    S = len(offsets) - 1
    owner_N = np.repeat(np.arange(S), np.diff(offsets))
    total_S = np.bincount(owner_N, weights=weight_N, minlength=S)
    total_S = np.where(np.diff(offsets) == 0, 1.0, total_S)
    columns = [
        np.bincount(owner_N, weights=weight_N * pos_N3[:, axis], minlength=S) for axis in range(3)
    ]
    return np.stack(columns, axis=1) / total_S[:, None]


def _bad_rows(values_RC: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(~np.isfinite(values_RC).all(axis=1))


def _any_point(table: StructureTable, bad_N: NDArray[np.bool_]) -> NDArray[np.bool_]:
    bad_S = np.zeros(len(table), dtype=bool)
    bad_S[np.searchsorted(table.offsets, np.flatnonzero(bad_N), side="right") - 1] = True
    return bad_S


def _same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray):
        return bool(np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"))
    return type(mine) is type(theirs) and bool(mine == theirs)


def _floats(what: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} are not numbers in a regular array: {error}") from error


def _offsets(values: ArrayLike) -> NDArray[np.int64]:
    offsets = np.asarray(values)
    if offsets.ndim != 1 or len(offsets) == 0 or offsets.dtype.kind not in "iu":
        raise DataError(
            f"offsets must be whole numbers [S+1], not {offsets.dtype} of shape {offsets.shape}"
        )
    offsets = offsets.astype(np.int64)
    falls = np.flatnonzero(np.diff(offsets) < 0)
    if offsets[0] != 0 or len(falls):
        at = falls[0] + 1 if len(falls) else 0
        raise DataError(
            f"offsets are not monotone from 0: offsets[{at}] is {offsets[at]}",
            fix="offsets[i] is the number of points before structure i",
        )
    return offsets


def _elements(values: ArrayLike) -> NDArray[np.int16]:
    z_N = np.asarray(values)
    if z_N.dtype.kind not in "iuf":
        raise DataError(f"atomic numbers must be whole numbers, not {z_N.dtype}")
    known_N = (z_N >= 1) & (z_N <= MAX_ATOMIC_NUMBER) & (z_N == np.floor(z_N))
    return np.where(known_N, z_N, 0).astype(np.int16)


def _join(name: str, values: list[NDArray[Any] | None]) -> NDArray[Any] | None:
    present = [value for value in values if value is not None]
    if not present:
        return None
    if len(present) < len(values):
        raise DataError(f"some tables have {name} and some have not")
    if len({value.shape[1:] for value in present}) > 1:
        raise DataError(f"tables differ in the shape of {name}")
    return np.concatenate(present)

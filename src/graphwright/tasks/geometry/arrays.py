"""Structures from Python arrays, and the assembling that all readers share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.geometry.data_config import TargetKind
from graphwright.tasks.geometry.elements import atomic_numbers
from graphwright.tasks.geometry.structures import (
    StructureTable,
    center_of_mass,
    drop_bad_structures,
)

__all__ = [
    "CENTER_OF_MASS",
    "Sample",
    "assemble",
    "is_position",
    "structures_from_arrays",
    "with_center_of_mass",
]

CENTER_OF_MASS = "center_of_mass"
"""The target that needs no array: it is computed from the masses of the elements."""

_POSITIONS = (CENTER_OF_MASS, "centre_of_mass", "com", "centroid")
_VECTORS = ("dipole", "polarization", "magnetization", "velocity", "force")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One structure as a reader found it, before any check."""

    name: str
    pos: ArrayLike
    """[n,3] if it is right."""
    z: ArrayLike | None = None
    """[n] atomic numbers, or symbols of elements."""
    features: ArrayLike | None = None
    """[n,F]."""
    target: ArrayLike | None = None
    """[3]."""
    group: int | None = None


@dataclass
class _Checked:
    """The samples that have the right shapes, field by field."""

    names: list[str] = field(default_factory=list)
    pos: list[NDArray[np.float64]] = field(default_factory=list)
    z: list[NDArray[Any]] = field(default_factory=list)
    features: list[NDArray[np.float64]] = field(default_factory=list)
    target: list[NDArray[np.float64]] = field(default_factory=list)
    group: list[int] = field(default_factory=list)


def is_position(target: str, kind: TargetKind) -> bool:
    """Whether a target is translated with its structure.

    Args:
        target: its name; `auto` knows centres of mass from dipoles and other vectors by it.
        kind: `position` and `vector` decide; `auto` looks at the name.

    Raises:
        DataError: `auto` and a name that says neither.
    """
    if kind != "auto":
        return kind == "position"
    name = target.lower()
    if name in _POSITIONS:
        return True
    if any(word in name for word in _VECTORS):
        return False
    raise DataError(
        f"the name {target!r} does not say whether the target moves with the structure",
        fix="target_kind=position (like a centre of mass) or target_kind=vector (like a dipole)",
    )


def with_center_of_mass(table: StructureTable) -> StructureTable:
    """The table with the centre of mass of its elements as target, in the unit of positions."""
    return replace(
        table,
        target=center_of_mass(table),
        target_name=CENTER_OF_MASS,
        target_unit=table.position_unit,
        target_is_position=True,
    )


def structures_from_arrays(
    positions: Sequence[ArrayLike] | NDArray[Any],
    *,
    numbers: Sequence[ArrayLike] | None = None,
    features: Sequence[ArrayLike] | None = None,
    targets: Sequence[ArrayLike] | NDArray[Any] | None = None,
    groups: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    target_name: str = "target",
    target_is_position: bool = True,
    position_unit: str = "",
    target_unit: str = "",
    rejects: Rejects | None = None,
) -> StructureTable:
    """Structures that are already in memory.

    Args:
        positions: one [n,3] array per structure, or one array [S,n,3].
        numbers: per structure, [n] atomic numbers or symbols.
        features: per structure, [n,F] invariant features.
        targets: per structure, [3].
        groups: per structure, the group that must not be split.
        names: per structure; "structure 0", … when absent.
        target_name: what the target is called in tables and figures.
        target_is_position: whether the target is translated with its structure.
        position_unit: unit of the positions.
        target_unit: unit of the target.
        rejects: takes bad structures; without it, a bad structure is an error.

    Raises:
        DataError: lists of unequal length, or (without `rejects`, or strict) a bad structure.
    """
    S = len(positions)
    given = {"numbers": numbers, "features": features, "targets": targets}
    for name, values in {**given, "groups": groups, "names": names}.items():
        if values is not None and len(values) != S:
            raise DataError(f"{len(values)} {name} for {S} structures")

    samples = (
        Sample(
            name=f"structure {i}" if names is None else str(names[i]),
            pos=positions[i],
            z=None if numbers is None else numbers[i],
            features=None if features is None else features[i],
            target=None if targets is None else targets[i],
            group=None if groups is None else int(groups[i]),
        )
        for i in range(S)
    )
    metadata = {
        "target_name": target_name if targets is not None else "",
        "target_is_position": target_is_position,
        "position_unit": position_unit,
        "target_unit": target_unit,
    }
    rejects = Rejects(None, strict=True) if rejects is None else rejects
    table = assemble(samples, source="arrays", rejects=rejects, **metadata)
    return drop_bad_structures(table, "arrays", rejects)


def assemble(
    samples: Iterable[Sample], *, source: str, rejects: Rejects, **metadata: Any
) -> StructureTable:
    """One flat table from samples; those of wrong shape go to `rejects`.

    Args:
        samples: in order; they are consumed one by one.
        source: where they come from, for the report.
        rejects: takes samples of wrong shape, unlike fields or unknown symbols.
        metadata: units and names, as `StructureTable` has them.

    Raises:
        DataError: no sample left, or a bad one when `rejects` is strict.
    """
    good, first = _Checked(), None
    for sample in samples:
        try:
            present = _append(good, sample, first)
        except DataError as error:
            rejects.add(source, sample.name, error.what)
        else:
            first = present if first is None else first
    if not good.pos:
        reasons = "; ".join(f"{reason} ({n})" for reason, n in rejects.by_reason().items())
        raise DataError(f"no usable structure: {reasons or 'it is empty'}", where=source)
    counts = [len(points) for points in good.pos]
    return StructureTable(
        offsets=np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        pos=np.concatenate(good.pos),
        names=np.array(good.names),
        z=np.concatenate(good.z) if good.z else None,
        features=np.concatenate(good.features) if good.features else None,
        target=np.stack(good.target) if good.target else None,
        group=np.array(good.group, dtype=np.int64) if good.group else None,
        **metadata,
    )


def _append(
    good: _Checked, sample: Sample, first: tuple[int | None, ...] | None
) -> tuple[int | None, ...]:
    """Check one sample and append its arrays, all or none. Returns which fields it has."""
    pos = _array("positions", sample.pos, (None, 3))
    n = len(pos)
    z = None if sample.z is None else _numbers(sample.z, n)
    features = None if sample.features is None else _array("features", sample.features, (n, None))
    target = None if sample.target is None else _array("target", sample.target, (3,))
    width = None if features is None else features.shape[1]
    present = (
        None if z is None else 1,
        width,
        None if target is None else 1,
        None if sample.group is None else 1,
    )
    if first is not None and present != first:
        raise DataError("other fields than the first structure")
    good.names.append(sample.name)
    good.pos.append(pos)
    for values, value in ((good.z, z), (good.features, features), (good.target, target)):
        if value is not None:
            values.append(value)
    if sample.group is not None:
        good.group.append(sample.group)
    return present


def _array(what: str, values: ArrayLike, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: not a regular array of numbers") from error
    fits = array.ndim == len(shape) and all(
        size is None or size == have for size, have in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = "x".join("n" if size is None else str(size) for size in shape)
        raise DataError(f"{what}: shape {'x'.join(map(str, array.shape))}, expected {wanted}")
    return array


def _numbers(values: ArrayLike, n: int) -> NDArray[Any]:
    z = np.asarray(values)
    if z.shape != (n,):
        raise DataError(f"elements: shape {'x'.join(map(str, z.shape))}, expected {n}")
    if z.dtype.kind == "U":
        return atomic_numbers(z.tolist())
    if z.dtype.kind not in "iuf":
        raise DataError("elements: neither numbers nor symbols")
    return z

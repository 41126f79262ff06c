"""What the input side of the geometry task can be told. Frozen, keyword-only, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

__all__ = [
    "Columns",
    "FileSource",
    "GeometrySource",
    "GraphConfig",
    "ScansSource",
    "SplitConfig",
    "TargetKind",
]

TargetKind = Literal["auto", "position", "vector"]
"""How a target moves with its structure: a position is translated with it, a vector is not."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the arrays of an `.npz` file. An array that is absent is simply not read,
    but for offsets, positions and the features asked for."""

    offsets: str = "offsets"
    pos: str = "pos"
    z: str = "z"
    group: str = "group"
    id: str = "id"
    features: tuple[str, ...] = ()
    """Arrays [N] or [N,F] that become the features of the points, side by side."""


@dataclass(frozen=True, kw_only=True)
class ScansSource:
    """Generated rigid bodies, scanned from three cameras (`scans.generate_scans`)."""

    kind: Literal["scans"] = "scans"
    count: Annotated[int, Field(gt=0)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """A file or folder of structures (`readers.read_structures`)."""

    kind: Literal["file"] = "file"
    path: str
    target: str | None = "center_of_mass"
    """Name of the vector to learn; `center_of_mass` is computed from elements where absent."""
    target_kind: TargetKind = "auto"
    target_unit: str = ""
    position_unit: str = ""
    """Empty: ångström where there are elements, else unknown."""
    where: dict[str, float] = field(default_factory=dict)
    """Keep only structures whose per-structure number equals this, such as `charge: 0`."""
    columns: Columns = field(default_factory=Columns)


GeometrySource = ScansSource | FileSource


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """Which points are joined: the `k` nearest, or all within `cutoff`."""

    kind: Literal["knn", "radius"] = "knn"
    k: Annotated[int, Field(gt=0)] = 10
    cutoff: Annotated[float, Field(gt=0)] = 5.0
    """Radius, in the unit of the positions; read by `radius` alone."""
    max_neighbors: Annotated[int, Field(gt=0)] | None = None
    """At most this many (the nearest) per point; read by `radius` alone."""


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Shares of the structures that are held out. The rest is for training."""

    val: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1
    by_group: bool = True
    """Keep groups whole where the data has groups."""
    seed: Annotated[int, Field(ge=0)] = 0

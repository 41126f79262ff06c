"""What the input side of the nas task can be told. Frozen, keyword-only, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

__all__ = [
    "GraphConfig",
    "LabelsConfig",
    "NasData",
    "SentinelConfig",
    "SplitConfig",
    "TableSource",
    "TinySource",
]

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """A CSV (.gz) or Parquet table: one column names the architecture, others are metrics."""

    kind: Literal["table"] = "table"
    path: str
    arch: tuple[str, ...] = ()
    """The column; several are joined by ':'. Empty: found by its name and values."""
    format: str = "auto"
    """A space (`spaces.SPACES`), `module`, `onnx`, or auto."""
    metrics: tuple[str, ...] = ()
    """Columns to predict; the first is the primary one."""
    higher_is_better: bool = True
    features: tuple[str, ...] = ()
    """Columns that are known before any training: params, FLOPs, learning rate…"""
    group: str = ""
    """Column that is equal for architectures that are the same function."""
    repeats: tuple[str, ...] = ()
    """Columns of repeated trainings of the primary metric: the noise ceiling."""
    limit: Count = 0
    """At most so many rows; 0 is all."""


@dataclass(frozen=True, kw_only=True)
class TinySource:
    """The table in the package: cells of tiny networks that were really trained."""

    kind: Literal["tiny"] = "tiny"
    limit: Count = 0


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """What is done to an architecture's graph before a model sees it."""

    prune: bool = False
    """Remove `none` operations and nodes that are on no path from input to output."""
    virtual_node: bool = False
    """One more node, joined to input and output."""
    positions: bool = False
    """Each node knows its longest path from the input and to the output."""
    features: bool = False
    """Global features: the table's, and counts of nodes, edges, paths and operations."""
    paths: Count = 0
    """So many of the most frequent operation paths, one-hot (BANANAS); 0 is off."""


@dataclass(frozen=True, kw_only=True)
class SentinelConfig:
    """When a label is not a number but the mark of a failed training.

    Not finite always is. A value is when it lies further than `factor` times the robust range
    (quantiles `low` to `high` of the finite training labels) outside of that range.
    """

    factor: Amount = 1000.0
    """Large, since a network that learnt nothing has an honest label far from the others: 10 % on
    NAS-Bench-101 is 40 ranges away. 0 switches the rule off: then only values that are not finite
    are failures."""
    low: Annotated[float, Field(ge=0, lt=0.5)] = 0.25
    high: Annotated[float, Field(gt=0.5, le=1)] = 0.75


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """From columns of numbers to what is learnt."""

    sentinel: SentinelConfig = field(default_factory=SentinelConfig)
    transform: Literal["standardise", "rank", "none"] = "standardise"
    feasibility: bool = False
    """Also learn which trainings fail (first stage of the Neural Predictor)."""


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Who is held out: counts (400) or shares (0.1) of the usable rows."""

    train: Amount = 0.8
    val: Amount = 0.1
    test: Amount = 0.1
    by: Literal["random", "group"] = "random"
    """group: architectures that are the same function stay on one side (canonical id)."""
    seed: Count | None = None
    """None: the run's seed."""


@dataclass(frozen=True, kw_only=True)
class NasData:
    """Architectures with labels, the graphs made of them, and who is held out."""

    source: Annotated[TableSource | TinySource, Field(discriminator="kind")] = field(
        default_factory=TinySource
    )
    graph: GraphConfig = field(default_factory=GraphConfig)
    labels: LabelsConfig = field(default_factory=LabelsConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    strict: bool = False  # stop at the first bad row instead of writing it aside

"""What each model of the geometry task can be told. Frozen, keyword-only, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

__all__ = ["MODELS", "EGNNConfig", "GCNConfig", "ModelConfig", "PaiNNConfig", "Pool", "TFNConfig"]

Count = Annotated[int, Field(gt=0)]
Length = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

Pool = Literal["sum", "mean"]
"""How points make one vector: a dipole is the sum over its atoms, a centre the mean over points."""


@dataclass(frozen=True, kw_only=True)
class PaiNNConfig:
    """Scalars and vectors at every point, exchanged along edges (`models/painn.py`)."""

    name: Literal["painn"] = "painn"
    hidden_dim: Count = 64
    num_layers: Count = 3
    num_basis: Annotated[int, Field(ge=2)] = 12
    """Radial functions of the distance."""
    cutoff: Length = 5.0
    """Messages fade to zero at this distance, in the unit of the positions."""
    pool: Pool = "sum"
    context: bool = False
    """Points also know their place in the structure and, after each layer, its mean state."""
    dropout: Share = 0.0


@dataclass(frozen=True, kw_only=True)
class EGNNConfig:
    """Scalars at every point, and points that move along their edges (`models/egnn.py`)."""

    name: Literal["egnn"] = "egnn"
    hidden_dim: Count = 64
    num_layers: Count = 4
    num_basis: Annotated[int, Field(ge=2)] = 16
    cutoff: Length = 5.0
    pool: Pool = "sum"
    dropout: Share = 0.0


@dataclass(frozen=True, kw_only=True)
class GCNConfig:
    """The original graph convolution on coordinates, not equivariant (`models/gcn.py`)."""

    name: Literal["gcn"] = "gcn"
    hidden_dim: Annotated[int, Field(ge=4)] = 128
    num_layers: Count = 4
    dropout: Share = 0.1


@dataclass(frozen=True, kw_only=True)
class TFNConfig:
    """Tensor field network on e3nn, the optional extra `tfn` (`models/tfn.py`)."""

    name: Literal["tfn"] = "tfn"
    hidden_dim: Count = 16
    """Copies of each irreducible representation."""
    num_layers: Count = 3
    degree: Literal[1, 2] = 1
    num_basis: Annotated[int, Field(ge=2)] = 8
    cutoff: Length = 5.0
    neighbors: Length = 10.0
    """How many a point usually has: sums over them are divided by its root."""
    pool: Pool = "sum"
    dropout: Share = 0.0


ModelConfig = Annotated[
    PaiNNConfig | EGNNConfig | GCNConfig | TFNConfig, Field(discriminator="name")
]
MODELS: dict[str, object] = {option.name: option() for option in get_args(get_args(ModelConfig)[0])}

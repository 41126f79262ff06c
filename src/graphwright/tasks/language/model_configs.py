"""What a language model can be told. Frozen, keyword-only, no torch.

A model is named by what joins its experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

__all__ = [
    "MODELS",
    "SHARED_FIELDS",
    "DenseConfig",
    "ExpertsConfig",
    "GnnConfig",
    "HgnnConfig",
    "MeanConfig",
    "ModelConfig",
    "StaticConfig",
]

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class ExpertsConfig:
    """What all models have: layers of experts, each a whole transformer block."""

    embed_dim: Count = 256
    num_layers: Count = 4
    num_heads: Count = 4
    num_experts: Count = 4
    ffn_dim: Count = 1024
    dropout: Share = 0.1
    position: Literal["rotary", "learned"] = "rotary"
    tie_head: bool = True
    """The output layer is the transposed embedding (Press & Wolf, 2017)."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Experts that a router lets work on each token; 0: all of them."""
    balance_weight: Annotated[float, Field(ge=0)] = 0.01
    """Of the router's load-balance loss (Fedus et al., 2021)."""


@dataclass(frozen=True, kw_only=True)
class GnnConfig(ExpertsConfig):
    """Experts exchange gated messages over a learned complete graph."""

    name: Literal["gnn"] = "gnn"
    coupler_layers: Count = 2


@dataclass(frozen=True, kw_only=True)
class HgnnConfig(ExpertsConfig):
    """Experts exchange messages over a static hypergraph."""

    name: Literal["hgnn"] = "hgnn"
    coupler_layers: Count = 2
    convolution: Literal["paper", "pyg"] = "paper"
    """paper: D⁻¹HWB⁻¹HᵀXΘ. pyg: as PyTorch Geometric computes it, the weights only in D."""
    hyperedges: Literal["all_pairs", "all_triplets", "all"] | tuple[tuple[int, ...], ...] = (
        "all_pairs"
    )
    """Or a list of groups of experts: [[0, 1], [1, 2, 3]]."""
    learnable_weights: bool = True


@dataclass(frozen=True, kw_only=True)
class MeanConfig(ExpertsConfig):
    """Control: the mean of the experts, who do not talk."""

    name: Literal["mean"] = "mean"


@dataclass(frozen=True, kw_only=True)
class StaticConfig(ExpertsConfig):
    """Control: one learned number for each expert."""

    name: Literal["static"] = "static"


@dataclass(frozen=True, kw_only=True)
class DenseConfig(ExpertsConfig):
    """Control: an ordinary transformer, as large or as costly as a model with experts."""

    name: Literal["dense"] = "dense"
    match: Literal["parameters", "compute", "none"] = "parameters"
    """What its feed-forward width is chosen by; none: `ffn_dim` as it is."""
    like: Literal["gnn", "hgnn", "mean"] = "hgnn"
    """The coupler of the model, of equal `num_experts` and `ffn_dim`, that it is to match."""


ModelConfig = Annotated[
    GnnConfig | HgnnConfig | MeanConfig | StaticConfig | DenseConfig,
    Field(discriminator="name"),
]
MODELS: dict[str, object] = {option.name: option() for option in get_args(get_args(ModelConfig)[0])}
SHARED_FIELDS = tuple(ExpertsConfig.__dataclass_fields__)

"""What each predictor of the nas task can be told. Frozen, keyword-only, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

__all__ = [
    "MODELS",
    "CombinedGCNConfig",
    "DagEnsembleConfig",
    "FRNASConfig",
    "HierarchicalConfig",
    "ModelConfig",
    "NeuralPredictorConfig",
    "SimpleGCNConfig",
]

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

Conv = Literal["gcn", "gin", "gat", "sage"]
Encoding = Literal["one_hot", "embedding", "combined"]
Direction = Literal["forward", "reverse", "bidirectional"]


@dataclass(frozen=True, kw_only=True)
class SimpleGCNConfig:
    """Two convolutions over one-hot operations, mean, linear (`models/simple_gcn.py`)."""

    name: Literal["simple_gcn"] = "simple_gcn"
    members: Count = 1
    """Copies with own initial weights, trained together: their spread is the uncertainty."""
    hidden_dim: Count = 64
    num_layers: Count = 2
    conv: Conv = "gcn"
    direction: Direction = "forward"
    dropout: Share = 0.0


@dataclass(frozen=True, kw_only=True)
class CombinedGCNConfig:
    """Embedded types beside hyperparameters, then convolutions (`models/combined_gcn.py`)."""

    name: Literal["combined_gcn"] = "combined_gcn"
    members: Count = 1
    embedding_dim: Count = 16
    hidden_dim: Count = 64
    num_layers: Count = 2
    conv: Conv = "gcn"
    direction: Direction = "forward"
    dropout: Share = 0.0


@dataclass(frozen=True, kw_only=True)
class NeuralPredictorConfig:
    """The Neural Predictor of Wen et al., ECCV 2020 (`models/neural_predictor.py`)."""

    name: Literal["neural_predictor"] = "neural_predictor"
    members: Count = 1
    hidden_dim: Count = 144
    num_layers: Count = 3
    head_dim: Count = 128
    dropout: Share = 0.1


@dataclass(frozen=True, kw_only=True)
class FRNASConfig:
    """Two GIN encoders, forward and reverse (FR-NAS, arXiv 2404.15622; `models/fr_nas.py`)."""

    name: Literal["fr_nas"] = "fr_nas"
    members: Count = 1
    hidden_dim: Count = 32
    num_layers: Count = 3
    head_dim: Count = 16
    paper: bool = False
    """Keep the quirks of the published code: an output of 20 times a sigmoid."""


@dataclass(frozen=True, kw_only=True)
class HierarchicalConfig:
    """A graph network embeds each cell, a second one the network of cells."""

    name: Literal["hierarchical"] = "hierarchical"
    members: Count = 4
    hidden_dim: Count = 64
    num_layers: Count = 3
    network_layers: Count = 2
    dropout: Share = 0.0


@dataclass(frozen=True, kw_only=True)
class DagEnsembleConfig:
    """The default: an ensemble over both directions of the graph (`models/dag_ensemble.py`)."""

    name: Literal["dag_ensemble"] = "dag_ensemble"
    members: Count = 4
    hidden_dim: Count = 24
    num_layers: Count = 3
    head_dim: Count = 32
    dropout: Share = 0.0


ModelConfig = Annotated[
    SimpleGCNConfig
    | CombinedGCNConfig
    | NeuralPredictorConfig
    | FRNASConfig
    | HierarchicalConfig
    | DagEnsembleConfig,
    Field(discriminator="name"),
]
MODELS: dict[str, object] = {option.name: option() for option in get_args(get_args(ModelConfig)[0])}

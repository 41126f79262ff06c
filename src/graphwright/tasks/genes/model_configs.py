"""What the model of the genes task and its loss can be told. Frozen, keyword-only, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

__all__ = [
    "Aggregator",
    "Base",
    "Combination",
    "Conv",
    "Embedding",
    "GeneInteractionConfig",
    "LocalHead",
    "LossConfig",
    "Norm",
]

Count = Annotated[int, Field(gt=0)]
Depth = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Aggregator = Literal["sum", "mean", "cross_attention", "pairwise_interaction"]
Base = Literal["none", "ridge"]
Combination = Literal["gating", "concat", "global", "local"]
Conv = Literal["gin", "gatv2"]
Embedding = Literal["learned", "given"]
LocalHead = Literal["set_attention", "pairs"]
Norm = Literal["node", "compat"]


@dataclass(frozen=True, kw_only=True)
class GeneInteractionConfig:
    """A wild type and its perturbed cells on one shared multigraph (`models/model.py`)."""

    name: Literal["gene_interaction"] = "gene_interaction"
    hidden_dim: Count = 64
    embedding: Embedding = "learned"
    """given: features of the genes that come with the data."""
    num_layers: Count = 3
    conv: Conv = "gin"
    conv_heads: Count = 1
    """Of gatv2; they share hidden_dim."""
    aggregator: Aggregator = "sum"
    """How the embeddings of one gene in the different networks become one."""
    aggregation_norm: bool = True
    aggregation_heads: Count = 2
    """Of cross_attention."""
    bottleneck: Count | None = 32
    """Width inside of the networks of pairwise_interaction; None: hidden_dim."""
    pair_depth: Depth = 2
    """Their linear layers."""
    residual: bool = True
    """Every layer adds to the embedding instead of replacing it."""
    signed: bool = False
    """Features keep their sign: what every gene starts from is standardised over the genes, and a
    layer does not end with a ReLU. Otherwise all features are >= 0, as in the original: what genes
    have in common then outweighs, in every sum over neighbours, what tells them apart."""
    norm: Norm = "node"
    """compat: over all genes and cells of a batch at once, as in the original. A prediction then
    depends on what else is in its batch."""
    dropout: Share = 0.0
    """Of the preprocessor."""
    combination: Combination = "gating"
    """How the two heads become one number: weights that depend on both, halves, or one head
    alone. With local alone no perturbed cell is computed."""
    local_head: LocalHead = "set_attention"
    """set_attention: Hyper-SAGNN, as in DANGO. pairs: squared differences and products of the
    embeddings of every two deleted genes, summed over the pairs (`models/pair_head.py`)."""
    set_heads: Count = 2
    set_layers: Count = 1
    """Attention between the deleted genes (local head)."""
    base: Base = "none"
    """ridge: the per-gene ridge of the training split is added; the network learns the rest."""
    overlap: bool = False
    """Adds a head on how the deleted genes are related in each network: edges between them and
    shared neighbours, looked up exactly (`models/overlap_head.py`)."""
    recompute: bool = False
    """Compute inner values again in the backward pass instead of keeping them: less memory."""


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What is minimised, on standardised labels (`losses.py`)."""

    name: Literal["log_cosh", "mse", "mae"] = "log_cosh"
    distribution: Weight = 0.0
    """Weight of the distance between the distributions of predictions and labels of a batch."""

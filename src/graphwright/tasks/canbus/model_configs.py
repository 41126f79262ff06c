"""What each model of the canbus task can be told, and its sizes. Frozen, keyword-only, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

__all__ = [
    "FUSIONS",
    "SIZES",
    "AverageConfig",
    "BanditConfig",
    "DQNConfig",
    "DistillationConfig",
    "FusionConfig",
    "GATConfig",
    "MLPConfig",
    "MaxConfig",
    "ModelConfig",
    "ModelSize",
    "VGAEConfig",
    "gat_sizes",
    "published_gat",
    "vgae_sizes",
]

Count = Annotated[int, Field(gt=0)]
CountOrZero = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1)]

Attention = Literal["gat", "gatv2"]
ModelSize = Literal["teacher", "student", "intermediate", "huge", "tiny"]
SIZES: tuple[ModelSize, ...] = ("teacher", "student", "intermediate", "huge", "tiny")


@dataclass(frozen=True, kw_only=True)
class VGAEConfig:
    """Variational graph autoencoder of benign traffic (`models/vgae.py`)."""

    name: Literal["vgae"] = "vgae"
    hidden_dims: tuple[Count, ...] = (80, 40)
    """Widths of the encoder's layers over all heads; the decoder mirrors them."""
    latent_dim: Count = 16
    heads: Count = 1
    attention: Attention = "gat"
    edge_features: bool = True
    embedding_dim: Count = 8
    """Of the ids; not used with `id_free`."""
    window_stats: bool = False
    """How far the relative statistics of a window are from benign ones is a second score
    (`models/relative.py`), and the only one where most ids are unknown."""
    largest_error: bool = False
    """The largest error of a node's features is a kind of error of its own."""
    neighbour_dim: CountOrZero = 0
    """Width of the neighbourhood head's hidden layer; 0: it is linear."""
    unknown_rate: Share = 0.05
    """Nodes whose id a training step hides, so that the unknown one is trained."""
    dropout: Share = 0.0
    id_weight: NonNegative = 0.1
    neighbour_weight: NonNegative = 0.05
    kl_weight: NonNegative = 0.01


@dataclass(frozen=True, kw_only=True)
class GATConfig:
    """Graph attention network that classifies windows (`models/gat.py`)."""

    name: Literal["gat"] = "gat"
    head_dim: Count = 24
    heads: Count = 4
    num_layers: Count = 2
    attention: Attention = "gatv2"
    edge_features: bool = True
    self_loops: bool = False
    """Give each node exactly one loop, as the published model does, whatever the traffic had."""
    jumping: Literal["cat", "lstm"] = "cat"
    pool: Literal["mean", "mean_max"] = "mean"
    """What the head reads of the nodes; in a mean one injected frame hardly shows."""
    window_stats: bool = False
    """The head also reads the statistics of the window, and, where ids are known, a small second
    head that reads nothing else judges windows most of whose ids are not (`models/gat.py`)."""
    fc_layers: Annotated[int, Field(ge=1, le=3)] = 2
    fc_dim: CountOrZero = 48
    """Width between the linear layers of the head; 0: the width of what they read."""
    logits: Annotated[int, Field(ge=1, le=2)] = 2
    embedding_dim: CountOrZero = 16
    """Of the ids; 0, or `id_free`, leaves them out."""
    unknown_rate: Share = 0.05
    dropout: Share = 0.2
    loss: Literal["ce", "weighted_ce", "focal"] = "ce"
    attack_weight: Positive = 1.0
    """weighted_ce and focal: weight of the attack class beside the benign class's 1."""
    focal_gamma: NonNegative = 2.0


@dataclass(frozen=True, kw_only=True)
class DQNConfig:
    """Deep Q network over 21 mixtures of both scores (`fusion/dqn.py`)."""

    name: Literal["dqn"] = "dqn"
    hidden_dims: tuple[Count, ...] = (128, 64)
    actions: Annotated[int, Field(ge=2)] = 21
    discount: Share = 0.0
    """Windows are independent, so 0: what follows a window does not depend on the action."""
    epsilon_start: Weight = 1.0
    epsilon_end: Weight = 0.05
    epsilon_decay_steps: Count = 500
    """Training steps after which 1/e of the way from start to end is left."""
    target_rate: Annotated[float, Field(gt=0, le=1)] = 0.01
    """How far the target network moves towards the trained one at each step."""


@dataclass(frozen=True, kw_only=True)
class MLPConfig:
    """A small network from both summaries straight to a score (`fusion/mlp.py`)."""

    name: Literal["mlp"] = "mlp"
    hidden_dims: tuple[Count, ...] = (64, 32)
    dropout: Share = 0.1


@dataclass(frozen=True, kw_only=True)
class BanditConfig:
    """LinUCB over 21 mixtures of both scores (`fusion/bandit.py`)."""

    name: Literal["bandit"] = "bandit"
    actions: Annotated[int, Field(ge=2)] = 21
    exploration: NonNegative = 1.0
    ridge: Positive = 1.0


@dataclass(frozen=True, kw_only=True)
class AverageConfig:
    """One mixture for all windows, the best of 21 on the training data (`fusion/average.py`)."""

    name: Literal["average"] = "average"
    actions: Annotated[int, Field(ge=2)] = 21


@dataclass(frozen=True, kw_only=True)
class MaxConfig:
    """The larger of both scores (`fusion/average.py`)."""

    name: Literal["max"] = "max"


FusionConfig = DQNConfig | MLPConfig | BanditConfig | AverageConfig | MaxConfig
ModelConfig = VGAEConfig | GATConfig | FusionConfig
FUSIONS: dict[str, FusionConfig] = {
    config.name: config
    for config in (DQNConfig(), MLPConfig(), BanditConfig(), AverageConfig(), MaxConfig())
}


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """What a student learns from its teacher (`distill.py`)."""

    method: Literal["no", "standard", "topology_preserving"] = "no"
    temperature: Positive = 4.0
    alpha: Weight = 0.7
    """Share of the teacher in the loss; the rest is the task's own."""
    teacher: str = ""
    """Run of the teacher; empty: the newest finished one of the matching configuration."""


def vgae_sizes() -> dict[ModelSize, VGAEConfig]:
    """The VGAE of each size."""
    return {
        "teacher": _vgae(
            hidden_dims=(480, 240), latent_dim=48, heads=4, embedding_dim=32, neighbour_dim=240
        ),
        "student": _vgae(hidden_dims=(80, 40), latent_dim=16, heads=1, embedding_dim=8),
        "intermediate": _vgae(
            hidden_dims=(240, 120), latent_dim=32, heads=2, embedding_dim=16, neighbour_dim=60
        ),
        "huge": _vgae(
            hidden_dims=(960, 480), latent_dim=96, heads=8, embedding_dim=64, neighbour_dim=480
        ),
        "tiny": _vgae(hidden_dims=(16,), latent_dim=8, heads=1, embedding_dim=4),
    }


def gat_sizes() -> dict[ModelSize, GATConfig]:
    """The GAT of each size."""
    return {
        "teacher": _gat(
            head_dim=48, heads=8, num_layers=3, fc_layers=3, fc_dim=128, embedding_dim=32
        ),
        "student": _gat(),
        "intermediate": _gat(head_dim=32, heads=6, num_layers=2, fc_dim=96),
        "huge": _gat(head_dim=64, heads=8, num_layers=5, fc_layers=3, fc_dim=256, embedding_dim=64),
        "tiny": _gat(head_dim=8, heads=1, num_layers=1, fc_layers=1, embedding_dim=4, dropout=0.0),
    }


def published_gat(size: Literal["teacher", "student"]) -> GATConfig:
    """The classifier of KD-GAT's first version (arXiv 2507.19686): 10 features in, no id table.

    Teacher 4,999,426 parameters, student 316,034, which follow from: GATConv with one loop at each
    node and no edge features, jumping knowledge by a bidirectional LSTM whose hidden size is half
    of layers x width, mean pool, three linear layers of the convolutions' width, one logit.
    """
    return GATConfig(
        head_dim=32,
        heads=8 if size == "teacher" else 4,
        num_layers=5 if size == "teacher" else 2,
        attention="gat",
        edge_features=False,
        self_loops=True,
        jumping="lstm",
        fc_layers=3,
        fc_dim=0,
        logits=1,
        embedding_dim=0,
    )


def _gat(**sizes: Any) -> GATConfig:
    return GATConfig(pool="mean_max", window_stats=True, **sizes)


def _vgae(**sizes: Any) -> VGAEConfig:
    return VGAEConfig(window_stats=True, largest_error=True, **sizes)

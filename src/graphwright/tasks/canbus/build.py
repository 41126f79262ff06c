"""Models from their configurations and the state of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from graphwright.errors import ConfigError
from graphwright.tasks.canbus.fusion.heads import build_head
from graphwright.tasks.canbus.fusion.model import FusionModel
from graphwright.tasks.canbus.model_configs import GATConfig, ModelConfig, VGAEConfig
from graphwright.tasks.canbus.models.gat import GATModel
from graphwright.tasks.canbus.models.vgae import VGAEModel

__all__ = ["build_model", "parameter_count"]


def build_model(config: ModelConfig, state: Mapping[str, Any], seed: int = 0) -> nn.Module:
    """A freshly initialised VGAE, GAT or fusion.

    Args:
        config: of the model.
        state: "ids", "node_mean", "node_sd", "edge_mean", "edge_sd" and "id_free"; for a student
            of a VGAE "teacher_latent"; for a fusion instead of all these
            "parts": {"vgae": {"config": …, "state": …}, "gat": {"config": …, "state": …}}, with
            configurations as dictionaries of their fields. The parts' weights come from the run or
            the bundle.
        seed: of what a fusion tries while it trains; weights come from torch's own generator.

    Raises:
        ConfigError: sizes that do not fit together, or a part that is missing.
    """
    if isinstance(config, VGAEConfig):
        return VGAEModel(config, state)
    if isinstance(config, GATConfig):
        return GATModel(config, state)
    vgae = VGAEModel(VGAEConfig(**_fields(state, "vgae")), state["parts"]["vgae"]["state"])
    gat = GATModel(GATConfig(**_fields(state, "gat")), state["parts"]["gat"]["state"])
    width = vgae.summary_dim + gat.summary_dim
    return FusionModel(vgae, gat, build_head(config, width, vgae.summary_dim, seed))


def parameter_count(model: nn.Module) -> int:
    """Parameters with id tables and frozen parts, without what only distillation needs."""
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if not name.startswith("projection.")
    )


def _fields(state: Mapping[str, Any], part: str) -> dict[str, Any]:
    """The fields of a part's configuration; JSON has lists where dataclasses have tuples."""
    if part not in state.get("parts", {}):
        raise ConfigError(f"a fusion's state has no part {part!r}", where="state.parts")
    given = state["parts"][part]["config"]
    return {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}

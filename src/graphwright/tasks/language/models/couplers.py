"""Finds the coupler that a configuration names."""

from __future__ import annotations

from graphwright.nn.expert_combine import ExpertCoupler, MeanCoupler, StaticWeightsCoupler
from graphwright.nn.expert_graph import ExpertGraphCoupler
from graphwright.nn.hypergraph import HypergraphCoupler
from graphwright.tasks.language.model_configs import (
    ExpertsConfig,
    GnnConfig,
    HgnnConfig,
    MeanConfig,
    StaticConfig,
)

__all__ = ["build_coupler"]


def build_coupler(config: ExpertsConfig) -> ExpertCoupler:
    """What makes one vector of the experts' outputs for a token.

    Raises:
        ConfigError: hyperedges that the experts do not have.
    """
    experts, dim = config.num_experts, config.embed_dim
    if isinstance(config, GnnConfig):
        return ExpertGraphCoupler(experts, dim, num_convs=config.coupler_layers)
    if isinstance(config, HgnnConfig):
        return HypergraphCoupler(
            experts,
            dim,
            config.hyperedges,
            num_convs=config.coupler_layers,
            convention=config.convolution,
            learnable=config.learnable_weights,
        )
    if isinstance(config, StaticConfig):
        return StaticWeightsCoupler(experts, dim)
    assert isinstance(config, MeanConfig)
    return MeanCoupler(experts, dim)

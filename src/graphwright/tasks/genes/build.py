"""Builds the model that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphwright.tasks.genes.model_configs import GeneInteractionConfig
from graphwright.tasks.genes.models.model import GeneInteractionModel, Sizes

__all__ = ["build_model"]


def build_model(config: GeneInteractionConfig, state: Mapping[str, Any]) -> GeneInteractionModel:
    """A freshly initialised model, its networks still without edges.

    Args:
        config: `GenesConfig.model`.
        state: `genes` (names in order), `networks` (each `name`, `edges`, `symmetric`) and, for
            `embedding="given"`, `features` (their names).
    """
    return GeneInteractionModel(config, Sizes.of(state))

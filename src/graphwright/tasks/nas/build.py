"""Finds the predictor that a configuration names."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from graphwright.tasks.nas.config import NasConfig
from graphwright.tasks.nas.models.inputs import Sizes

__all__ = ["build_model"]


def build_model(config: NasConfig, state: Mapping[str, Any]) -> nn.Module:
    """A freshly initialised predictor: `models/<name>.py` offers it as `MODEL`.

    Args:
        config: `config.model` says which, and its sizes.
        state: of `encoding.fit_encoding`.
    """
    sizes = Sizes.of(state, feasibility=config.data.labels.feasibility)
    module = importlib.import_module(f"graphwright.tasks.nas.models.{config.model.name}")
    model: nn.Module = module.MODEL(config.model, sizes)
    return model

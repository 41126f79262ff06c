"""How wide a dense transformer must be to match a model with experts.

Legend: D = width, L = positions, M = feed-forward width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from graphwright.tasks.language.model_configs import (
    SHARED_FIELDS,
    DenseConfig,
    ExpertsConfig,
    GnnConfig,
    HgnnConfig,
    MeanConfig,
)

__all__ = ["count_flops", "count_parameters", "dense_ffn_dim", "matched_config"]

_LIKE: dict[str, type[ExpertsConfig]] = {"gnn": GnnConfig, "hgnn": HgnnConfig, "mean": MeanConfig}


def matched_config(config: DenseConfig) -> ExpertsConfig:
    """The model with experts that a dense one is measured against, at its coupler's defaults."""
    shared = {field.name: getattr(config, field.name) for field in fields(config)}
    return _LIKE[config.like](**{name: shared[name] for name in SHARED_FIELDS})


def dense_ffn_dim(
    config: DenseConfig,
    length: int,
    make_coupled: Callable[[ExpertsConfig], nn.Module],
    make_dense: Callable[[DenseConfig, int], nn.Module],
) -> int:
    """M such that a dense layer has as many parameters, or costs as many operations, as a layer of
    the matched model; the nearest that is not below 1.

    Args:
        config: of the dense model.
        length: L, for what attention costs.
        make_coupled: a layer of the matched model; it is only measured.
        make_dense: a dense layer of a given M.
    """
    if config.match == "none":
        return config.ffn_dim

    def cost(make: Callable[[], nn.Module]) -> int:
        with torch.device("meta"):
            layer = make()
        if config.match == "parameters":
            return count_parameters(layer)
        return count_flops(layer, length, config.embed_dim)

    target = cost(lambda: make_coupled(matched_config(config)))
    # both grow linearly with M
    first, second = (cost(lambda m=m: make_dense(config, m)) for m in (1, 2))  # type: ignore[misc]
    return max(1, 1 + round((target - first) / (second - first)))


def count_parameters(module: nn.Module) -> int:
    """Numbers that are learnt."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(layer: nn.Module, length: int, dim: int) -> int:
    """Floating-point operations of products in a layer's forward pass over one row of L positions
    (twice the multiplications, by torch's own counter)."""
    # it imports torch's compiler: seconds that only this control needs
    from torch.utils.flop_counter import FlopCounterMode

    layer = layer.to_empty(device="cpu").eval()  # not every operator takes meta tensors
    x_BLD = next(layer.parameters()).new_zeros(1, length, dim)
    plain = sdpa_kernel(SDPBackend.MATH)  # the fused one of the CPU goes uncounted
    with FlopCounterMode(display=False) as counter, torch.no_grad(), plain:
        layer(x_BLD, None)
    return int(counter.get_total_flops())

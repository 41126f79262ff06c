"""Predictors × training sizes × seeds on one table, as the field compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphwright.config.compose import compose
from graphwright.config.presets import resolve_preset
from graphwright.config.schema import TrackingConfig
from graphwright.errors import ConfigError, nearest
from graphwright.tasks.nas.config import NasConfig
from graphwright.tasks.nas.recipes import RECIPES, with_recipe

__all__ = ["benchmark_configs"]


def benchmark_configs(
    preset: str,
    overrides: Sequence[str],
    *,
    predictors: Sequence[str],
    sizes: Sequence[int],
    seeds: Sequence[int],
) -> list[NasConfig]:
    """One configuration for every combination, the cheap ones first.

    For one seed all predictors and sizes have the same test architectures, and a smaller training
    split is part of a larger one (`splitting.split_rows`).

    Args:
        preset: gives the data.
        overrides: on top of every predictor's recipe.
        predictors: names of recipes; each is trained as its recipe says.
        sizes: numbers of training architectures.
        seeds: of the split and of the initial weights.

    Raises:
        ConfigError: another task's preset, or no such recipe; the nearest is named.
    """
    bases = [_base(preset, name, overrides) for name in predictors]
    return [
        replace(
            base,
            seed=seed,
            data=replace(base.data, split=replace(base.data.split, train=float(size))),
            tracking=TrackingConfig(mlflow="off"),
        )
        for size in sizes
        for seed in seeds
        for base in bases
    ]


def _base(preset: str, predictor: str, overrides: Sequence[str]) -> NasConfig:
    config = resolve_preset(preset)
    if not isinstance(config, NasConfig):
        raise ConfigError(f"{preset} is of another task", fix="give a preset of nas")
    if predictor not in RECIPES:
        raise ConfigError(
            f"{predictor}: no such predictor{nearest(predictor, RECIPES)}",
            fix=f"predictors are {', '.join(RECIPES)}",
        )
    config = with_recipe(config, predictor)
    return compose(config, overrides) if overrides else config

"""What a sweep is going to run: one preset, variants of it, seeds. Nothing is run here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from graphwright.config.presets import load_config, resolve_preset
from graphwright.config.schema import TaskConfig
from graphwright.errors import ConfigError, nearest

__all__ = ["PlannedRun", "SweepPlan", "configure", "planned_runs", "read_plan"]

_KEYS = ("name", "preset", "overrides", "variants", "seeds")


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """Every combination of variants, of the values that overrides list, and of seeds.

    Attributes:
        name: of the sweep's folder.
        preset: `task/name`, or the path of a saved `config.yaml`.
        overrides: of all runs; `key=a,b,c` and `key=range(1,5)` make a run for each value.
        variants: further overrides by a name of one's own, each alternative to the others.
        seeds: one run for each.
    """

    name: str
    preset: str
    overrides: tuple[str, ...] = ()
    variants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: its variant's name (empty: none), what sets it apart, and all of it.

    `digest` is that of the configuration (`config.io.digest`).
    """

    variant: str
    overrides: tuple[str, ...]
    config: TaskConfig
    digest: str


def read_plan(path: Path) -> SweepPlan:
    """A plan from a YAML file with the keys of `SweepPlan`; `seeds` may be a number of them.

    Raises:
        ConfigError: the file cannot be read, a key is unknown (the nearest is named) or missing,
            or a value has another form.
    """
    try:
        tree = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"the plan cannot be read: {error}", where=path) from None
    if not isinstance(tree, dict):
        raise ConfigError("a plan is a mapping", where=path, fix=f"keys are {', '.join(_KEYS)}")
    for key in tree:
        if key not in _KEYS:
            raise ConfigError(
                f"{key}: no such key{nearest(str(key), _KEYS)}",
                where=path,
                fix=f"keys are {', '.join(_KEYS)}",
            )
    variants = tree.get("variants") or {}
    if not isinstance(variants, dict):
        raise ConfigError("variants: a mapping of names to lists of overrides", where=path)
    return SweepPlan(
        name=str(tree.get("name") or path.stem),
        preset=_preset(tree, path),
        overrides=_texts(tree.get("overrides"), "overrides", path),
        variants={
            str(name): _texts(value, f"variants.{name}", path) for name, value in variants.items()
        },
        seeds=_seeds(tree.get("seeds", 1), path),
    )


def planned_runs(plan: SweepPlan) -> list[PlannedRun]:
    """Every run of a plan, checked; seeds outermost, so that all variants have one early.

    Raises:
        ConfigError: a preset, override or combination that makes no sense, or two runs that are
            the same.
    """
    from graphwright.config import io
    from graphwright.config.compose import expand_sweeps

    variants = plan.variants or {"": ()}
    settings = [
        (name, tuple(values))
        for name, own in variants.items()
        for values in expand_sweeps([*plan.overrides, *own])
    ]
    # Hydra takes 60 ms for each, and a seed changes nothing else
    configs = [configure(plan.preset, values) for _, values in settings]
    seen: dict[str, PlannedRun] = {}
    for seed in plan.seeds:
        for (name, values), config in zip(settings, configs, strict=True):
            seeded = replace(config, seed=seed)
            run = PlannedRun(name, (*values, f"seed={seed}"), seeded, io.digest(seeded))
            if run.digest in seen:
                raise ConfigError(
                    f"two runs are the same: {_label(run)} and {_label(seen[run.digest])}",
                    where=plan.name,
                    fix="leave one of them out",
                )
            seen[run.digest] = run
    return list(seen.values())


def configure(preset: str, overrides: Sequence[str]) -> TaskConfig:
    """The configuration of a preset's name, or of a saved file, with overrides.

    Raises:
        ConfigError: there is none, or an override makes no sense.
    """
    if preset.endswith((".yaml", ".yml")):
        return load_config(Path(preset), overrides)
    return resolve_preset(preset, overrides)


def _label(run: PlannedRun) -> str:
    return " ".join([run.variant, *run.overrides]).strip()


def _preset(tree: Mapping[str, Any], path: Path) -> str:
    preset = tree.get("preset")
    if not isinstance(preset, str):
        raise ConfigError("preset: is required", where=path, fix="graphwright list names them")
    return preset


def _texts(value: Any, key: str, path: Path) -> tuple[str, ...]:
    value = [] if value is None else value
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ConfigError(f"{key}: a list of overrides such as training.epochs=5", where=path)
    return tuple(value)


def _seeds(value: Any, path: Path) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return tuple(range(value))
    numbers = isinstance(value, list) and all(type(seed) is int and seed >= 0 for seed in value)
    if numbers and value and len(set(value)) == len(value):
        return tuple(value)
    raise ConfigError("seeds: how many, or a list of different ones", where=path)

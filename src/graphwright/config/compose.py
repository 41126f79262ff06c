"""Preset + command-line overrides → checked configuration. The only file that knows Hydra.

Hydra's grammar parses the overrides, hydra-zen builds the configuration they act on and Hydra
composes the two; `config/check.py` then enforces the types. Only the preset that was asked for is
ever registered, so thousands of possible presets cost nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from hydra import compose as hydra_compose
from hydra import initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra_zen import make_config
from omegaconf import OmegaConf

from graphwright.config.check import check
from graphwright.config.io import flatten, to_dict
from graphwright.config.schema import TaskConfig
from graphwright.errors import ConfigError, nearest

__all__ = ["compose", "expand_sweeps"]

C = TypeVar("C", bound=TaskConfig)
_NODE = "graphwright_preset"


def compose(preset: C, overrides: Sequence[str] = ()) -> C:
    """Apply Hydra overrides (`training.epochs=5`, `model=gcn`) to a preset.

    Raises:
        ConfigError: an override that cannot be parsed, sweeps over several values, names an
            unknown key (the nearest is named) or gives a value that the schema refuses.
    """
    if not overrides:
        return check(type(preset), to_dict(preset), where="preset")
    tree = to_dict(preset)
    groups = {
        name: {key: to_dict(value) for key, value in options.items()}
        for name, options in preset.groups.items()
    }
    parsed = [_parse(text) for text in overrides]
    rest = _choose_groups(parsed, groups, tree, preset.carried)
    _check_keys(rest, tree)
    composed = _compose(tree, [o.input_line for o in rest if o.input_line])
    return check(type(preset), composed, where="command line")


def expand_sweeps(overrides: Sequence[str]) -> list[list[str]]:
    """Every combination of the values that overrides list (`lr=1,2`, `seed=range(0,3)`).

    The last override varies fastest; one without several values is in all of them.

    Raises:
        ConfigError: an override that cannot be parsed, or an interval, which has no values.
    """
    choices = []
    for text in overrides:
        override = _parsed(text)
        if not override.is_sweep_override():
            choices.append([text])
        elif override.is_interval_sweep():
            raise ConfigError(
                f"{text}: an interval has no end of values",
                where="command line",
                fix="list them, key=a,b,c, or take key=range(start,stop,step)",
            )
        else:
            key = override.get_key_element()
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
    return [list(values) for values in itertools.product(*choices)]


def _parse(text: str) -> Override:
    override = _parsed(text)
    if override.is_sweep_override():
        raise ConfigError(
            f"{text}: one run takes one value for each key",
            where="command line",
            fix="graphwright sweep runs one for each value; a list is quoted as key=[a,b]",
        )
    return override


def _parsed(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigError(
            f"{text}: not an override ({str(error).splitlines()[0]})",
            where="command line",
            fix="write key=value, for example training.epochs=5",
        ) from None


def _choose_groups(
    overrides: Sequence[Override],
    groups: Mapping[str, Mapping[str, Any]],
    tree: dict[str, Any],
    carried: Mapping[str, Sequence[str]],
) -> list[Override]:
    """Swap whole sections of the tree (`model=gcn`); the other overrides are returned."""
    rest = []
    for override in overrides:
        group, value = override.key_or_group, override.value()
        if group not in groups:
            rest.append(override)
        elif str(value) not in groups[group]:
            raise ConfigError(
                f"{group}={value}: choose one of {', '.join(groups[group])}"
                f"{nearest(str(value), groups[group])}",
                where="command line",
            )
        elif value not in [(section := _section(tree, group)).get(tag) for tag in ("name", "kind")]:
            # (a section that is of this kind already keeps the preset's settings)
            option = groups[group][str(value)]
            shared = [k for k in carried.get(group, ()) if k in section and k in option]
            kept = {key: section[key] for key in shared}
            section.clear()
            section.update(option | kept)
    return rest


def _section(tree: dict[str, Any], dotted: str) -> dict[str, Any]:
    for part in dotted.split("."):
        tree = tree[part]
    return tree


def _check_keys(overrides: Sequence[Override], tree: Mapping[str, Any]) -> None:
    valid = list(flatten(tree))
    sections = {key.rsplit(".", depth)[0] for key in valid for depth in range(key.count(".") + 1)}
    for override in overrides:
        key = override.key_or_group
        if key in valid or key in sections:
            continue
        short = {name.rsplit(".", 1)[-1]: name for name in valid}
        hint = nearest(key, valid)
        if not hint and (last := key.rsplit(".", 1)[-1]) in short:
            hint = f", did you mean {short[last]}?"
        raise ConfigError(
            f"{key}: no such key{hint}",
            where="command line",
            fix="--show-config lists all keys",
        )


def _compose(tree: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    store, hydra = ConfigStore.instance(), GlobalHydra.instance()
    hydra.clear()
    store.store(name=_NODE, node=make_config(**tree))
    try:
        with initialize(version_base="1.3", config_path=None):
            config = hydra_compose(_NODE, overrides=list(overrides))
        plain = OmegaConf.to_container(config, resolve=True)
    except HydraException as error:
        raise ConfigError(str(error).splitlines()[0], where="command line") from None
    finally:
        # Hydra's two singletons are left as they were found
        store.repo.pop(f"{_NODE}.yaml", None)
        hydra.clear()
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}

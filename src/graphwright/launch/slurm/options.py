"""Launch settings from the command line and from a file. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import click

from graphwright.config.launch import LaunchConfig, LaunchSection
from graphwright.errors import ConfigError

__all__ = ["launch_config_option", "read_launch", "split_launch"]

_PREFIX = "launch."
_MAPPINGS = ("launch.environment.", "launch.extra.")

launch_config_option: Callable[..., Any] = click.option(
    "--launch-config",
    "launch_config",
    type=click.Path(path_type=Path),
    envvar="GRAPHWRIGHT_LAUNCH",
    metavar="FILE",
    help="YAML with launch settings, below launch.KEY=VALUE (or GRAPHWRIGHT_LAUNCH).",
)


def split_launch(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides of the run, and those of its placement (`launch.partition=gpu`)."""
    launch = [text for text in overrides if text.lstrip("+~").startswith(_PREFIX)]
    return [text for text in overrides if text not in launch], launch


def read_launch(overrides: Sequence[str] = (), file: Path | None = None) -> LaunchConfig:
    """The checked launch configuration: defaults, then the file, then the overrides.

    Args:
        overrides: `launch.key=value` each.
        file: YAML with the keys of `LaunchConfig`.

    Raises:
        ConfigError: the file cannot be read, or a key or value makes no sense; the nearest is
            named.
    """
    from graphwright.config.check import check
    from graphwright.config.io import to_dict

    # `check` and `compose` take any configuration, and are typed for those of tasks
    section = cast("Any", LaunchSection)
    tree = to_dict(LaunchConfig()) if file is None else _read(file)
    base: LaunchSection = check(section, {"launch": tree}, where=file)
    named = [text for text in overrides if text.startswith(_MAPPINGS)]
    plain = [text for text in overrides if text not in named]
    if plain:
        base = _composed(cast("Any", base), plain)
    if named:
        base = check(section, _with_named(to_dict(base), named), where="command line")
    return base.launch


def _composed(base: Any, overrides: Sequence[str]) -> LaunchSection:
    from graphwright.config.compose import compose

    try:
        composed: LaunchSection = compose(base, overrides)
    except ConfigError as error:
        keys = "the keys are in docs/slurm.md; --show-launch prints them with their values"
        fix = keys if error.fix and "--show-config" in error.fix else error.fix
        raise ConfigError(error.what, where=error.where, fix=fix) from None
    return composed


def _with_named(tree: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Names of the user's own, which Hydra would take for misspelt keys."""
    for text in overrides:
        key, equals, value = text.partition("=")
        _, mapping, name = key.split(".", 2)
        if not equals:
            raise ConfigError(
                f"{text}: not an override", where="command line", fix=f"write {key}=value"
            )
        is_flag = mapping == "extra" and value in ("true", "false")
        tree["launch"][mapping][name] = value == "true" if is_flag else value
    return tree


def _read(file: Path) -> dict[str, Any]:
    from graphwright.config.io import parse_yaml

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the launch settings: {error}", where=file) from None
    tree = parse_yaml(text, where=file)
    time = tree.get("time")
    if isinstance(time, int):  # YAML 1.1 reads 1:30:00 as a number in base 60
        raise ConfigError(
            f"time={time}: not a text", where=file, fix='put it in quotes: time: "1:30:00"'
        )
    return tree

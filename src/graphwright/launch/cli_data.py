"""`graphwright data`, and how commands name a configuration. Nothing heavy is imported here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from graphwright.launch.options import root_option

__all__ = ["config_of", "data"]

_data_root = root_option("data", "prepared data are kept")


@click.group()
def data() -> None:
    """Prepared data sets: list, prepare, inspect."""


@data.command("list")
@_data_root
def list_data(data_root: Path) -> None:
    """Every prepared store."""
    from graphwright.launch.datasets import list_stores

    for path in list_stores(data_root):
        click.echo(path)


@data.command("prepare")
@click.argument("preset", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="A saved config.yaml."
)
@_data_root
def prepare(
    preset: str | None, overrides: tuple[str, ...], config_file: Path | None, data_root: Path
) -> None:
    """Read, check and pack the data of PRESET, and say what was found."""
    from graphwright.launch.datasets import prepare_data

    _print_mapping(prepare_data(config_of(preset, overrides, config_file), data_root))


@data.command("inspect")
@click.argument("store", type=click.Path(path_type=Path))
def inspect(store: Path) -> None:
    """Counts, fields and rejected rows of a prepared STORE."""
    from graphwright.launch.datasets import describe_store

    _print_mapping(describe_store(store))


def config_of(preset: str | None, overrides: Sequence[str], config_file: Path | None) -> Any:
    """The configuration that a command was given: a preset or a saved file, with overrides.

    Raises:
        UsageError: neither.
        ConfigError: it makes no sense.
    """
    from graphwright.config.presets import load_config, resolve_preset

    if config_file is not None:
        shifted = overrides if preset is None else (preset, *overrides)
        return load_config(config_file, shifted)
    if preset is None:
        raise click.UsageError("give a PRESET (see `graphwright list`) or --config FILE")
    return resolve_preset(preset, overrides)


def _print_mapping(mapping: dict[str, Any]) -> None:
    for key, value in mapping.items():
        lines = value if isinstance(value, list) else [value]
        for line in lines:
            text = line if isinstance(line, str) else json.dumps(line)
            click.echo(f"{key:<34} {text}")

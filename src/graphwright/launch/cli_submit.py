"""`graphwright submit`. Nothing heavy is imported at module level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphwright.launch.cli_data import config_of
from graphwright.launch.options import root_option
from graphwright.launch.slurm.options import launch_config_option, read_launch, split_launch

__all__ = ["submit"]

_runs_root = root_option("runs", "run folders are made and found")
_data_root = root_option("data", "prepared data are kept")
_dry_run = click.option("--dry-run", is_flag=True, help="Print the script and all paths, stop.")


@click.group()
def submit() -> None:
    """Train on a Slurm cluster; each job executes one saved run folder.

    Placement is launch.KEY=VALUE: launch.partition=gpu launch.time=8:00:00 launch.gpus=1
    """


@submit.command()
@click.argument("preset", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]... [launch.KEY=VALUE]...")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="A saved config.yaml."
)
@launch_config_option
@_dry_run
@click.option("--show-launch", is_flag=True, help="Print all launch settings and stop.")
@_runs_root
@_data_root
def train(
    preset: str | None,
    overrides: tuple[str, ...],
    config_file: Path | None,
    launch_config: Path | None,
    show_launch: bool,
    **options: Any,
) -> None:
    """Submit the training of PRESET.

    \b
      graphwright submit train geometry/scans training.epochs=50 launch.partition=gpu launch.gpus=1
    """
    from graphwright.config import io

    words = [word for word in (preset, *overrides) if word]
    rest, launch_words = split_launch(words)
    launch = read_launch(launch_words, launch_config)
    if show_launch:
        click.echo(io.to_yaml(launch), nl=False)
        return
    _train(config_of(rest[0] if rest else None, rest[1:], config_file), launch, **options)


@submit.command()
@click.argument("run")
@click.argument("overrides", nargs=-1, metavar="[launch.KEY=VALUE]...")
@launch_config_option
@_dry_run
@_runs_root
@_data_root
def resume(
    run: str,
    overrides: tuple[str, ...],
    launch_config: Path | None,
    runs_root: Path,
    **options: Any,
) -> None:
    """Submit RUN to go on exactly where it stopped."""
    from graphwright.errors import ConfigError
    from graphwright.runs.index import resolve_run

    rest, launch_words = split_launch(overrides)
    if rest:
        raise ConfigError(
            f"{rest[0]}: a run that exists keeps its configuration",
            where="command line",
            fix="only launch.KEY=VALUE can be given here",
        )
    launch = read_launch(launch_words, launch_config)
    _resume(resolve_run(run, runs_root), launch, **options)


def _train(config: Any, launch: Any, *, dry_run: bool, runs_root: Path, data_root: Path) -> None:
    from graphwright.launch.slurm.submit import check_devices, next_runs, submit_new

    if dry_run:
        check_devices([config], launch)
        _describe(next_runs([config], runs_root)[0], launch, data_root)
        return
    run, job = submit_new(config, launch, runs_root=runs_root, data_root=data_root)
    _say(run, job)


def _resume(run: Any, launch: Any, *, dry_run: bool, data_root: Path) -> None:
    from graphwright.launch.slurm.submit import submit_again

    if dry_run:
        _describe(run.path, launch, data_root)
        return
    _say(run.path, submit_again(run, launch, data_root=data_root))


def _describe(run: Path, launch: Any, data_root: Path) -> None:
    from graphwright.launch.slurm.submit import describe

    click.echo(describe([run], launch, data_root=data_root, folder=run / "slurm"))


def _say(run: Path, job: str) -> None:
    from graphwright.runs.queue import read_job

    record = read_job(run)
    assert record is not None
    click.echo(f"job {job}: {run}")
    click.echo(f"log {record.log}", err=True)

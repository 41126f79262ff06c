"""The `graphwright` command: parse, call one function, print. Nothing heavy is imported here."""

from __future__ import annotations

import atexit
import gc
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from graphwright.errors import GraphwrightError
from graphwright.launch.cli_data import config_of, data
from graphwright.launch.cli_export import export
from graphwright.launch.cli_mirror import mirror
from graphwright.launch.cli_serve import serve
from graphwright.launch.cli_submit import submit
from graphwright.launch.cli_sweep import sweep
from graphwright.launch.options import root_option
from graphwright.report.cli_report import compare, report
from graphwright.training.threads import cpu_pressure, settle_waiting

__all__ = ["main"]

_PRESETS_SHOWN = 10  # of each task, where all tasks are listed


runs_root_option = root_option("runs", "run folders are made and found")
data_root_option = root_option("data", "prepared data are kept")


def main(args: Sequence[str] | None = None) -> None:
    """Entry point: errors that a person can mend are printed without a traceback."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("graphwright").setLevel(logging.INFO)
    settle_waiting(cpu_pressure())
    # Python ends with a search of all of torch for garbage, which takes a second
    atexit.register(gc.freeze)
    try:
        app.main(args=args, prog_name="graphwright", standalone_mode=False, color=_colour())
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except GraphwrightError as error:
        label = click.style("error:", fg="red", bold=True)
        click.echo(f"{label} {error}", err=True, color=_colour())
        sys.exit(error.exit_code)


class _WithTasks(click.Group):
    """The commands below, and each task's own (`tasks/<name>/cli.py`), imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from graphwright.config.presets import tasks_with_commands

        return [*super().list_commands(ctx), *tasks_with_commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from graphwright.config.presets import task_module, tasks_with_commands

        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        if cmd_name not in tasks_with_commands():
            return None
        commands: click.Command = task_module(cmd_name, "cli").COMMANDS
        return commands


@click.group(
    cls=_WithTasks,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="graphwright")
def app() -> None:
    """Train, compare and ship graph neural networks.

    Start with: graphwright list, then graphwright train geometry/scans.
    """


app.add_command(compare)
app.add_command(data)
app.add_command(export)
app.add_command(mirror)
app.add_command(report)
app.add_command(serve)
app.add_command(submit)
app.add_command(sweep)


@app.command("list")
@click.argument("task", required=False)
def list_presets(task: str | None) -> None:
    """Tasks and their presets, one line each; all of a TASK, and their number."""
    from graphwright.config.presets import TASKS, preset_names

    for name in TASKS if task is None else (task,):
        presets = preset_names(name)
        for preset, summary in presets if task else presets[:_PRESETS_SHOWN]:
            click.echo(f"{preset:<28} {summary}".rstrip())
        if task:
            click.echo(f"{len(presets)} presets")
        elif (more := len(presets) - _PRESETS_SHOWN) > 0:
            click.echo(f"… and {more} more: graphwright list {name}")


@app.command()
@click.argument("preset", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="A saved config.yaml."
)
@click.option("--reference", "references", multiple=True, help="Also train this model, to compare.")
@click.option("--with-dependencies", is_flag=True, help="First train what the run builds on.")
@click.option("--dry-run", is_flag=True, help="Check everything, say where the run would go, stop.")
@click.option("--show-config", is_flag=True, help="Print the complete configuration and stop.")
@click.option("--fast-dev-run", type=click.IntRange(min=1), help="Train and validate N batches.")
@click.option("--debug", is_flag=True, help="Print start-up phases, data, parameters, loaders.")
@runs_root_option
@data_root_option
def train(
    preset: str | None,
    overrides: tuple[str, ...],
    config_file: Path | None,
    references: tuple[str, ...],
    with_dependencies: bool,
    dry_run: bool,
    show_config: bool,
    fast_dev_run: int | None,
    debug: bool,
    runs_root: Path,
    data_root: Path,
) -> None:
    """Train PRESET (see `graphwright list`), evaluate it and export its bundle.

    Settings are changed as in Hydra: training.epochs=5 model=egnn model.hidden_dim=32
    """
    from graphwright.config import io

    extra = (f"training.fast_dev_run={fast_dev_run}",) if fast_dev_run else ()
    config = config_of(preset, (*overrides, *extra), config_file)
    if show_config:
        click.echo(io.to_yaml(config), nl=False)
        return
    if dry_run:
        click.echo(f"would train in {runs_root.joinpath(*config.levels())}/run_NNN")
        click.echo(f"configuration digest {io.digest(config)[:12]}")
        return
    from graphwright.launch.local import train as run_training
    from graphwright.training.phases import Phases

    _verbose(debug)
    clock = Phases(since_process_start=True)
    folder = run_training(
        config,
        runs_root=runs_root,
        data_root=data_root,
        references=references,
        dependencies=with_dependencies,
        phases=clock,
        command=sys.argv,
    )
    _say_outcome(folder)


@app.command()
@click.argument("run")
@click.option("--debug", is_flag=True, help="Print start-up phases, data, parameters, loaders.")
@runs_root_option
@data_root_option
def resume(run: str, debug: bool, runs_root: Path, data_root: Path) -> None:
    """Go on with RUN exactly where it stopped."""
    from graphwright.launch.local import resume as go_on
    from graphwright.runs.index import resolve_run
    from graphwright.training.phases import Phases

    _verbose(debug)
    clock = Phases(since_process_start=True)
    folder = resolve_run(run, runs_root)
    go_on(folder, data_root=data_root, phases=clock, command=sys.argv)
    _say_outcome(folder)


@app.command()
@click.argument("run")
@click.option("--split", default="test", help="train, val, test, or one of the task's own.")
@click.option("--data", type=click.Path(path_type=Path), help="Other data, with answers.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@runs_root_option
@data_root_option
def evaluate(
    run: str, split: str, data: Path | None, as_json: bool, runs_root: Path, data_root: Path
) -> None:
    """Measure a trained RUN (or bundle) on one of its splits or on other data."""
    from graphwright.launch.use import evaluate as measure
    from graphwright.runs.index import resolve_model

    report = measure(resolve_model(run, runs_root), split=split, data=data, data_root=data_root)
    if as_json:
        click.echo(json.dumps(report))
    else:
        _print_tables(report)


@app.command()
@click.argument("run")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help=".csv or .parquet; else stdout.")
@click.option(
    "--also", multiple=True, metavar="RUN", help="Another seed, say: mean and sd over all runs."
)
@click.option("--explain/--no-explain", default=True, help="Say what mattered, if the task can.")
@runs_root_option
@data_root_option
def predict(
    run: str,
    source: Path,
    out: Path | None,
    also: tuple[str, ...],
    explain: bool,
    runs_root: Path,
    data_root: Path,
) -> None:
    """Answers of a trained RUN (or bundle) on raw INPUT."""
    from graphwright.launch.use import predict as answer
    from graphwright.runs.index import resolve_model

    predictions = answer(
        resolve_model(run, runs_root),
        source,
        also=[resolve_model(other, runs_root) for other in also],
        explain=explain,
        data_root=data_root,
    )
    if out is None:
        predictions.to_csv(sys.stdout)
    else:
        predictions.write(out)
        click.echo(f"{len(predictions.names)} predictions in {out}", err=True)
    for where, reason in predictions.rejected[:5]:
        click.echo(f"rejected {where}: {reason}", err=True)
    if (count := len(predictions.rejected)) > 5:
        click.echo(f"{count} rejected in all", err=True)


@app.command()
@click.option("--task", help="Only runs of this task.")
@runs_root_option
def runs(task: str | None, runs_root: Path) -> None:
    """All runs below the runs root, with state and main result."""
    from graphwright.report.terminal import print_runs
    from graphwright.runs.index import find_runs

    print_runs(find_runs(runs_root, task=task))


# -- helpers -------------------------------------------------------------------------------------


def _colour() -> bool | None:
    """None lets click look whether it is a terminal; see https://no-color.org."""
    return False if os.environ.get("NO_COLOR") else None


def _verbose(debug: bool) -> None:
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.DEBUG if debug else logging.INFO)


def _say_outcome(folder: Any) -> None:
    """A run that was asked to stop has saved its state and is no failure: exit 0 either way."""
    from graphwright.runs.status import read_status

    if folder.metrics_path.exists():
        _print_tables(folder.read_json("metrics.json"))
    click.echo(f"{read_status(folder.path).state}: {folder.path}")


def _print_tables(report: dict[str, Any]) -> None:
    from graphwright.report.terminal import print_report

    print_report(report)

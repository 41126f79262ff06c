"""`graphwright mirror`. Nothing heavy is imported at module level."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from graphwright.launch.options import root_option

__all__ = ["mirror"]

_TRACKERS = ("mlflow", "wandb", "tensorboard")
#: options that only one tracker has, with the names of its settings
_OWN = {"experiment": "mlflow", "project": "wandb", "entity": "wandb", "online": "wandb"}
_MOST_FAILURES = 20


@click.command()
@click.argument("run", nargs=-1)
@click.option("--to", "tracker", type=click.Choice(_TRACKERS), required=True)
@click.option("--all", "everything", is_flag=True, help="All runs below the runs root.")
@click.option("--task", help="With --all: only runs of this task.")
@click.option(
    "--uri",
    help="MLflow: http://host:5000 or sqlite:///path (else MLFLOW_TRACKING_URI, else mlflow.db in "
    "the runs root). W&B: a server of your own. TensorBoard: a folder.",
)
@click.option("--experiment", help="MLflow: its name; by default the task.")
@click.option("--project", help="W&B: its name; by default graphwright.")
@click.option("--entity", help="W&B: team or user.")
@click.option("--online", is_flag=True, help="W&B: send now; by default files for `wandb sync`.")
@click.option("--artifacts", is_flag=True, help="Also the bundle and the predictions.")
@root_option("runs", "run folders are made and found")
def mirror(
    run: tuple[str, ...],
    tracker: str,
    everything: bool,
    task: str | None,
    runs_root: Path,
    **options: Any,
) -> None:
    """Send RUNs that are there to an experiment tracker; a sweep's folder is all its runs.

    \b
      graphwright mirror sweeps/geometry_scans --to mlflow --uri http://127.0.0.1:5000
      graphwright mirror --all --to tensorboard --uri logs

    The same command again sends only what is new.
    """
    settings = _settings(tracker, options)
    folders, tags = _chosen(run, runs_root, everything=everything, task=task)
    failures: list[str] = []
    try:
        for place in _replay(folders, tracker, settings, tags, failures):
            click.echo(place)
    finally:  # also when the tracker is gone altogether
        for line in failures[:_MOST_FAILURES]:
            click.echo(line, err=True)
    if failures:
        raise click.ClickException(f"{len(failures)} of {len(folders)} runs were not mirrored")


def _settings(tracker: str, options: dict[str, Any]) -> dict[str, Any]:
    import os

    for name, owner in _OWN.items():
        if options[name] and owner != tracker:
            raise click.UsageError(f"--{name} is for --to {owner}")
    uri = options["uri"] or (os.environ.get("MLFLOW_TRACKING_URI") if tracker == "mlflow" else None)
    if tracker == "wandb" and uri and not options["online"]:
        raise click.UsageError("--uri of W&B needs --online; without it nothing is sent")
    settings = {
        "uri": uri,
        "experiment": options["experiment"],
        "project": options["project"],
        "entity": options["entity"],
        "mode": "online" if options["online"] else None,
        "large_artifacts": options["artifacts"],
    }
    return {name: value for name, value in settings.items() if value}


def _chosen(
    names: Sequence[str], runs_root: Path, *, everything: bool, task: str | None
) -> tuple[list[Any], dict[str, dict[str, str]]]:
    """Run folders, each once, and the tag of the sweep that a run is of."""
    from graphwright.launch.sweep.folder import is_sweep, runs_of_sweep
    from graphwright.runs.folder import RunFolder
    from graphwright.runs.index import find_runs, resolve_run

    if bool(names) == everything:
        raise click.UsageError("name the runs (or a sweep's folder), or say --all")
    if task and not everything:
        raise click.UsageError("--task goes with --all")
    found: dict[Path, Any] = {}
    tags: dict[str, dict[str, str]] = {}
    for name in names:
        if is_sweep(Path(name)):
            for path in runs_of_sweep(Path(name)):
                found[path.absolute()] = resolve_run(str(path), runs_root)
                tags[str(path.absolute())] = {"sweep": Path(name).resolve().name}
        else:
            folder = resolve_run(name, runs_root)
            found[folder.path] = folder
    if everything:
        for summary in find_runs(runs_root, task=task):
            found[summary.path] = RunFolder.open(summary.path, root=runs_root)
    if not found:
        raise click.UsageError(f"there are no runs in {runs_root}")
    return list(found.values()), tags


def _replay(
    folders: Sequence[Any],
    tracker: str,
    settings: dict[str, Any],
    tags: dict[str, dict[str, str]],
    failures: list[str],
) -> list[str]:
    """Mirror, with a line for each run or, on a terminal, a bar; gives where to look."""
    from graphwright.runs.mirror_replay import replay

    bar = _Bar(folders)
    places: dict[str, None] = {}
    with bar:
        for number, one in enumerate(
            replay(folders, tracker, settings, tags=tags, progress=bar.progress), 1
        ):
            name = _name(one.folder)
            if one.sent is None:
                failures.append(f"{name}: {one.error}")
                said = f"failed: {one.error}"
            else:
                said = f"{one.sent.metrics:,} values" if one.sent.changed else "nothing new"
                places[one.sent.where] = None
            bar.line(f"{number}/{len(folders)} {name}: {said}", one.folder)
    return [place for place in places if place]


def _name(folder: Any) -> str:
    inside = folder.path.is_relative_to(folder.root)
    return str(folder.path.relative_to(folder.root) if inside else folder.path)


class _Bar:
    """Progress on standard error: a bar over the bytes of all events, or a line for each run."""

    def __init__(self, folders: Sequence[Any]) -> None:
        self._sizes = {folder.path: _size(folder.events_path) for folder in folders}
        self._before = 0
        self._bar: Any = None
        if sys.stderr.isatty() and len(folders) > 0:
            self._bar = click.progressbar(
                length=max(sum(self._sizes.values()), 1), file=sys.stderr, label="mirroring"
            )

    def __enter__(self) -> _Bar:
        if self._bar is not None:
            self._bar.__enter__()
        return self

    def __exit__(self, *reason: Any) -> None:
        if self._bar is not None:
            self._bar.__exit__(*reason)

    def progress(self, folder: Any, sent: int) -> None:
        """Bytes of the events of a run that are sent."""
        self._move(self._before + min(sent, self._sizes[folder.path]))

    def line(self, text: str, folder: Any) -> None:
        """A run is done."""
        self._before += self._sizes[folder.path]
        if self._bar is None:
            click.echo(text, err=True)
        self._move(self._before)

    def _move(self, position: int) -> None:
        if self._bar is not None:
            self._bar.update(max(position - self._bar.pos, 0))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

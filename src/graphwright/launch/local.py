"""Create runs and execute them in this process; everything the commands do, as calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graphwright.config import io
from graphwright.config.schema import TaskConfig
from graphwright.errors import GraphwrightError, RunError
from graphwright.launch.execute import execute
from graphwright.launch.links import find_links, write_links
from graphwright.runs.folder import RunFolder, discard_run
from graphwright.runs.status import read_status

if TYPE_CHECKING:
    from graphwright.training.phases import Phases

__all__ = ["create_run", "resume", "train", "with_reference"]

log = logging.getLogger("graphwright")


def create_run(
    config: TaskConfig, runs_root: Path, links: dict[str, Path] | None = None
) -> RunFolder:
    """A new run folder, with its configuration written and nothing executed.

    Args:
        config: what will be trained.
        runs_root: where run folders are made.
        links: finished runs that it builds on, by their role (`links.find_links`).

    Raises:
        RunError: the runs root cannot be written.
    """
    folder = RunFolder.create(runs_root, config.levels(), io.to_yaml(config))
    if links:
        write_links(folder, links)
    return folder


def train(
    config: TaskConfig,
    *,
    runs_root: Path = Path("runs"),
    data_root: Path = Path("data"),
    references: Sequence[str] = (),
    dependencies: bool = False,
    phases: Phases | None = None,
    command: Sequence[str] = (),
) -> RunFolder:
    """Train, evaluate and export one configuration in a new run folder.

    Args:
        config: what to train, from `resolve_preset` or `load_config`.
        runs_root: where run folders are made.
        data_root: where prepared data are kept.
        references: other models of the same task that are trained first, under the same
            configuration, each in a run of its own; their rows stand in this run's tables.
        dependencies: train what the run builds on first, where it is missing.
        phases: the start-up clock; one that starts now by default.
        command: for the provenance.

    Returns:
        The run, finished or interrupted.

    Raises:
        GraphwrightError: as `execute`; where nothing was trained yet no run folder is left.
    """
    from graphwright.training.phases import Phases

    clock = phases or Phases()
    variants = [with_reference(config, name) for name in references]
    links = {}
    for name, variant in zip(references, variants, strict=True):
        log.info("training the reference %s first", name)
        run = train(
            variant,
            runs_root=runs_root,
            data_root=data_root,
            dependencies=dependencies,
            phases=clock,
            command=command,
        )
        clock = Phases()  # the next start-up begins now
        links[name] = str(run.path)
        if read_status(run.path).state != "finished":
            return run
    needed = find_links(config, runs_root, _trainer(runs_root, data_root) if dependencies else None)
    with clock.timed("directories") as details:
        folder = create_run(config, runs_root, needed)
        details["run"] = str(folder.path)
    log.info("run %s", folder.path)
    try:
        execute(
            folder,
            data_root=data_root,
            phases=clock,
            command=command,
            links={"references": links} if links else {},
        )
    except GraphwrightError as error:
        if error.exit_code == 2 and not folder.checkpoints.exists():
            # a user's mistake found before the first step: no run came of it
            discard_run(folder.path, runs_root)
        raise
    return folder


def _trainer(runs_root: Path, data_root: Path) -> Callable[[TaskConfig], Path]:
    """Trains what another run builds on, and what that builds on."""

    def train_it(config: TaskConfig) -> Path:
        log.info("training what is missing first: %s", "/".join(config.levels()))
        return train(config, runs_root=runs_root, data_root=data_root, dependencies=True).path

    return train_it


def resume(
    folder: RunFolder,
    *,
    data_root: Path = Path("data"),
    phases: Phases | None = None,
    command: Sequence[str] = (),
) -> str:
    """Go on exactly where a run stopped; arguments as for `train`.

    Returns:
        The state it is left in.

    Raises:
        RunError: it is finished, or another process is running it.
    """
    from graphwright.training.phases import Phases

    state = read_status(folder.path).state
    if state == "finished":
        raise RunError(
            "this run is finished; there is nothing to resume",
            where=folder.path,
            fix="start a new run with more training.epochs",
        )
    clock = phases or Phases()
    with clock.timed("directories"):
        folder.checkpoints.mkdir(exist_ok=True)
    return execute(folder, data_root=data_root, phases=clock, command=command, resume=True)


def with_reference(config: TaskConfig, name: str) -> TaskConfig:
    """The same configuration with another model.

    Raises:
        ConfigError: the task has no such model.
    """
    from graphwright.config.compose import compose

    if (variant := config.with_model(name)) is not None:
        return variant
    return compose(config, [f"model={name}"])

"""Runs that build on other runs: found, or trained first, and written down.

A run that needs others has them in its `links.json`, by their role, from the moment it is created:
whoever executes the folder later, here or on a cluster, takes exactly these.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from graphwright.config.presets import from_yaml
from graphwright.config.schema import Requirement, TaskConfig
from graphwright.errors import RunError
from graphwright.runs.files import write_json_atomic
from graphwright.runs.folder import RunFolder
from graphwright.runs.index import resolve_run
from graphwright.runs.status import read_status

__all__ = ["find_links", "read_links", "write_links"]

LINKS = "links.json"


def find_links(
    config: TaskConfig, runs_root: Path, train: Callable[[TaskConfig], Path] | None = None
) -> dict[str, Path]:
    """The finished run for every role that a configuration requires.

    A run that the user named is taken; else the newest finished one on the levels of the required
    configuration, one with the same seed before others.

    Args:
        config: the run that builds on others.
        runs_root: where runs are looked for.
        train: trains what is missing and returns its folder; None: that is an error.

    Raises:
        RunError: none is found; the message has the command that trains it.
    """
    found = {}
    for role, need in config.requires().items():
        run = resolve_run(need.run, runs_root).path if need.run else _newest(need, runs_root)
        if run is None and train is not None:
            run = train(need.config)
        if run is None or read_status(run).state != "finished":
            raise _missing(role, need, runs_root)
        found[role] = run
    return found


def write_links(folder: RunFolder, links: dict[str, Path]) -> None:
    """Write down what a new run builds on."""
    write_json_atomic(folder.path / LINKS, {role: str(path) for role, path in links.items()})


def read_links(folder: RunFolder) -> dict[str, Path]:
    """What a run builds on; empty for most."""
    if not (folder.path / LINKS).exists():
        return {}
    return {role: Path(path) for role, path in folder.read_json(LINKS).items()}


def _newest(need: Requirement, runs_root: Path) -> Path | None:
    parent = runs_root.joinpath(*need.config.levels())
    fitting = [
        (path.parent, config.seed)
        for path in sorted(parent.glob("run_*/config.yaml"))
        if read_status(path.parent).state == "finished"
        and _agrees(config := from_yaml(path.read_text(), where=path), need)
    ]
    same_seed = [run for run, seed in fitting if seed == need.config.seed]
    newest = (same_seed or [run for run, _ in fitting])[-1:]
    return newest[0].absolute() if newest else None


def _agrees(config: TaskConfig, need: Requirement) -> bool:
    return all(getattr(config, name) == getattr(need.config, name) for name in need.same)


def _missing(role: str, need: Requirement, runs_root: Path) -> RunError:
    if need.run:
        return RunError(
            f"the {role} is not finished", where=need.run, fix=f"graphwright resume {need.run}"
        )
    place = runs_root.joinpath(*need.config.levels())
    command = f"graphwright train {need.preset}"
    return RunError(
        f"this run builds on a finished {role}, and there is none",
        where=place,
        fix=f"train it first: {command} (or add --with-dependencies)",
    )

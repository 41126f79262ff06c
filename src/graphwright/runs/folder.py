"""The run folder: `<root>/<levels…>/run_000`, and the names of the files in it.

The path follows from the configuration alone; the number is taken by an atomic `mkdir`, so any
number of processes may create runs of the same levels at once. There is no fallback location.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from graphwright.config.io import YAML_LOADER
from graphwright.errors import RunError, nearest
from graphwright.runs import status
from graphwright.runs.files import (
    read_json,
    remove_stale_temporaries,
    storage_errors,
    write_json_atomic,
    write_text_atomic,
)

__all__ = ["CONFIG_NAME", "MODEL_NAME", "RunFolder", "discard_run", "load_yaml"]

CONFIG_NAME = "config.yaml"
MODEL_NAME = "model.json"  # makes a folder a bundle

_NUMBERED = re.compile(r"run_(\d{3,})")
_LEVEL = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*")
_ATTEMPTS = 10_000
_MAKING_S = 600.0  # nobody takes longer from a run's `mkdir` to its configuration


@dataclass(frozen=True)
class RunFolder:
    """One run on disk. Make one with `create` or `open`, not directly."""

    path: Path
    _root: Path | None = field(default=None, repr=False, compare=False)

    @classmethod
    def create(
        cls, root: Path | str, levels: Sequence[str], config_text: str, *, name: str | None = None
    ) -> RunFolder:
        """Make the next free `run_NNN` under the levels (or the folder `name`, if it is free).

        `config.yaml` is written first, and is read-only from then on; then the status `created`.

        Raises:
            RunError: a level or name cannot be a folder, the named run exists, the root is
                read-only or the disk full.
        """
        root = Path(root).expanduser().absolute()
        parent = root.joinpath(*(_checked(level) for level in levels))
        _refuse_nesting(root, parent)
        with storage_errors(parent):
            parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        path = _numbered(parent) if name is None else _named(parent, _checked(name, run=True))
        write_text_atomic(path / CONFIG_NAME, config_text, mode=0o444)
        status.write_status(path, status.Status(state="created"))
        return cls(path, root)

    @classmethod
    def open(cls, path: Path | str, *, root: Path | str | None = None) -> RunFolder:
        """An existing run.

        Raises:
            RunError: there is no run at `path`; says which runs are near.
        """
        path = Path(path).expanduser().absolute()
        if not (path / CONFIG_NAME).is_file():
            raise RunError(
                f"{path.name} is not a run: it has no {CONFIG_NAME}", where=path, fix=_hint(path)
            )
        return cls(path, None if root is None else Path(root).expanduser().absolute())

    @property
    def config_path(self) -> Path:
        """The complete configuration; written first, read-only afterwards."""
        return self.path / CONFIG_NAME

    @property
    def provenance_path(self) -> Path:
        """Command, machine, versions, digests."""
        return self.path / "provenance.json"

    @property
    def status_path(self) -> Path:
        """See `runs.status`."""
        return self.path / status.STATUS_NAME

    @property
    def events_path(self) -> Path:
        """See `runs.events`."""
        return self.path / "events.jsonl"

    @property
    def startup_path(self) -> Path:
        """The timed start-up phases."""
        return self.path / "startup.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of the best and the last checkpoint."""
        return self.path / "checkpoints"

    @property
    def bundle(self) -> Path:
        """Folder of the model as shipped."""
        return self.path / "bundle"

    @property
    def metrics_path(self) -> Path:
        """Final metrics and tables."""
        return self.path / "metrics.json"

    @property
    def predictions_path(self) -> Path:
        """Predictions on the evaluated splits."""
        return self.path / "predictions.parquet"

    @property
    def figures(self) -> Path:
        """Folder of drawn figures."""
        return self.path / "figures"

    @property
    def log_path(self) -> Path:
        """Log, with the traceback of a failure."""
        return self.path / "log.txt"

    @property
    def mirrors(self) -> Path:
        """Folder of the trackers' positions and logs."""
        return self.path / "mirrors"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration as nested plain values.

        Raises:
            RunError: `config.yaml` is missing or damaged.
        """
        return load_yaml(self.config_path)

    @property
    def root(self) -> Path:
        """The runs root: the one given, else the folder above the one named after the task."""
        if self._root is not None:
            return self._root
        task = self.config.get("task")
        above = (parent.parent for parent in self.path.parents if parent.name == task)
        return next(above, self.path.parent)

    def write_json(self, name: str, obj: Any) -> None:
        """Write the JSON file `name` of this run, whole or not at all.

        Raises:
            RunError: `name` is the configuration, which nothing changes, or the write failed.
        """
        if name == CONFIG_NAME:
            raise RunError("the configuration of a run is never changed", where=self.config_path)
        write_json_atomic(self.path / name, obj)

    def read_json(self, name: str) -> Any:
        """The content of the JSON file `name` of this run.

        Raises:
            RunError: it is missing or damaged.
        """
        return read_json(self.path / name)


def discard_run(run: Path, root: Path) -> None:
    """Remove a run of which nothing came, and the levels above it that hold nothing else.

    What cannot be removed stays: this is done while an error is on its way to the user.

    Args:
        run: its folder.
        root: the runs root, which stays.
    """
    shutil.rmtree(run, ignore_errors=True)
    with suppress(OSError):  # a level that holds anything else stays
        for level in run.parents:
            if level == root.absolute():
                return
            level.rmdir()


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        RunError: the file is missing, unreadable, not YAML or not a mapping.
    """
    try:
        tree = yaml.load(path.read_bytes(), Loader=YAML_LOADER)
    except OSError as error:
        raise RunError(f"cannot read {path.name}: {error.strerror}", where=path) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RunError(f"{path.name} is not valid YAML: {error}", where=path) from error
    if not isinstance(tree, dict):
        raise RunError(f"{path.name} is not a mapping of keys to values", where=path)
    return tree


def _checked(name: str, *, run: bool = False) -> str:
    if not _LEVEL.fullmatch(name) or (not run and _NUMBERED.fullmatch(name)):
        raise RunError(
            f"{name!r} cannot be the name of a folder of runs",
            fix="no slash or control character, no dot at the start, and not run_000",
        )
    return name


def _refuse_nesting(root: Path, parent: Path) -> None:
    for folder in [parent, *parent.parents]:
        if (folder / CONFIG_NAME).exists():
            raise RunError("a run cannot lie inside another run", where=folder)
        if folder == root:
            return


def _sweep(parent: Path) -> None:
    """Remove what is left of runs whose process was killed while it made them.

    Not the young ones: a process on another machine may be making one at this moment.
    """
    for path in parent.glob("run_*"):
        with suppress(OSError):
            if not (path / CONFIG_NAME).exists() and time.time() - path.stat().st_mtime > _MAKING_S:
                remove_stale_temporaries(path)
                path.rmdir()  # refused if there is anything else in it


def _numbered(parent: Path) -> Path:
    for _ in range(_ATTEMPTS):
        with storage_errors(parent):
            taken = [_NUMBERED.fullmatch(path.name) for path in parent.iterdir()]
            number = max((int(match[1]) for match in taken if match), default=-1) + 1
            path = parent / f"run_{number:03d}"
            try:
                path.mkdir()
            except FileExistsError:
                continue  # another process was faster: look again
            return path
    raise RunError("could not take a free run number", where=parent)  # pragma: no cover


def _named(parent: Path, name: str) -> Path:
    path = parent / name
    try:
        with storage_errors(path):
            path.mkdir()
    except RunError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise RunError(f"a run named {name} exists already", where=path) from None
        raise
    return path


def _hint(path: Path) -> str | None:
    existing = next(folder for folder in [path, *path.parents] if folder.is_dir())
    runs = sorted(found.parent for found in existing.glob(f"*/{CONFIG_NAME}"))
    if not runs:
        return "graphwright runs lists the runs there are"
    close = nearest(path.name, [run.name for run in runs])
    names = ", ".join(run.name for run in runs[-5:])
    return f"runs in {existing}: {names}{close}"

"""Mirrors of a run in experiment trackers, each in a process of its own.

A mirror only reads the run folder. Its imports cost the training nothing, and its failure is a
line in `<run>/mirrors/<tracker>.log`, never the failure of a run.

    python -m graphwright.runs.mirror RUN --to mlflow --settings JSON [--follow]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from graphwright.errors import GraphwrightError, MissingExtraError
from graphwright.runs.folder import RunFolder

__all__ = ["Mirrors", "main", "mirror_targets", "missing_package", "start_mirrors"]

_NICENESS = 10
_PACKAGES = {
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "wandb": ("wandb",),
    "tensorboard": ("tensorboard",),
}
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "OMP_NUM_THREADS": "1",  # a mirror must not compete with the training for cores
    "PYTHONUNBUFFERED": "1",
}


def mirror_targets(tracking: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The mirrors that the `tracking` section of a configuration asks for, with their settings.

    Raises:
        MissingExtraError: one is asked for expressly (not `auto`) and its package is missing.
    """
    targets: dict[str, dict[str, Any]] = {}
    mlflow = tracking.get("mlflow", "off")
    if mlflow == "on" or (mlflow == "auto" and missing_package("mlflow") is None):
        targets["mlflow"] = {}
    if tracking.get("wandb", "off") != "off":
        targets["wandb"] = {
            "mode": tracking["wandb"],
            "project": tracking.get("wandb_project"),
            "name": tracking.get("wandb_name"),
            "tags": list(tracking.get("wandb_tags") or ()),
        }
    if tracking.get("tensorboard", False):
        targets["tensorboard"] = {}
    for name in targets:
        package = missing_package(name)
        if package is not None:
            raise MissingExtraError(package, name, f"tracking with {name}")
    return targets


class Mirrors:
    """The mirrors of one run, as their parent sees them."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._failures: list[str] = []

    @property
    def pids(self) -> dict[str, int]:
        """Process numbers by tracker."""
        return {name: process.pid for name, process in self._processes.items()}

    def start(self, name: str, settings: Mapping[str, Any]) -> None:
        """Start one mirror; a failure is kept for `wait`."""
        try:
            self._folder.mirrors.mkdir(exist_ok=True)
            with self._log(name).open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    self._command(name, settings),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **_ENVIRONMENT},
                    start_new_session=True,  # Ctrl-C is for the trainer; a mirror ends after it
                )
        except OSError as error:
            self._failures.append(f"{name}: the mirror could not be started: {error}")

    def wait(self, timeout_s: float) -> list[str]:
        """Wait for all mirrors together, after the run's final status is written.

        Returns a message for each that failed or is not done in `timeout_s` seconds; the latter
        goes on by itself.
        """
        deadline = time.monotonic() + timeout_s
        messages = list(self._failures)
        for name, process in self._processes.items():
            try:
                code = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                messages.append(f"{name}: still sending after {timeout_s:g} s, goes on by itself")
                continue
            if code != 0:
                messages.append(f"{name}: {_last_line(self._log(name))} (see {self._log(name)})")
        return messages

    def stop(self) -> None:
        """End all mirrors now; what they have not sent, the next ones will."""
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        for process in self._processes.values():
            process.wait()

    def _log(self, name: str) -> Path:
        return self._folder.mirrors / f"{name}.log"

    def _command(self, name: str, settings: Mapping[str, Any]) -> list[str]:
        text = json.dumps({"root": str(self._folder.root), **settings})
        # -P: a file mlflow.py in the working directory must not stand in for the package
        command = [sys.executable, "-P", "-m", "graphwright.runs.mirror", str(self._folder.path)]
        return [*command, "--to", name, "--settings", text, "--follow"]


def start_mirrors(folder: RunFolder, targets: Mapping[str, Mapping[str, Any]]) -> Mirrors:
    """Start a mirror per tracker; never raises on their account.

    Call it with the run's lock held: a mirror ends when the status is final, or when nobody holds
    the lock, and all events are sent.

    Args:
        targets: tracker (`mlflow`, `wandb`, `tensorboard`) to its settings, as `mirror_targets`
            gives them.
    """
    mirrors = Mirrors(folder)
    for name, settings in targets.items():
        mirrors.start(name, settings)
    return mirrors


def main(arguments: Sequence[str] | None = None) -> int:
    """The mirror's process; 0 if everything was sent."""
    parser = argparse.ArgumentParser(prog="python -m graphwright.runs.mirror")
    parser.add_argument("run", help="run folder")
    parser.add_argument("--to", required=True, help="mlflow, wandb or tensorboard")
    parser.add_argument("--settings", default="{}", help="JSON")
    parser.add_argument("--follow", action="store_true", help="until the run ends")
    options = parser.parse_args(arguments)
    try:
        _mirror(options.run, options.to, json.loads(options.settings), follow=options.follow)
    except Exception as error:
        if not isinstance(error, GraphwrightError):
            traceback.print_exc()
        sys.stderr.write(f"{type(error).__name__}: {error}".replace("\n", " ") + "\n")
        return 1
    return 0


def _mirror(run: str, name: str, settings: dict[str, Any], *, follow: bool) -> None:
    from graphwright.runs.mirrors.follow import follow_run

    folder = RunFolder.open(run, root=settings.pop("root", None))
    package = missing_package(name)
    if package is not None:
        raise MissingExtraError(package, name, f"tracking with {name}")
    follow_run(folder, name, settings, follow=follow)


def missing_package(name: str) -> str | None:
    """The first package that a tracker lacks, without importing any."""
    for package in _PACKAGES.get(name, ()):
        spec = find_spec(package)
        # a mere folder, like the wandb/ that W&B leaves behind, is found too, without an origin
        if spec is None or spec.origin is None:
            return package
    return None


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "the mirror failed without a word"


if __name__ == "__main__":
    os.nice(_NICENESS)
    sys.exit(main())

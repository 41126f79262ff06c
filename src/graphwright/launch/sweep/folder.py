"""The folder of a sweep: its plan, written before anything else, and what became of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from graphwright.errors import RunError
from graphwright.runs.files import (
    read_json,
    remove_stale_temporaries,
    storage_errors,
    write_json_atomic,
)
from graphwright.runs.lock import FileLock

__all__ = ["PLAN_NAME", "RESULT_NAME", "Results", "is_sweep", "runs_of_sweep", "sweep_folder"]

PLAN_NAME, RESULT_NAME = "plan.json", "result.json"

_LOCK_NAME = ".lock"
_WRITE_EVERY_S = 5.0


@contextmanager
def sweep_folder(
    folder: Path,
    plan: dict[str, Any],
    goes_on: Callable[[Any, Any], bool] = lambda old, new: bool(old == new),
) -> Iterator[int | None]:
    """Hold a sweep's folder, with its plan in it; nobody else can go on with it meanwhile.

    Args:
        folder: made if there is none.
        plan: JSON, what the sweep is.
        goes_on: whether a sweep with the first plan may go on as the second.

    Yields:
        The number of the process of this machine that held the folder last and is gone, if any.

    Raises:
        RunError: the folder has another plan, another process is at it, or it cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    before = _last_holder(folder)
    lock = FileLock(folder / _LOCK_NAME, describes="sweep")
    lock.acquire()
    try:
        remove_stale_temporaries(folder)
        _keep_plan(folder / PLAN_NAME, plan, goes_on)
        yield before
    finally:
        lock.release()


def is_sweep(folder: Path) -> bool:
    """Whether this is the folder of a sweep."""
    return (folder / PLAN_NAME).is_file()


def runs_of_sweep(folder: Path) -> dict[Path, str]:
    """The finished runs of a sweep, in the order of its plan; those that were pruned are left out.

    Returns:
        Run folders, and of each the name of its variant, which is empty where the plan has none.

    Raises:
        RunError: no run of this sweep is finished yet.
    """
    rows = read_json(folder / RESULT_NAME)
    found = {
        Path(row["run"]): str(row.get("variant") or "")
        for row in rows
        if row["run"] and row["state"] == "finished"
    }
    if not found:
        raise RunError("no run of this sweep is finished", where=folder)
    return found


class Results:
    """`result.json`: a row for each run, written while the sweep goes on, but not at every run.

    Args:
        folder: of the sweep.
        rows: makes the rows as they are now.
    """

    def __init__(self, folder: Path, rows: Callable[[], list[dict[str, Any]]]) -> None:
        self._path, self._rows = folder / RESULT_NAME, rows
        self._written = 0.0

    def note(self) -> None:
        """Something ended: write, unless that was done a moment ago."""
        if time.monotonic() - self._written > _WRITE_EVERY_S:
            self.write()

    def write(self) -> None:
        """Write all rows.

        Raises:
            RunError: the disk is full or read-only.
        """
        write_json_atomic(self._path, self._rows())
        self._written = time.monotonic()


def _last_holder(folder: Path) -> int | None:
    with suppress(RunError, KeyError, TypeError, ValueError):
        holder = read_json(folder / _LOCK_NAME)
        if holder["host"] == socket.gethostname():
            return int(holder["pid"])
    return None


def _keep_plan(path: Path, plan: dict[str, Any], goes_on: Callable[[Any, Any], bool]) -> None:
    old = read_json(path) if path.is_file() else None
    if old == plan:
        return
    if old is not None and not goes_on(old, plan):
        raise RunError(
            "this sweep's folder has another plan",
            where=path,
            fix="give the sweep another --name, or delete the folder (its runs lie elsewhere)",
        )
    write_json_atomic(path, plan)

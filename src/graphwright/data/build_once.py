"""Data that are prepared by whoever comes first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from graphwright.runs.files import storage_errors
from graphwright.runs.lock import FileLock

__all__ = ["build_once"]


def build_once(folder: Path, build: Callable[[], object]) -> None:
    """Have `build` make `folder/store` where it is not there; others wait for it.

    Raises:
        RunError: the folder cannot be written.
    """
    if (folder / "store").is_dir():
        return
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # several processes may start on the same new data at once
    lock = FileLock(folder / ".lock", describes="data set")
    lock.acquire(patience_s=None)
    try:
        if not (folder / "store").is_dir():
            build()
    finally:
        lock.release()

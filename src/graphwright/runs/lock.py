"""An advisory lock on a file that dies with its process and stays with it alone.

`flock` belongs to an open file, and a forked child shares the open files of its parent. So the
descriptor is closed on exec, and in every forked child by a hook: closing it there does not free
the lock that the parent holds.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import socket
import time
import weakref
from pathlib import Path

from graphwright.errors import RunError
from graphwright.runs.files import storage_errors

__all__ = ["FileLock", "is_locked"]

_PATIENCE_S = 1.0  # a reader that looks whether a lock is free holds it for an instant
_PAUSE_S = 0.02

_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock:
    """An exclusive lock on `path`, which is made if missing and is never removed."""

    def __init__(self, path: Path, *, describes: str) -> None:
        self.path = Path(path)
        self._describes = describes
        self._descriptor: int | None = None

    def acquire(self, *, patience_s: float | None = _PATIENCE_S) -> None:
        """Take the lock; waits up to `patience_s` seconds, or for ever if None.

        Raises:
            RunError: another process holds it (names process and host), or `path` cannot be
                written or locked.
        """
        with storage_errors(self.path):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                self._wait(descriptor, patience_s)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _identity(), 0)
            except BaseException:
                os.close(descriptor)
                raise
        self._descriptor = descriptor
        _held.add(self)
        _install_fork_hook()

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        _held.discard(self)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _wait(self, descriptor: int, patience_s: float | None) -> None:
        if patience_s is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            return
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise self._busy() from None
                time.sleep(_PAUSE_S)
            else:
                return

    def _busy(self) -> RunError:
        try:
            holder = json.loads(self.path.read_bytes())
            who = f"process {holder['pid']} on {holder['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process"
        return RunError(
            f"this {self._describes} is being written by {who}",
            where=self.path.parent,
            fix="wait for it to end, or stop it first",
        )


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock. A file system without locks counts as locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # shared, so that several readers may look at once
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _identity() -> bytes:
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()


@functools.cache  # once for a process: a hook cannot be taken back
def _install_fork_hook() -> None:
    os.register_at_fork(after_in_child=_release_all)


def _release_all() -> None:
    for lock in list(_held):
        lock.release()

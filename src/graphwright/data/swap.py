"""Putting a finished folder in place in one step, and clearing what killed writers left."""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import shutil
from pathlib import Path

from graphwright.errors import DataError

__all__ = ["place_folder", "remove_abandoned", "temporary_sibling"]

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def temporary_sibling(folder: Path) -> Path:
    """A new empty folder beside `folder`, with a name that nothing takes for a store."""
    made = folder.parent / f".{folder.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}"
    made.mkdir()
    return made


def remove_abandoned(folder: Path) -> None:
    """Remove temporary siblings of `folder` whose writer is gone (its lock is free)."""
    for left in folder.parent.glob(f".{folder.name}.tmp-*"):
        try:
            descriptor = os.open(left / ".lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


def place_folder(made: Path, final: Path, *, overwrite: bool) -> None:
    """Rename `made` to `final`; with `overwrite`, what was there goes in the same step.

    Raises:
        DataError: `final` exists and may not be replaced.
        OSError: the file system refuses.
    """
    if not final.exists():
        made.rename(final)
    elif not overwrite:
        raise DataError("something has appeared there meanwhile", where=final)
    elif _exchange(made, final):
        shutil.rmtree(made)
    else:
        aside = temporary_sibling(final)
        final.rename(aside / final.name)
        made.rename(final)
        shutil.rmtree(aside)
    _sync(final.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders atomically; False where the system cannot."""
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is None:
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return bool(swap(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

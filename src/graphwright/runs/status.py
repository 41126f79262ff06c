"""Where a run stands: created, running, finished, failed or interrupted.

`status.json` says what its process last wrote; an advisory lock (`flock` on `.lock`) says whether
that process still lives. The kernel frees the lock whatever way the process ends, so after a
`kill -9` a run that calls itself running reads as interrupted, even when its process number has
been given to another program.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from graphwright.errors import RunError
from graphwright.runs.files import read_json, write_json_atomic
from graphwright.runs.lock import FileLock, is_locked

__all__ = [
    "LOCK_NAME",
    "STATUS_NAME",
    "RunLock",
    "State",
    "Status",
    "guard_unfinished",
    "mark",
    "read_status",
    "session",
    "write_status",
]

STATUS_NAME = "status.json"
LOCK_NAME = ".lock"

State = Literal["created", "running", "finished", "failed", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class Status:
    """What `status.json` says. Times are seconds since 1970, durations seconds."""

    state: State
    pid: int | None = None  # of the process that trains or trained last
    host: str | None = None
    started: float | None = None  # of the latest session: a resumed run has several
    ended: float | None = None
    error: str | None = None  # one line; the traceback is in log.txt
    earlier_s: float = 0.0  # duration of the sessions before the latest

    def duration_s(self, *, until: float | None = None) -> float | None:
        """Seconds of all sessions; a session that has not ended counts to `until` (now)."""
        if self.started is None:
            return None
        ended = self.ended if self.ended is not None else until or time.time()
        return self.earlier_s + max(ended - self.started, 0.0)

    @property
    def is_final(self) -> bool:
        """Whether the latest session is over."""
        return self.state in ("finished", "failed", "interrupted")


class RunLock:
    """The right to write a run, as a context manager; one process in the world holds it.

    Forked workers and started programs do not inherit it, so a worker that outlives its trainer
    does not keep the run locked.

    Raises:
        RunError: another process holds it (names process and host), or the run is finished.
    """

    def __init__(self, folder: Path | Any) -> None:
        self._folder = _path(folder)
        self._lock = FileLock(self._folder / LOCK_NAME, describes="run")

    def __enter__(self) -> RunLock:
        if not self._folder.is_dir():
            raise RunError("there is no such run", where=self._folder)
        guard_unfinished(self._folder)  # before the lock, so as not to touch a finished run
        self._lock.acquire()
        try:
            guard_unfinished(self._folder)
        except RunError:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def read_status(folder: Path | Any) -> Status:
    """The status of a run; `interrupted` if it says running and no process holds its lock.

    A run killed before its first status reads as `created`.

    Raises:
        RunError: `status.json` is damaged.
    """
    path = _path(folder)
    status = _read(path)
    while status.state == "running" and not is_locked(path / LOCK_NAME):
        again = _read(path)  # it may have ended properly between the two looks
        if again == status:
            return dataclasses.replace(status, state="interrupted", ended=_last_sign(path, status))
        status = again
    return status


def write_status(folder: Path | Any, status: Status) -> None:
    """Replace the status of a run.

    Raises:
        RunError: the run is finished (a finished run is never changed), or the write failed.
    """
    path = _path(folder)
    guard_unfinished(path)
    write_json_atomic(path / STATUS_NAME, dataclasses.asdict(status))


def mark(folder: Path | Any, state: State, *, error: str | None = None) -> Status:
    """Move a run to another state, keeping its times; returns the new status.

    `running` starts a session of this process; the other states end it.

    Raises:
        RunError: the run is finished, or the write failed.
    """
    before = read_status(folder)
    if state == "running":
        status = Status(
            state=state,
            pid=os.getpid(),
            host=socket.gethostname(),
            started=time.time(),
            earlier_s=before.duration_s() or 0.0,
        )
    else:
        status = dataclasses.replace(before, state=state, ended=time.time(), error=error)
    write_status(folder, status)
    return status


@contextmanager
def session(folder: Path | Any) -> Iterator[Status]:
    """Train inside: holds the lock, says running, and says how it ended.

    An exception means `failed`, Ctrl-C or `SystemExit` `interrupted`, else `finished`, unless the
    block has marked another end itself (after a preemption signal, for example).

    Raises:
        RunError: another process holds the lock, or the run is finished.
    """
    with RunLock(folder):
        running = mark(folder, "running")
        try:
            yield running
        except BaseException as error:
            state: State = "failed" if isinstance(error, Exception) else "interrupted"
            with suppress(RunError):  # the reason for the end matters more than noting it
                mark(folder, state, error=_one_line(error))
            raise
        if read_status(folder).state == "running":
            mark(folder, "finished")


def guard_unfinished(folder: Path | Any) -> None:
    """Refuse to go on with a finished run.

    Raises:
        RunError: the run is finished.
    """
    path = _path(folder)
    if (path / STATUS_NAME).exists() and _read(path).state == "finished":
        raise RunError(
            "this run is finished, and a finished run is never changed",
            where=path,
            fix="to train longer, train a new run from its config.yaml with more epochs",
        )


def _path(folder: Path | Any) -> Path:
    """A run as a path or as anything with one (`RunFolder`)."""
    return folder if isinstance(folder, Path) else Path(getattr(folder, "path", folder))


def _read(path: Path) -> Status:
    if not (path / STATUS_NAME).exists():
        return Status(state="created")
    fields = read_json(path / STATUS_NAME)
    try:
        known = {f.name: fields[f.name] for f in dataclasses.fields(Status) if f.name in fields}
        status = Status(**known)
    except (TypeError, KeyError):
        status = None
    if status is None or status.state not in get_args(State):
        raise RunError(f"{STATUS_NAME} is damaged: it names no known state", where=path)
    return status


def _last_sign(path: Path, status: Status) -> float | None:
    """When a killed run was last alive: its last event."""
    try:
        last = (path / "events.jsonl").stat().st_mtime
    except OSError:
        return status.started
    return max(last, status.started or last)


def _one_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__

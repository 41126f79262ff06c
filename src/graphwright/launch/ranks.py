"""Start the processes (ranks) of one training on this machine, and see all of them to their end.

Each is a `python -m graphwright.launch.rank RUN`. One that fails or is killed ends the others
within seconds, and the error names it. Signals are passed on; all ranks stop after the same step.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from graphwright import errors
from graphwright.errors import GraphwrightError, RunError, TrainingError
from graphwright.runs.files import read_json
from graphwright.runs.folder import RunFolder
from graphwright.runs.status import RunLock, mark, read_status
from graphwright.training.rank_place import LISTEN_FD, one_gpu_each
from graphwright.training.signals import StopRequest

__all__ = ["run_ranks"]

log = logging.getLogger("graphwright")

_PROGRAM = ("-m", "graphwright.launch.rank")
_LOOK_EVERY_S = 0.05
_GRACE_S = 5.0  # for the other ranks to notice that one is gone, and rank 0 to note it


def run_ranks(
    folder: RunFolder,
    ranks: int,
    *,
    data_root: Path,
    command: Sequence[str] = (),
    resume: bool = False,
    links: dict[str, Any] | None = None,
) -> str:
    """Execute a run with several processes.

    Args:
        folder: holds the configuration.
        ranks: their number, `training.devices`.
        data_root, command, resume, links: see `execute`.

    Returns:
        The state the run is left in: `finished` or `interrupted`.

    Raises:
        GraphwrightError: what the first rank that failed says.
        TrainingError: a rank was killed.
        KeyboardInterrupt: a second Ctrl-C.
    """
    about = {"command": list(command or sys.argv), "links": links, "level": _shown()}
    arguments = [str(folder.path), "--data-root", str(data_root), "--about", json.dumps(about)]
    arguments += ["--parent", str(os.getpid()), *(["--resume"] if resume else [])]
    with tempfile.TemporaryDirectory(prefix="graphwright-ranks-") as notes, _Signals() as signals:
        started = _start(ranks, arguments, Path(notes))
        try:
            failed = _wait(started, signals)
        finally:
            _kill(started)
        if failed:
            error = _cause(started, failed, Path(notes))
            _note_failure(folder, error)
            raise error
    return read_status(folder.path).state


def _shown() -> int:
    """The level from which on messages are shown here."""
    handlers = logging.getLogger().handlers
    shown = min((handler.level for handler in handlers), default=logging.WARNING)
    return max(shown, log.level)


def _start(ranks: int, arguments: list[str], notes: Path) -> list[subprocess.Popen[bytes]]:
    """The processes, in the order of their ranks."""
    listener = socket.create_server(("127.0.0.1", 0))  # kept open: nobody else can take the port
    started: list[subprocess.Popen[bytes]] = []
    # a terminal that belongs to a parent with several runs is not theirs to write to
    quiet = os.isatty(2) and not sys.stderr.isatty()
    try:
        with listener, _held_back():
            for rank in range(ranks):
                outcome = ["--outcome", str(_outcome_of(rank, notes))]
                process = subprocess.Popen(
                    [sys.executable, *_PROGRAM, *arguments, *outcome],
                    env=_environment(rank, ranks, listener),
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL if quiet else None,
                    pass_fds=(listener.fileno(),) if rank == 0 else (),
                    start_new_session=True,  # Ctrl-C comes from here, once
                )
                started.append(process)
    except BaseException:
        _kill(started)
        raise
    return started


@contextmanager
def _held_back() -> Iterator[None]:
    """What is started inside gets signals once it can handle them (`StopRequest`), not before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, StopRequest.SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _environment(rank: int, ranks: int, listener: socket.socket) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if k != "SLURM_PROCID"}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (cores or 1) // ranks)))
    if sys.platform == "linux":
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nothing listens to the outside
    environment["CUDA_VISIBLE_DEVICES"] = one_gpu_each(rank, environment)
    environment |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(listener.getsockname()[1]),
        LISTEN_FD: str(listener.fileno() if rank == 0 else -1),
    }
    return environment


class _Signals(StopRequest):
    """Passes on what it receives to the processes; a second Ctrl-C is raised here."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_on = False

    def pass_on(self, started: Sequence[subprocess.Popen[bytes]]) -> None:
        """To all ranks, once."""
        if self.received is not None and not self.passed_on:
            self.passed_on = True
            for process in started:
                process.send_signal(signal.Signals[self.received])


def _wait(started: Sequence[subprocess.Popen[bytes]], signals: _Signals) -> set[int]:
    """Until all have ended; the ranks that failed by themselves."""
    deadline = None
    while True:
        codes = [process.poll() for process in started]
        failed = {rank for rank, code in enumerate(codes) if code}
        if failed and deadline is None:
            deadline = time.monotonic() + _GRACE_S
        if None not in codes or (deadline is not None and time.monotonic() > deadline):
            return failed
        signals.pass_on(started)
        time.sleep(_LOOK_EVERY_S)


def _kill(started: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def _cause(
    started: Sequence[subprocess.Popen[bytes]], failed: set[int], notes: Path
) -> GraphwrightError:
    """Of several ranks that failed, the others did because of the first one."""
    for rank in sorted(failed):
        if (code := started[rank].returncode) < 0:
            return _killed(rank, len(started), signal.Signals(-code))
    told = {rank: _told(rank, notes) for rank in failed}
    first = min(failed, key=lambda rank: (told[rank].get("time", 0.0), rank))
    note = told[first]
    kind = getattr(errors, note.get("kind", ""), None)
    if isinstance(kind, type) and issubclass(kind, GraphwrightError):
        error = kind.__new__(kind)
        GraphwrightError.__init__(error, note["what"], where=note["where"], fix=note["fix"])
        return error
    what = f"{note['kind']}: {note['what']}" if note else f"exit code {started[first].returncode}"
    return TrainingError(
        f"rank {first} of {len(started)} failed: {what}",
        fix="the run's log.txt has the traceback",
    )


def _killed(rank: int, ranks: int, number: signal.Signals) -> TrainingError:
    hint = " (was the memory full?)" if number == signal.SIGKILL else ""
    return TrainingError(
        f"rank {rank} of {ranks} was killed by {number.name}{hint}; the others were stopped",
        fix="graphwright resume goes on from the last checkpoint",
    )


def _told(rank: int, notes: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = read_json(_outcome_of(rank, notes))
    except RunError:
        return {}
    return found


def _outcome_of(rank: int, notes: Path) -> Path:
    return notes / f"rank_{rank}.json"


def _note_failure(folder: RunFolder, error: GraphwrightError) -> None:
    """Rank 0 knows only that another is gone, and nothing at all if it was killed itself."""
    with suppress(RunError), RunLock(folder):
        mark(folder, "failed", error=f"{type(error).__name__}: {error.what}")

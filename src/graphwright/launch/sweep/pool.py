"""Worker processes that execute saved runs, one each at a time."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

from graphwright.errors import RunError
from graphwright.launch.sweep.worker import PRELOADED, work

__all__ = ["Ended", "Pool", "ask_aside", "cores", "stoppable"]

_TO_SAVE_S = 60.0  # what a run that is asked to stop gets for the step it is in
_TO_LEAVE_S = 5.0
_GPUS = ("/dev/nvidiactl", "/dev/kfd")


@dataclass(frozen=True)
class Ended:
    """What became of a run.

    Attributes:
        run: its folder.
        state: finished, interrupted or failed.
        error: of a failed one.
        cause: of the failure: "mistake" of a user, "training" (the loss, say), or "process".
    """

    run: Path
    state: str
    error: str = ""
    cause: str = ""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    run: Path | None = None


class Pool:
    """Up to `workers` processes, made when they are needed and replaced when they die.

    As a context manager: leaving it ends all of them; what they were training can be resumed.

    Args:
        workers: runs at a time.
        threads: of each.
        data_root: where prepared data are kept.
    """

    def __init__(self, workers: int, threads: int, data_root: Path) -> None:
        self._size, self._threads, self._data_root = workers, threads, data_root
        self._workers: list[_Worker] = []
        self._context = _context()

    @property
    def free(self) -> int:
        """How many runs can be started now."""
        return self._size - len(self.running)

    @property
    def running(self) -> list[Path]:
        """Runs that were started and have not ended."""
        return [worker.run for worker in self._workers if worker.run is not None]

    def start(self, run: Path) -> None:
        """Execute a saved run, from its beginning or from where it stopped."""
        idle = next((worker for worker in self._workers if worker.run is None), None)
        worker = idle or self._new_worker()
        worker.run = run
        message = {"run": str(run), "data_root": str(self._data_root.absolute())}
        with suppress(OSError):  # it died this moment: `wait` will see
            worker.pipe.send_bytes(json.dumps(message).encode())

    def wait(self, timeout_s: float | None = None) -> list[Ended]:
        """Runs that came to their end, as soon as there is one, or none after `timeout_s`."""
        busy = [worker for worker in self._workers if worker.run is not None]
        watched = [worker.pipe for worker in busy] + [worker.process.sentinel for worker in busy]
        ready = set(wait(watched, timeout_s))
        return [
            self._end_of(worker)
            for worker in busy
            if worker.pipe in ready or worker.process.sentinel in ready
        ]

    def stop(self, run: Path) -> None:
        """Ask a run to save and leave; it comes out of `wait` as interrupted, unless it was done.

        Ask again until it does: a run that has not come to its first step does not listen yet.
        """
        for worker in self._workers:
            if worker.run == run and worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGUSR1)

    def stop_all(self) -> list[Ended]:
        """Ask every run to save and leave, and wait until all did, or for a minute."""
        ended: list[Ended] = []
        deadline = time.monotonic() + _TO_SAVE_S
        while (running := self.running) and time.monotonic() < deadline:
            for run in running:
                self.stop(run)
            ended += self.wait(0.5)
        return ended

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            if worker.run is not None:
                worker.process.kill()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(_TO_LEAVE_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()

    def _new_worker(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        # not a daemon: a run on several devices has processes of its own
        process = self._context.Process(target=work, args=(theirs, self._threads), daemon=False)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _end_of(self, worker: _Worker) -> Ended:
        run, worker.run = worker.run, None
        assert run is not None
        answer = _answer(worker.pipe)
        if answer is None or answer.pop("leaves"):
            self._workers.remove(worker)
            worker.pipe.close()
            worker.process.join()
        if answer is None:
            return Ended(run, "failed", _why(worker.process.exitcode, run), "process")
        return Ended(run, **answer)


def _answer(pipe: Connection) -> dict[str, Any] | None:
    """None from a worker that died."""
    with suppress(EOFError, OSError):
        if pipe.poll():
            answer: dict[str, Any] = json.loads(pipe.recv_bytes())
            return answer
    return None


def ask_aside(target: Callable[[Connection, str], None], argument: str) -> Any:
    """The JSON that `target` sends from a process of its own, where it may import anything.

    Raises:
        RunError: the process died.
    """
    ours, theirs = _context().Pipe()
    process = _context().Process(target=target, args=(theirs, argument))
    process.start()
    theirs.close()
    try:
        return json.loads(ours.recv_bytes())
    except EOFError:
        raise RunError(
            "a helper process died at its start", fix="look above for its error"
        ) from None
    finally:
        process.join()
        ours.close()


def cores() -> int:
    """CPU cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM is as good as Ctrl-C inside: KeyboardInterrupt. A no-op outside the main thread."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _context() -> Any:
    if sys.platform != "linux" or any(Path(device).exists() for device in _GPUS):
        return multiprocessing.get_context("spawn")
    # new workers cost milliseconds, and all share what one server process has imported: it has
    # never run an operation and has no threads. That it has no CUDA context nobody promises
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _why(code: int | None, run: Path) -> str:
    what = "the worker process ended"
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        memory = " (out of memory, perhaps)" if -code == signal.SIGKILL else ""
        what = f"the worker process was ended by {name}{memory}"
    elif code:
        what = f"the worker process ended with exit code {code}"
    return f"{what}\n  where: {run}\n  fix:   the same command resumes it"

"""What a worker process of a sweep does: one saved run after another, until its pipe closes."""

from __future__ import annotations

import gc
import io
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from graphwright.errors import GraphwrightError

__all__ = ["PRELOADED", "work"]

log = logging.getLogger("graphwright")

# what every run imports; a server process imports it once and makes all workers from itself
PRELOADED = ("graphwright.training.engine", "graphwright.training.finish", __name__)

_FREE_AGAIN_S = 15.0  # a killed sweep's workers need a moment to end and give their runs free


def work(pipe: Connection, threads: int) -> None:
    """Execute the runs that the parent names, and answer with what became of each.

    Args:
        pipe: takes `{"run": folder, "data_root": folder}`, gives `{"state", "error", "cause",
            "leaves"}`, the fields of `sweep_pool.Ended` and whether this process ends now.
        threads: for each run that does not say itself (`training.threads`).
    """
    _settle(threads)
    while True:
        try:
            job = json.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        answer = _execute(Path(job["run"]), Path(job["data_root"]), threads)
        pipe.send_bytes(json.dumps(answer).encode())
        if answer["leaves"]:
            return


def _settle(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    # Ctrl-C reaches every process of a terminal: the parent says who stops. During a run these
    # mean "save and leave" (training/signals.py); one that comes too late must not kill
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    log.setLevel(logging.WARNING)
    # the terminal's last line is the parent's: no progress bars of single runs
    sys.stderr = _NoTerminal(sys.stderr.buffer, line_buffering=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()


class _NoTerminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return False


def _end_with_parent() -> None:
    """A worker whose parent was killed must free its run for whoever goes on with it."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        _kill_ranks()
        os.kill(os.getpid(), signal.SIGKILL)


def _kill_ranks() -> None:
    """Further processes of the run (`training.devices`, loaders), but not the mirrors' own."""
    import psutil

    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error, OSError):
                if os.getsid(child.pid) == os.getsid(0):
                    child.kill()


def _execute(run: Path, data_root: Path, threads: int) -> dict[str, Any]:
    import torch

    # a run before this one may have set its own number
    torch.set_num_threads(threads)
    answer = {"state": "failed", "error": "", "cause": "", "leaves": False}
    try:
        return {**answer, "state": _train(run, data_root)}
    except GraphwrightError as error:
        cause = "mistake" if error.exit_code == 2 else "training"
        return {**answer, "error": str(error), "cause": cause}
    except Exception as error:
        message = f"{type(error).__name__}: {error}\n  where: {run / 'log.txt'}"
        # nobody knows what it left behind in memory: the next run gets a new process
        return {**answer, "error": message, "cause": "process", "leaves": True}
    finally:
        gc.collect()


def _train(run: Path, data_root: Path) -> str:
    from graphwright.launch.execute import execute
    from graphwright.launch.local import resume
    from graphwright.runs.files import remove_stale_temporaries
    from graphwright.runs.folder import RunFolder
    from graphwright.runs.lock import is_locked
    from graphwright.runs.status import LOCK_NAME
    from graphwright.training.phases import Phases

    folder = RunFolder.open(run)
    lock = folder.path / LOCK_NAME
    if not lock.exists():  # nobody ever began
        remove_stale_temporaries(folder.path)
        return execute(folder, data_root=data_root, phases=Phases())
    deadline = time.monotonic() + _FREE_AGAIN_S
    while is_locked(lock) and time.monotonic() < deadline:
        time.sleep(0.05)
    return resume(folder, data_root=data_root)

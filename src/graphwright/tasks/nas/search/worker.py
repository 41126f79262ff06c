"""The process that trains: `python -m graphwright.tasks.nas.search.worker`.

Jobs come in as JSON, one a line; answers go out the same way. What a training prints goes to its
log. When the input ends, the owner is dead: the worker and all that it started die, too.
"""

from __future__ import annotations

import json
import math
import numbers
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["main", "read_value"]


class _FailedError(Exception):
    """A training that has no value, for a reason that needs no traceback."""


def main() -> None:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(sys.stdin.buffer, jobs), daemon=True).start()
    while True:
        answer = _do(jobs.get())
        answers.write(json.dumps(answer).encode() + b"\n")


def read_value(text: str) -> float:
    """The number on the last line that is not empty.

    >>> read_value("epoch 1\\n0.93\\n")
    0.93
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        return float(lines[-1])
    except (IndexError, ValueError):
        raise _FailedError("its last line of output is not a number") from None


def _read_jobs(stream: Any, jobs: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in stream:
        jobs.put(json.loads(line))
    # a group of its own was made for this process: nobody else is in it
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _do(job: dict[str, Any]) -> dict[str, Any]:
    with _output_to(Path(job["log"])):
        try:
            value = _run_command(job) if "command" in job else _call(job)
        except _FailedError as error:
            return {"value": None, "reason": str(error)}
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            sys.stderr.flush()
            return {"value": None, "reason": f"{type(error).__name__} in the training"}
        if not math.isfinite(value):
            return {"value": None, "reason": f"its value is {value}"}
        return {"value": value, "reason": ""}


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Everything that is printed, by C or by children, goes to the file."""
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _call(job: dict[str, Any]) -> float:
    from graphwright.tasks.nas.search.named import load_named

    value = load_named(job["function"])(job["arch"], job["seed"])
    if isinstance(value, numbers.Real) or hasattr(value, "item"):
        return float(value)
    raise _FailedError(f"{job['function']} gave {type(value).__name__}, not a number")


def _run_command(job: dict[str, Any]) -> float:
    try:
        # in the group of this process, which is killed as a whole
        child = subprocess.Popen(job["command"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except OSError as error:
        raise _FailedError(f"cannot start {job['command'][0]}: {error.strerror}") from None
    assert child.stdout is not None
    pieces = []
    with child.stdout:
        while piece := os.read(child.stdout.fileno(), 1 << 16):
            os.write(1, piece)  # to the log as it comes
            pieces.append(piece)
    code = child.wait()
    if code:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise _FailedError(how)
    if job["out"]:
        return _value_in(Path(job["out"]))
    return read_value(b"".join(pieces).decode(errors="replace"))


def _value_in(path: Path) -> float:
    try:
        told = json.loads(path.read_bytes())
        return float(told["value"])
    except FileNotFoundError:
        raise _FailedError("it wrote no {out}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise _FailedError(f'{{out}} is not {{"value": number}}: {error}') from None


if __name__ == "__main__":
    main()

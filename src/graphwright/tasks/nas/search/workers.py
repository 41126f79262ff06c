"""Worker processes as their owner sees them: one job at a time, started anew after a crash."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Answer", "Worker"]

_TAIL_LINES, _TAIL_BYTES = 5, 4000
_GRACE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a job: a value, or the reason why there is none."""

    value: float | None = None
    reason: str = ""
    seconds: float = math.nan


class Worker:
    """A process of `worker.py`, started when first needed.

    It leads a process group of its own. When this process dies, however it dies, the worker reads
    the end of its input and takes its group with it: no training goes on unseen.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._guard = threading.Lock()

    def run(self, job: dict[str, Any], time_limit_s: float | None) -> Answer:
        """Do a job; a crash or a time that is up is an answer, too."""
        began = time.monotonic()
        deadline = None if time_limit_s is None else began + time_limit_s
        process = self._started()
        if process is None:
            return Answer(reason="the search was stopped")
        line = self._exchange(process, json.dumps(job).encode() + b"\n", deadline)
        seconds = time.monotonic() - began
        if line is not None and line.endswith(b"\n"):
            told = json.loads(line)
            return Answer(value=told["value"], reason=_reason(told["reason"], job), seconds=seconds)
        if line is None:
            why = f"time limit of {time_limit_s:g} s"
        else:
            why = f"the process died ({_how(process)})"
        self._end()
        return Answer(reason=_reason(why, job), seconds=seconds)

    def stop(self) -> None:
        """Kill it for good."""
        with self._guard:
            self._stopped = True
        self._end()

    def _started(self) -> subprocess.Popen[bytes] | None:
        with self._guard:
            if self._stopped:
                return None
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "graphwright.tasks.nas.search.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,
                )
            return self._process

    def _exchange(
        self, process: subprocess.Popen[bytes], line: bytes, deadline: float | None
    ) -> bytes | None:
        """The line of the answer; without its end if the process died, None if time was up."""
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(line)
            process.stdin.flush()
        answer, descriptor = b"", process.stdout.fileno()
        while not answer.endswith(b"\n"):
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([descriptor], [], [], left)[0]:
                return None
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                break
            answer += piece
        return answer

    def _end(self) -> None:
        with self._guard:
            process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _how(process: subprocess.Popen[bytes]) -> str:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    code = process.returncode
    if code is None:
        return "it closed its output"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _reason(why: str, job: dict[str, Any]) -> str:
    """The reason of a failure with the last lines of the training's log; empty stays empty."""
    if not why:
        return ""
    try:
        with Path(job["log"]).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    last = [line.rstrip() for line in lines if line.strip()][-_TAIL_LINES:]
    return "\n".join([why, *last])

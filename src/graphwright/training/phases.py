"""The timed start-up: where the seconds go between the command and the first optimizer step."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

__all__ = ["PHASES", "Phases"]

PHASES = (
    "directories",
    "data loading and validation",
    "split",
    "loaders",
    "model",
    "compilation",
    "logging",
    "trainer configuration",
)
_STEADY = (3, 23)  # steps between which the steady rate is measured


class Phases:
    """A clock of one start-up.

    Args:
        since_process_start: count from the start of the process, before the imports, as a command
            does; otherwise from now on.

    >>> phases = Phases(since_process_start=True)
    >>> with phases.timed("split") as details:
    ...     details["train"] = 100
    """

    def __init__(self, *, since_process_start: bool = False) -> None:
        # the process began before this line: count what the imports took, too
        already = _process_age() if since_process_start else 0.0
        self._start = time.perf_counter() - already
        self._records: list[dict[str, Any]] = [
            {"name": "imports", "seconds": already, "details": {}}
        ]
        self._marks: dict[str, float] = {}
        self._steps = 0
        self._loop_began = self._steady_began = self._start

    @contextmanager
    def timed(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a phase; what is put into the yielded dictionary is kept beside it."""
        details: dict[str, Any] = {}
        began = time.perf_counter()
        try:
            yield details
        finally:
            seconds = time.perf_counter() - began
            self._records.append({"name": name, "seconds": seconds, "details": details})

    @contextmanager
    def importing(self) -> Iterator[None]:
        """Imports that come after the first phases; they count as imports all the same."""
        began = time.perf_counter()
        yield
        self._records[0]["seconds"] += time.perf_counter() - began

    def mark(self, name: str, seconds: float | None = None) -> None:
        """Note a time once: seconds given, or those since the process began."""
        value = time.perf_counter() - self._start if seconds is None else seconds
        self._marks.setdefault(name, value)

    @contextmanager
    def first_step(self, name: str) -> Iterator[None]:
        """Time what happens inside, the first time only (compilation hides in it)."""
        if name in self._marks:
            yield
            return
        began = time.perf_counter()
        yield
        self.mark(name, time.perf_counter() - began)

    def after_step(self, step: int) -> None:
        """Called after every optimizer step; the first steps of the process are timed apart."""
        self._steps += 1
        now = time.perf_counter()
        if self._steps == 1:
            self.mark("first_batch_s", now - self._loop_began)
            self.mark("total_s")
        elif self._steps == _STEADY[0]:
            self._steady_began = now
        elif self._steps == _STEADY[1]:
            self.mark("steady_batch_s", (now - self._steady_began) / (_STEADY[1] - _STEADY[0]))

    def start_loop(self) -> None:
        """Start-up is over: the next thing is the first batch."""
        self._loop_began = time.perf_counter()

    def after_epoch(self) -> None:
        """Called after every epoch; the first is kept."""
        self.mark("first_epoch_s", time.perf_counter() - self._loop_began)

    def to_json(self) -> dict[str, Any]:
        """The contents of `startup.json`."""
        return {"phases": list(self._records), **self._marks}

    def table(self) -> str:
        """One line a phase with what was found in it, then the marks; for --debug."""
        lines = []
        for record in self._records:
            found = " ".join(f"{k}={_short(v)}" for k, v in record["details"].items())
            lines.append(f"  {record['name']:<28} {record['seconds']:8.3f} s  {found}".rstrip())
        lines += [f"  {name:<28} {value:8.3f} s" for name, value in self._marks.items()]
        return "\n".join(["start-up", *lines])


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_short(v)}" for k, v in value.items()) + "}"
    return str(value)


def _process_age() -> float:
    """Seconds since this process began."""
    stat = Path("/proc/self/stat")
    if not stat.exists():  # no Linux
        return max(0.0, time.time() - psutil.Process().create_time())
    # ticks since boot, from the kernel: psutil's date is off by the drift of the clock
    fields = stat.read_text().rpartition(")")[2].split()
    began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)

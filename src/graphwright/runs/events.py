"""Metrics as an append-only file, `events.jsonl`: one record a line.

    {"step":12,"epoch":0,"time":1763790000.12,"name":"train_loss","value":0.31}
    {"event":"resume","step":10,"time":1763790400.5}

Non-finite values are the strings "NaN", "Infinity" and "-Infinity", so every line is strict JSON.
After a resume marker the steps above its own come a second time; readers drop the first copy.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphwright.runs.files import non_finite_name, storage_errors

__all__ = ["EventTail", "EventWriter", "Events", "Record", "read_events"]

_FLUSH_S = 1.0
_FLUSH_LINES = 4096
_BLOCK = 1 << 16


class EventWriter:
    """Appends to an events file; one writer at a time, which the run's lock ensures.

    Records are kept in memory for up to a second (of calls to `log`) and written by whole lines.
    On opening, a last line that a killed process left unfinished is cut off. Usable as a context
    manager.

    Raises:
        RunError: the file cannot be opened or written (disk full, read-only).
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        with storage_errors(self.path):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o644)
            self._size = _end_of_last_line(self._descriptor)
            os.ftruncate(self._descriptor, self._size)
        self._lines: list[str] = []
        self._names: dict[str, str] = {}
        self._flushed = time.monotonic()

    def log(self, metrics: Mapping[str, float], step: int, epoch: int) -> None:
        """Add one record per metric; anything `float()` takes is a value."""
        head = f'{{"step":{int(step)},"epoch":{int(epoch)},"time":{time.time():.3f},"name":'
        for name, value in metrics.items():
            self._lines.append(f'{head}{self._quoted(name)},"value":{_number(float(value))}}}\n')
        late = time.monotonic() - self._flushed > _FLUSH_S
        if late or len(self._lines) >= _FLUSH_LINES:
            self.flush()

    def mark_resume(self, step: int) -> None:
        """Say that training goes on after `step` finished steps: later ones come again."""
        self._lines.append(f'{{"event":"resume","step":{int(step)},"time":{time.time():.3f}}}\n')
        self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system, where a killed process cannot lose it.

        Raises:
            RunError: the disk is full; the file then ends with the last complete flush, and the
                records stay in memory for the next try.
        """
        if not self._lines:
            return
        data = "".join(self._lines).encode()
        try:
            with storage_errors(self.path):
                _write_all(self._descriptor, data)
        except BaseException:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)
        self._lines.clear()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush and close; closing twice is fine."""
        if self._descriptor < 0:
            return
        try:
            self.flush()
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _quoted(self, name: str) -> str:
        if name not in self._names:
            self._names[name] = json.dumps(name)
        return self._names[name]


@dataclass(frozen=True, slots=True)
class Record:
    """One line: a metric, or a resume marker (`name` None, `value` NaN)."""

    step: int
    epoch: int
    time: float  # seconds since 1970
    name: str | None
    value: float


class Events:
    """The metrics of a run, repeated steps once. Names are in order of first appearance."""

    def __init__(self, records: list[Record], *, damaged: int = 0) -> None:
        self.damaged = damaged  # lines that were no records, and were left out
        self._series: dict[str, list[Record]] = {}
        for record in records:
            if record.name is None:
                for series in self._series.values():
                    series[:] = [earlier for earlier in series if earlier.step <= record.step]
            else:
                self._series.setdefault(record.name, []).append(record)

    def names(self) -> list[str]:
        """Metrics that have at least one value."""
        return [name for name, series in self._series.items() if series]

    def series(self, name: str) -> tuple[list[int], list[int], list[float]]:
        """Steps, epochs and values of a metric; empty lists if there is none of that name."""
        series = self._series.get(name, [])
        return [r.step for r in series], [r.epoch for r in series], [r.value for r in series]

    def times(self, name: str) -> list[float]:
        """When each value of `series` was logged, in seconds since 1970."""
        return [record.time for record in self._series.get(name, [])]

    def last(self, name: str) -> float | None:
        """The latest value of a metric, or None."""
        series = self._series.get(name)
        return series[-1].value if series else None


class EventTail:
    """Reads a file that grows: each `read` gives the complete lines added since the last."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = Path(path)
        self.offset = offset  # bytes read so far; always the start of a line
        self.damaged = 0

    def read(self, *, most_bytes: int = 1 << 22) -> list[Record]:
        """New records, resume markers among them; empty if there are none or no file yet."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read(most_bytes)
        except FileNotFoundError:
            return []
        data = data[: data.rfind(b"\n") + 1]
        self.offset += len(data)
        records, damaged = _parse(data)
        self.damaged += damaged
        return records


def read_events(path: Path) -> Events:
    """All metrics of a run; empty if there is no file. An unfinished last line is left out."""
    tail = EventTail(path)
    records: list[Record] = []
    while True:
        before = tail.offset
        records += tail.read()
        if tail.offset == before:
            return Events(records, damaged=tail.damaged)


def _parse(data: bytes) -> tuple[list[Record], int]:
    lines = data.split(b"\n")[:-1]
    try:
        objects = json.loads(b"[" + b",".join(lines) + b"]")  # one call: far faster than many
        if len(objects) != len(lines):
            raise ValueError("a line with more than one record")
    except ValueError:
        objects = [_loads(line) for line in lines]
    records = [record for record in map(_record, objects) if record is not None]
    return records, len(lines) - len(records)


def _loads(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _record(line: Any) -> Record | None:
    try:
        if "event" in line:
            return Record(int(line["step"]), -1, float(line["time"]), None, math.nan)
        step, epoch, name = int(line["step"]), int(line["epoch"]), str(line["name"])
        return Record(step, epoch, float(line["time"]), name, float(line["value"]))
    except (KeyError, TypeError, ValueError):
        return None


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'"{non_finite_name(value)}"'


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _end_of_last_line(descriptor: int) -> int:
    """Bytes up to and with the last newline, searched from the end."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0

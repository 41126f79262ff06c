"""What a search asked for and what came of it: `journal.jsonl`, one record a line, never changed.

    {"event": "asked", "time": …, "seconds": …, "candidates": [{"number": 0, "text": …}, …]}
    {"event": "told", "time": …, "number": 0, "value": 0.93, "seconds": 12.1}
    {"event": "failed", "time": …, "number": 1, "reason": "exit code 1", "seconds": 0.3}
    {"event": "round", "time": …, "round": 1, "asked": 20, "failed": 1, "kendall_tau": 0.41, …}

A batch is one line, so that it is asked for whole or not at all. A line that a killed process left
unfinished is cut off; every other one is complete, and on disk before the search goes on.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphwright.errors import RunError
from graphwright.runs.files import storage_errors
from graphwright.tasks.nas.search.candidates import Candidate, Trial

__all__ = ["JOURNAL_NAME", "Journal", "Remembered", "read_journal"]

JOURNAL_NAME = "journal.jsonl"


@dataclass(eq=False)
class Remembered:
    """What a journal says.

    Attributes:
        asked: in the order of asking.
        told: in the order of telling.
        choosing_s: seconds that each ask took, by round.
        closed: rounds that have their record.
    """

    asked: list[Candidate] = field(default_factory=list)
    told: list[Trial] = field(default_factory=list)
    choosing_s: list[float] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)


class Journal:
    """Appends to a journal; one writer at a time, which the lock of the search ensures.

    Raises:
        RunError: the file cannot be opened or written (disk full, read-only).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with storage_errors(path):
            data = path.read_bytes() if path.exists() else b""
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o644)
            self._size = data.rfind(b"\n") + 1
            os.ftruncate(self._descriptor, self._size)

    def asked(self, candidates: Sequence[Candidate], seconds: float) -> None:
        """A batch, and how long it took to choose it."""
        plain = [candidate.to_json() for candidate in candidates]
        self._write({"event": "asked", "seconds": round(seconds, 3), "candidates": plain})

    def told(self, trial: Trial) -> None:
        """What came of a training."""
        seconds = round(trial.seconds, 3) if math.isfinite(trial.seconds) else None
        common = {"number": trial.candidate.number, "seconds": seconds}
        if trial.value is None:
            self._write({"event": "failed", **common, "reason": trial.reason})
        else:
            self._write({"event": "told", **common, "value": trial.value})

    def round(self, summary: Mapping[str, Any]) -> None:
        """A batch of which every training has ended."""
        self._write({"event": "round", **summary})

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, record: Mapping[str, Any]) -> None:
        timed = {"event": record["event"], "time": round(time.time(), 3), **record}
        line = json.dumps(timed, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        try:
            with storage_errors(self.path):
                view = memoryview(line)
                while view:
                    view = view[os.write(self._descriptor, view) :]
                os.fsync(self._descriptor)
        except BaseException:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)


def read_journal(path: Path) -> Remembered:
    """What the complete lines of a journal say; nothing if there is none.

    Raises:
        RunError: a line is no record of a search.
    """
    found = Remembered()
    data = path.read_bytes() if path.exists() else b""
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            _remember(found, json.loads(line))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise RunError(
                f"{path.name} is damaged: {error!r}", where=f"{path}, line {number}"
            ) from error
    return found


def _remember(found: Remembered, record: Mapping[str, Any]) -> None:
    event = record["event"]
    if event == "asked":
        found.asked += [Candidate.from_json(one) for one in record["candidates"]]
        found.choosing_s.append(float(record["seconds"]))
    elif event in ("told", "failed"):
        seconds = record["seconds"]
        found.told.append(
            Trial(
                candidate=found.asked[record["number"]],
                value=float(record["value"]) if event == "told" else None,
                reason=record.get("reason", ""),
                seconds=math.nan if seconds is None else float(seconds),
            )
        )
    elif event == "round":
        found.closed.append(record["round"])

"""How far a mirror has come: `<run>/mirrors/<tracker>.json`, one for every destination.

A tracker gets what `read_events` gives. Steps that training did again after a resume are sent
once: their later copy, or the earlier one if that was sent before the resume.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphwright.errors import RunError
from graphwright.runs.events import Record
from graphwright.runs.files import read_json, write_json_atomic

__all__ = ["Position", "fingerprint", "position_name", "resume_marks", "without_repeated"]


@dataclass
class Position:
    """Where a mirror stopped, or is."""

    offset: int = 0  # in events.jsonl, bytes
    tracker_id: str | None = None
    destination: str = ""
    last_step: dict[str, int] = field(default_factory=dict)  # sent, of every metric
    repeated_until: dict[str, int] = field(default_factory=dict)  # as last_step at the last resume
    mark: int = -1  # the tracker's own
    complete: str | None = None  # fingerprint of the run when everything was sent
    piece: str | None = None  # what is being written; still set when a mirror was killed
    before: dict[str, Any] | None = None  # the position before that piece

    @classmethod
    def load(cls, path: Path) -> Position:
        """The position in a file; the start if there is none or it is damaged."""
        try:
            return cls(**read_json(path))
        except (RunError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        """Keep the position."""
        write_json_atomic(path, dataclasses.asdict(self))

    def open_piece(self, piece: str | None) -> None:
        """From now on all that is sent goes into that piece."""
        if piece is not None:
            self.before = dataclasses.asdict(self)
            self.piece = piece

    def close(self, complete: str) -> None:
        """Everything is sent."""
        self.complete, self.piece, self.before = complete, None, None

    def torn(self) -> str | None:
        """The piece of a mirror that was killed, once: the position goes back to before it."""
        piece, before = self.piece, self.before
        if piece is None or before is None:
            return None
        self.__dict__.update(Position(**before).__dict__)
        return piece

    def is_new(self, record: Record) -> bool:
        """Take note of a record; whether it must be sent."""
        if record.name is None:
            self.repeated_until = dict(self.last_step)
            return False
        if record.step <= self.repeated_until.get(record.name, -1):
            return False
        self.last_step[record.name] = max(record.step, self.last_step.get(record.name, -1))
        return True


def position_name(tracker: str, destination: str) -> str:
    """The file's name without `.json`; it has a digest where the place is not the usual one.

    >>> position_name("mlflow", ""), position_name("mlflow", "http://lab:5000 geometry")
    ('mlflow', 'mlflow-972023f4')
    """
    if not destination:
        return tracker
    return f"{tracker}-{hashlib.sha256(destination.encode()).hexdigest()[:8]}"


def fingerprint(*parts: Any) -> str:
    """A digest of plain data, to see whether anything has changed."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def resume_marks(path: Path, offset: int) -> list[tuple[int, int]]:
    """The resume markers in an events file from `offset` on: end of the line in bytes, and step."""
    found = []
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            offset += len(line)
            if line.startswith(b'{"event"') and line.endswith(b"\n"):
                try:
                    found.append((offset, int(json.loads(line)["step"])))
                except (ValueError, KeyError, TypeError):
                    continue  # a damaged line, which readers leave out
    return found


def without_repeated(
    records: Sequence[Record], marks: Sequence[tuple[int, int]], end: int
) -> list[Record]:
    """The records without those that training did again after a resume.

    Args:
        records: a stretch of an events file, which ends at the byte `end`.
        marks: as `resume_marks` gives them.
    """
    lowest = min((step for offset, step in marks if offset > end), default=math.inf)
    kept = []
    for record in reversed(records):
        if record.name is None:
            lowest = min(lowest, record.step)
        elif record.step > lowest:
            continue
        kept.append(record)
    return kept[::-1]

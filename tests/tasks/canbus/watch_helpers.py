"""A detector without a model, and sources in memory, for the tests of watching."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from graphwright.tasks.canbus.data_config import WindowConfig
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.watch import Alarm, Piece, Summary, Suspect
from graphwright.tasks.canbus.watch.alarms import id_text
from graphwright.tasks.canbus.watch.detector import Scores
from graphwright.tasks.canbus.windows import WindowGraphs

BAD = 0x316


class FakeDetector:
    """Scores a window 0.9 if it has the id 0x316, else by its number of ids."""

    def __init__(self, size: int = 100, stride: int = 100, rate: float = 0.1) -> None:
        self.window = WindowConfig(size=size, stride=stride)
        self.threshold = 0.5
        self.false_positive_rate = rate
        self.batches: list[int] = []
        self.wait_s = 0.0

    def score(self, graphs: WindowGraphs) -> Scores:
        self.batches.append(len(graphs))
        time.sleep(self.wait_s)
        owner = np.repeat(np.arange(len(graphs)), graphs.node_counts)
        bad = np.bincount(owner[graphs.node_id == BAD], minlength=len(graphs)) > 0
        return np.where(bad, 0.9, graphs.node_counts / 1000)

    def suspects(self, graphs: WindowGraphs) -> list[tuple[Suspect, ...]]:
        first = np.cumsum(graphs.node_counts) - graphs.node_counts
        return [
            (Suspect(id=id_text(int(graphs.node_id[n])), known=True, weight=1.0),) for n in first
        ]


class Kept:
    """A report that remembers."""

    def __init__(self) -> None:
        self.alarms: list[Alarm] = []
        self.warnings: list[tuple[str, int]] = []
        self.thresholds: list[tuple[float, int]] = []
        self.summaries: list[Summary] = []

    def alarm(self, alarm: Alarm) -> None:
        self.alarms.append(alarm)

    def warning(self, what: str, count: int) -> None:
        self.warnings.append((what, count))

    def calibrated(self, threshold: float, windows: int) -> None:
        self.thresholds.append((threshold, windows))

    def summary(self, summary: Summary) -> None:
        self.summaries.append(summary)


class Given:
    """Frames in pieces of given sizes."""

    def __init__(self, frames: Frames, sizes: Sequence[int], waiting: Sequence[int] = ()) -> None:
        self.lost = self.overruns = 0
        self.is_closed = False
        self._frames, self._sizes, self._waiting = frames, sizes, waiting

    def __iter__(self) -> Iterator[Piece]:
        start = 0
        try:
            for number, size in enumerate(self._sizes):
                frames = self._frames.rows(start, start + size)
                start += size
                waiting = self._waiting[number] if number < len(self._waiting) else 0
                yield Piece(frames, np.full(len(frames), time.perf_counter()), waiting)
        finally:
            self.is_closed = True


def quiet_frames(count: int, bad: Sequence[int] = (), *, rate: float = 1000.0) -> Frames:
    """Frames of the ids 0x100 to 0x107 in turn; those numbered in `bad` have the id 0x316."""
    place = np.arange(count)
    ids = (0x100 + place % 8).astype(np.uint32)
    ids[list(bad)] = BAD
    return Frames(
        time=1e9 + place / rate,
        id=ids,
        extended=np.zeros(count, bool),
        length=np.full(count, 8, np.uint8),
        payload=np.repeat((place % 251).astype(np.uint8)[:, None], 8, axis=1),
        attack=np.zeros(count, np.uint8),
    )


def candump_lines(frames: Frames) -> list[str]:
    """As `candump -L` prints them."""
    return [
        f"({time:.6f}) vcan0 {ident:03X}#{row.tobytes().hex().upper()}\n"
        for time, ident, row in zip(
            frames.time.tolist(), frames.id.tolist(), frames.payload, strict=True
        )
    ]


def write_candump(path: Path, frames: Frames) -> Path:
    path.write_text("".join(candump_lines(frames)))
    return path

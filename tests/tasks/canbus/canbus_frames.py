"""Frames and captures for the tests of windows, stores and splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from graphwright.data.rejects import Rejects
from graphwright.tasks.canbus.capture_source import CaptureSource
from graphwright.tasks.canbus.frames import Frames

REAL = Path(__file__).parents[4] / "shared/data/canbus/can-train-and-test"


def random_frames(count: int, seed: int = 0, *, ids: int = 12, fields: int = 0) -> Frames:
    """Frames with empty payloads, repeated payloads, extended ids and times that go back.

    `fields` above 0: an event log with so many.
    """
    rng = np.random.default_rng(seed)
    length = rng.integers(0, 9, count).astype(np.uint8)
    payload = rng.integers(0, 256, (count, 8)).astype(np.uint8)
    payload[rng.random(count) < 0.4] = 7
    payload[np.arange(8) >= length[:, None]] = 0
    if fields:
        payload = rng.normal(5.0, 30.0, (count, fields)).astype(np.float32)
        payload[rng.random(count) < 0.3] = 1.5
    steps = rng.exponential(1e-3, count)
    steps[rng.random(count) < 0.05] *= -3.0
    return Frames(
        time=1.6e9 + np.cumsum(steps),
        id=rng.integers(0, ids, count).astype(np.uint32),
        extended=(rng.random(count) < 0.2) & (not fields),
        length=np.full(count, fields, np.uint8) if fields else length,
        payload=payload,
        attack=(rng.random(count) < 0.02).astype(np.uint8),
    )


def capture(
    folder: str, name: str, frames: Frames, *, piece: int = 70, sha256: str = ""
) -> CaptureSource:
    """A capture in memory that comes in pieces."""

    def pieces(rejects: Rejects) -> Iterator[Frames]:
        for start in range(0, len(frames), piece):
            yield frames.rows(start, min(start + piece, len(frames)))
        rejects.add(name, "line 1", "for the test")

    digest = sha256 or f"{folder}/{name}"
    attack = name.rsplit("-", 1)[0]
    return CaptureSource(folder=folder, name=name, attack=attack, sha256=digest, pieces=pieces)


def real_capture(place: str) -> Path:
    """A file of the real data; skips the test where there is none."""
    path = REAL / place
    if not path.exists():
        pytest.skip(f"the captures in {REAL} are not here")
    return path

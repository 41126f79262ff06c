"""Frames to a can-train-and-test file, for generated data and for tests."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from graphwright.errors import DataError
from graphwright.runs.files import atomic_path
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers.can_train_and_test import HEADER

__all__ = ["write_capture"]

_AT_ONCE = 50_000


def write_capture(frames: Frames, path: str | Path) -> Path:
    """Write a can-train-and-test CSV, gzipped where the name ends in `.gz`.

    Times get as many digits as they need to be read back exactly, so do all other columns.

    Raises:
        DataError: events with payloads that are not bytes.
    """
    target = Path(path)
    if frames.payload.dtype != np.uint8:
        raise DataError("a capture file holds bytes, not the numbers of an event log", where=target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as hidden, hidden.open("wb") as file:
        # mtime 0: the same frames give the same file
        packed = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if target.suffix == ".gz" else None
        sink = packed or file
        sink.write(f"{HEADER}\n".encode())
        for start in range(0, len(frames), _AT_ONCE):
            sink.write(_lines(frames.rows(start, start + _AT_ONCE)))
        if packed is not None:
            packed.close()
    return target


def _lines(frames: Frames) -> bytes:
    digits = frames.payload.tobytes().hex().upper()
    columns = (frames.time, frames.id, frames.extended, frames.length, frames.attack)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return "".join(
        f"{time!r},{ident:0{8 if extended else 3}X},"
        f"{digits[16 * k : 16 * k + 2 * length]},{attack}\n"
        for k, (time, ident, extended, length, attack) in enumerate(rows)
    ).encode()

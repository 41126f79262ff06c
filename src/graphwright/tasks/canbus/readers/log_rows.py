"""Frames that are read one at a time, from logs whose lines or objects are of many kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphwright.tasks.canbus.frames import BYTES, Frames

__all__ = ["NO_FORMAT", "NO_LENGTH", "Row", "frames_of_rows", "id_reason"]

NO_FORMAT = "line is not of this format"
NO_LENGTH = "payload length is not a number from 0 to 8"
_HIGHEST, _HIGHEST_EXTENDED = 0x7FF, 0x1FFFFFFF


class Row(NamedTuple):
    """One data frame."""

    time: float
    id: int
    extended: bool
    data: bytes


def id_reason(ident: int, extended: bool) -> str:
    """Why a number is no arbitration id; empty for one that is."""
    if extended:
        return "" if ident <= _HIGHEST_EXTENDED else "id is above 0x1FFFFFFF"
    return "" if ident <= _HIGHEST else "id is above 0x7FF"


def frames_of_rows(rows: Sequence[Row]) -> Frames:
    """Frames of rows with at most 8 bytes each; they are no attacks."""
    payload = b"".join([row.data.ljust(BYTES, b"\0") for row in rows])
    return Frames(
        time=np.array([row.time for row in rows], np.float64),
        id=np.array([row.id for row in rows], np.uint32),
        extended=np.array([row.extended for row in rows], bool),
        length=np.array([len(row.data) for row in rows], np.uint8),
        payload=np.frombuffer(payload, np.uint8).reshape(-1, BYTES).copy(),
        attack=np.zeros(len(rows), np.uint8),
    )

"""Times of event logs: seconds, or dates of ISO 8601, a column at a time.

Legend: R = rows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from graphwright.tasks.canbus.readers.decode import Places, Verdict, time_column
from graphwright.tasks.canbus.readers.numbers import text_column

__all__ = ["moment_column"]

_DIGITS = np.zeros(256, bool)
_DIGITS[list(b"0123456789")] = True
_DASH, _LONG = ord("-"), 16  # characters of a date with hours and minutes
_NO_DATE = "time is no date of ISO 8601"


def moment_column(data: NDArray[np.uint8], places: Places, verdict: Verdict) -> NDArray[np.float64]:
    """`[R]` seconds: numbers as they are, `2026-11-22T10:05:32.25+01:00` since 1970.

    A date may have a blank in the place of its T, a fraction of up to nine digits, a zone (without
    one it is UTC), or no clock time at all (midnight).
    """
    start, end = places
    is_date = (end - start >= 10) & (data[start + 4] == _DASH)
    for k in range(4):
        is_date &= _DIGITS[data[start + k]]
    if not is_date.any():
        return time_column(data, places, verdict)
    time = np.zeros(len(start))
    for rows, column in ((~is_date, time_column), (is_date, _dates)):
        part = Verdict(int(rows.sum()))
        time[rows] = column(data, (start[rows], end[rows]), part)
        verdict.code[rows] = np.where(verdict.code[rows] == 0, part.code, verdict.code[rows])
    return time


def _dates(data: NDArray[np.uint8], places: Places, verdict: Verdict) -> NDArray[np.float64]:
    start, end = places
    has_zone = data[end - 1] == ord("Z")
    for back in (3, 5, 6):  # +01, +0100, +01:00
        sign = data[end - back]
        has_zone |= ((sign == ord("+")) | (sign == _DASH)) & (end - start > _LONG)
    time = np.zeros(len(start))
    for rows, zone in ((~has_zone, None), (has_zone, "UTC")):
        part = Verdict(int(rows.sum()))
        texts = text_column(data, (start[rows], end[rows]))
        time[rows] = _seconds(texts, pa.timestamp("ns", zone), part)
        verdict.code[rows] = part.code
    verdict.against(time < 0, "time is negative")
    return time


def _seconds(texts: pa.BinaryArray, kind: pa.DataType, verdict: Verdict) -> NDArray[np.float64]:
    try:
        found = texts.cast(pa.string()).cast(kind).cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(texts) == 1:
            verdict.set_one(0, _NO_DATE)
            return np.zeros(1)
        half = len(texts) // 2
        parts, column = [Verdict(half), Verdict(len(texts) - half)], []
        for part, some in zip(parts, (texts[:half], texts[half:]), strict=True):
            column.append(_seconds(some, kind, part))
        verdict.code[:] = np.concatenate([part.code for part in parts])
        return np.concatenate(column)
    nanoseconds: NDArray[np.int64] = found.to_numpy(zero_copy_only=False)
    # whole seconds apart: 2026 in nanoseconds is beyond what a double holds exactly
    return nanoseconds // 10**9 + (nanoseconds % 10**9) / 1e9

"""Logs of `candump -l`: `(1436509052.249713) vcan0 044#2A366C2BBA`, here without python-can.

Remote frames (`123#R`), error frames (an id with bit 29 set) and CAN FD (`123##1…`) are rejected.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.canbus.readers.decode import (
    Places,
    Verdict,
    id_column,
    payload_column,
    time_column,
)
from graphwright.tasks.canbus.readers.fields import Fields
from graphwright.tasks.canbus.readers.parsed import Parsed, parsed

__all__ = ["parse"]

_ERROR_FLAG = ord("2")  # of the highest digit of an id of 8: CAN_ERR_FLAG is 0x20000000


def parse(fields: Fields) -> Parsed:
    """The frames of some lines; a fourth word (R or T, the direction) may stand behind."""
    data = fields.data
    rows = np.flatnonzero((fields.count == 3) | (fields.count == 4))
    verdict = Verdict(len(rows))
    _direction(fields, rows, verdict)
    time_places = _within_brackets(fields, rows, verdict)
    id_places, payload_places = _around_hash(fields, rows, verdict)
    time = time_column(data, time_places, verdict)
    ids, extended = id_column(data, id_places, verdict)
    payload, length = payload_column(data, payload_places, verdict)
    return parsed(
        fields,
        rows,
        verdict,
        time=time,
        id=ids,
        extended=extended,
        length=length,
        payload=payload,
        attack=np.zeros(len(rows), np.uint8),
    )


def _direction(fields: Fields, rows: NDArray[np.int64], verdict: Verdict) -> None:
    has_one = fields.count[rows] == 4
    start, end = fields.column(rows, np.where(has_one, 3, 2))
    mark = fields.data[start]
    is_good = (end - start == 1) & ((mark == ord("R")) | (mark == ord("T")))
    verdict.against(has_one & ~is_good, "line is not of this format")


def _within_brackets(fields: Fields, rows: NDArray[np.int64], verdict: Verdict) -> Places:
    start, end = fields.column(rows, 0)
    is_good = (fields.data[start] == ord("(")) & (fields.data[end - 1] == ord(")"))
    is_good &= end - start > 2
    verdict.against(~is_good, "line is not of this format")
    return start + is_good, end - is_good


def _around_hash(
    fields: Fields, rows: NDArray[np.int64], verdict: Verdict
) -> tuple[Places, Places]:
    data = fields.data
    start, end = fields.column(rows, 2)
    # ids are 3 or 8 digits: the mark is at one of two places
    mark = start + np.where(data[start + 3] == ord("#"), 3, 8)
    has_mark = (mark < end) & (data[np.minimum(mark, len(data) - 1)] == ord("#"))
    verdict.against(~has_mark, "line is not of this format")
    mark = np.where(has_mark, mark, end)
    behind = np.minimum(mark + 1, end)
    is_error = (mark - start == 8) & (data[start] == _ERROR_FLAG)
    verdict.against(is_error, "error frame")
    verdict.against(has_mark & (behind < end) & (data[behind] == ord("#")), "CAN FD frame")
    verdict.against(has_mark & (behind < end) & (data[behind] == ord("R")), "remote frame")
    return (start, mark), (behind, end)

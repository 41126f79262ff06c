"""Numbers from bytes, a column at a time; what cannot be decoded gets a reason.

Legend: R = rows, W = characters that are looked at.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from graphwright.tasks.canbus.frames import BYTES

__all__ = [
    "REASONS",
    "Places",
    "Verdict",
    "byte_columns",
    "flag_column",
    "id_column",
    "payload_column",
    "time_column",
    "time_reason",
]

REASONS = (
    "",
    "line is empty",
    "wrong number of columns",
    "time is not a number",
    "time is not finite",
    "time is negative",
    "id is not hexadecimal of a length that is known",
    "id is above 0x7FF",
    "id is above 0x1FFFFFFF",
    "payload is not hexadecimal",
    "payload has an odd number of hex digits",
    "payload is longer than 8 bytes",
    "attack flag is not one that is known",
    "payload length is not a number from 0 to 8",
    "CAN FD frame",
    "remote frame",
    "error frame",
    "line is not of this format",
    "source is empty",
    "label is empty",
    "field is not a number",
    "field is not finite",
    "time is no date of ISO 8601",
)
_CODE = {reason: code for code, reason in enumerate(REASONS)}
_NO_HEX = 0x80
_HEX = np.full(256, _NO_HEX, np.uint8)
_HEX[list(b"0123456789")] = range(10)
_HEX[list(b"abcdef")] = _HEX[list(b"ABCDEF")] = range(10, 16)
_TIME_WIDTH = 24
_TIME = re.compile(rb"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SIGNED = re.compile(rb"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(rb"[+-]?(nan|inf|infinity)", re.IGNORECASE)

Places = tuple[NDArray[np.int64], NDArray[np.int64]]


class Verdict:
    """The first reason against every row.

    Attributes:
        code: `[R]` uint8, index into `REASONS`, 0 for a row that is good.
    """

    def __init__(self, rows: int) -> None:
        self.code = np.zeros(rows, np.uint8)

    def against(self, is_bad: NDArray[np.bool_], reason: str) -> None:
        """Note a reason for the rows `is_bad` that have none so far."""
        if is_bad.any():
            self.code[is_bad & (self.code == 0)] = _CODE[reason]

    def set_one(self, row: int, reason: str) -> None:
        """The same for one row."""
        self.code[row] = self.code[row] or _CODE[reason]


def time_column(data: NDArray[np.uint8], places: Places, verdict: Verdict) -> NDArray[np.float64]:
    """`[R]` times in seconds, correctly rounded; digits with a point, or an exponent.

    Signs are read only to give the reason: time on a bus does not go below zero.
    """
    start, end = places
    length = end - start
    text_RW = _gathered(data, start, _TIME_WIDTH)
    is_in_RW = _inside(length, _TIME_WIDTH)
    is_point_RW = (text_RW == ord(".")) & is_in_RW
    is_odd_RW = ((text_RW - np.uint8(48)) > 9) & is_in_RW & ~is_point_RW
    is_plain = ~_any(is_odd_RW) & (_count(is_point_RW) <= 1)
    is_plain &= (length > 0) & (length <= _TIME_WIDTH)
    is_plain &= (data[start] != ord(".")) & (data[end - 1] != ord("."))
    time = np.zeros(len(start))
    if is_plain.all():
        return _floats(text_RW[is_in_RW], length)
    time[is_plain] = _floats(text_RW[is_plain][is_in_RW[is_plain]], length[is_plain])
    for row in np.flatnonzero(~is_plain):
        text = data[start[row] : end[row]].tobytes()
        reason = time_reason(text)
        if reason:
            verdict.set_one(int(row), reason)
        else:
            time[row] = float(text)
    return time


def time_reason(text: bytes) -> str:
    """Why a text is no time: digits with a point, or an exponent; empty for one that is."""
    if _TIME.fullmatch(text) and np.isfinite(float(text)):
        return ""
    if _NOT_FINITE.fullmatch(text) or (_SIGNED.fullmatch(text) and np.isinf(float(text))):
        return "time is not finite"
    return (
        "time is negative"
        if _SIGNED.fullmatch(text) and text.startswith(b"-")
        else "time is not a number"
    )


def id_column(
    data: NDArray[np.uint8], places: Places, verdict: Verdict, *, short: tuple[int, ...] = (3,)
) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """`[R]` arbitration ids and whether they are extended.

    Args:
        short: numbers of hex digits of an 11-bit id; a 29-bit one has 8.
    """
    start, end = places
    length = end - start
    extended = length == 8
    is_known = extended.copy()
    for digits in short:
        is_known |= length == digits
    nibble_RW = _HEX[_gathered(data, end - 8, 8)]
    nibble_RW[~_inside(length, 8)[:, ::-1]] = 0
    verdict.against(~is_known | _any(nibble_RW & _NO_HEX), REASONS[6])
    value: NDArray[np.uint32] = _bytes(nibble_RW).view(">u4")[:, 0].astype(np.uint32)
    verdict.against(~extended & (value > 0x7FF), REASONS[7])
    verdict.against(value > 0x1FFFFFFF, REASONS[8])
    return value, extended


def payload_column(
    data: NDArray[np.uint8], places: Places, verdict: Verdict
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Payload `[R, 8]`, zero padded, and its length `[R]` in bytes, from a run of hex digits."""
    start, end = places
    length = end - start
    nibble_RW = _HEX[_gathered(data, start, 2 * BYTES)]
    nibble_RW *= _inside(length, 2 * BYTES)
    is_bad = _any(nibble_RW & _NO_HEX)
    for row in np.flatnonzero(length > 2 * BYTES):
        is_bad[row] = (_HEX[data[start[row] : end[row]]] & _NO_HEX).any()
    verdict.against(is_bad, REASONS[9])
    verdict.against(length % 2 == 1, REASONS[10])
    verdict.against(length > 2 * BYTES, REASONS[11])
    return _bytes(nibble_RW), (length // 2).astype(np.uint8)


def byte_columns(
    data: NDArray[np.uint8],
    places: Places,
    length: NDArray[np.int64],
    verdict: Verdict,
) -> NDArray[np.uint8]:
    """Payload `[R, 8]` from columns of two hex digits; those behind `length` are not looked at.

    Args:
        places: `[R, 8]` starts and ends.
    """
    start, end = places
    is_in = np.arange(BYTES) < length[:, None]
    high, low = _HEX[data[start]], _HEX[data[start + 1]]
    is_bad = (((high | low) & _NO_HEX) != 0) | (end - start != 2)
    verdict.against((is_bad & is_in).any(axis=1), REASONS[9])
    payload: NDArray[np.uint8] = (high << np.uint8(4)) | (low & np.uint8(0x0F))
    payload[~is_in] = 0
    return payload


def flag_column(
    data: NDArray[np.uint8], places: Places, verdict: Verdict, flags: bytes
) -> NDArray[np.uint8]:
    """`[R]` 0 or 1, from the two characters `flags`."""
    start, end = places
    mark = data[start]
    attack: NDArray[np.uint8] = (mark == flags[1]).astype(np.uint8)
    verdict.against((end - start != 1) | ((mark != flags[0]) & (attack == 0)), REASONS[12])
    return attack


def _gathered(data: NDArray[np.uint8], start: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    # An item of `width` bytes at every byte of the data: one copy of an item per row, where an
    # index matrix would cost `width` look-ups.
    items: NDArray[Any] = np.ndarray(
        (len(data) - width + 1,), f"V{width}", buffer=data.data, strides=(1,)
    )
    return items[start].view(np.uint8).reshape(-1, width)


def _inside(length: NDArray[np.int64], width: int) -> NDArray[np.bool_]:
    short = np.minimum(length, width).astype(np.uint8)
    return np.arange(width, dtype=np.uint8) < short[:, None]


def _any(mark_RW: NDArray[Any]) -> NDArray[np.bool_]:
    words = np.ascontiguousarray(mark_RW).view(np.uint64)
    found = words[:, 0]
    for k in range(1, words.shape[1]):
        found = found | words[:, k]
    is_any: NDArray[np.bool_] = found != 0
    return is_any


def _count(is_RW: NDArray[np.bool_]) -> NDArray[np.uint64]:
    words = np.ascontiguousarray(is_RW).view(np.uint64)
    total = words[:, 0].copy()
    for k in range(1, words.shape[1]):
        total += words[:, k]
    # the highest byte of the product is the sum of the eight bytes
    return (total * np.uint64(0x0101010101010101)) >> np.uint64(56)


def _bytes(nibble_RW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    high, low = nibble_RW[:, 0::2], nibble_RW[:, 1::2]
    found: NDArray[np.uint8] = (high << np.uint8(4)) | (low & np.uint8(0x0F))
    return found


def _floats(text: NDArray[np.uint8], length: NDArray[np.int64]) -> NDArray[np.float64]:
    offsets = np.zeros(len(length) + 1, np.int32)
    np.cumsum(length, out=offsets[1:])
    strings = pa.StringArray.from_buffers(len(length), pa.py_buffer(offsets), pa.py_buffer(text))
    found: NDArray[np.float64] = pc.cast(strings, pa.float64()).to_numpy(zero_copy_only=False)
    return found

"""HCRL car-hacking and survival-analysis captures, in both of their forms.

`1478198376.389427,0316,8,05,21,68,09,21,21,00,6f,R`: no header, and as many data columns as the
payload has bytes, so that the flag (R regular, T injected) moves with the length.
`Timestamp: 1479121434.850202        ID: 0350    000    DLC: 8    05 28 84 66 6d 00 00 a2`: the
capture without attacks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.canbus.frames import BYTES
from graphwright.tasks.canbus.readers.decode import (
    Verdict,
    byte_columns,
    flag_column,
    id_column,
    time_column,
)
from graphwright.tasks.canbus.readers.fields import Fields
from graphwright.tasks.canbus.readers.parsed import Parsed, parsed, rows_with

__all__ = ["parse_csv", "parse_text"]

_SHORT = (3, 4)
_NO_LENGTH = 1 << 40
_WORDS = ((0, b"Timestamp:"), (2, b"ID:"), (5, b"DLC:"))


def parse_csv(fields: Fields) -> Parsed:
    """The frames of lines of the comma-separated form."""
    length = _lengths(fields, 2)
    rows, verdict = rows_with(fields, 4 + length)
    return _parsed(fields, rows, verdict, length, time=0, ident=1, first=3, has_flag=True)


def parse_text(fields: Fields) -> Parsed:
    """The frames of lines of the form with words in it; they are no attacks."""
    length = _lengths(fields, 6)
    rows, verdict = rows_with(fields, 7 + length)
    for place, word in _WORDS:
        verdict.against(~_is_word(fields, rows, place, word), "line is not of this format")
    # the three digits are not documented; 100 marks a request without data
    start, _ = fields.column(rows, 4)
    verdict.against(fields.data[start] == ord("1"), "remote frame")
    return _parsed(fields, rows, verdict, length, time=1, ident=3, first=7, has_flag=False)


def _parsed(
    fields: Fields,
    rows: NDArray[np.int64],
    verdict: Verdict,
    length_L: NDArray[np.int64],
    *,
    time: int,
    ident: int,
    first: int,
    has_flag: bool,
) -> Parsed:
    data, length = fields.data, length_L[rows]
    seconds = time_column(data, fields.column(rows, time), verdict)
    ids, extended = id_column(data, fields.column(rows, ident), verdict, short=_SHORT)
    at = np.minimum(
        (fields.first[rows] + first)[:, None] + np.arange(BYTES), max(len(fields.start) - 1, 0)
    )
    payload = byte_columns(data, (fields.start[at], fields.end[at]), length, verdict)
    attack = np.zeros(len(rows), np.uint8)
    if has_flag:
        attack = flag_column(data, fields.column(rows, first + length), verdict, b"RT")
    return parsed(
        fields,
        rows,
        verdict,
        no_length=(length_L == _NO_LENGTH) & (fields.count >= first),
        time=seconds,
        id=ids,
        extended=extended,
        length=length.astype(np.uint8),
        payload=payload,
        attack=attack,
    )


def _lengths(fields: Fields, place: int) -> NDArray[np.int64]:
    """`[L]` payload length of every line, far too long where there is none to read."""
    length = np.full(len(fields.count), _NO_LENGTH)
    rows = np.flatnonzero(fields.count > place)
    start, end = fields.column(rows, place)
    digit = fields.data[start].astype(np.int64) - ord("0")
    is_good = (end - start == 1) & (digit >= 0) & (digit <= BYTES)
    length[rows[is_good]] = digit[is_good]
    return length


def _is_word(fields: Fields, rows: NDArray[np.int64], place: int, word: bytes) -> NDArray[np.bool_]:
    start, end = fields.column(rows, place)
    is_word: NDArray[np.bool_] = end - start == len(word)
    for offset, letter in enumerate(word):
        is_word &= fields.data[start + offset * is_word] == letter
    return is_word

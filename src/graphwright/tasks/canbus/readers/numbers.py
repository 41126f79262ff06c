"""Signed numbers and texts of event logs from bytes."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from graphwright.tasks.canbus.readers.decode import Places, Verdict

__all__ = ["number_column", "text_column"]

_IS_NUMERIC = np.zeros(256, bool)
_IS_NUMERIC[list(b"0123456789+-.eE")] = True
_NUMBER = re.compile(rb"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(rb"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_LARGEST = float(np.finfo(np.float32).max)


def text_column(data: NDArray[np.uint8], places: Places) -> pa.BinaryArray:
    """`[R]` bytes of a column, as an Arrow array."""
    start, end = places
    # Fields and the gaps between them are the strings of one array over the bytes as they are.
    offsets = np.stack([start, end], axis=1).astype(np.int32).reshape(-1)
    if not len(offsets):
        return pa.array([], pa.binary())
    whole = pa.BinaryArray.from_buffers(
        pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )
    return whole.take(pa.array(np.arange(0, len(offsets) - 1, 2)))


def number_column(data: NDArray[np.uint8], places: Places, verdict: Verdict) -> NDArray[np.float64]:
    """`[R]` finite numbers in the range of float32; 0 for a field that is empty."""
    start, end = places
    number = np.zeros(len(start))
    filled = np.flatnonzero(end > start)
    texts = text_column(data, (start[filled], end[filled]))
    number[filled] = _fast(texts) if len(filled) else 0.0
    for place in np.flatnonzero(~(np.abs(number[filled]) <= _LARGEST)):
        row = int(filled[place])
        text = texts[int(place)].as_py()
        if not _NUMBER.fullmatch(text) and not _NOT_FINITE.fullmatch(text):
            verdict.set_one(row, "field is not a number")
        elif not abs(float(text)) <= _LARGEST:
            verdict.set_one(row, "field is not finite")
        number[row] = float(text) if verdict.code[row] == 0 else 0.0
    return number


def _fast(texts: pa.BinaryArray) -> NDArray[np.float64]:
    """The numbers; NaN where one must be looked at singly."""
    buffers = texts.buffers()
    strings = pa.Array.from_buffers(pa.string(), len(texts), buffers, offset=texts.offset)
    used = np.frombuffer(buffers[2], np.uint8) if buffers[2] is not None else np.zeros(0, np.uint8)
    offsets = np.frombuffer(buffers[1], np.int32)
    begin, stop = offsets[texts.offset], offsets[texts.offset + len(texts)]
    try:
        if not _IS_NUMERIC[used[begin:stop]].all():
            raise pa.ArrowInvalid("not numeric")
        found: NDArray[np.float64] = strings.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        slow = [float(t) if _NUMBER.fullmatch(t) else np.nan for t in texts.to_pylist()]
        return np.array(slow)
    return found

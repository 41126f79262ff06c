"""Lines cut into fields, all at once.

Legend: L = lines, T = fields of all lines, R = rows that are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.canbus.readers.content import PAD, Lines

__all__ = ["Fields", "split_at_commas", "split_at_spaces", "split_quoted"]

_LINE_FEED, _QUOTE, _COMMA = 10, 34, 44
_IS_SPACE = np.zeros(256, bool)
_IS_SPACE[[9, 13, 32]] = True  # tab, carriage return, space


@dataclass(frozen=True, eq=False)
class Fields:
    """Where the fields of some lines are.

    Attributes:
        data: bytes with `PAD` zeros on both sides.
        start: `[T]` first byte of every field.
        end: `[T]` byte behind it; white space at the end is not part of a field.
        first: `[L]` the first field of every line.
        count: `[L]` number of fields in it; an empty line has one empty field, or none.
        number: number of the first line in its file.
    """

    data: NDArray[np.uint8]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    number: int

    def is_empty(self) -> NDArray[np.bool_]:
        """`[L]` lines with nothing on them."""
        if not len(self.start):
            return np.ones(len(self.first), bool)
        first = np.minimum(self.first, len(self.start) - 1)
        has_nothing: NDArray[np.bool_] = self.start[first] == self.end[first]
        is_empty: NDArray[np.bool_] = (self.count == 0) | ((self.count == 1) & has_nothing)
        return is_empty

    def column(
        self, rows: NDArray[np.int64], place: int | NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Start and end `[R]` of field `place` of the lines `rows`, which must have it."""
        at = self.first[rows] + place
        return self.start[at], self.end[at]


def split_at_commas(lines: Lines) -> Fields:
    """Fields between commas; no quotes."""
    return _split(lines, lines.data == _COMMA)


def split_quoted(lines: Lines) -> Fields:
    """Fields between commas that are not in quotes; the quotes around a field are not part of it.

    In a line with an odd number of quotes they are letters like others.
    """
    data = lines.data
    is_quote = data == _QUOTE
    if not is_quote.any():
        return split_at_commas(lines)
    quote, line_end = np.flatnonzero(is_quote), np.flatnonzero(data == _LINE_FEED)
    line = np.searchsorted(line_end, quote)
    is_even = np.bincount(line, minlength=len(line_end)) % 2 == 0
    is_quote[quote[~is_even[line]]] = False
    is_inside = np.logical_xor.accumulate(is_quote)
    fields = _split(lines, (data == _COMMA) & ~is_inside)
    start, end = fields.start, fields.end
    has_quotes = (end - start >= 2) & is_quote[start] & is_quote[end - 1]
    return replace(fields, start=start + has_quotes, end=end - has_quotes)


def _split(lines: Lines, is_comma: NDArray[np.bool_]) -> Fields:
    data = lines.data
    cut = np.flatnonzero(is_comma | (data == _LINE_FEED))
    last = np.flatnonzero(data[cut] == _LINE_FEED)
    first = np.concatenate(([0], last[:-1] + 1))
    start = np.empty_like(cut)
    start[0] = PAD
    start[1:] = cut[:-1] + 1
    end = _without_space(data, start, cut)
    return Fields(data, start, end, first, last + 1 - first, lines.first)


def split_at_spaces(lines: Lines) -> Fields:
    """Words between runs of tabs and spaces."""
    data = lines.data
    is_gap = _IS_SPACE[data] | (data == _LINE_FEED)
    is_gap[:PAD] = is_gap[-PAD:] = True
    turn = np.flatnonzero(is_gap[1:] != is_gap[:-1]) + 1
    start, end = turn[0::2], turn[1::2]
    line_end = np.flatnonzero(data == _LINE_FEED)
    stop = np.searchsorted(start, line_end)
    first = np.concatenate(([0], stop[:-1]))
    return Fields(data, start, end, first, stop - first, lines.first)


def _without_space(
    data: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.int64]:
    while True:
        is_space = _IS_SPACE[data[end - 1]] & (end > start)
        if not is_space.any():
            return end
        end = end - is_space

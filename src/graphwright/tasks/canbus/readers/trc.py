"""Lines of PEAK's `.trc`, versions 1.0 to 2.1.

`     1)      1841.0  Rx         0316  8  05 21 68 09 21 21 00 6F` (1.1): a number, milliseconds,
what it is, the id (4 digits, or more for 29 bits), the length, the bytes. Which columns there are
follows from the version, or stands in the header (`;$COLUMNS=N,O,T,B,I,d,R,L,D`, from 2.0 on).
"""

from __future__ import annotations

import re

from graphwright.errors import DataError
from graphwright.tasks.canbus.frames import BYTES
from graphwright.tasks.canbus.readers.decode import time_reason
from graphwright.tasks.canbus.readers.log_rows import NO_FORMAT, NO_LENGTH, Row, id_reason

__all__ = ["TrcLines"]

# letters as in $COLUMNS: N number, O time, T type, B bus, I id, d direction, R reserved, L or l
# length; the bytes (D) are what is left of the line
_COLUMNS = {b"1.0": "NOIL", b"1.1": "NOTIL", b"1.2": "NOBTIL", b"1.3": "NOBTIRL"}
_FRAMES = {b"Rx", b"Tx", b"DT"}
_REASONS = {b"RR": "remote frame", b"Error": "error frame", b"ER": "error frame"}
_REASONS |= dict.fromkeys((b"FD", b"FB", b"FE", b"BI"), "CAN FD frame")
_TOLD = {b"Warng", b"ST", b"EC", b"EV"}  # states, counters and marks of the logger
_BUS_STATE = b"FFFFFFFF"  # the id of such a line in 1.0
_NUMBER = re.compile(rb"\d+\)?")
_ID = re.compile(rb"[0-9a-fA-F]{4,8}")
_BYTE = re.compile(rb"[0-9a-fA-F]{2}")
_DAYS_TO_1970 = 25569.0  # from 1899-12-30, the day 0 of $STARTTIME
_DAY_S = 86400.0


class TrcLines:
    """Reads the lines of one file, in order."""

    def __init__(self) -> None:
        self._columns: str | None = _COLUMNS[b"1.0"]  # files of 1.0 do not say so
        self._start = 0.0

    def read(self, line: bytes) -> Row | str | None:
        """A frame, or why the line is none, or None for one that does not claim to be.

        Raises:
            DataError: a version or columns that are not known.
        """
        text = line.strip()
        if text.startswith(b";$"):
            return self._header(text[2:])
        if not text or text.startswith(b";"):
            return None
        if self._columns is None:
            raise DataError("this .trc has no line ;$COLUMNS", fix="a version 2 needs one")
        words = text.split()
        if len(words) < len(self._columns):
            return "wrong number of columns"
        cells = dict(zip(self._columns, words, strict=False))
        return self._event(cells, words[len(self._columns) :])

    def _header(self, text: bytes) -> str | None:
        name, _, value = (part.strip() for part in text.partition(b"="))
        if name == b"FILEVERSION":
            if value not in _COLUMNS and not value.startswith(b"2."):
                raise DataError(f"version {value.decode(errors='replace')} of .trc is not known")
            self._columns = _COLUMNS.get(value)
        elif name == b"STARTTIME":
            if time_reason(value):
                return NO_FORMAT
            self._start = (float(value) - _DAYS_TO_1970) * _DAY_S
        elif name == b"COLUMNS":
            self._columns = _described(value)
        return None

    def _event(self, cells: dict[str, bytes], rest: list[bytes]) -> Row | str | None:
        if not _NUMBER.fullmatch(cells.get("N", b"0")):
            return NO_FORMAT
        kind = cells.get("T", b"DT")
        if kind in _TOLD or ("T" not in cells and cells["I"] == _BUS_STATE):
            return None
        if kind not in _FRAMES:
            return _REASONS.get(kind, NO_FORMAT)
        if reason := time_reason(cells["O"]):
            return reason
        if not _ID.fullmatch(cells["I"]):
            return "id is not hexadecimal of a length that is known"
        ident, extended = int(cells["I"], 16), len(cells["I"]) > 4
        if reason := id_reason(ident, extended):
            return reason
        data = _payload(cells.get("L") or cells["l"], rest)
        if isinstance(data, str):
            return data
        # 1.0 has no start time; where there is one it may be of any day, but not before 1970
        time = float(cells["O"]) / 1000 + self._start
        return Row(time, ident, extended, data) if time >= 0 else "time is negative"


def _described(value: bytes) -> str:
    columns = [part.strip().decode(errors="replace") for part in value.split(b",")]
    if columns[-1:] == ["D"]:
        columns.pop()
    letters = "".join(columns)
    known = all(len(column) == 1 for column in columns) and len(set(letters)) == len(letters)
    if not known or not set("OTI") <= set(letters) or not set("Ll") & set(letters):
        raise DataError(
            f"columns of .trc that are not known: {value.decode(errors='replace')}",
            fix="it needs O, T, I, and L or l, and D as the last",
        )
    return letters


def _payload(length: bytes, cells: list[bytes]) -> bytes | str:
    if cells == [b"RTR"]:
        return "remote frame"
    if not length.isdigit() or len(length) > 3 or int(length) > BYTES:
        return NO_LENGTH
    if len(cells) != int(length):
        return "wrong number of columns"
    if not all(map(_BYTE.fullmatch, cells)):
        return "payload is not hexadecimal"
    return bytes.fromhex(b"".join(cells).decode())

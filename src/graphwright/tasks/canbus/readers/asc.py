"""Lines of Vector's `.asc`: `0.001000 1  316  Rx   d 8 05 21 68 09 21 21 00 6F`.

The header says whether ids and bytes are hexadecimal or decimal, and whether a time counts from the
start of the log or from the line before. A trailing `x` marks a 29-bit id.
"""

from __future__ import annotations

import re

from graphwright.tasks.canbus.frames import BYTES
from graphwright.tasks.canbus.readers.decode import time_reason
from graphwright.tasks.canbus.readers.log_rows import NO_FORMAT, NO_LENGTH, Row, id_reason

__all__ = ["AscLines"]

_HEAD = re.compile(
    rb"//|date\s|(no )?\s*internal events logged|(begin|end) triggerblock|previous log file",
    re.IGNORECASE,
)
_BASE = re.compile(rb"base\s+(hex|dec)(\s+timestamps\s+(absolute|relative))?", re.IGNORECASE)
# what a logger tells beside frames, behind the time
_EVENT = re.compile(
    rb"start of measurement|\d+ statistic:|can \d+ status:|\d+ j1939tp|log (direct )?(start|stop)|"
    rb"log trigger event|triggerevent|sv:",
    re.IGNORECASE,
)
_WAYS, _KINDS = (b"rx", b"tx"), (b"d", b"r")
_BEHIND = (b"length", b"bitcount", b"id")  # numbers about a frame that may follow its bytes
# forms of an id or a length, and of a byte, by the base
_NUMBER = {16: re.compile(rb"[0-9a-fA-F]{1,8}"), 10: re.compile(rb"[0-9]{1,10}")}
_BYTE = {16: re.compile(rb"[0-9a-fA-F]{2}"), 10: re.compile(rb"[0-9]{1,3}")}


class AscLines:
    """Reads the lines of one file, in order."""

    def __init__(self) -> None:
        self._base, self._is_relative, self._now = 16, False, 0.0

    def read(self, line: bytes) -> Row | str | None:
        """A frame, or why the line is none, or None for one that does not claim to be."""
        words = line.split()
        if not words or (not words[0][:1].isdigit() and _HEAD.match(line.strip())):
            return None
        if words[0].lower() == b"base":
            return self._set_base(line.strip())
        if reason := time_reason(words[0]):
            return reason
        self._now = float(words[0]) + (self._now if self._is_relative else 0.0)
        return self._event(words[1:])

    def _set_base(self, line: bytes) -> str | None:
        found = _BASE.fullmatch(line)
        if found is None:
            return NO_FORMAT
        self._base = 16 if found[1].lower() == b"hex" else 10
        self._is_relative = (found[3] or b"").lower() == b"relative"
        return None

    def _event(self, words: list[bytes]) -> Row | str | None:
        small = [word.lower() for word in words[:4]]
        if len(small) == 4 and small[2] in _WAYS and small[3] in _KINDS and small[0].isdigit():
            return self._frame(words[1], words[4:]) if small[3] == b"d" else "remote frame"
        if small[:1] == [b"canfd"]:
            return "CAN FD frame"
        if _EVENT.match(b" ".join(words)):
            return None
        if len(small) > 1 and small[0].isdigit() and small[1] == b"errorframe":
            return "error frame"
        return NO_FORMAT

    def _frame(self, ident: bytes, rest: list[bytes]) -> Row | str:
        extended = ident[-1:] in (b"x", b"X")
        digits = ident[:-1] if extended else ident
        if not _NUMBER[self._base].fullmatch(digits):
            return "id is not hexadecimal of a length that is known"
        value = int(digits, self._base)
        if reason := id_reason(value, extended):
            return reason
        if not rest or not _NUMBER[self._base].fullmatch(rest[0]):
            return NO_LENGTH
        data = self._payload(int(rest[0], self._base), rest[1:])
        return data if isinstance(data, str) else Row(self._now, value, extended, data)

    def _payload(self, length: int, words: list[bytes]) -> bytes | str:
        if length > BYTES:
            return NO_LENGTH
        cells, behind = words[:length], words[length : length + 1]
        if len(cells) < length or (behind and behind[0].lower() not in _BEHIND):
            return "wrong number of columns"
        if not all(map(_BYTE[self._base].fullmatch, cells)):
            return "payload is not hexadecimal"
        if self._base == 16:
            return bytes.fromhex(b"".join(cells).decode())
        values = [int(cell) for cell in cells]
        return bytes(values) if max(values, default=0) < 256 else "payload is not hexadecimal"

"""Objects of Vector's `.blf`: a header, then containers of objects, mostly zlib-packed.

Every object begins with `LOBJ`, its sizes and its type; one may go on in the next container. Only
objects of CAN are looked at, what else a logger writes (statistics, texts) is passed over.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from graphwright.data.rejects import Rejects
from graphwright.tasks.canbus.frames import BYTES, Frames
from graphwright.tasks.canbus.readers.content import Content
from graphwright.tasks.canbus.readers.log_rows import NO_LENGTH, Row, frames_of_rows, id_reason

__all__ = ["blf_frames"]

_MARK = b"LOBJ"
_BASE = struct.Struct("<4sHHII")  # mark, size of the header, its version, size, type
_WHEN = struct.Struct("<I4xQ")  # flags (the unit of the time), time; behind the base
_CONTAINER = struct.Struct("<H6xI4x")  # how it is packed, size when unpacked; behind the base
_START = struct.Struct("<8H")  # year, month, weekday, day, hour, minute, second, ms
_START_AT = 40  # in the file's header
_SIZE, _SIZE_AT = struct.Struct("<Q"), 16  # of the file; 0 where the logger did not end in order
_CLASSIC = struct.Struct("<HBBI8s")  # channel, flags, length, id, bytes
_FD = struct.Struct("<HBBII3B5x")  # the same up to id; duration; bits, kind, number of bytes
_FD_64 = struct.Struct("<4BIII")  # channel, DLC, number of bytes, -; id, duration, kind
_FD_64_SIZE = 40  # of all that stands before the bytes
_KIND = {1: "classic", 86: "classic", 2: "error", 73: "error", 104: "error", 100: "fd", 101: "fd64"}
_IN, _PLAIN, _ZLIB = 10, 0, 2
_UNIT = {1: 1e-5, 2: 1e-9}  # s
_REMOTE = 0x80
_EXTENDED = 1 << 31
_LARGEST = 1 << 26  # bytes of an object or container; Vector's have 128 KiB
_PADDING = 8  # an object is looked for so far behind the last one
_AT_ONCE = 10_000
_DAMAGED = "damaged: the rest cannot be read"
_SHORT = "truncated: the file ends early"


class _BrokenError(Exception):
    """Why nothing behind can be read."""


def blf_frames(
    path: Path, rejects: Rejects, digest: Callable[[bytes], object] | None = None
) -> Iterator[Frames]:
    """Frames of a log, in pieces. What is wrong goes to `rejects` with the number of its object.

    Args:
        path: the file, gzipped or not.
        rejects: takes objects of CAN that are no data frames, and the rest where it is damaged.
        digest: called with the uncompressed bytes.
    """
    rows: list[Row] = []
    for number, found in _numbered(Content(path, digest)):
        if isinstance(found, Row):
            rows.append(found)
        elif found:
            rejects.add(str(path), f"object {number}", found)
        if len(rows) == _AT_ONCE:
            yield frames_of_rows(rows)
            rows = []
    if rows:
        yield frames_of_rows(rows)


def _numbered(content: Content) -> Iterator[tuple[int, Row | str | None]]:
    number, file = 0, _File(content)
    try:
        header = file.take(8)
        size = struct.unpack("<4sI", header)[1]
        if not _START_AT + _START.size <= size <= _LARGEST:
            raise _BrokenError(_DAMAGED)
        header += file.take(size - 8)
        start = _start_time(header)
        for number, item in enumerate(_objects(_containers(file)), 1):
            yield number, _row(item, start)
        if content.broken or _SIZE.unpack_from(header, _SIZE_AT)[0] > file.total:
            raise _BrokenError(_SHORT)
    except _BrokenError as error:
        yield number + 1, content.broken or str(error)


class _File:
    """Bytes in the pieces in which they are asked for."""

    def __init__(self, content: Content) -> None:
        self._pieces, self._held = iter(content), b""
        self.total = 0  # bytes that were there so far

    def take(self, count: int, *, may_end: bool = False) -> bytes:
        """So many bytes, or none at the end where it `may_end`."""
        parts, have = [self._held], len(self._held)
        while have < count and (piece := next(self._pieces, b"")):
            parts.append(piece)
            have += len(piece)
            self.total += len(piece)
        data = b"".join(parts)
        if len(data) < count and not (may_end and not data.strip(b"\0")):
            raise _BrokenError(_SHORT)
        self._held = data[count:]
        return data[:count] if len(data) >= count else b""


def _containers(file: _File) -> Iterator[bytes]:
    """Unpacked containers; an object that stands outside of any is one by itself."""
    while head := file.take(_BASE.size, may_end=True):
        if not head.strip(b"\0"):  # a block that was not filled
            continue
        mark, _, _, size, kind = _BASE.unpack(head)
        if mark != _MARK or not _BASE.size <= size <= _LARGEST:
            raise _BrokenError(_DAMAGED)
        body = file.take(size - _BASE.size)
        file.take(size % 4, may_end=True)
        yield _unpacked(body) if kind == _IN else head + body


def _unpacked(body: bytes) -> bytes:
    if len(body) < _CONTAINER.size:
        raise _BrokenError(_DAMAGED)
    how, size = _CONTAINER.unpack_from(body)
    data = body[_CONTAINER.size :]
    if how == _ZLIB and size <= _LARGEST:
        try:
            data = zlib.decompressobj().decompress(data, size + 1)
        except zlib.error:
            raise _BrokenError(_DAMAGED) from None
    elif how != _PLAIN:
        raise _BrokenError("a container is packed in a way that is not known")
    if len(data) != size:
        raise _BrokenError(_DAMAGED)
    return data


def _objects(containers: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for data in containers:
        held, place = held + data, 0
        while (item := _object_at(held, place)) is not None:
            yield held[item]
            place = item.stop
        held = held[place:]
    if held.strip(b"\0"):
        raise _BrokenError(_SHORT)


def _object_at(data: bytes, place: int) -> slice | None:
    """Where the next object is; None where it is not whole yet."""
    first = data.find(_MARK, place, place + _PADDING + len(_MARK))
    if first < 0:
        if len(data) - place < _PADDING + len(_MARK):
            return None
        raise _BrokenError(_DAMAGED)
    if len(data) - first < _BASE.size:
        return None
    size = _BASE.unpack_from(data, first)[3]
    if not _BASE.size <= size <= _LARGEST:
        raise _BrokenError(_DAMAGED)
    return slice(first, first + size) if first + size <= len(data) else None


def _row(item: bytes, start: float) -> Row | str | None:
    _, head, _, _, number = _BASE.unpack_from(item)
    kind = _KIND.get(number)
    if kind is None:
        return None
    if kind == "error":
        return "error frame"
    body = item[head:]
    try:
        flags, ticks = _WHEN.unpack_from(item, _BASE.size)
        ident, length, data, reason = _READ[kind](body)
    except struct.error:
        return "object is too short"
    extended = bool(ident & _EXTENDED)
    ident &= ~_EXTENDED
    reason = reason or id_reason(ident, extended) or ("" if flags in _UNIT else "time has no unit")
    if not reason and (length > BYTES or len(data) < length):
        reason = NO_LENGTH
    return reason or Row(ticks * _UNIT[flags] + start, ident, extended, data[:length])


_Read = tuple[int, int, bytes, str]


def _classic(body: bytes) -> _Read:
    _, flags, length, ident, data = _CLASSIC.unpack_from(body)
    return ident, length, data, "remote frame" if flags & _REMOTE else ""


def _fd(body: bytes) -> _Read:
    _, flags, _, ident, _, _, kind, count = _FD.unpack_from(body)
    reason = "CAN FD frame" if kind & 1 else "remote frame" if flags & _REMOTE else ""
    return ident, count, body[_FD.size :], reason


def _fd_64(body: bytes) -> _Read:
    _, _, count, _, ident, _, kind = _FD_64.unpack_from(body)
    reason = "CAN FD frame" if kind & 0x1000 else "remote frame" if kind & 0x10 else ""
    return ident, count, body[_FD_64_SIZE:], reason


_READ: dict[str, Callable[[bytes], _Read]] = {"classic": _classic, "fd": _fd, "fd64": _fd_64}


def _start_time(header: bytes) -> float:
    year, month, _, day, hour, minute, second, ms = _START.unpack_from(header, _START_AT)
    try:
        begin = datetime(year, month, day, hour, minute, second, 1000 * ms, tzinfo=UTC)
    except ValueError:  # none was written: times count from the start of the log
        return 0.0
    return max(0.0, begin.timestamp())

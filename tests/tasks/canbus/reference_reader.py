"""Slow, obvious readers to compare the fast ones with: a line at a time, plain Python."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graphwright.tasks.canbus.frames import Frames

NUMBER = re.compile(rb"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
TIME = re.compile(rb"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
HEX = re.compile(rb"[0-9a-fA-F]*")
TOO_LONG = "payload is longer than 8 bytes"
NO_HEX = "payload is not hexadecimal"
NO_LENGTH = "payload length is not a number from 0 to 8"
NO_FORMAT = "line is not of this format"


class BadLineError(Exception):
    """Why a line is no frame."""


class Row(NamedTuple):
    time: float
    id: int
    extended: bool
    data: bytes
    attack: int


def read_slowly(path: Path, format: str) -> tuple[Frames, list[tuple[int, str]]]:
    """Frames, and (line number, reason) of what is none."""
    raw = path.read_bytes()
    data = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    rows, rejected = [], []
    for number, line in enumerate(lines, 1):
        if number == 1 and format == "can_train_and_test":
            continue
        try:
            rows.append(PARSERS[format](line))
        except BadLineError as error:
            rejected.append((number, str(error)))
    return as_frames(rows), rejected


def as_frames(rows: list[Row]) -> Frames:
    payload = b"".join(row.data.ljust(8, b"\0") for row in rows)
    return Frames(
        time=np.array([row.time for row in rows], np.float64),
        id=np.array([row.id for row in rows], np.uint32),
        extended=np.array([row.extended for row in rows], bool),
        length=np.array([len(row.data) for row in rows], np.uint8),
        payload=np.frombuffer(payload, np.uint8).reshape(-1, 8),
        attack=np.array([row.attack for row in rows], np.uint8),
    )


def _cells(line: bytes) -> list[bytes]:
    cells = [cell.rstrip(b" \t\r") for cell in line.split(b",")]
    if cells == [b""]:
        raise BadLineError("line is empty")
    return cells


def _time(text: bytes) -> float:
    if TIME.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if re.fullmatch(rb"[+-]?(nan|inf|infinity)", text, re.IGNORECASE):
        raise BadLineError("time is not finite")
    if NUMBER.fullmatch(text) and math.isinf(float(text)):
        raise BadLineError("time is not finite")
    if NUMBER.fullmatch(text) and text.startswith(b"-"):
        raise BadLineError("time is negative")
    raise BadLineError("time is not a number")


def _id(text: bytes, short: tuple[int, ...]) -> tuple[int, bool]:
    if not HEX.fullmatch(text) or len(text) not in (*short, 8):
        raise BadLineError("id is not hexadecimal of a length that is known")
    value = int(text, 16)
    if len(text) != 8 and value > 0x7FF:
        raise BadLineError("id is above 0x7FF")
    if value > 0x1FFFFFFF:
        raise BadLineError("id is above 0x1FFFFFFF")
    return value, len(text) == 8


def _payload(text: bytes) -> bytes:
    if not HEX.fullmatch(text):
        raise BadLineError(NO_HEX)
    if len(text) % 2:
        raise BadLineError("payload has an odd number of hex digits")
    if len(text) > 16:
        raise BadLineError(TOO_LONG)
    return bytes.fromhex(text.decode())


def _flag(text: bytes, flags: bytes) -> int:
    if len(text) != 1 or text not in flags:
        raise BadLineError("attack flag is not one that is known")
    return flags.index(text)


def _length(text: bytes) -> int:
    if len(text) != 1 or text not in b"012345678":
        raise BadLineError(NO_LENGTH)
    return int(text)


def _data_cells(cells: list[bytes]) -> bytes:
    if not all(len(cell) == 2 and HEX.fullmatch(cell) for cell in cells):
        raise BadLineError(NO_HEX)
    return bytes.fromhex(b"".join(cells).decode())


def can_train_and_test(line: bytes) -> Row:
    cells = _cells(line)
    if len(cells) != 4:
        raise BadLineError("wrong number of columns")
    time, ident = _time(cells[0]), _id(cells[1], (3,))
    return Row(time, *ident, _payload(cells[2]), _flag(cells[3], b"01"))


def hcrl_csv(line: bytes) -> Row:
    cells = _cells(line)
    if len(cells) < 3:
        raise BadLineError("wrong number of columns")
    length = _length(cells[2])
    if len(cells) != 4 + length:
        raise BadLineError("wrong number of columns")
    time, ident = _time(cells[0]), _id(cells[1], (3, 4))
    return Row(time, *ident, _data_cells(cells[3:-1]), _flag(cells[-1], b"RT"))


def _words(line: bytes) -> list[bytes]:
    return [word for word in re.split(rb"[ \t\r]+", line) if word]


def hcrl_text(line: bytes) -> Row:
    words = _words(line)
    if not words:
        raise BadLineError("line is empty")
    if len(words) < 7:
        raise BadLineError("wrong number of columns")
    length = _length(words[6])
    if len(words) != 7 + length:
        raise BadLineError("wrong number of columns")
    if (words[0], words[2], words[5]) != (b"Timestamp:", b"ID:", b"DLC:"):
        raise BadLineError(NO_FORMAT)
    if words[4].startswith(b"1"):
        raise BadLineError("remote frame")
    time, ident = _time(words[1]), _id(words[3], (3, 4))
    return Row(time, *ident, _data_cells(words[7:]), 0)


def candump(line: bytes) -> Row:
    words = _words(line)
    if not words:
        raise BadLineError("line is empty")
    if len(words) not in (3, 4):
        raise BadLineError("wrong number of columns")
    if len(words) == 4 and words[3] not in (b"R", b"T"):
        raise BadLineError(NO_FORMAT)
    stamp, frame = words[0], words[2]
    if not (stamp.startswith(b"(") and stamp.endswith(b")") and len(stamp) > 2):
        raise BadLineError(NO_FORMAT)
    mark = 3 if frame[3:4] == b"#" else 8
    if frame[mark : mark + 1] != b"#":
        raise BadLineError(NO_FORMAT)
    ident, data = frame[:mark], frame[mark + 1 :]
    if mark == 8 and ident.startswith(b"2"):
        raise BadLineError("error frame")
    if data.startswith(b"#"):
        raise BadLineError("CAN FD frame")
    if data.startswith(b"R"):
        raise BadLineError("remote frame")
    return Row(_time(stamp[1:-1]), *_id(ident, (3,)), _payload(data), 0)


PARSERS = {
    "can_train_and_test": can_train_and_test,
    "hcrl_csv": hcrl_csv,
    "hcrl_text": hcrl_text,
    "candump": candump,
}

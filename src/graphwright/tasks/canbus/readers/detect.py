"""Which format a capture has, by what is in it."""

from __future__ import annotations

import re
from pathlib import Path

from graphwright.errors import DataError, nearest
from graphwright.tasks.canbus.readers.content import beginning

__all__ = ["FORMATS", "detect_format", "known_format"]

FORMATS = ("can_train_and_test", "hcrl_csv", "hcrl_text", "candump", "asc", "blf", "trc")
_BLF = b"LOGG"
_LINES_LOOKED_AT = 20  # the first of them may be damaged
_LINES = {
    "hcrl_text": re.compile(rb"\s*Timestamp:\s"),
    "candump": re.compile(rb"\s*\(\d+(\.\d+)?\)\s"),
    "trc": re.compile(rb";\$FILEVERSION|;\$STARTTIME|;\s+Message Number"),
    "asc": re.compile(rb"(date\s|base\s+(hex|dec)\b|Begin Triggerblock)", re.IGNORECASE),
    "hcrl_csv": re.compile(rb"\d+(\.\d+)?,[0-9a-fA-F]{3,8},\d+,(.*,)?[RT]\s*$"),
}
_HEADER = re.compile(rb"(\xef\xbb\xbf)?timestamp,arbitration_id,data_field,attack\s*$")


def known_format(name: str, path: Path) -> str:
    """The format itself, or the one of the content for `auto`.

    Raises:
        DataError: no such format, nothing in the file, or nothing that is known.
    """
    if name == "auto":
        return detect_format(path)
    if name not in FORMATS:
        raise DataError(
            f"{name}: no such capture format{nearest(name, FORMATS)}",
            fix=f"one of auto, {', '.join(FORMATS)}",
        )
    return name


def detect_format(path: Path) -> str:
    """One of `FORMATS`, by the first lines (unpacked where they are gzipped).

    Raises:
        DataError: no file, a directory, nothing in it, or nothing that is known.
    """
    head = beginning(path)
    if not head:
        raise DataError(
            f"{path.name} is empty", where=path, fix="remove it, or copy the capture again"
        )
    if head.startswith(_BLF):
        return "blf"
    lines = head.split(b"\n")[:_LINES_LOOKED_AT]
    if is_header(lines[0]):
        return "can_train_and_test"
    for line in lines:
        for name, pattern in _LINES.items():
            if pattern.match(line):
                return name
    raise DataError(
        f"{path.name}: no format that is known",
        where=path,
        fix=f"say which it is (one of {', '.join(FORMATS)}), or name the columns of an event log",
    )


def is_header(line: bytes) -> bool:
    """Whether a line is the header of a can-train-and-test file."""
    return _HEADER.match(line) is not None

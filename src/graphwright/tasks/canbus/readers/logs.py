"""Vector `.asc` and `.blf`, PEAK `.trc`: read by python-can, a message at a time."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from graphwright.data.rejects import Rejects
from graphwright.errors import MissingExtraError
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers.content import Content, beginning
from graphwright.tasks.canbus.readers.messages import frames_of_messages, reason_against

__all__ = ["LOG_FORMATS", "log_frames"]

LOG_FORMATS = {"asc": "ASCReader", "blf": "BLFReader", "trc": "TRCReader"}
_AT_ONCE = 10_000
_GZIP = b"\x1f\x8b"


def log_frames(path: Path, format: str, rejects: Rejects) -> Iterator[Frames]:
    """Frames of a log; they are no attacks. `asc` times count from the start of the log.

    python-can does not say on which line a message was, so rejects carry the number of the
    message. Where it cannot read on, the rest of the file is one reject.

    Raises:
        MissingExtraError: python-can is not installed.
    """
    try:
        import can
    except ImportError as error:
        raise MissingExtraError("python-can", "can", f"reading {path.name}") from error
    beginning(path, 1)  # a file that cannot be opened is told of in our words
    held: list[Any] = []
    for number, message in enumerate(
        _messages(path, getattr(can, LOG_FORMATS[format]), rejects), 1
    ):
        if reason := reason_against(message):
            rejects.add(str(path), f"message {number}", reason)
            continue
        held.append(message)
        if len(held) == _AT_ONCE:
            yield frames_of_messages(held)
            held = []
    if held:
        yield frames_of_messages(held)


def _messages(path: Path, reader: Any, rejects: Rejects) -> Iterator[Any]:
    number = 0
    try:
        with _opened(path, is_text=reader.__name__ != "BLFReader") as file:
            messages = reader(file)
            promised = getattr(messages, "file_size", 0)
            for number, message in enumerate(messages, 1):  # noqa: B007
                yield message
        # a .blf knows its size; python-can ends without a word where it is cut off
        if promised > sum(map(len, Content(path))):
            raise EOFError
    except Exception as error:  # python-can raises whatever its parsers meet
        what = f"python-can cannot read on ({type(error).__name__})"
        rejects.add(str(path), f"message {number + 1}", what)


def _opened(path: Path, *, is_text: bool) -> IO[Any]:
    with path.open("rb") as file:
        is_packed = file.read(2) == _GZIP
    opened: Any = gzip.GzipFile(path) if is_packed else path.open("rb")
    return io.TextIOWrapper(opened, "utf-8", errors="replace") if is_text else opened

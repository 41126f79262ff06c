"""Frames as they come in, with the time of their arrival. No torch here."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from graphwright.data.rejects import Rejects
from graphwright.tasks.canbus.data_config import WindowConfig
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers import EventColumns, SourceNames, stream_frames
from graphwright.tasks.canbus.readers.candump import parse
from graphwright.tasks.canbus.readers.content import PAD, Content, line_blocks
from graphwright.tasks.canbus.readers.fields import split_at_spaces

__all__ = ["BATCH", "FilePieces", "Piece", "Pieces", "StdinPieces", "is_bus", "open_pieces"]

BATCH = 64
"""Windows that are scored together, at most: with more, a small model leaves a core's caches."""
_PIPE = 1 << 16  # bytes, the size of a pipe


@dataclass(frozen=True, eq=False)
class Piece:
    """Some frames that came together.

    Attributes:
        frames: one after the other; may be none.
        arrival: `[N]` seconds of `time.perf_counter` at which each was there.
        waiting: frames that are there behind these.
    """

    frames: Frames
    arrival: NDArray[np.float64]
    waiting: int = 0


class Pieces(Protocol):
    """A source of frames."""

    @property
    def lost(self) -> int:
        """As in `Summary`, so far."""
        ...

    @property
    def overruns(self) -> int:
        """As in `Summary`, so far."""
        ...

    def __iter__(self) -> Iterator[Piece]: ...


class FilePieces:
    """A file, as fast as it is read, in pieces of `BATCH` windows.

    Args:
        path: a capture of any format, or an event log.
        window: of the model.
        rejects: takes what is no frame.
        columns: of an event log.
        names: of its sources.
    """

    def __init__(
        self,
        path: Path,
        window: WindowConfig,
        rejects: Rejects,
        columns: EventColumns | None = None,
        names: SourceNames | None = None,
    ) -> None:
        self.lost = self.overruns = 0
        self._frames = stream_frames(
            path, chunk=BATCH * window.stride, rejects=rejects, columns=columns, names=names
        )

    def __iter__(self) -> Iterator[Piece]:
        for frames in self._frames:
            yield _arrived(frames)


class StdinPieces:
    """Lines of `candump -L` from a pipe, as they come.

    A pipe that is full holds its sender up, so nothing is lost here; what candump itself drops it
    has to tell.

    Args:
        rejects: takes lines that are no frame.
        read: gives the next bytes, none at the end.
    """

    def __init__(self, rejects: Rejects, read: Callable[[], bytes] | None = None) -> None:
        self.lost = self.overruns = 0
        self._rejects = rejects
        self._read = read or _read_stdin

    def __iter__(self) -> Iterator[Piece]:
        for lines in line_blocks(_Bytes(self._read), self._rejects):
            if len(lines.data) > 2 * PAD:
                yield _arrived(parse(split_at_spaces(lines)).tell(self._rejects, "-"))


def open_pieces(
    source: str,
    window: WindowConfig,
    rejects: Rejects,
    *,
    columns: EventColumns | None = None,
    names: SourceNames | None = None,
) -> Pieces:
    """The frames of a source.

    Args:
        source: a file, `-` for candump lines on stdin, or a bus of python-can such as
            `socketcan:vcan0`.
        window: of the model.
        rejects: takes what is no frame.
        columns, names: for an event log.

    Raises:
        DataError: no such file or bus, or a format that is not known.
        MissingExtraError: python-can is needed and not installed.
    """
    if source == "-":
        return StdinPieces(rejects)
    if is_bus(source) and not Path(source).exists():
        from graphwright.tasks.canbus.watch.bus import BusPieces, open_bus

        return BusPieces(open_bus(source), source, window, rejects)
    return FilePieces(Path(source), window, rejects, columns, names)


def is_bus(source: str) -> bool:
    """Whether a source names a bus (`interface:channel`) and not a file.

    >>> is_bus("socketcan:vcan0"), is_bus("drives/one.csv"), is_bus("C:\\\\drives\\\\one.csv")
    (True, False, False)
    """
    interface, colon, channel = source.partition(":")
    is_name = interface.isidentifier() and len(interface) > 1
    return bool(colon) and is_name and "/" not in channel and "\\" not in channel


class _Bytes(Content):
    """Bytes that come from somewhere else than a file."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        super().__init__(Path("-"))
        self._pull = read

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pull, b"")


def _read_stdin() -> bytes:
    return os.read(sys.stdin.fileno(), _PIPE)  # what is there, unlike `read`


def _arrived(frames: Frames) -> Piece:
    return Piece(frames, np.full(len(frames), time.perf_counter()))

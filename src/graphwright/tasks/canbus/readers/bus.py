"""Frames from a live bus: `socketcan:vcan0`, `virtual:test`, all of python-can."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError, MissingExtraError
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers.messages import frames_of_messages, reason_against

__all__ = ["bus_frames", "is_bus"]


def is_bus(source: str) -> bool:
    """Whether a source names a bus (`interface:channel`) and not a file.

    >>> is_bus("socketcan:vcan0"), is_bus("drives/one.csv"), is_bus("C:\\\\drives\\\\one.csv")
    (True, False, False)
    """
    interface, colon, channel = source.partition(":")
    is_name = interface.isidentifier() and len(interface) > 1
    return bool(colon) and is_name and "/" not in channel and "\\" not in channel


def bus_frames(
    source: str, *, chunk: int = 1000, wait: float = 0.05, rejects: Rejects
) -> Iterator[Frames]:
    """Frames as they arrive, without end; the bus is opened at once and closed with the iterator.

    Args:
        source: `interface:channel`, names as python-can knows them.
        chunk: most frames at a time.
        wait: seconds after which what has come is given out, even if it is nothing, so that a
            caller gets to look at the clock on a silent bus.
        rejects: takes frames that are not classic CAN data frames.

    Raises:
        DataError: the bus cannot be opened.
        MissingExtraError: python-can is not installed.
    """
    return _received(_opened(source), source, chunk, wait, rejects)


def _opened(source: str) -> Any:
    try:
        import can
    except ImportError as error:
        raise MissingExtraError("python-can", "can", f"listening to {source}") from error
    interface, _, channel = source.partition(":")
    try:
        return can.Bus(interface=interface, channel=channel)
    except (can.CanError, OSError, ValueError, ImportError) as error:
        raise DataError(
            f"cannot open the bus {source} ({error})",
            where=source,
            fix="check the interface (`ip link show`) and the name of the channel",
        ) from error


def _received(bus: Any, source: str, chunk: int, wait: float, rejects: Rejects) -> Iterator[Frames]:
    number = 0
    try:
        while True:
            held: list[Any] = []
            deadline = time.monotonic() + wait
            while len(held) < chunk:
                message = bus.recv(max(deadline - time.monotonic(), 0.0))
                if message is None:
                    break
                number += 1
                if reason := reason_against(message):
                    rejects.add(source, f"message {number}", reason)
                else:
                    held.append(message)
            yield frames_of_messages(held)
    finally:
        bus.shutdown()

"""Frames of a live bus, received by a thread of their own.

The kernel keeps few frames for a program that does not ask for them; a thread that does nothing
but ask does not miss them while a window is scored.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError, MissingExtraError
from graphwright.tasks.canbus.data_config import WindowConfig
from graphwright.tasks.canbus.readers.messages import frames_of_messages, reason_against
from graphwright.tasks.canbus.watch.inbox import Inbox
from graphwright.tasks.canbus.watch.pieces import BATCH, Piece
from graphwright.tasks.canbus.windows import count_windows

__all__ = ["BusPieces", "dropped_by_kernel", "is_overrun", "open_bus"]

_LIMIT = 200_000  # messages that wait at most: 25 s of a full bus, about 150 MB
_PATIENCE = 0.2  # s
_BUFFER = 1 << 22  # bytes in the kernel, if it allows as many
# linux/can/error.h: a frame of class "controller" whose byte 1 says that a buffer ran over
_CONTROLLER, _RAN_OVER = 0x4, 0x1
# linux/sock_diag.h: nine numbers about a socket's memory, the last one its dropped packets
_SO_MEMINFO, _MEMINFO = 55, struct.Struct("9I")


class BusPieces:
    """Frames as they arrive, without end.

    Args:
        bus: a `can.BusABC`, shut down at the end.
        source: what it is called.
        window: a piece is given out when it completes a window, or after a moment.
        rejects: takes messages that are no data frames of classic CAN.
        limit: messages that may wait.
    """

    def __init__(
        self, bus: Any, source: str, window: WindowConfig, rejects: Rejects, limit: int = _LIMIT
    ) -> None:
        self.overruns = 0
        self._bus, self._source, self._window, self._rejects = bus, source, window, rejects
        self._inbox = Inbox(limit)
        self._stop = threading.Event()
        self._received = 0
        self._dropped = 0

    @property
    def lost(self) -> int:
        """Frames that were dropped, here or by the kernel."""
        # a closed socket tells nothing any more
        self._dropped = max(self._dropped, dropped_by_kernel(self._bus))
        return self._inbox.lost + self._dropped

    def __iter__(self) -> Iterator[Piece]:
        thread = threading.Thread(target=self._receive, name="canbus-receiver", daemon=True)
        thread.start()
        try:
            yield from self._given()
        finally:
            self._stop.set()
            thread.join()
            self._dropped = max(self._dropped, dropped_by_kernel(self._bus))
            self._bus.shutdown()

    def _receive(self) -> None:
        try:
            while not self._stop.is_set():
                message = self._bus.recv(_PATIENCE)
                if message is not None:
                    self._inbox.put((time.perf_counter(), message))
        except Exception as error:  # whatever the driver meets ends the watch, not only the thread
            self._inbox.close(DataError(f"the bus failed ({error})", where=self._source))
        else:
            self._inbox.close()

    def _given(self) -> Iterator[Piece]:
        frames, most = 0, BATCH * self._window.stride
        while True:
            windows = count_windows(frames, self._window)
            need = windows * self._window.stride + self._window.size - frames
            items = self._inbox.take(need, max(need, most), _PATIENCE)
            if items is None:
                return
            good = [item for item in items if self._is_frame(item[1])]
            frames += len(good)
            arrival = np.array([item[0] for item in good], np.float64)
            yield Piece(frames_of_messages([item[1] for item in good]), arrival, len(self._inbox))

    def _is_frame(self, message: Any) -> bool:
        self._received += 1
        if is_overrun(message):
            self.overruns += 1
        if reason := reason_against(message):
            self._rejects.add(self._source, f"message {self._received}", reason)
        return not reason


def open_bus(source: str) -> Any:
    """The bus `interface:channel`, names as python-can knows them.

    Raises:
        DataError: it cannot be opened.
        MissingExtraError: python-can is not installed.
    """
    try:
        import can
    except ImportError as error:
        raise MissingExtraError("python-can", "can", f"listening to {source}") from error
    interface, _, channel = source.partition(":")
    try:
        bus = can.Bus(interface=interface, channel=channel)
    except (can.CanError, OSError, ValueError, ImportError) as error:
        raise DataError(
            f"cannot open the bus {source} ({error})",
            where=source,
            fix="check the interface (`ip link show`) and the name of the channel",
        ) from error
    if (own := _socket(bus)) is not None:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return bus


def is_overrun(message: Any) -> bool:
    """Whether an error frame says that the controller had to drop frames that it received."""
    return bool(
        message.is_error_frame
        and message.arbitration_id & _CONTROLLER
        and len(message.data) > 1
        and message.data[1] & _RAN_OVER
    )


def dropped_by_kernel(bus: Any) -> int:
    """Frames that Linux dropped because its buffer of the bus's socket was full; 0 without one."""
    own = _socket(bus)
    if own is None or own.fileno() < 0:
        return 0
    try:
        told = own.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError:  # not Linux, or older than 4.12: it does not tell
        return 0
    return int(_MEMINFO.unpack(told)[-1]) if len(told) == _MEMINFO.size else 0


def _socket(bus: Any) -> socket.socket | None:
    own = getattr(bus, "socket", None)
    return own if isinstance(own, socket.socket) else None

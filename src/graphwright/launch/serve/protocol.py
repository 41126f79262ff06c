"""HTTP/1.1 with an end to patience: uvicorn waits forever for headers and for slow readers."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["patient_protocol"]


def patient_protocol(patience_s: float) -> type[H11Protocol]:
    """A protocol class that gives a client so long for its headers, and for taking an answer."""
    return type("PatientProtocol", (_PatientProtocol,), {"patience_s": patience_s})


class _PatientProtocol(H11Protocol):
    patience_s: ClassVar[float]
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """The first request is due."""
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Stop the clock when the headers are there; start it when others begin."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            if self._timer is None:
                self._expect_headers()
        elif self.cycle is not None and not self.cycle.response_complete:
            self._forget()

    def on_response_complete(self) -> None:
        """An answer that nobody takes is not kept, nor is a body read that nobody waits for."""
        super().on_response_complete()
        self._forget()
        if self._is_unfinished():
            self._timer = self.loop.call_later(self.patience_s, self._abort_unfinished)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._forget()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        self._timer = self.loop.call_later(self.patience_s, self.transport.abort)

    def _is_unfinished(self) -> bool:
        sending = self.conn.their_state is h11.SEND_BODY
        return sending or self.transport.get_write_buffer_size() > 0

    def _abort_unfinished(self) -> None:
        self._timer = None
        if self._is_unfinished():
            self.transport.abort()
        elif self.conn.trailing_data[0]:  # the next headers have begun
            self._expect_headers()

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

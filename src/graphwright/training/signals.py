"""SIGTERM and SIGUSR1 (Slurm's preemption and time limit): finish the step, save, leave."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

__all__ = ["Asked", "StopRequest"]


class Asked(Protocol):
    """Where to look whether a stop was asked for."""

    @property
    def received(self) -> str | None:
        """The name of the signal; None: go on."""
        ...


class StopRequest:
    """Notes a request to stop while it is entered, and puts the old handlers back.

    Ctrl-C counts too; a second one stops at once. Outside the main thread signals cannot be
    handled, and nothing is noted.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

    def __init__(self) -> None:
        self.received: str | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {s: signal.signal(s, self._note) for s in self.SIGNALS}
            # who starts a rank holds them back until here
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name

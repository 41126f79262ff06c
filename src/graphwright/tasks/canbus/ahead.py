"""Making the next items while the last ones are worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["ahead"]

T = TypeVar("T")


@dataclass(frozen=True)
class _Made(Generic[T]):
    items: tuple[T, ...] = ()  # one, or none at the end
    error: BaseException | None = None


def ahead(items: Iterator[T], depth: int = 4) -> Generator[T, None, None]:
    """`items`, made by a thread of their own up to `depth` in advance; close it to stop early.

    Parsing and building are mostly numpy, which lets go of the interpreter: they share two cores.
    What the thread raises is raised here, in its turn.
    """
    waiting: queue.Queue[_Made[T]] = queue.Queue(depth)
    stop = threading.Event()
    work = threading.Thread(target=_make, args=(items, waiting, stop), daemon=True)
    work.start()
    try:
        while (made := waiting.get()).items:
            yield made.items[0]
        if made.error is not None:
            raise made.error
    finally:
        stop.set()
        work.join()


def _make(items: Iterator[T], waiting: queue.Queue[_Made[T]], stop: threading.Event) -> None:
    end: _Made[T] = _Made()
    try:
        for item in items:
            if not _put(_Made((item,)), waiting, stop):
                return
    except BaseException as error:
        end = _Made(error=error)
    _put(end, waiting, stop)


def _put(made: _Made[T], waiting: queue.Queue[_Made[T]], stop: threading.Event) -> bool:
    """Whether it was taken before somebody said stop."""
    while not stop.is_set():
        try:
            waiting.put(made, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False

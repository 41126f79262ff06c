"""Where messages wait between the thread that receives them and the one that scores them."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

__all__ = ["Inbox"]


class Inbox:
    """A queue whose reader is woken only when there is enough for a window.

    Waking a thread for every frame of a full bus (8,000 a second) costs more than scoring.

    Args:
        limit: the most items that wait; what comes beyond is counted in `lost` and not kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.lost = 0
        self._items: deque[Any] = deque()
        self._changed = threading.Condition()
        self._need = 1
        self._closed = False
        self._error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Any) -> None:
        """Add an item, or count it as lost."""
        with self._changed:
            if len(self._items) >= self.limit:
                self.lost += 1
                return
            self._items.append(item)
            if len(self._items) >= self._need:
                self._changed.notify()

    def close(self, error: BaseException | None = None) -> None:
        """Nothing more will come; `take` raises `error` once all items are taken."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify()

    def take(self, need: int, most: int, timeout: float) -> list[Any] | None:
        """The oldest items, once there are `need`, or after `timeout` seconds those that are there.

        Returns:
            At most `most` items; None after the last one.
        """
        with self._changed:
            self._need = need
            self._changed.wait_for(lambda: self._closed or len(self._items) >= need, timeout)
            if self._closed and not self._items:
                if self._error is not None:
                    raise self._error
                return None
            return [self._items.popleft() for _ in range(min(most, len(self._items)))]

"""Says when frames come faster than they are scored, without saying it all the time."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Pressure"]


class Pressure:
    """Warns when as many frames wait as `level`, and again whenever twice as many do.

    Args:
        level: waiting frames that are worth a word.
        calm: waiting frames at which it has caught up.
        warn: takes a sentence and its number of frames.
    """

    def __init__(self, level: int, calm: int, warn: Callable[[str, int], None]) -> None:
        self.most = 0
        self._level, self._calm, self._warn = level, calm, warn
        self._next, self._lost, self._overruns = level, 0, 0

    def seen(self, waiting: int, lost: int, overruns: int) -> None:
        """Look at the counts.

        Args:
            waiting: now.
            lost, overruns: in all.
        """
        self.most = max(self.most, waiting)
        if waiting >= self._next:
            self._warn("frames come faster than they are scored, waiting", waiting)
            self._next = 2 * waiting
        elif waiting <= self._calm and self._next > self._level:
            self._warn("caught up, frames waiting", waiting)
            self._next = self._level
        # the first loss is told at once, then whenever their number has doubled
        if lost > 2 * self._lost:
            self._warn("frames lost, they came too fast", lost)
            self._lost = lost
        if overruns > 2 * self._overruns:
            self._warn("the controller ran over and lost frames, times", overruns)
            self._overruns = overruns

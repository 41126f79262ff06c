"""The terminal's last line while a sweep goes on; nothing where nobody looks at a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, Task
    from rich.text import Text

__all__ = ["SweepProgress"]


class SweepProgress:
    """Bar, number, rate and remaining time, as a context manager. Failures are said in any case."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._bar = _bar(self._console) if sys.stderr.isatty() else None
        self._task = self._bar.add_task("", total=None, note="", begun=0) if self._bar else None
        self._found = True  # so far all were there already

    def done(self, count: int, total: int, *, note: str = "", found: bool = False) -> None:
        """So many of so many are at their end.

        Args:
            count: how many.
            total: of all.
            note: shown behind the bar, such as the best value so far.
            found: the latest was there before: it does not count into the rate.
        """
        if self._bar is None or self._task is None:
            return
        self._found = self._found and found
        if self._found:
            self._bar.update(self._task, begun=count)
        self._bar.update(self._task, completed=count, total=total, note=note)

    def failed(self, what: str, error: str) -> None:
        """One failed: a line that stays."""
        text = f"failed: {what}\n  {error}" if what else f"failed: {error}"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> SweepProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar(console: object) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text as RichText

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return RichText(_rate(task.completed - task.fields["begun"], task))

    return Bar(
        TextColumn("sweep"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,  # type: ignore[arg-type]
    )


def _rate(trained: float, task: Task) -> str:
    """Of the runs that were trained now; the remaining time follows from it."""
    if not trained or not task.elapsed:
        return "-"
    seconds = (task.remaining or 0.0) / (trained / task.elapsed)
    return f"{60 * trained / task.elapsed:.3g} runs/min, {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}"

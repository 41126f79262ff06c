"""A progress line with rate and remaining time; silent where nobody looks at a terminal."""

from __future__ import annotations

import sys
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

__all__ = ["Progress"]


class Progress(pl.Callback):
    """One bar over all epochs of a training.

    Args:
        epochs: of the whole training.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Show the bar."""
        if not sys.stderr.isatty():
            return
        self._bar = Bar(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        total = (self._epochs - trainer.current_epoch) * pl_module.parts.feed.batches
        self._task = self._bar.add_task("", total=total, epoch=trainer.current_epoch, loss="")
        self._bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance it."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=1, epoch=trainer.current_epoch)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Show the best validation so far."""
        if self._bar is not None and self._task is not None and pl_module.best.value is not None:
            self._bar.update(self._task, loss=f"best {pl_module.best.value:.4g}")

    def teardown(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Take it away, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
